"""Command lines made from a frozen dataclass: name, type, default and meaning stand in one place. Standard library."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any


def underscored(argument: str) -> str:
    """`--batch-size=4` as `--batch_size=4`; values keep their hyphens."""
    name, equals, value = argument.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


def flag(
    default: Any,
    text: str,
    choices: tuple | None = None,
    group: str = "training",
    read: Callable[[str], Any] | None = None,
    hidden: bool = False,
) -> Any:
    """A field of a dataclass of flags, with its help.

    read: makes a word its value, where the type alone does not; hidden: accepted, but not in --help.
    """
    metadata = {"help": text, "choices": choices, "group": group, "read": read, "hidden": hidden}
    return dataclasses.field(default=default, metadata=metadata)


def boolean(text: str) -> bool:
    """Raises: ArgumentTypeError for anything but true and false."""
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
    return values[text.lower()]


def make_parser(
    flags: type,
    prog: str,
    description: str,
    defaults: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> argparse.ArgumentParser:
    """The command line of the dataclass `flags`. Booleans: `--ema`, `--noema` (not of `no_…`), `--ema=false`.

    defaults: values that take the place of the dataclass's; without: fields that have no flag.
    """
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False, description=description)
    types = typing.get_type_hints(flags)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for field in dataclasses.fields(flags):
        if field.name in without:
            continue
        meta = field.metadata
        default = (defaults or {}).get(field.name, field.default)
        group = groups.get(meta["group"]) or groups.setdefault(meta["group"], parser.add_argument_group(meta["group"]))
        kind = next(part for part in (*typing.get_args(types[field.name]), types[field.name]) if part is not type(None))
        text = meta["help"].replace("%", "%%")
        if default not in (None, ""):
            text += f" [{default}]".replace("%", "%%")
        if meta["hidden"]:
            text = argparse.SUPPRESS
        if kind is bool:
            group.add_argument(
                f"--{field.name}",
                type=boolean,
                nargs="?",
                const=True,
                default=default,
                help=text,
                metavar="true|false",
            )
            if not field.name.startswith("no_"):
                group.add_argument(f"--no{field.name}", action="store_false", dest=field.name, help=argparse.SUPPRESS)
        else:
            group.add_argument(
                f"--{field.name}",
                type=meta["read"] or kind,
                default=default,
                choices=meta["choices"],
                help=text,
                metavar=None if meta["choices"] else kind.__name__.upper(),
            )
    return parser
