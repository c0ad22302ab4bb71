"""Obtaining a data set: from the net, or from a file that the user brought."""

from pathlib import Path

from tqdm import tqdm

from common.errors import DataError, UsageError
from common.paths import data_dir as default_data_dir
from data.checksums import Digests, hash_file
from data.disk import explained, explained_errors, human, require_space
from data.download import NetworkError, Patience, discard_partial, download
from data.extract import DamagedArchive
from data.install import install, unpacked_size
from data.registry import Archive, Entry
from data.store import Store

_COMMAND = "python -m data"


def _say(text: str) -> None:
    print(text, flush=True)


def _bar(total: int | None, doing: str) -> "tqdm[None]":
    return tqdm(total=total, desc=doing, unit="B", unit_scale=True, disable=None, leave=False)


def _hash(path: Path) -> Digests:
    with explained_errors(f"Reading {path}"), _bar(path.stat().st_size, f"verifying {path.name}") as bar:
        return hash_file(path, bar.update)


def _import_command(store: Store, entry: Entry, archive: Archive, path: str) -> str:
    place = "" if store.root == default_data_dir() else f" --data_dir {store.root}"
    if archive.published.has_checksum:
        return f"`{_COMMAND} import {path}{place}`"
    name = entry.name if len(entry.archives) == 1 else f"{entry.name}/{archive.file}"
    return f"`{_COMMAND} import {path} --as {name}{place}`"


def by_hand(entry: Entry, store: Store) -> str:
    """What a person has to do for this entry, in words."""
    note = f" {entry.note}" if entry.note else ""
    if not entry.archives:
        return f"{entry.name} is obtained by hand, see {entry.homepage}.{note} Its place: {store.root / entry.folder}."
    lines = [f"{entry.name} is obtained by hand, see {entry.homepage}.{note} Get"]
    for archive in entry.archives:
        source = archive.addresses[0] if archive.addresses else entry.homepage
        lines.append(f"  {archive.file} from {source}, then {_import_command(store, entry, archive, archive.file)}")
    return "\n".join(lines)


def fetch(entry: Entry, data_dir: Path, patience: Patience | None = None) -> None:
    """Brings every file of the entry to its place, verified. Does nothing for what is there and verified already.

    Raises UsageError for an entry that cannot be fetched, DataError for any other obstacle.
    """
    store = Store(data_dir)
    if entry.how == "embedded":
        _say(f"{entry.name}: {entry.note} There is nothing to fetch.")
        return
    if entry.how == "by-hand":
        if entry.archives and all(store.is_there(entry, archive) for archive in entry.archives):
            _say(f"{entry.name}: its files are in {data_dir / entry.folder}, `{_COMMAND} verify {entry.name}` checks.")
            return
        raise UsageError(by_hand(entry, store))
    # Looked at without the lock too, which cannot be taken where a shared folder is only read from.
    missing = [archive for archive in entry.archives if not _already_there(store, entry, archive)]
    if not missing:
        return
    with explained_errors(f"Preparing {data_dir}"):
        data_dir.mkdir(parents=True, exist_ok=True)
    with store.locked(entry):
        for archive in missing:
            if not _already_there(store, entry, archive):
                _fetch_archive(store, entry, archive, patience)


def _already_there(store: Store, entry: Entry, archive: Archive) -> bool:
    if not store.is_there(entry, archive):
        return False
    target = store.target(entry, archive)
    if problem := store.problem(entry, archive):
        raise DataError(
            f"{target} exists but is not the verified {entry.name}: {problem}. Move or delete it, "
            "then start again; or name another place with --data_dir."
        )
    _say(f"{entry.name}: {target} exists and is verified: nothing to do.")
    return True


def _fetch_archive(store: Store, entry: Entry, archive: Archive, patience: Patience | None) -> None:
    part, published = store.partial(entry, archive), archive.published
    if published.size:
        missing = max(0, published.size - (part.stat().st_size if part.exists() else 0))
        needed = missing + unpacked_size(archive, published.size)
        require_space(store.work(entry), needed, f"Fetching {entry.name}")
    for last_try in (False, True):
        _say(f"{entry.name}: fetching {archive.file} ({human(published.size)}) from {archive.addresses[0]}")
        try:
            address = download(archive.addresses, part, published.size, published.has_checksum, patience)
        except NetworkError as error:
            raise NetworkError(
                f"{archive.file} could not be downloaded. {error} By hand: get it from {archive.addresses[0]} on any "
                f"machine, put it at {store.root / archive.file}, and run "
                f"{_import_command(store, entry, archive, str(store.root / archive.file))}."
            ) from error
        digests = _hash(part)
        damage = published.difference(digests)
        if damage is None:
            _compare_with_first_use(store, entry, archive, digests)
            try:
                _install(store, entry, archive, part, digests, address, keep_source=False)
            except DamagedArchive as error:
                if published.has_checksum:  # another download would be the same
                    raise
                damage = str(error)
            else:
                discard_partial(part)
                return
        discard_partial(part)
        if last_try:
            raise DataError(
                f"{archive.file} from {address} is not {'the published file' if published.has_checksum else 'whole'} "
                f"({damage}), twice in a row: it was thrown away; see {entry.homepage} for a new version or another "
                "address."
            )
        _say(f"{archive.file} is damaged ({damage}); thrown away, fetching it once more.")


