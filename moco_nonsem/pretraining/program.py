"""What moco-non-sem-neg.py runs; its own name, with hyphens, cannot be imported."""

from __future__ import annotations

from moco_nonsem.pretraining.config import resolve
from moco_nonsem.running.flags import PretrainFlags
from moco_nonsem.running.program import run_program

DESCRIPTION = "Pre-trains an encoder by MoCo with non-semantic negatives: patches, textures, or none."


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    return run_program(PretrainFlags, "moco-non-sem-neg", DESCRIPTION, resolve, "moco_nonsem.pretraining.run", argv)
