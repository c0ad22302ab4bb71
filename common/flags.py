"""Command lines made from a frozen dataclass: name, type, default and meaning in one place. Standard library."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import sys
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from common.foreign_text import shortened, visible

F = TypeVar("F")


def flag(
    default: Any,
    text: str,
    choices: tuple | None = None,
    group: str = "",
    read: Callable[[str], Any] | None = None,
    also: tuple[str, ...] = (),
    shorthands: Mapping[str, Any] | None = None,
    count: str | int | None = None,
    hidden: bool = False,
    identity: bool = True,
    later: bool = False,
) -> Any:
    """A field of a dataclass of flags, with its help.

    read: makes a word its value, where the type alone does not; also: further spellings (`-b`, `--lr`); shorthands:
    flags without a value, with the value that each gives this field; count: how many values, as argparse's nargs;
    hidden: accepted, but not in --help; identity: whether another value makes another run, see `identity`; later:
    added when runs had been recorded.
    """
    metadata = {
        "help": text, "choices": choices, "group": group, "read": read, "also": also, "shorthands": shorthands or {},
        "count": count, "hidden": hidden, "identity": identity, "later": later, "positional": False,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def positional(text: str, also: tuple[str, ...] = (), identity: bool = True) -> Any:
    """A required field that is given without a name, or by one of the names `also`."""
    return dataclasses.field(
        default="", metadata={"help": text, "also": also, "identity": identity, "later": False, "positional": True}
    )


def identity(flags: Any) -> dict[str, Any]:
    """Name and value of every flag that is part of a run's identity: those that config.yml holds and its hash covers.

    A flag on which the numbers do not depend is declared with identity=False: where files are, what is printed or
    saved, how the machine works. One that was recorded before keeps its place, or earlier runs could not be resumed.
    One that came later has its place only where it departs from its default.
    """
    kept = {
        field.name
        for field in dataclasses.fields(flags)
        if field.metadata["identity"] and not (field.metadata["later"] and getattr(flags, field.name) == field.default)
    }
    return {name: value for name, value in dataclasses.asdict(flags).items() if name in kept}


def underscored(argv: Sequence[str] | None) -> list[str]:
    """A command line, by default this process's, with `--batch-size=4` as `--batch_size=4`; values keep hyphens."""
    return [_spelled(word, "_") for word in (sys.argv[1:] if argv is None else argv)]


def _spelled(word: str, separator: str) -> str:
    name, equals, value = word.partition("=")
    other = {"_": "-", "-": "_"}[separator]
    return name[:2] + name[2:].replace(other, separator) + equals + value if name.startswith("--") else word


def boolean(text: str) -> bool:
    """Raises: ArgumentTypeError for anything but true and false."""
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
    return values[text.lower()]


def amp_of_precision(word: str) -> str:
    """`float32` as `off`, `bfloat16` as `bf16`: a program with --amp may accept --precision too.

    Raises: ArgumentTypeError for another word.
    """
    values = {"off": "off", "bf16": "bf16", "float32": "off", "bfloat16": "bf16"}
    if word not in values:
        raise argparse.ArgumentTypeError(f"{word!r} is neither float32 (off) nor bfloat16 (bf16)")
    return values[word]


def parse(
    flags: type[F],
    prog: str,
    description: str,
    argv: list[str],
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
    separator: str = "_",
) -> F:
    """Flags of a command line, spelled with hyphens or underscores; the other parameters are `make_parser`'s.

    Exits: 2 and one sentence on anything unknown or unreadable.
    """
    words = [_spelled(word, separator) for word in argv]
    parser = make_parser(flags, prog, description, defaults, without, separator, {w.partition("=")[0] for w in words})
    given, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{_nearest(parser, unknown)}")
    return flags(**{name: tuple(value) if isinstance(value, list) else value for name, value in vars(given).items()})


