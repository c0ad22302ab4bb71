"""Reads cells files: tables as rows × columns become cells. README.md beside this file explains every key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.results.published import PUBLISHED, Reference, references
from common.results.tables import STATISTICS
from common.storage.files import LONGEST_NAME
from reproduce.cells.files import PAPERS, read_yaml
from reproduce.cells.programs import completed, path_flags
from reproduce.cells.table import Cell, Cost, Stage, Table

PROGRAM_KEYS = {"environment", "folder_flag", "seeds"}
TABLE_KEYS = {"title", "columns_are", "program", "metric", "needs", "columns", "rows"}
LONGEST_TEXT = 200
TABLE_OPTIONS = {"published", "source", "flags", "cost", "samples", "shared_runs", "statistic", "taken", "prepare"}
TABLE_OPTIONS |= {"quoted"}
ONE_SAMPLE: Mapping[str, Mapping[str, Any]] = {"": {}}


def load_tables(path: Path | None = None, published: Path = PUBLISHED) -> dict[str, Table]:
    """All tables of a cells file (None: of the papers), by name; a UsageError names file and entry if one is wrong."""
    numbers = read_yaml(published)
    tables: dict[str, Table] = {}
    for file in PAPERS if path is None else (path,):
        content = read_yaml(file)
        try:
            tables |= {name: _table(name, entry, content, numbers) for name, entry in content["tables"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{file.name}: {type(error).__name__}: {error}") from error
    _check_folders([cell for table in tables.values() for cell in table.cells])
    return tables


def _check_folders(cells: Sequence[Cell]) -> None:
    """Whether each run has a folder of its own on every file system. Raises: UsageError."""
    folders: dict[str, str] = {}
    for cell in cells:
        for name in map(cell.run_name, cell.samples):
            if len(name.encode()) > LONGEST_NAME:
                raise UsageError(
                    f"the run {name[:40]}… has a name of {len(name.encode())} bytes, {LONGEST_NAME} are most"
                )
            other = folders.setdefault(f"{cell.sub_project}/{name}".casefold(), name)
            if other != name:
                raise UsageError(
                    f"the runs {other} and {name} would share a folder where upper and lower case are one: rename a "
                    "table, row or column"
                )


def select(tables: Mapping[str, Table], name: str | None) -> list[Table]:
    """The table of that name, or all of them."""
    if name is not None and name not in tables:
        raise UsageError(f"there is no table {name!r}; there are: {', '.join(tables)}")
    return [tables[name]] if name is not None else list(tables.values())


def _table(name: str, entry: Mapping[str, Any], content: Mapping[str, Any], numbers: Mapping[str, Any]) -> Table:
    missing, unknown = TABLE_KEYS - set(entry), set(entry) - TABLE_KEYS - TABLE_OPTIONS
    if missing or unknown:
        raise ValueError(f"table {name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
    statistic = entry.get("statistic", "sample_std")
    if statistic not in STATISTICS:
        raise ValueError(f"table {name}: statistic {statistic!r} is none of {', '.join(STATISTICS)}")
    _check_texts(name, entry)
    for column, flags in entry["columns"].items():
        _check_columns_flags(f"table {name}: column {column}", flags, entry.get("flags", {}))
    quoted = _quoted(entry, numbers)
    return Table(
        name=name,
        title=entry["title"],
        columns_are=entry["columns_are"],
        taken=entry.get("taken", "accuracy at the last cycle end"),
        rows=tuple(line["label"] for line in entry["rows"].values()),
        columns=tuple(entry["columns"]),
        cells=tuple(
            _cell(name, entry, row, column, content, numbers) for row in entry["rows"] for column in entry["columns"]
        ),
        prepare=tuple(entry.get("prepare", ())),
        quoted=quoted,
        not_run=entry["quoted"]["why"] if quoted else "",
    )


def _check_texts(name: str, entry: Mapping[str, Any]) -> None:
    """Raises: ValueError for what could name no file, or would break a page, a table or a terminal."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", name, re.ASCII):
        raise ValueError(f"table {name[:100]!r}: its files have this name: letters, digits, '-', '_' and '.'")
    labels = [line["label"] for line in entry["rows"].values()]
    keys = [*entry["rows"], *entry["columns"], *entry.get("samples", ())]
    for text in (entry["title"], entry["columns_are"], entry.get("taken", ""), *labels, *keys):
        if not isinstance(text, str) or len(text) > LONGEST_TEXT or not text.isprintable():
            raise ValueError(f"table {name}: {text!r:.100} is not text of one line, at most {LONGEST_TEXT} letters")
    for key in keys:
        if "/" in key or key in (".", ".."):
            raise ValueError(f"table {name}: {key!r} names a folder of runs, so it holds no '/'")


