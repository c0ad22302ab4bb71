"""Where the cells files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from common.errors import UsageError
from common.paths import repo_root
from common.text_files import read_text

ROOT, HERE = repo_root(), Path(__file__).resolve().parent
PAPERS = tuple(HERE / f"{paper}.yaml" for paper in ("ieg", "fsr", "sln", "moco"))
DEMO, EVIDENCE, PROGRAMS = HERE / "demo.yaml", HERE / "evidence.yaml", HERE / "programs.yaml"
CLAIMS = HERE / "claims.yaml"
DATA_DIR = Path("data/cache")  # unless the environment says otherwise


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises: UsageError."""
    try:
        return yaml.load(read_text(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from error
