"""MoCo with non-semantic negatives: one training step, in the paper's order (arXiv 2110.14189, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.pytorch.process_group import Group
from common.random_streams import generator
from moco_nonsem.model.batch_shuffle import shuffle_order, shuffled_share, unshuffled
from moco_nonsem.model.contrastive_loss import contrastive_logits, contrastive_losses
from moco_nonsem.model.encoder import build_encoder
from moco_nonsem.model.key_queue import enqueue, initial_queue
from moco_nonsem.model.momentum_update import momentum_update


class ViewsOfImages(Protocol):
    """This process's part of a batch: float [b, 3, H, W] each, S of them in nonsem."""

    @property
    def query(self) -> Tensor:
        """Of the query encoder."""

    @property
    def key(self) -> Tensor:
        """Of the key encoder."""

    @property
    def nonsem(self) -> Sequence[Tensor]:
        """Of the key encoder, too."""


@dataclass(frozen=True)
class Contrast:
    """What the loss and the momentum update depend on: α, T, m, and the seed of the batch shuffles."""

    alpha: float
    temperature: float
    momentum: float
    seed: int


class MoCo(nn.Module):
    """Both encoders, the queue [D, K] of unit columns and its pointer [1]: everything that a checkpoint's weights are.

    Names are those of the authors' checkpoints. The encoders begin with equal weights.
    """

    queue: Tensor
    queue_ptr: Tensor

    def __init__(self, arch: str, dim: int, length: int, mlp: bool, seed: int, bn_splits: int = 1) -> None:
        super().__init__()
        weights = int(generator(seed, "weights").integers(2**31))
        self.encoder_q = build_encoder(arch, dim, mlp, weights, bn_splits)
        self.encoder_k = build_encoder(arch, dim, mlp, weights, bn_splits).requires_grad_(False)
        self.register_buffer("queue", initial_queue(dim, length, int(generator(seed, "queue").integers(2**31))))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))


@dataclass(frozen=True)
class Encoders:
    """How the two encoders are called, [b, 3, H, W] → [b, D]: as they are, compiled, or with averaged gradients."""

    query: Callable[[Tensor], Tensor]
    key: Callable[[Tensor], Tensor]


def unit_vectors(values: Tensor) -> Tensor:
    """Rows of length 1, at least in single precision. values: [N, D]."""
    return functional.normalize(values.float() if values.dtype == torch.bfloat16 else values, dim=1)


def moco_step(
    model: MoCo,
    encoders: Encoders,
    optimiser: torch.optim.Optimizer,
    views: ViewsOfImages,
    contrast: Contrast,
    step: int,
    group: Group,
) -> tuple[Tensor, Tensor]:
    """Training step `step` (0, 1, …): losses [b] and logits [b, 1+K+S] of this process's part of the batch.

    views: what `make_views` made. Both encoders, the queue and the optimiser change. All processes must call at once.
    """
    query = unit_vectors(encoders.query(views.query))  # q [b, D]

    # θ_k ← m θ_k + (1 − m) θ_q, with θ_q as it is before this step's update.
    momentum_update(model.encoder_k.parameters(), model.encoder_q.parameters(), contrast.momentum)

    batch_size = len(query) * group.world_size  # B
    embedded = []  # k, t_1 … t_S of the whole batch, [B, D] each
    with torch.no_grad():
        for view, images in enumerate([views.key, *views.nonsem]):  # [b, 3, H, W]
            order = shuffle_order(contrast.seed, step, view, batch_size)  # [B]
            values = encoders.key(shuffled_share(images, order, group.rank, group.world_size))  # [b, D]
            embedded.append(unshuffled(unit_vectors(values), order, group.world_size))
    key, *nonsem = (values[group.share(batch_size)] for values in embedded)  # [b, D] each

    logits = contrastive_logits(query, key, nonsem, model.queue, contrast.alpha, contrast.temperature)  # [b, 1+K+S]
    losses = contrastive_losses(logits)  # [b]
    optimiser.zero_grad(set_to_none=True)
    losses.mean().backward()  # the processes' gradients are averaged, and their parts of the batch are equal
    optimiser.step()

    enqueue(model.queue, model.queue_ptr, embedded[0])
    return losses.detach(), logits.detach()
