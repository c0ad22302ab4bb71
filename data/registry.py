"""The registry: `entries/*.toml` as typed objects. A key that is absent there is unknown, and reported so."""

import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from common.errors import UsageError
from common.storage.data_folders import is_foreign
from common.storage.text_files import read_text
from data.checksums import Published
from data.disk import explained

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


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _below(value: Any) -> bool:
    """Whether it is a path that stays below the folder it is joined to."""
    return isinstance(value, str) and not value.startswith("/") and ".." not in PurePosixPath(value).parts


def _name(value: Any) -> bool:
    return (
        isinstance(value, str) and re.fullmatch(r"[^/\x00-\x1f]{1,200}", value) is not None and value not in (".", "..")
    )


def _hex(digits: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None


def _mapping(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(_below(key) and rule(item) for key, item in value.items())


# The keys of an entry, of an archive and of a member, with what each may hold; those that have to be there.
_PUBLISHED: dict[str, Callable[[Any], bool]] = {"sha256": _hex(64), "md5": _hex(32), "size": _length}
_ARCHIVE_KEYS: dict[str, Callable[[Any], bool]] = {
    "file": _name,
    "addresses": _texts,
    "kind": lambda value: value in _KINDS,
    "into": _below,
    "root": _name,
    "nested": _name,
    "members": _mapping(lambda value: isinstance(value, dict) and not _odd(value, _PUBLISHED)),
    "counts": _mapping(_length),
    **_PUBLISHED,
}
_ENTRY_KEYS: dict[str, Callable[[Any], bool]] = {
    "name": _name,
    "how": lambda value: value in _HOW,
    "folder": _below,
    "archive": lambda value: isinstance(value, list),
    **dict.fromkeys(("title", "homepage", "citation", "licence", "note"), _text),
}
_NEEDED = {"entry": ("name", "title", "how", "folder", "homepage", "citation"), "archive": ("file", "addresses")}


def _odd(raw: Any, keys: dict[str, Callable[[Any], bool]], needed: tuple[str, ...] = ()) -> str:
    """What is wrong with a table of the registry, in words; empty if nothing is."""
    if not isinstance(raw, dict):
        return f"{raw!r:.60} is not a table"
    for key, value in raw.items():
        if key not in keys:
            return f"the key {key!r:.60} is unknown"
        if not keys[key](value):
            return f"{key} = {value!r:.60} is not allowed"
    missing = [key for key in needed if key not in raw]
    return f"the key {missing[0]} is missing" if missing else ""


def _published(raw: dict[str, Any]) -> Published:
    return Published(raw.get("sha256"), raw.get("md5"), raw.get("size"))


def _archive(raw: dict[str, Any]) -> Archive:
    if wrong := _odd(raw, _ARCHIVE_KEYS, _NEEDED["archive"]):
        raise ValueError(wrong)
    kind = raw.get("kind", "file")
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
    if wrong := _odd(raw, _ENTRY_KEYS, _NEEDED["entry"]):
        raise ValueError(wrong)
    plain = {key: value for key, value in raw.items() if key != "archive"}
    archives = tuple(_archive(archive) for archive in raw.get("archive", []))
    if plain["how"] == "fetch" and not all(archive.addresses for archive in archives):
        raise ValueError(f"{plain['name']} is to be fetched and has no addresses")
    return Entry(**plain, archives=archives)


def load_registry(folder: Path | None = None) -> dict[str, Entry]:
    """All entries of a folder of TOML files (default: `data/entries`), by name, in the files' order.

    Raises UsageError for a folder without entries, a file that is not TOML, a missing or unknown key, a value that its
    key cannot have, a double name.
    """
    return _load(folder or ENTRIES)


@cache
def _load(folder: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    try:
        paths = sorted(folder / name for name in os.listdir(folder) if name.endswith(".toml") and not is_foreign(name))
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise UsageError(f"--registry {str(folder)[:200]}: {explained(error)}.") from error
    for path in paths:
        try:
            content = tomllib.loads(read_text(path))
            if not isinstance(content.get("dataset"), list):
                raise ValueError("it has no [[dataset]]")
            parsed = [_entry(raw) for raw in content["dataset"]]
        except (ValueError, RecursionError, OSError, UsageError) as error:
            wrong = explained(error) if isinstance(error, OSError) else str(error)
            raise UsageError(f"{path} is not a registry file ({wrong}): see data/README.md, Add an entry.") from error
        for entry in parsed:
            if entry.name.casefold() in map(str.casefold, entries):  # some file systems do not tell case apart
                raise UsageError(
                    f"{path}: the name {entry.name!r} is taken, names are unique without regard to case: choose "
                    "another."
                )
            entries[entry.name] = entry
    if not entries:
        raise UsageError(f"{folder} holds no registry (*.toml): leave --registry away to use the project's own.")
    return entries


def find_entry(name: str, registry: dict[str, Entry]) -> Entry:
    """The entry of that name. Raises UsageError, listing the names there are."""
    if name not in registry:
        raise UsageError(f"{name!r} is not a data set of the registry; choose from: {', '.join(registry)}.")
    return registry[name]
