"""Trains a linear classifier on the frozen encoder of a pre-training checkpoint, and scores it.

python main_lincls.py --pretrained ckpts/checkpoint_0199.pth.tar --lr 10 -b 128 --epochs 60 DATA
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.flags import parse
from moco_nonsem.linear_probe.config import check
from moco_nonsem.running.flags import LinearFlags
from moco_nonsem.running.launch import Place
from moco_nonsem.running.program import run


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = sys.argv[1:] if argv is None else argv
    flags = parse(LinearFlags, "main_lincls.py", (__doc__ or "").partition("\n")[0], arguments, separator="-")
    return run(flags, check, _work, ["python", "-m", "moco_nonsem.main_lincls", *arguments])


def _work(flags: LinearFlags, place: Place, command: list[str]) -> int:
    from moco_nonsem.linear_probe.run import work

    return work(flags, place, command)


if __name__ == "__main__":
    sys.exit(main())
