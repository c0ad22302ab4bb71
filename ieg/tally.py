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
    """Adds one step. logs: scalars, and per example weights [G], predictions [G], perhaps recovered [G].

    Weights are counted as multiples of the uniform weight, so that 1 is what plain training gives every example.
    """
    weights = logs["weights"] * len(logs["weights"])
    clean = labels == true_labels
    tally.add("weights/clean", weights[clean])
    tally.add("weights/noisy", weights[~clean])
    tally.add("weights/zeroratio", weights == 0)
    tally.add("acc/train", logs["predictions"] == labels)
    if "recovered" in logs:
        tally.add("labels/recovered", logs["recovered"] == true_labels)
        tally.add("labels/recovered_noisy", (logs["recovered"] == true_labels)[~clean])
    for name, value in logs.items():
        if np.ndim(value) == 0:
            tally.add(name, value)
