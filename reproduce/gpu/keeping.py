"""What sessions on a GPU found, kept in the repository: their records, a picture, and a section of the page.

Needs matplotlib and the cells files' reader: for the machine that has the clone, not for the one that has the GPU.
"""

from __future__ import annotations

import itertools
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import DataError, refuse
from common.records.record_files import RESULT
from common.results.tables import markdown_table
from common.storage.files import atomic_write
from reproduce.curves import draw_curves
from reproduce.gpu import carrying, summary
from reproduce.gpu.session import NO_GPU, RUN
from reproduce.keep import RECORDS, record_texts, refuse_places

KEPT = RECORDS / "gpu"
FOUND, PICTURE = "evidence.json", "curves.png"
NONE_YET = "None is kept yet."
PLACES = {"data_dir": "$DATA_DIR", "run_dir": "$RUNS_DIR"}
LONGEST = 5  # kernels that the page names


def keep_session(given: Path, target: Path) -> Path:
    """Copies the records of a session's finished runs below `target`, with its summary and a picture of its curves.

    given: the --out of its last piece. Returns the session's new folder. Raises: DataError where nothing is to be
    kept; UsageError for runs on a CPU, and for a place on a machine that is left in a record.
    """
    try:
        found = json.loads((given / FOUND).read_text(encoding="utf-8"))
        gpu = found["pieces"][0]["gpu"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{given} holds no {FOUND} of a session ({error}): name the --out of its last piece") from error
    on_cpu = [run["name"] for run in found["runs"] if run["device"].startswith("CPU")]
    if not on_cpu and gpu.startswith(NO_GPU):  # measurements alone
        on_cpu = [gpu]
    refuse(on_cpu, f"in {given} ran on a CPU", "only what ran on a GPU is kept: run it on one")
    finished = [run["name"] for run in found["runs"] if run["finished"]]
    if not finished and not found["measured"]:
        raise DataError(f"{given} has neither a finished run nor a measurement: do another piece first")
    for own in found["measured"].values():
        own["command"] = own["command"].partition(" --out=")[0]  # of its machine, and always the last flag
    folder = _folder(target, gpu, found["pieces"][0]["begun"])
    texts = {folder / FOUND: refuse_places(json.dumps(found, indent=1) + "\n", given / FOUND, "the session")}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name) / "work"
        carrying.unbundle(given, work)
        for run in finished:
            record = work / "runs" / run / RUN
            kept = record_texts(record, _placeless, run)
            texts |= {folder / "runs" / run / file: text for file, text in kept.items()}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text)
    if finished:
        draw_curves([folder / "runs" / run for run in finished], folder / PICTURE)
    return folder


def _folder(target: Path, gpu: str, begun: str) -> Path:
    """One for each session: what is kept of it once more replaces what was."""
    name = f"{begun[:10]}-{re.sub('[^a-z0-9]+', '-', gpu.lower()).strip('-')}"
    for number in itertools.count(1):
        folder = target / (name if number == 1 else f"{name}-{number}")
        if not (folder / FOUND).exists() or _found(folder)["pieces"][0]["begun"] == begun:
            return folder
    raise AssertionError


def _found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / FOUND).read_text(encoding="utf-8"))


def _placeless(command: list[str]) -> list[str]:
    """The command with $DATA_DIR and $RUNS_DIR in the place of folders of its machine."""
    words = []
    for word in command:
        flag, equals, _ = word.partition("=")
        place = PLACES.get(flag.removeprefix("--")) if equals else None
        words.append(f"{flag}={place}" if place else word)
    return words


def section(folder: Path) -> str:
    """The page's part on the kept sessions, newest first; its links start beside `folder`."""
    sessions = sorted((path.parent for path in folder.glob(f"*/{FOUND}")), reverse=True)
    return "\n\n".join(_session(path, folder.parent) for path in sessions) or NONE_YET


def _session(folder: Path, beside: Path) -> str:
    found, link = _found(folder), folder.relative_to(beside)
    first = found["pieces"][0]
    lines = [
        [piece["begun"], piece["gpu"], piece["driver"], piece["torch"], f"`{piece['command']}`"]
        for piece in found["pieces"]
    ]
    parts = [
        f"### {first['gpu']}, {first['begun'][:10]}",
        f"{found['used_seconds'] / 60:.1f} of {found['minutes']:g} minutes, {found['setting']} steps. "
        f"Numbers: [{FOUND}]({link / FOUND}).",
        markdown_table(["piece, begun at", "GPU", "driver", "torch", "command"], lines).strip(),
        summary.table({"runs": [run for run in found["runs"] if run["finished"]]}).strip(),
    ]
    if (folder / PICTURE).exists():
        parts.append(f"![Curves]({link / PICTURE})")
    parts += [_measured(name, own) for name, own in found["measured"].items()]
    records = sorted(folder.rglob(RESULT))
    links = ", ".join(f"[{path.parent.relative_to(folder / 'runs')}]({path.relative_to(beside)})" for path in records)
    return "\n\n".join([*parts, f"Records, each with its command: {links or 'none are kept'}."])


def _measured(name: str, own: Mapping[str, Any]) -> str:
    """The table of a measurement, below its date, device and command."""
    origin = f"`{own['command']}`, {own['date']}, {own['device']}:"
    if name == "steps":
        heads = ["a step of SLN", "milliseconds"]
        lines = [[row["variant"], f"{1e3 * row['median_seconds']:.2f}"] for row in own["steps"]]
    else:
        heads = ["part of a MoCo step, and its longest kernels", "milliseconds"]
        lines = [[part, f"{1e3 * seconds:.2f}"] for part, seconds in own["median_seconds"].items()]
        longest = own["update"]["kernels"][:LONGEST]
        lines += [[f"`{kernel['name']}`", f"{kernel['milliseconds']:.2f}"] for kernel in longest]
    return f"{origin}\n\n{markdown_table(heads, lines).strip()}"