def make_parser(
    flags: type,
    prog: str,
    description: str,
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
    separator: str = "_",
    words: Collection[str] = (),
) -> argparse.ArgumentParser:
    """The command line of the dataclass `flags`. Booleans: `--ema`, `--noema` (not of `no_…`), `--ema=false`.

    Where an argument has no name, booleans are `--mlp` and `--no-mlp` only: the next word is not theirs.
    defaults: values that take the place of the dataclass's; without: fields that have no flag; separator: _ or -,
    within the names; words: a positional field of which they hold a name is read by name.
    """
    parser = Parser(prog=prog, allow_abbrev=False, description=description, formatter_class=_Help)
    types = typing.get_type_hints(flags)
    groups: dict[str, Any] = {"": parser}
    fields = [field for field in dataclasses.fields(flags) if field.name not in without]
    bare = any(field.metadata["positional"] for field in fields)
    for field in fields:
        if field.metadata["positional"]:
            _add_positional(parser, field, separator, words)
            continue
        title = field.metadata["group"]
        group = groups.get(title) or groups.setdefault(title, parser.add_argument_group(title))
        default = (defaults or {}).get(field.name, field.default)
        _add_option(group, field, _kind(types[field.name]), default, separator, bare)
    return parser


def _add_positional(parser: Any, field: dataclasses.Field, separator: str, words: Collection[str]) -> None:
    name, also = field.name, [_spelled(other, separator) for other in field.metadata["also"]]
    text = field.metadata["help"].replace("%", "%%") + "".join(f"; or {other} {name.upper()}" for other in also)
    named: dict[str, Any] = {"dest": name, "required": True} if {*also} & {*words} else {}
    parser.add_argument(*(also if named else [name]), metavar=name.upper(), help=text, **named)


def _add_option(group: Any, field: dataclasses.Field, kind: type, default: Any, separator: str, bare: bool) -> None:
    name, meta = field.name, field.metadata
    own, also = f"--{name.replace('_', separator)}", [_spelled(other, separator) for other in meta["also"]]
    names = [*(other for other in also if other[1] != "-"), own, *(other for other in also if other[1] == "-")]
    shared: dict[str, Any] = {"dest": name, "help": argparse.SUPPRESS if meta["hidden"] else _help(meta, default)}
    if kind is bool and bare:
        group.add_argument(*names, action=argparse.BooleanOptionalAction, **shared)
        group.set_defaults(**{name: default})  # given to the action, it would be in the help twice
    elif kind is bool:
        group.add_argument(*names, type=boolean, nargs="?", const=True, default=default, metavar="true|false", **shared)
        if not name.startswith("no_"):
            group.add_argument(f"--no{name}", action="store_false", dest=name, help=argparse.SUPPRESS)
    else:
        group.add_argument(
            *names, type=meta["read"] or kind, nargs=meta["count"], default=default, choices=meta["choices"],
            metavar=None if meta["choices"] else kind.__name__.upper(), **shared,
        )  # fmt: skip
    for short, value in meta["shorthands"].items():
        group.add_argument(short, dest=name, action="store_const", const=value, help=f"same as {own}={value}")


class Parser(argparse.ArgumentParser):
    """argparse's, with messages of a length that can be read and without two of its gaps."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's. Exits: 2 for a zero byte, which only another program can give and no path can hold."""
        for word in args or ():
            if "\0" in word:
                self.error(f"{word!r} holds a zero byte: no flag, name or path does")
        return super().parse_known_args(args, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        # argparse drops the word and gives the flag an empty list, of whatever type it is.
        if arg_strings == ["--"] and action.option_strings:
            raise argparse.ArgumentError(action, "-- is not a value")
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with 2."""
        super().error(shortened(visible(message)))


class _Help(argparse.HelpFormatter):
    def _format_action_invocation(self, action: argparse.Action) -> str:
        """`-b, --batch_size INT`: the value once, not after every spelling."""
        if action.nargs == 0 or not action.option_strings:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def _help(meta: Mapping[str, Any], default: Any) -> str:
    shown = " ".join(map(str, default)) if isinstance(default, (tuple, list)) else default
    return (meta["help"] + ("" if shown in (None, "") else f" [{shown}]")).replace("%", "%%")


def _kind(annotation: Any) -> type:
    """The type of one value: of `int | None`, `tuple[int, ...]` it is int."""
    parts = [part for part in typing.get_args(annotation) if part not in (type(None), Ellipsis)]
    return _kind(parts[0]) if parts else annotation


def _nearest(parser: argparse.ArgumentParser, unknown: list[str]) -> str:
    """What a misspelt flag may have meant, in words; empty where nothing comes near."""
    known = [name for action in parser._actions if action.help != argparse.SUPPRESS for name in action.option_strings]
    for word in unknown:
        if near := difflib.get_close_matches(word.partition("=")[0], known, n=1):
            return f"; did you mean {near[0]}?"
    return ""
