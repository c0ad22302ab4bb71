"""k-nearest-neighbour accuracy: how well classes lie together, without training anything (arXiv 1805.01978)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from common.pytorch.process_group import Group
from moco_nonsem.images.image_tree import ImageTree
from moco_nonsem.images.labelled_images import Look, labelled_batches, shares_in_order
from moco_nonsem.images.workers import Reading
from moco_nonsem.model.encoder import feature_width, features_of

NEIGHBOURS, TEMPERATURE = 200, 0.07
AT_ONCE = 1024


def neighbour_classes(
    queries: Tensor,
    bank: Tensor,
    labels: Tensor,
    num_classes: int,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """The class of each query by its k nearest neighbours, each voting with exp(cosine / T): int64 [n].

    queries: unit vectors [n, D]; bank: unit vectors [m, D] of classes `labels` [m], in [0, num_classes). Of equal votes
    the first class wins.
    """
    predictions = []
    for part in queries.split(AT_ONCE):
        cosine, nearest = (part @ bank.T).topk(min(k, len(bank)), dim=1)  # [p, k] twice
        votes = torch.zeros(len(part), num_classes, dtype=cosine.dtype, device=cosine.device)  # [p, C]
        votes.scatter_add_(1, labels[nearest], ((cosine - 1) / temperature).exp())
        predictions.append(votes.argmax(dim=1))
    return torch.cat(predictions)


class Neighbours:
    """The monitor: images of val/ classified by images of train/, in the features before the head."""

    def __init__(
        self, train: ImageTree, val: ImageTree, per_class: int, size: int, reading: Reading, group: Group
    ) -> None:
        kept = np.concatenate(
            [np.flatnonzero(train.labels == label)[:per_class] for label in range(len(train.classes))]
        )
        dropped = np.ones(len(train), bool)
        dropped[kept] = False
        self._train, self._val = train.without(dropped), val
        self._look, self._reading, self._group = Look(size), reading, group

    def __call__(self, encoder: nn.Module) -> float:
        """Accuracy on val/. All processes must call at once; the leader's encoder counts."""
        if self._group.world_size > 1:
            for value in encoder.state_dict().values():
                torch.distributed.broadcast(value, src=0)
        bank, labels = self._features(encoder, self._train)
        queries, truth = self._features(encoder, self._val)
        predictions = neighbour_classes(queries, bank, labels, len(self._train.classes))
        return (predictions == truth).double().mean().item()

    def _features(self, encoder: nn.Module, tree: ImageTree) -> tuple[Tensor, Tensor]:
        """Unit vectors [n, D] of a tree's images and their labels [n]; each process computes a part of every batch."""
        shares = shares_in_order(len(tree), self._reading)
        parts: list[Any] = []
        was_training = encoder.training
        encoder.eval()
        with torch.no_grad():
            for images, _ in labelled_batches(tree, self._look, shares, self._reading):
                parts.append(functional.normalize(features_of(encoder, images).float(), dim=1))
        encoder.train(was_training)
        features = torch.zeros(len(tree), feature_width(encoder), device=self._group.device)  # [n, D]
        if parts:
            features[torch.from_numpy(np.concatenate(shares)).to(features.device)] = torch.cat(parts)
        return self._group.add(features), torch.from_numpy(tree.labels).to(features.device)
