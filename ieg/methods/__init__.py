"""What a step of each method computes: pure functions from parameters and a batch to gradients."""

from __future__ import annotations

from ieg.methods.fsr import fsr_step
from ieg.methods.ieg import ieg_step
from ieg.methods.l2r import l2r_step
from ieg.methods.supervised import supervised_step

METHODS = {"supervised": supervised_step, "l2r": l2r_step, "ieg": ieg_step, "fsr": fsr_step}
