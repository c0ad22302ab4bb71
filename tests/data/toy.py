"""A small data set as an archive, with the registry entry that fits."""

from pathlib import Path
from typing import Any

from data.registry import Entry
from data.verify import verify
from tests.data.helpers import members_of, one_entry, published, tar_bytes
from tests.data.server import Server

FILES = {"data_batch_1": b"one" * 1000, "batches.meta": b"meta"}
TAR = tar_bytes({f"box/{name}": content for name, content in FILES.items()} | {"box/readme.html": b"hello"})


def tar_entry(server: Server, tmp_path: Path, *steps: str | int, **changes: Any) -> Entry:
    address = server.add("/box.tar.gz", TAR, *steps)
    archive = {"file": "box.tar.gz", "kind": "tar", "addresses": [address], "root": "box", **published(TAR)}
    archive |= {"members": members_of(FILES)} | changes
    return one_entry(tmp_path / "registry", {key: value for key, value in archive.items() if value is not None})


def statuses(entry: Entry, place: Path) -> dict[str, str]:
    return {path.name: status for path, status in verify(entry, place)}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