def _check_columns_flags(where: str, own: Mapping[str, Any], of_table: Mapping[str, Any]) -> None:
    """Raises: ValueError for a flag of a column that the table's own value replaces, so that columns would be equal."""
    for flag in own.keys() & of_table.keys():
        if isinstance(own[flag], Mapping) and isinstance(of_table[flag], Mapping):
            _check_columns_flags(f"{where}, stage {flag}", own[flag], of_table[flag])
        elif own[flag] != of_table[flag]:
            raise ValueError(
                f"{where}: {flag} {own[flag]} is replaced by the table's {of_table[flag]}; give it only once"
            )


def _cell(name: str, entry: Mapping[str, Any], row: str, column: str, content: Mapping[str, Any], numbers: Any) -> Cell:
    line = entry["rows"][row]
    program_name = line.get("program", entry["program"])
    program = _program(content["programs"][program_name])
    of_cell = line.get("flags_by_column", {}).get(column, {})
    flags = _merged(program, entry["columns"][column], entry.get("flags", {}), line["flags"], of_cell)
    cell = Cell(
        id=f"{name}-{row}-{column}",
        table=name,
        row=line["label"],
        column=column,
        sub_project=program.get("sub_project", program_name),
        environment=program["environment"],
        stages=_stages(program, flags),
        flags=flags,
        folder_flag=program["folder_flag"],
        seeds=tuple(program["seeds"]),
        metric=_of_column(entry["metric"], column).format(column=column),
        references=references(_published(entry), numbers, row=line["label"], column=column),
        cost=Cost(**content["costs"][line.get("cost", entry.get("cost"))]),
        data=tuple(_of_column(entry["needs"]["data"], column)),
        gpus=entry["needs"]["gpus"],
        samples=_samples(entry, column),
        shared_run=entry.get("shared_runs", {}).get(column, "").format(row=row) or None,
        statistic=entry.get("statistic", "sample_std"),
    )
    for sample in cell.samples:
        cell.commands(0, Path(), sample)  # a folder that a flag names wrongly is found now
    return cell


def _program(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `programs` with what is known of its module; of a chain, that of each stage and of the first."""
    if "stages" in entry:
        stages = {name: completed(stage) for name, stage in entry["stages"].items()}
        program = {**next(iter(stages.values())), **entry, "stages": stages}
    else:
        program = completed(entry)
    if missing := PROGRAM_KEYS - set(program):
        raise ValueError(f"a program has no {', '.join(sorted(missing))}, and programs.yaml does not know it")
    return program


def _merged(program: Mapping[str, Any], *given: Mapping[str, Any]) -> dict[str, Any]:
    """Flags of which a later one replaces an earlier; of a chain, by stage."""
    if "stages" not in program:
        return {name: value for flags in given for name, value in flags.items()}
    unknown = {name for flags in given for name in flags} - set(program["stages"])
    if unknown:
        raise ValueError(f"flags of {sorted(unknown)}: the stages are {', '.join(program['stages'])}")
    return {stage: _merged({}, *(flags.get(stage, {}) for flags in given)) for stage in program["stages"]}


def _stages(program: Mapping[str, Any], flags: Mapping[str, Any]) -> tuple[Stage, ...]:
    """What a program consists of: itself, or each stage in a subfolder that has its name."""
    if "stages" not in program:
        steps = int(flags.get("max_iteration", program["steps"]))
        # The folder itself is the runner's: it holds the runner's log and lock.
        subfolder = program.get("subfolder", "run" if program["folder_flag"] == "run_dir" else "")
        return (Stage("", tuple(program["command"]), (), {}, steps, subfolder, path_flags(program)),)
    stages = []
    for name, stage in program["stages"].items():
        command, arguments = tuple(stage["command"]), tuple(stage.get("arguments", ()))
        stages.append(Stage(name, command, arguments, stage.get("flags", {}), stage["steps"], name, path_flags(stage)))
    return tuple(stages)


def _samples(entry: Mapping[str, Any], column: str) -> Mapping[str, Mapping[str, Any]]:
    """The samples that this column has, each with its flags."""
    if "samples" not in entry:
        return ONE_SAMPLE
    chosen = {
        name: sample["flags"] for name, sample in entry["samples"].items() if column in sample.get("columns", [column])
    }
    if not chosen:
        raise ValueError(f"column {column}: none of the samples is meant for it")
    return chosen


def _published(entry: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """Keys of the published numbers by source; keys without a source are followed by row and column."""
    published = entry.get("published", {})
    return published if isinstance(published, Mapping) else {entry["source"]: [*published, "{row}", "{column}"]}


def _quoted(entry: Mapping[str, Any], numbers: Any) -> dict[str, dict[str, Reference]]:
    """Published values of rows that have no cells. Raises: ValueError for a row without any."""
    rows: dict[str, dict[str, Reference]] = {}
    for row in entry.get("quoted", {}).get("rows", ()):
        known = {name: references(_published(entry), numbers, row=row, column=name) for name in entry["columns"]}
        rows[row] = {name: values[0] for name, values in known.items() if values}
        if not rows[row]:
            raise ValueError(f"quoted row {row}: no number of it was published")
    return rows


def _of_column(given: Any, column: str) -> Any:
    """What an entry gives for this column: the same for all, or one for each."""
    return given[column] if isinstance(given, Mapping) else given
