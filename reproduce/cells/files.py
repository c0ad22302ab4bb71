"""Where the cells files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from common.errors import UsageError
from common.paths import repo_root
from common.storage.text_files import read_text

ROOT, HERE = repo_root(), Path(__file__).resolve().parent
PAPERS = tuple(HERE / f"{paper}.yaml" for paper in ("ieg", "fsr", "sln", "moco"))
DEMO, EVIDENCE, PROGRAMS = HERE / "demo.yaml", HERE / "evidence.yaml", HERE / "programs.yaml"
CLAIMS = HERE / "claims.yaml"
DATA_DIR = Path("data/cache")  # unless the environment says otherwise


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises: UsageError."""
    try:
        return yaml.load(read_text(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{place}: {error.problem or error.context}; this is no YAML") from error
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # a date of the 99th month, [[[[…
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from error
