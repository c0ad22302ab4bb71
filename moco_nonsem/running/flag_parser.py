"""Command lines in the authors' spelling, made from frozen dataclasses: name, default and meaning in one place."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from typing import Any, TypeVar

F = TypeVar("F")


def option(
    default: Any,
    text: str,
    *names: str,
    choices: tuple | None = None,
    count: str | int | None = None,
    group: str = "",
    hidden: bool = False,
) -> Any:
    """A field with its help.

    names: further spellings (`-b`); count: how many values, as argparse's nargs; hidden: accepted, but not in --help.
    """
    metadata = {"help": text, "names": names, "choices": choices, "count": count, "group": group, "hidden": hidden}
    return dataclasses.field(default=default, metadata=metadata)


def positional(text: str) -> Any:
    """A field that is given without a name."""
    return dataclasses.field(default="", metadata={"help": text, "positional": True})


def hyphened(word: str) -> str:
    """`--ckpt_path=a_b` as `--ckpt-path=a_b`: both spellings are accepted, values are left alone."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


def parse(flags: type[F], prog: str, description: str, argv: list[str], defaults: dict[str, Any] | None = None) -> F:
    """Flags of a command line; exits with 2 and one sentence on anything unknown or unreadable.

    defaults: values that take the place of the dataclass's.
    """
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False, description=description)
    types = typing.get_type_hints(flags)
    groups: dict[str, Any] = {"": parser}
    for field in dataclasses.fields(flags):  # type: ignore[arg-type]
        meta = field.metadata
        default = (defaults or {}).get(field.name, field.default)
        text = meta["help"]
        if default is not None and default is not False and default not in ("", ()):  # 0 is shown, though 0 == False
            text += f" [{' '.join(map(str, default)) if isinstance(default, (tuple, list)) else default}]"
        text = argparse.SUPPRESS if meta.get("hidden") else text.replace("%", "%%")
        if meta.get("positional"):
            parser.add_argument(
                field.name,
                metavar=field.name.upper(),
                help=text,
                **({"nargs": "?", "default": default} if default else {}),
            )
            continue
        group = groups.get(meta["group"]) or groups.setdefault(meta["group"], parser.add_argument_group(meta["group"]))
        names = [*meta["names"], f"--{field.name.replace('_', '-')}"]
        kind = _kind(types[field.name])
        if kind is bool:
            group.add_argument(
                *names, dest=field.name, action=argparse.BooleanOptionalAction, default=default, help=text
            )
        else:
            group.add_argument(
                *names, dest=field.name, type=kind, default=default, help=text, nargs=meta["count"],
                choices=meta["choices"], metavar=None if meta["choices"] else kind.__name__.upper(),
            )  # fmt: skip
    given = vars(parser.parse_args([hyphened(word) for word in argv]))
    return flags(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def _kind(annotation: Any) -> type:
    """The type of one value: of `int | None`, `tuple[int, ...]` it is int."""
    parts = [part for part in typing.get_args(annotation) if part not in (type(None), Ellipsis)]
    return _kind(parts[0]) if parts else annotation
