"""Takes the records of finished runs into the repository: what says how a number came about, no checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from reproduce.cells import ROOT
from reproduce.errors import ReproduceError
from reproduce.files import atomic_write
from reproduce.record import CONFIG, METRICS, RESULT, read_result
from reproduce.result_schema import seal
from reproduce.runs import DONE, Run, records_of

RECORDS = ROOT / "docs" / "evidence"
EVIDENCE = Path(__file__).resolve().parent / "evidence.yaml"
PLACES = {"DATA_DIR": ("data_dir", "dataset_dir"), "RUNS_DIR": ("run_dir", "checkpoint_path")}


def keep(runs: list[Run], target: Path = RECORDS) -> list[Path]:
    """Copy the records of these runs below `target`, as they lie below the folder of runs; returns their folders.

    Folders of this machine in their commands become $DATA_DIR and $RUNS_DIR. Raises: ReproduceError.
    """
    kept = []
    for run in runs:
        if run.state != DONE:
            continue
        for stage, record in records_of(run):
            place = run.folder.relative_to(run.folder.parents[2])
            kept.append(_copy(record, target / place / stage))
    return kept


def _copy(record: Path, folder: Path) -> Path:
    result = read_result(record)
    if result.get("seal", seal(result)) != seal(result):
        raise ReproduceError(f"{record}: result.json was changed after it was written; `reproduce verify` says more")
    result["command"] = _without_places(result["command"])
    if "seal" in result:
        result["seal"] = seal(result)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, METRICS):
        if (record / name).exists():
            shutil.copyfile(record / name, folder / name)
    atomic_write(folder / RESULT, json.dumps(result, indent=2) + "\n")
    return folder


def _without_places(command: list[str]) -> list[str]:
    flags = {flag: f"${name}" for name, own in PLACES.items() for flag in own}
    words: list[str] = []
    for word in command:
        flag, equals, _ = word.removeprefix("--").partition("=")
        before = words[-1].removeprefix("--").replace("-", "_") if words else ""
        if word.startswith("--") and equals and flag.replace("-", "_") in flags:
            words.append(f"--{flag}={flags[flag.replace('-', '_')]}")
        else:
            words.append(flags[before] if before in flags and words[-1].startswith("--") else word)
    return words
