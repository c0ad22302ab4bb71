"""Results in a few files of limited size, and the way back: a later piece may be on another machine."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from common.errors import DataError
from common.records.record_files import CONFIG, METRICS, RESULT, read_result
from common.records.saved_state import StateFiles
from common.storage.files import atomic_write
from reproduce.gpu.session import RUN

RECORDS, STATE = "records.tar.gz", "state.tar"
PART = 15 * 2**20  # bytes of a file of STATE at most
CHECKPOINTS = StateFiles("checkpoint_", ".pt")


def bundle(work: Path, out: Path) -> None:
    """Everything in `work` but checkpoints into RECORDS; the newest checkpoint of each unfinished run into STATE."""
    out.mkdir(parents=True, exist_ok=True)
    kept = [path for path in sorted(work.rglob("*")) if path.suffix in (".json", ".jsonl", ".yml", ".txt", ".log")]
    atomic_write(out / RECORDS, _tar(work, kept, "w:gz"))
    states = []
    for config in sorted((work / "runs").rglob(f"{RUN}/{CONFIG}")):
        folder = config.parent
        if (folder / RESULT).is_file() and not read_result(folder)["finished"] and (folder / METRICS).is_file():
            files = CHECKPOINTS.files(folder)
            states += [files[max(files)]] if files else []
    content = _tar(work, states, "w") if states else b""
    for old in out.glob(f"{STATE}.*"):
        old.unlink()
    for number, start in enumerate(range(0, len(content), PART)):
        atomic_write(out / f"{STATE}.{number}", content[start : start + PART])


def unbundle(folder: Path, work: Path) -> None:
    """Puts back what `bundle` wrote to `folder`, where `work` has nothing yet. Raises: DataError."""
    if work.exists() and any(work.iterdir()):
        return
    parts = sorted(folder.glob(f"{STATE}.*"), key=lambda path: int(path.suffix[1:]))
    building = work.with_name(f".{work.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    try:
        contents = [(folder / RECORDS).read_bytes(), b"".join(part.read_bytes() for part in parts)]
        for content in filter(None, contents):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(building, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{folder} holds no results to resume ({error}): name the --out of an earlier piece") from error
    work.parent.mkdir(parents=True, exist_ok=True)
    if work.exists():
        work.rmdir()
    building.rename(work)


def _tar(root: Path, paths: Iterable[Path], mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for path in paths:
            archive.add(path, path.relative_to(root), recursive=False)
    return stream.getvalue()
