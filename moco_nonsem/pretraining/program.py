"""What moco-non-sem-neg.py runs; its own name, with hyphens, cannot be imported."""

from __future__ import annotations

import sys

from common.flags import parse
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.running.flags import PretrainFlags
from moco_nonsem.running.launch import Place
from moco_nonsem.running.program import run

DESCRIPTION = "Pre-trains an encoder by MoCo with non-semantic negatives: patches, textures, or none."


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = sys.argv[1:] if argv is None else argv
    flags = parse(PretrainFlags, "moco-non-sem-neg.py", DESCRIPTION, arguments, separator="-")
    return run(flags, resolve, _work, ["python", "-m", "moco_nonsem.moco-non-sem-neg", *arguments])


def _work(flags: PretrainFlags, place: Place, command: list[str]) -> int:
    from moco_nonsem.pretraining.run import work

    return work(flags, place, command)
