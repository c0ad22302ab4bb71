"""One training step of CE, SLN, SLN-MO and SLN-MO-LC, in the paper's order (Noise against noise, Sec. 3 and 4)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from re_sln.training.label_correction import corrected_targets, correction_weights
from re_sln.training.moving_average import update_moving_average
from re_sln.training.networks import Networks
from re_sln.training.sln_loss import soft_cross_entropy, stochastic_targets


def sln_step(
    networks: Networks, images: Tensor, targets: Tensor, noise: Tensor | None, sigma: float, scale: float, decay: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One update. Returns logits [b, C], the targets ỹ that were learnt [b, C] and the losses ℓ [b].

    images: x [b, 3, H, W]; targets: y, or ŷ once labels are corrected, [b, C]; noise: z [b, C], None where σ is 0;
    scale: what turns the sum of the losses into the mean over the global batch; decay: of the moving average.
    """
    if noise is not None:
        targets = stochastic_targets(targets, noise, sigma)  # ỹ = y + σ z, [b, C]
    logits = networks.logits(images)  # f(x) [b, C]
    losses = soft_cross_entropy(logits, targets)  # ℓ [b]
    networks.descend(losses.sum() * scale)
    if networks.average is not None:  # MO: θ_ema ← decay · θ_ema + (1 − decay) · θ
        update_moving_average(networks.average, networks.model, decay)
    return logits.detach(), targets, losses.detach()


def correct_labels(logits: Tensor, given: Tensor, targets: Tensor, soft: bool) -> Tensor:
    """LC, before an epoch: the targets ŷ [N, C] that it trains on.

    logits: of the averaged model, [N, C]; given: the labels y, one-hot [N, C]; targets: those of the last epoch [N, C];
    soft: predictions are the softmax (Clothing1M), not one-hot, and losses those of the given labels.
    """
    predictions = logits.softmax(dim=1)  # [N, C]
    if not soft:
        predictions = functional.one_hot(predictions.argmax(dim=1), logits.shape[1]).float()  # [N, C]
    weights = correction_weights(soft_cross_entropy(logits, given if soft else targets))  # w [N]
    return corrected_targets(weights, given, predictions)  # ŷ = w·y + (1 − w)·prediction
