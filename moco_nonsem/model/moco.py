"""MoCo with non-semantic negatives: what a training step does, in which order (arXiv 2110.14189, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.process_group import Group
from common.random_streams import generator
from moco_nonsem.model.batch_shuffle import shuffle_order, shuffled_share, unshuffled
from moco_nonsem.model.contrastive_loss import contrastive_logits
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


@dataclass
class Encoders:
    """How the two encoders are called: as they are, or compiled, or the query's with its gradients averaged."""

    query: Callable[[Tensor], Tensor]
    key: Callable[[Tensor], Tensor]


def unit_vectors(values: Tensor) -> Tensor:
    """Rows of length 1, at least in single precision. values: [N, D]."""
    return functional.normalize(values.float() if values.dtype == torch.bfloat16 else values, dim=1)


def step_logits(
    model: MoCo, encoders: Encoders, views: ViewsOfImages, contrast: Contrast, step: int, group: Group, amp: bool
) -> Tensor:
    """Logits [b, 1+K+S] of training step `step` (0, 1, …), with a gradient to the query encoder only.

    The key encoder has moved and the queue holds the new keys afterwards. All processes must call at once.
    """
    with torch.autocast(group.device.type, torch.bfloat16, enabled=amp):
        query = encoders.query(views.query)  # [b, D]
    query = unit_vectors(query)
    # With the query weights as they are before this step's optimiser update.
    momentum_update(model.encoder_k.parameters(), model.encoder_q.parameters(), contrast.momentum)
    batch_size = len(query) * group.world_size
    own = group.share(batch_size)

    @torch.no_grad()
    def embed(images: Tensor, view: int) -> Tensor:
        """Unit vectors [B, D] of the whole batch, shuffled on their way through the key encoder."""
        order = shuffle_order(contrast.seed, step, view, batch_size)
        images = shuffled_share(images, order, group.rank, group.world_size)  # [b, 3, H, W]
        with torch.autocast(group.device.type, torch.bfloat16, enabled=amp):
            values = encoders.key(images)  # [b, D]
        return unshuffled(unit_vectors(values), order, group.world_size)

    keys = embed(views.key, 0)  # [B, D]
    nonsem = [embed(images, view)[own] for view, images in enumerate(views.nonsem, 1)]  # S of [b, D]
    # The gradient needs the queue as it is now.
    logits = contrastive_logits(query, keys[own], nonsem, model.queue.clone(), contrast.alpha, contrast.temperature)
    enqueue(model.queue, model.queue_ptr, keys)
    return logits
