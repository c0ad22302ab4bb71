"""The command line: fetch, verify, list, import. Exit codes: 0 done, 1 failed, 2 asked wrongly, 130 interrupted."""

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path

from common.errors import DataError, Interrupted, UsageError
from common.flags import Parser, underscored
from common.paths import data_dir, user_path
from common.program import FAILURES, guarded, printed
from common.storage.data_folders import remove_leftovers
from data.disk import explained
from data.listing import details, markdown, table
from data.registry import Entry, find_entry, load_registry
from data.store import DAMAGED, Store


def _parser() -> argparse.ArgumentParser:
    # Each verb takes the common options too: they are looked for after it more often than before it.
    common = Parser(add_help=False)
    common.add_argument("--data_dir", type=Path, help="where data sets live (default: $DATA_DIR or data/cache)")
    common.add_argument("--registry", type=Path, help="a folder of entries (*.toml) instead of the project's own")
    parser = Parser(prog="python -m data", description="Fetch, verify, list and import data sets.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetch = verbs.add_parser("fetch", parents=[common], help="download data sets, verified")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    fetch.add_argument(
        "--most_gb",
        type=_gigabytes,
        default=1.0,
        help="of a file whose size neither registry nor server tells, take at most this many GB [1]",
    )
    verify = verbs.add_parser("verify", parents=[common], help="hash everything again")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: whatever is on this disk")
    listing = verbs.add_parser("list", parents=[common], help="list the data sets and which of them are here")
    listing.add_argument("names", nargs="*", metavar="NAME", help="print these in detail")
    listing.add_argument("--markdown", action="store_true", help="print the table of data/README.md")
    importing = verbs.add_parser("import", parents=[common], help="take files that were downloaded by hand")
    importing.add_argument("files", nargs="+", type=Path, metavar="FILE")
    importing.add_argument(
        "--move", action="store_true", help="move a file that is kept as it is, instead of copying it"
    )
    importing.add_argument("--as", dest="name", metavar="NAME", help="the data set, where no checksum is published")
    return parser


def _gigabytes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of gigabytes, such as 1 or 0.5")
    return number


def _fetch(arguments: argparse.Namespace, registry: dict[str, Entry], folder: Path) -> int:
    # They bring the network libraries, which the readers' environments need not have.
    from data.download import Patience
    from data.fetch import fetch

    patience = Patience(most_unannounced=int(arguments.most_gb * 1e9))
    for entry in [find_entry(name, registry) for name in arguments.names]:
        fetch(entry, folder, patience)
    return 0


def _import(arguments: argparse.Namespace, registry: dict[str, Entry], folder: Path) -> int:
    from data.fetch import import_file

    if arguments.name and len(arguments.files) > 1:
        raise UsageError(
            f"--as {arguments.name} names one file, but {len(arguments.files)} are given: import each alone."
        )
    for path in arguments.files:
        import_file(user_path(path), registry, folder, arguments.name, arguments.move)
    return 0


def _verify(names: list[str], registry: dict[str, Entry], folder: Path) -> int:
    from data import verify

    store = Store(folder)
    entries = [find_entry(name, registry) for name in names]
    entries = entries or [
        entry for entry in registry.values() if store.state(entry).partition(",")[0] in ("here", DAMAGED)
    ]
    if not entries:
        raise UsageError(f"{folder} holds no data set: fetch one first, or name the place with --data_dir.")
    wrong = 0
    for entry in entries:
        for path, status in verify.verify(entry, folder):
            print(f"{entry.name}: {path}: {status}", flush=True)
            wrong += status != verify.OK
    print(f"{wrong} files do not match" if wrong else "all files match")
    return 1 if wrong else 0


def _list(arguments: argparse.Namespace, registry: dict[str, Entry], folder: Path) -> int:
    if arguments.markdown:
        print(markdown(registry))
    elif arguments.names:
        print("\n\n".join(details(find_entry(name, registry), Store(folder)) for name in arguments.names))
    else:
        print(table(registry, Store(folder)))
    return 0


def _work(arguments: argparse.Namespace) -> int:
    folder = None
    try:
        folder = data_dir(arguments.data_dir)
        with contextlib.suppress(PermissionError):  # what the command itself needs is looked at below
            for place in (folder, *(folder / ".work").glob("*")):
                remove_leftovers(place)
        registry = load_registry(user_path(arguments.registry) if arguments.registry else None)
        if arguments.verb == "fetch":
            return _fetch(arguments, registry, folder)
        if arguments.verb == "import":
            return _import(arguments, registry, folder)
        if arguments.verb == "verify":
            return _verify(arguments.names, registry, folder)
        return _list(arguments, registry, folder)
    except BrokenPipeError:
        raise
    except OSError as error:
        at = f" at {str(error.filename)[:200]}" if error.filename else ""  # of a name that is too long the beginning
        raise DataError(f"{arguments.verb} stopped{at}, {explained(error)}.") from error
    except KeyboardInterrupt:
        kept = f" What was downloaded is kept in {folder / '.work'}: run the same command to resume." if folder else ""
        raise Interrupted(f"\nInterrupted.{kept}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = _parser().parse_args(underscored(argv))
    # Here a DataError is the work that failed, not a mistake of the user: the documented exit code is 1.
    return guarded(lambda: printed(lambda: _work(arguments)), "\nInterrupted.", failures=(DataError, *FAILURES))
