"""Sums of an epoch's training metrics, kept on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from moco_nonsem.model.contrastive_loss import contrast_accuracy

COLUMNS = (
    "loss/train",
    "accuracy/contrast_top1",
    "accuracy/contrast_top5",
    "similarity/key",
    "similarity/queue",
    "similarity/nonsem",
)


class Tally:
    """Means over the examples seen: loss, contrast accuracy over 1+K+S, cosine of q with k, the queue and t."""

    def __init__(self, device: torch.device) -> None:
        self.state = torch.zeros(1 + len(COLUMNS), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, losses: Tensor, logits: Tensor, num_nonsem: int, alpha: float, temperature: float) -> None:
        """Counts [b] examples in. logits: [b, 1+K+S]."""
        cosine = logits * temperature  # [b, 1+K+S]; of t: α times
        last = logits.shape[1] - num_nonsem
        nonsem = cosine[:, last:].mean(dim=1) / alpha if num_nonsem else torch.zeros_like(losses)
        values = [
            torch.ones_like(losses),
            losses,
            contrast_accuracy(logits, 1),
            contrast_accuracy(logits, 5),
            cosine[:, 0],
            cosine[:, 1:last].mean(dim=1),
            nonsem,
        ]
        self.state += torch.stack([value.double().sum() for value in values])

    @staticmethod
    def means(state: Tensor, num_nonsem: int) -> dict[str, float]:
        """Of the sums of all processes. `similarity/nonsem` is left out where there are no non-semantic views."""
        sums = state.tolist()
        means = {name: value / sums[0] for name, value in zip(COLUMNS, sums[1:], strict=True)}
        if num_nonsem == 0:
            del means["similarity/nonsem"]
        return means
