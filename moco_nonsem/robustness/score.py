"""Accuracies of one set of images, counted in three ways."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.errors import Interrupted, UsageError
from common.pytorch.process_group import Group
from moco_nonsem.images.image_tree import ImageTree
from moco_nonsem.images.labelled_images import Look, labelled_batches, shares_in_order
from moco_nonsem.images.workers import Reading
from moco_nonsem.linear_probe.network import LinearNetwork


@dataclass(frozen=True)
class Score:
    """Shares of right answers: arg-max over the trained classes, over all 1,000 logits, over the classes present.

    decisions: int64 [N], the first of the three; images, classes: how many were scored; left_out: folders of classes
    that the network was not trained on.
    """

    trained: float
    all_logits: float
    present: float
    decisions: np.ndarray
    images: int
    classes: int
    left_out: int = 0


def three_accuracies(logits: Tensor, labels: Tensor, num_classes: int) -> tuple[float, float, float]:
    """Over the first num_classes logits, over all, over the classes in labels. logits: [N, 1000]; labels: [N]."""
    present = labels.unique()
    over_present = present[logits[:, present].argmax(dim=1)]
    guesses = (logits[:, :num_classes].argmax(dim=1), logits.argmax(dim=1), over_present)
    shares = [(guess == labels).double().mean().item() for guess in guesses]
    return shares[0], shares[1], shares[2]


def relabelled(tree: ImageTree, classes: Sequence[str]) -> tuple[ImageTree, int]:
    """The images of known classes, labelled by their class's place in `classes`, and how many folders are left out.

    A label is never the place of a folder. Raises: UsageError where no class is known.
    """
    class_of = np.array([classes.index(name) if name in classes else -1 for name in tree.classes], np.int64)
    if (class_of < 0).all():
        raise UsageError(f"none of the folders {', '.join(tree.classes[:3])}, … is one of the {len(classes)} classes")
    kept = tree.without(class_of[tree.labels] < 0)
    return ImageTree(kept.paths, class_of[kept.labels], tuple(classes)), int((class_of < 0).sum())


def score(
    network: LinearNetwork,
    tree: ImageTree,
    classes: Sequence[str],
    look: Look,
    reading: Reading,
    group: Group,
    stopped: Sized = (),
) -> Score:
    """Scores the images of `tree` that belong to `classes`. All processes must call at once.

    stopped: true as soon as scoring is to stop. Raises: Interrupted, in all processes, if it is so in any.
    """
    known, left_out = relabelled(tree, classes)
    parts = shares_in_order(len(known), reading)
    logits = torch.zeros(len(known), network.classifier.out_features, device=group.device)  # [N, 1000]
    for part, (images, _) in zip(parts, labelled_batches(known, look, parts, reading), strict=True):
        if stopped:  # the others may have more batches or fewer: they are asked after the loop
            break
        logits[int(part[0]) : int(part[-1]) + 1] = network.logits(images)
    if group.any(bool(stopped)):
        raise Interrupted("stopped by the user")
    logits = group.add(logits)
    shares = three_accuracies(logits, torch.from_numpy(known.labels).to(group.device), len(classes))
    decisions = logits[:, : len(classes)].argmax(dim=1).cpu().numpy()
    return Score(*shares, decisions, len(known), len(np.unique(known.labels)), left_out)
