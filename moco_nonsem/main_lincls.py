"""Trains a linear classifier on the frozen encoder of a pre-training checkpoint, and scores it.

python main_lincls.py --pretrained ckpts/checkpoint_0199.pth.tar --lr 10 -b 128 --epochs 60 DATA
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from moco_nonsem.linear_probe.config import check
from moco_nonsem.running.flags import LinearFlags
from moco_nonsem.running.program import run_program


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    return run_program(LinearFlags, "main_lincls", __doc__ or "", check, "moco_nonsem.linear_probe.run", argv)


if __name__ == "__main__":
    sys.exit(main())
