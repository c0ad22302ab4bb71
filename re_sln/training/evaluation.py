"""What a model makes of a set of images: accuracy and loss, or every example's output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from common.pytorch.process_group import Group
from re_sln.images.augmentation import Crops


class Images(Protocol):
    """A set's images, on a device or read by worker processes."""

    def batches(self, indices: Sequence[np.ndarray], crops: Crops | None) -> Iterator[Tensor]:
        """Float32 [B, 3, size, size] for each array of indices; without crops the middle of each image."""


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in its test mode, without gradients, and back."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def all_logits(
    model: nn.Module,
    images: Images,
    chosen: np.ndarray,
    batch_size: int,
    crops: Crops | None,
    group: Group,
    num_classes: int,
    autocast: bool = False,
    forward: Callable[[Tensor], Tensor] | None = None,
    before: Callable[[int], None] = lambda batch: None,
) -> Tensor:
    """Logits, float32 [len(chosen), C], of the images `chosen` (int64), each process computing a part of every batch.

    crops: as in training, or None: the middle; forward: computes the model's outputs, None: the model does; before: is
    called with the number of every batch, by all processes alike.
    """
    logits = torch.zeros(len(chosen), num_classes, device=group.device)  # [n, C]
    batches = [np.arange(start, min(start + batch_size, len(chosen))) for start in range(0, len(chosen), batch_size)]
    shares = [rows[group.share(len(rows))] for rows in batches]
    pictures = images.batches([chosen[rows] for rows in shares if len(rows)], crops)
    outputs = model if forward is None else forward  # not by its truth, which asks a compiled network for its length
    with evaluating(model), torch.autocast(group.device.type, torch.bfloat16, enabled=autocast):
        for number, rows in enumerate(shares):
            before(number)
            if len(rows):
                logits[int(rows[0]) : int(rows[-1]) + 1] = outputs(next(pictures)).float()
    return group.add(logits)


def accuracy_and_loss(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Share of examples whose largest logit is the label's, and mean cross-entropy. logits: [n, C]; labels: [n]."""
    right = (logits.argmax(dim=1) == labels).double().mean()
    return right.item(), functional.cross_entropy(logits.double(), labels).item()