def _compare_with_first_use(store: Store, entry: Entry, archive: Archive, digests: Digests) -> None:
    if archive.published.has_checksum:
        return
    recorded = store.record(entry).get(archive.file)
    if recorded and recorded["sha256"] != digests.sha256:
        raise DataError(
            f"{archive.file} has sha256 {digests.sha256}, on {recorded['date']} it had {recorded['sha256']}: "
            f"if the new file is wanted, delete {store.root / entry.name}.record.json and start again."
        )


def _install(
    store: Store, entry: Entry, archive: Archive, source: Path, digests: Digests, origin: str, *, keep_source: bool
) -> None:
    with _bar(None, f"unpacking {archive.file}") as bar:
        install(store, entry, archive, source, digests, origin, keep_source=keep_source, progress=bar.update)
    target = store.target(entry, archive)
    if archive.published.has_checksum:
        _say(f"{entry.name}: verified against the published checksum, now in {target}")
    else:
        _say(
            f"{entry.name}: NOT verified, no checksum is published for {archive.file}; its sha256 {digests.sha256} is "
            f"recorded in {entry.name}.record.json and compared from now on. Now in {target}"
        )


def _named(name: str, registry: dict[str, Entry]) -> tuple[Entry, Archive]:
    """The archive that `--as ENTRY` or `--as ENTRY/FILE` means."""
    entry_name, _, file = name.partition("/")
    entry = registry.get(entry_name)
    candidates = [archive for archive in entry.archives if file in ("", archive.file)] if entry else []
    if entry is None or not candidates:
        raise UsageError(f"--as {name} names no file of the registry: `{_COMMAND} list` prints the names.")
    if len(candidates) > 1:
        raise UsageError(
            f"--as {name} has {len(candidates)} files, say which with --as {name}/FILE (see `{_COMMAND} list {name}`)."
        )
    return entry, candidates[0]


def _recognise(path: Path, digests: Digests, registry: dict[str, Entry]) -> tuple[Entry, Archive]:
    """The archive whose published checksum the file has."""
    everything = [(entry, archive) for entry in registry.values() for archive in entry.archives]
    for entry, archive in everything:
        if archive.published.has_checksum and archive.published.difference(digests) is None:
            return entry, archive
    for entry, archive in everything:
        if archive.file == path.name and archive.published.has_checksum:
            raise UsageError(
                f"{path} is called like {entry.name}'s archive, but {archive.published.difference(digests)}: "
                f"it is cut or damaged, get it again from {(*archive.addresses, entry.homepage)[0]}."
            )
    raise UsageError(
        f"{path} (sha256 {digests.sha256}) has no checksum that the registry knows: name the data set with --as NAME "
        f"if its checksum is not published (`{_COMMAND} list` prints the names), else get the file again."
    )


def import_file(
    path: Path, registry: dict[str, Entry], data_dir: Path, name: str | None = None, move: bool = False
) -> None:
    """Takes a file that the user brought; it is recognised by its checksum, or named by `name` (ENTRY or ENTRY/FILE).

    The file itself is left where it is; with `move`, one that is kept as it is becomes the data set's, without a copy.
    Raises UsageError for a file that is none of the registry's, DataError.
    """
    try:
        is_file = path.is_file()
    except OSError as error:
        raise UsageError(f"{str(path)[:200]} cannot be a file: {explained(error)}.") from error
    if not is_file:
        raise UsageError(f"{path} is not a file: give the downloaded file itself.")
    named = _named(name, registry) if name else None
    digests = _hash(path)
    entry, archive = named or _recognise(path, digests, registry)
    if difference := archive.published.difference(digests):
        raise UsageError(f"{path} is not {archive.file} of {entry.name}: {difference}; get it again.")
    store = Store(data_dir)
    with explained_errors(f"Preparing {data_dir}"):
        data_dir.mkdir(parents=True, exist_ok=True)
    with store.locked(entry):
        if _already_there(store, entry, archive):
            return
        _compare_with_first_use(store, entry, archive, digests)
        keep = not (move and archive.kind == "file")
        _install(store, entry, archive, path, digests, str(path.absolute()), keep_source=keep)
