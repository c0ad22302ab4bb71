"""ImageNet-C: which folders there are to be (arXiv 1903.12261)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.errors import UsageError
from data.imagenet_c import CORRUPTIONS, SEVERITIES


def corruption_folders(root: Path) -> dict[tuple[str, int], Path]:
    """(corruption, severity) → root/corruption/severity, all 75. Raises: UsageError naming what is missing."""
    folders = {(name, level): root / name / str(level) for name in CORRUPTIONS for level in SEVERITIES}
    missing = [f"{name}/{level}" for (name, level), path in folders.items() if not path.is_dir()]
    if missing:
        raise UsageError(
            f"--imagenet-c={root} lacks {len(missing)} of 75 folders CORRUPTION/SEVERITY: {', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}; its mean is over 15 corruptions × 5 severities, complete it"
        )
    return folders


def mean_over_corruptions(accuracies: Mapping[tuple[str, int], float]) -> float:
    """The mean of the 75 accuracies, each with the same weight."""
    return sum(accuracies.values()) / len(accuracies)
