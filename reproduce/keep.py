"""Takes the records of finished runs into the repository: what says how a number came about, no checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common.errors import UsageError
from common.records.record_files import CONFIG, METRICS, RESULT, read_result
from common.records.result_schema import seal
from common.storage.files import atomic_write
from reproduce.cells import ROOT
from reproduce.runs import DONE, Run, records_of

RECORDS = ROOT / "docs" / "evidence"
MACHINES = re.compile(r"""(?:^|[\s='"(\[:,])(~?/[^\s/"'][^\n"']*)""")  # an absolute path, in a word or a text


def keep(runs: list[Run], target: Path = RECORDS) -> list[Path]:
    """Copy the records of these runs below `target`, with the same paths as in the runs' folder; returns their folders.

    Folders of this machine in their commands become $DATA_DIR and $RUNS_DIR. Raises: UsageError where one is left.
    """
    kept: dict[Path, dict[str, str]] = {}
    for run in runs:
        if run.state != DONE:
            continue
        below = run.folder.relative_to(run.folder.parents[2])
        names = [stage.name for stage in run.cell.stages]
        for stage, record in records_of(run):
            replaced = partial(_without_places, run=run, stage=names.index(stage))
            kept[target / below / stage] = record_texts(record, replaced, run.name)
    for folder, texts in kept.items():
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            atomic_write(folder / name, text)
    return list(kept)


def record_texts(record: Path, without_places: Callable[[list[str]], list[str]], called: str) -> dict[str, str]:
    """The files of a record that are kept, by name.

    without_places: replaces the folders of this machine in a command; called: how messages call the run. Raises:
    UsageError for a record that was changed, and where such a folder is left.
    """
    result = read_result(record)
    if result.get("seal", seal(result)) != seal(result):
        raise UsageError(f"{record}: result.json was changed after it was written; `reproduce verify` says more")
    result["command"] = without_places(result["command"])
    if "seal" in result:
        result["seal"] = seal(result)
    texts = {name: (record / name).read_text("utf-8") for name in (CONFIG, METRICS) if (record / name).exists()}
    texts[RESULT] = json.dumps(result, indent=2) + "\n"
    return {name: refuse_places(text, record / name, called) for name, text in texts.items()}


def refuse_places(text: str, path: Path, called: str) -> str:
    """The text of a file that is to be kept. Raises: UsageError where it names a folder of this machine."""
    if match := MACHINES.search(text):
        raise UsageError(
            f"{path} names {match[1]!r}, a place on this machine, which a kept record must not; run {called} again "
            "with paths below $DATA_DIR and $RUNS_DIR, or relative to the repository"
        )
    return text


def _without_places(command: list[str], run: Run, stage: int) -> list[str]:
    """The command with $DATA_DIR and $RUNS_DIR in every path: as in its cell, else the folder that its flag is in."""
    below = run.folder.relative_to(run.folder.parents[2])
    asked = run.cell.commands(run.seed, Path("$RUNS_DIR") / below, run.sample, Path("$DATA_DIR"))[stage]
    flags = {run.cell.folder_flag: "RUNS_DIR", **run.cell.stages[stage].path_flags}
    paths = {flag: f"${folder}" for flag, folder in flags.items()}
    for word in asked:
        flag, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and equals and flag.replace("-", "_") in paths:
            paths[flag.replace("-", "_")] = value
    arguments = [word for word in asked if word.startswith(("$DATA_DIR", "$RUNS_DIR"))]
    words: list[str] = []
    before = ""  # the flag whose value the next word is
    for word in command:
        flag, equals, _ = word.removeprefix("--").partition("=")
        flag = flag.replace("-", "_") if word.startswith("--") else ""
        if flag in paths and equals:
            word = f"{word.partition('=')[0]}={paths[flag]}"
        elif not flag and before in paths:
            word = paths[before]
        elif not flag:
            word = next((text for text in arguments if word.endswith(text.partition("/")[2])), word)
            word = word.removeprefix(f"{ROOT}/")
        words.append(word)
        before = "" if equals else flag
    return words
