"""Hashing everything again."""

from collections.abc import Iterator
from pathlib import Path

from common.storage.data_folders import files_below, say_left_out
from data.checksums import hash_file
from data.disk import explained_errors
from data.registry import Archive, Entry
from data.store import Store

OK, DIFFERS, MISSING, UNEXPECTED, UNKNOWN = "ok", "differs", "missing", "unexpected", "nothing to compare with"


def _verify_archive(store: Store, entry: Entry, archive: Archive) -> Iterator[tuple[Path, str]]:
    target = store.target(entry, archive)
    if not store.is_there(entry, archive):
        yield target, MISSING
        return
    expected = store.expected_files(entry, archive)
    if not expected:
        yield target, UNKNOWN
        return
    for path, published in sorted(expected.items()):
        if not path.is_file():
            yield path, MISSING
            continue
        with explained_errors(f"Reading {path}"):
            yield path, DIFFERS if published.difference(hash_file(path)) else OK
    # Only a recorded archive has a complete list of its files, and an image too many changes a data set.
    if archive.kind != "file" and archive.file in store.record(entry):
        left_out: list[str] = []
        for path in files_below(target, ("",), left_out):
            if path not in expected and path != target / "NAME":  # which says what the data set is called
                yield path, UNEXPECTED
        # What the archive itself brought, ._a.jpg of a Mac for one, was hashed above.
        say_left_out(target, (path for path in left_out if Path(path) not in expected))


def verify(entry: Entry, data_dir: Path) -> Iterator[tuple[Path, str]]:
    """(path, OK | DIFFERS | MISSING | UNEXPECTED | UNKNOWN) for every file that the entry has or should have.

    Raises DataError for a damaged record, and for a file that cannot be read.
    """
    store = Store(data_dir)
    store.record(entry)  # a damaged one is to be known of, even where nothing here needs it
    for archive in entry.archives:
        yield from _verify_archive(store, entry, archive)
    if not entry.archives and entry.how != "embedded":
        yield data_dir / entry.folder, UNKNOWN if (data_dir / entry.folder).is_dir() else MISSING
