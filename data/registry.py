"""The registry: `entries/*.toml` as typed objects. A key that is absent there is unknown, and is said to be."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from data.checksums import Published
from data.errors import UsageError

ENTRIES = Path(__file__).resolve().parent / "entries"
UNKNOWN = "unknown"
_HOW = ("fetch", "by-hand", "embedded")
_KINDS = ("file", "tar", "zip")


@dataclass(frozen=True)
class Archive:
    """One file to obtain.

    kind: "file" is kept as it is, "tar" and "zip" are unpacked. into: where below the entry's folder it ends up.
    root: the folder inside the archive that becomes that place; "*": its only top-level folder, if there is just one.
    nested: base name of an archive inside the archive, unpacked in its place. counts: files expected below a folder.
    """

    file: str
    addresses: tuple[str, ...]
    published: Published
    kind: str = "file"
    into: str = ""
    root: str | None = None
    nested: str | None = None
    members: dict[str, Published] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One data set."""

    name: str
    title: str
    how: str
    folder: str
    homepage: str
    citation: str
    licence: str = UNKNOWN
    note: str | None = None
    archives: tuple[Archive, ...] = ()

    @property
    def size(self) -> int | None:
        """Bytes to obtain, None where the size of any part is unknown."""
        sizes = [archive.published.size for archive in self.archives]
        return None if not sizes or None in sizes else sum(size for size in sizes if size)

    def target(self, data_dir: Path, archive: Archive) -> Path:
        """Where the archive's content stands below `data_dir`."""
        return data_dir / self.folder / archive.into


def _published(raw: dict[str, Any]) -> Published:
    return Published(raw.get("sha256"), raw.get("md5"), raw.get("size"))


def _archive(raw: dict[str, Any]) -> Archive:
    kind = raw.get("kind", "file")
    if kind not in _KINDS:
        raise UsageError(f"registry: kind {kind!r} of {raw['file']} is unknown, it is one of {', '.join(_KINDS)}.")
    return Archive(
        file=raw["file"],
        addresses=tuple(raw["addresses"]),
        published=_published(raw),
        kind=kind,
        into=raw.get("into", raw["file"] if kind == "file" else ""),
        root=raw.get("root"),
        nested=raw.get("nested"),
        members={name: _published(member) for name, member in raw.get("members", {}).items()},
        counts=raw.get("counts", {}),
    )


def _entry(raw: dict[str, Any]) -> Entry:
    plain = {key: value for key, value in raw.items() if key != "archive"}
    if plain["how"] not in _HOW:
        raise UsageError(f"registry: how = {plain['how']!r} of {plain['name']} is unknown, it is one of {_HOW}.")
    return Entry(**plain, archives=tuple(_archive(archive) for archive in raw.get("archive", [])))


def load_registry(folder: Path | None = None) -> dict[str, Entry]:
    """All entries of a folder of TOML files (default: `data/entries`), by name, in the files' order.

    Raises UsageError for a folder without entries, a file that is not TOML, a missing or unknown key, a double name.
    """
    return _load(folder or ENTRIES)


@cache
def _load(folder: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            parsed = [_entry(raw) for raw in content["dataset"]]
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is not a registry file ({error}): see data/README.md, Add an entry.") from error
        for entry in parsed:
            if entry.name in entries:
                raise UsageError(f"{path}: the name {entry.name!r} is taken, names are unique: choose another.")
            entries[entry.name] = entry
    if not entries:
        raise UsageError(f"{folder} holds no registry (*.toml): leave --registry away to use the project's own.")
    return entries


def find_entry(name: str, registry: dict[str, Entry]) -> Entry:
    """The entry of that name. Raises UsageError, listing the names there are."""
    if name not in registry:
        raise UsageError(f"{name!r} is no data set of the registry; choose from: {', '.join(registry)}.")
    return registry[name]
