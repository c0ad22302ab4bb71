"""MO: the exponential moving average of the model, which is the model that is tested (Noise against noise, Sec. 4)."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def update_moving_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """θ_ema ← decay · θ_ema + (1 − decay) · θ, in place, for every floating entry of the state.

    Batch norm's running averages are entries too. decay in [0, 1]: 0 copies the model, 1 never moves.
    """
    ours, theirs = average.state_dict(), model.state_dict()
    floating = [name for name, value in ours.items() if value.is_floating_point()]
    average_over = get_ema_multi_avg_fn(decay)
    average_over([ours[name] for name in floating], [theirs[name] for name in floating], None)
    for name in ours.keys() - set(floating):
        # DEVIATION: authors and rerun leave the average's counters of batch norm at zero; here they are copied. Nothing
        # reads them.
        ours[name].copy_(theirs[name])


@torch.no_grad()
def start_moving_average(average: nn.Module, model: nn.Module) -> None:
    """Makes both start from the weights of `average`: the model is what changes, as in the published runs."""
    model.load_state_dict(average.state_dict())
