"""Scores a linear classifier on ImageNet-100, -C, -Sketch, Stylized, -R, and where shape and texture disagree.

python eval_robustness.py ckpts/checkpoint_robust_0199.pth.tar --val imagenet100/val --sketch imagenet100-sketch
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from moco_nonsem.robustness.config import check
from moco_nonsem.running.flags import RobustnessFlags
from moco_nonsem.running.program import run_program


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 it failed, 2 a mistake in flags or data, 130 stopped by the user."""
    return run_program(RobustnessFlags, "eval_robustness", __doc__ or "", check, "moco_nonsem.robustness.run", argv)


if __name__ == "__main__":
    sys.exit(main())
