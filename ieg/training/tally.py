"""Averages over the steps between two evaluations, kept in the checkpoint so that a resumed run logs the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Tally:
    """Sums and counts by name. `state` and `Tally(state)` go to JSON and back without loss."""

    def __init__(self, state: Mapping[str, list[float]] | None = None):
        self.state = {name: list(pair) for name, pair in (state or {}).items()}

    def add(self, name: str, values) -> None:
        """Values, an array or a number, enter the mean of `name`; an empty array leaves it alone."""
        values = np.asarray(values, np.float64)
        total, count = self.state.get(name, (0.0, 0))
        self.state[name] = [total + float(values.sum()), count + values.size]

    def means(self) -> dict[str, float]:
        """{name: mean} of what was added."""
        return {name: total / count for name, (total, count) in sorted(self.state.items()) if count}


def tally_step(tally: Tally, logs: Mapping[str, np.ndarray], labels, true_labels) -> None:
    """Adds one step. true_labels: int [G], None where nobody knows them.

    logs: scalars, and by example weights [G], predictions [G], perhaps recovered [G] and example/loss, example/margin
    [G]. Weights are counted as multiples of the uniform weight, so that 1 is what plain training gives every example.
    """
    weights = logs["weights"] * len(logs["weights"])
    tally.add("weights/zeroratio", weights == 0)
    tally.add("acc/train", logs["predictions"] == labels)
    for name, value in logs.items():
        if np.ndim(value) == 0:
            tally.add(name, value)
    if "example/margin" in logs:
        tally.add("margin", logs["example/margin"])
    if true_labels is None:
        return
    clean = labels == true_labels
    tally.add("weights/clean", weights[clean])
    tally.add("weights/noisy", weights[~clean])
    if "recovered" in logs:
        tally.add("labels/recovered", logs["recovered"] == true_labels)
        tally.add("labels/recovered_noisy", (logs["recovered"] == true_labels)[~clean])
    if "example/loss" in logs:
        tally_by_label(tally, logs["example/loss"], logs["example/margin"], weights == 0, clean)


def tally_by_label(tally: Tally, losses, margins, masked, clean) -> None:
    """Losses and margins of fsr by whether the label is true and the weight 0. Args: arrays [G], masked, clean bool."""
    for name, chosen in {
        "clean": clean,
        "noisy": ~clean,
        "masked_clean": masked & clean,
        "unmasked_noisy": ~masked & ~clean,
    }.items():
        tally.add(f"loss/{name}", losses[chosen])
    tally.add("margin/clean", margins[clean])
    tally.add("margin/noisy", margins[~clean])


def tally_classes(tally: Tally, weights, labels, num_classes: int) -> None:
    """Mean weight of each class, as multiples of the uniform weight. Args: weights float [G]; labels int [G]."""
    for c in range(num_classes):
        tally.add(f"weights/class_{c:02d}", (weights * len(weights))[labels == c])
