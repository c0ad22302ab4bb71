"""Sums over an epoch, kept on the device: loss of all, clean and noisy examples, and training accuracy."""

from __future__ import annotations

import torch
from torch import Tensor

COLUMNS = ("all", "clean", "noisy")
LOSS = "loss/train_"


def curve_of(name: str) -> tuple[str, str]:
    """Folder and tag of a metric in TensorBoard, as in the published logs: the losses of COLUMNS have one tag."""
    column = name.removeprefix(LOSS)
    return (f"loss_train_{column}", "loss/train") if name.startswith(LOSS) and column in COLUMNS else ("", name)


class Tally:
    """state: float64 [3, 3]; a row for all, clean and noisy examples: how many, sum of losses, how many right."""

    def __init__(self, device: torch.device) -> None:
        self.state = torch.zeros(3, 3, dtype=torch.float64, device=device)

    def add(self, losses: Tensor, right: Tensor, is_noisy: Tensor) -> None:
        """losses: float [B]; right: bool [B], predictions that agree with the target; is_noisy: bool [B]."""
        values = torch.stack([torch.ones_like(losses), losses, right.to(losses)], dim=1).double()  # [B, 3]
        groups = torch.stack([torch.ones_like(is_noisy), ~is_noisy, is_noisy]).double()  # [3, B]
        self.state += groups @ values

    def clear(self) -> None:
        """Begins anew, in the same memory."""
        self.state.zero_()

    @staticmethod
    def means(state: Tensor, apart: bool) -> dict[str, float]:
        """Metrics of a sum over all processes; a group without examples has no value. apart: clean and noisy, too."""
        rows = state.tolist()
        values = {"accuracy/train": rows[0][2] / rows[0][0]}
        for name, (count, loss, _) in zip(COLUMNS if apart else COLUMNS[:1], rows, strict=False):
            if count:
                values[f"{LOSS}{name}"] = loss / count
        return values
