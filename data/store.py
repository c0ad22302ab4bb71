"""What is on this disk: the records beside the data, the state of each entry, the lock that keeps two processes apart.

Beside a data set NAME lie `NAME.record.json` (which archive it came from, and whether a published checksum was there to
compare with) and `NAME.sha256` (every file, in the form that `sha256sum -c` reads from within the data folder).
"""

import datetime
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import DataError, UsageError
from common.storage.data_folders import entries
from common.storage.files import atomic_write
from common.storage.locks import locked
from common.storage.text_files import read_lines, read_text
from data.checksums import Digests, Published, hash_file
from data.disk import human
from data.registry import Archive, Entry

DAMAGED = "its record is damaged"


@dataclass(frozen=True)
class Store:
    """A data folder."""

    root: Path

    def work(self, entry: Entry) -> Path:
        """Where unfinished files of this entry are; on the same file system as the data."""
        return self.root / ".work" / entry.name

    def partial(self, entry: Entry, archive: Archive) -> Path:
        """Where the archive's bytes gather while it is downloaded."""
        return self.work(entry) / f"{archive.file}.part"

    def target(self, entry: Entry, archive: Archive) -> Path:
        """Where the archive's content is, or would be."""
        return self.root / entry.folder / archive.into

    def is_there(self, entry: Entry, archive: Archive) -> bool:
        """Whether something lies in the archive's place; an empty folder, or one with a .DS_Store, is nothing."""
        target = self.target(entry, archive)
        return target.is_file() or (target.is_dir() and bool(entries(target, [])))

    @contextmanager
    def locked(self, entry: Entry) -> Iterator[None]:
        """Holds the entry's lock; waits, with a message, while another process has it. A killed holder frees it."""

        def waiting() -> None:
            print(f"{entry.name}: another process is at work on it, waiting for it to finish.", flush=True)

        self.work(entry).mkdir(parents=True, exist_ok=True)
        with locked(self.work(entry).with_suffix(".lock"), waiting):
            yield

    # Records

    def _record_path(self, entry: Entry) -> Path:
        return self.root / f"{entry.name}.record.json"

    def _hashes_path(self, entry: Entry) -> Path:
        return self.root / f"{entry.name}.sha256"

    def record(self, entry: Entry) -> dict[str, Any]:
        """Archive file → what is known of its origin; empty if nothing was recorded. Raises DataError if damaged."""
        path = self._record_path(entry)
        try:
            archives = json.loads(read_text(path))["archives"]
            whole = all(isinstance(known[key], str) for known in archives.values() for key in ("sha256", "date"))
        except FileNotFoundError:
            return {}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError):
            whole = False
        if not whole:
            raise DataError(f"{path} is damaged: delete it; data that are there then count as of unknown origin.")
        return archives

    def write_record(
        self, entry: Entry, archive: Archive, origin: str, digests: Digests, files: dict[str, Digests]
    ) -> None:
        """Records an archive and its files (path below the archive's place, "" for the place itself → digests)."""
        known = archive.published.has_checksum
        archives = self.record(entry)
        archives[archive.file] = {
            "origin": origin,
            "checked": "published checksum" if known else "first use: no checksum is published to compare with",
            "date": datetime.date.today().isoformat(),
            "files": len(files),
            **vars(digests),
        }
        prefix = self.target(entry, archive).relative_to(self.root).as_posix()
        hashes = {path: sha256 for path, sha256 in self._hashes(entry) if not _is_below(path, prefix)}
        hashes |= {f"{prefix}/{path}" if path else prefix: digests.sha256 for path, digests in files.items()}
        atomic_write(self._hashes_path(entry), "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes)))
        atomic_write(self._record_path(entry), json.dumps({"name": entry.name, "archives": archives}, indent=2))

    def _hashes(self, entry: Entry) -> Iterator[tuple[str, str]]:
        path = self._hashes_path(entry)
        try:
            lines = read_lines(path)
        except FileNotFoundError:
            return
        except UsageError as error:
            raise DataError(f"{path} is damaged, it is not UTF-8: delete it, and fetch again.") from error
        for line in lines or [""]:
            sha256, _, name = line.partition("  ")
            if not re.fullmatch("[0-9a-f]{64}", sha256) or not name:
                raise DataError(f"{path} is damaged, {line[:80]!a} is not a checksum: delete it, and fetch again.")
            yield name, sha256

    # Comparing

    def expected_files(self, entry: Entry, archive: Archive) -> dict[Path, Published]:
        """Every file that can be compared with something: published checksums first, else those of the first use."""
        target = self.target(entry, archive)
        prefix = target.relative_to(self.root).as_posix()
        expected = {
            self.root / path: Published(sha256=sha256)
            for path, sha256 in self._hashes(entry)
            if _is_below(path, prefix)
        }
        if archive.kind == "file" and archive.published.has_checksum:
            expected[target] = archive.published
        return expected | {target / name: published for name, published in archive.members.items()}

    def problem(self, entry: Entry, archive: Archive) -> str | None:
        """What is wrong with the archive's place, in words; None if nothing is.

        Files with a published checksum are hashed; those without are taken as recorded (`verify` hashes them all).
        """
        target = self.target(entry, archive)
        published = archive.members or ({"": archive.published} if archive.published.has_checksum else {})
        if archive.kind != "file" and not archive.members:
            published = {}
        for name, expected in published.items():
            path = target / name if name else target
            if not path.is_file():
                return f"{path} is missing"
            if difference := expected.difference(hash_file(path)):
                return f"{path} differs ({difference})"
        if not published and archive.file not in self.record(entry):
            return "there is no record of where it came from"
        return None

    def state(self, entry: Entry) -> str:
        """For people: what of this entry is on this disk. Nothing is hashed."""
        if entry.how == "embedded":
            return "embedded"
        if not entry.archives:
            return "here, not verifiable" if (self.root / entry.folder).is_dir() else "not here"
        try:
            record = self.record(entry)
        except DataError:
            return DAMAGED
        there = [archive for archive in entry.archives if self.is_there(entry, archive)]
        recorded = [archive for archive in there if archive.file in record]
        if there and not recorded:
            return "here, not fetched by this program"
        if len(recorded) == len(entry.archives):
            return f"here, verified {max(record[archive.file]['date'] for archive in recorded)}"
        if recorded:
            return f"{len(recorded)} of {len(entry.archives)} files here"
        begun = [self.partial(entry, archive) for archive in entry.archives]
        arrived = sum(path.stat().st_size for path in begun if path.exists())
        return f"partial download, {human(arrived)} of {human(entry.size)}" if arrived else "not here"


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")
