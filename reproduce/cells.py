"""The table cells of cells.yaml: what each one runs, what was published, what it needs and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.tables import STATISTICS
from reproduce.programs import CELLS, path_flags, read_yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DEMO, PUBLISHED = HERE / "demo.yaml", HERE / "published.yaml"
DATA_DIR = Path("data/cache")  # unless the environment says otherwise
TABLE_KEYS = {"title", "columns_are", "program", "metric", "needs", "columns", "rows"}
TABLE_OPTIONS = {"published", "source", "flags", "cost", "samples", "shared_runs", "statistic", "taken", "prepare"}
TABLE_OPTIONS |= {"quoted"}
ONE_SAMPLE: Mapping[str, Mapping[str, Any]] = {"": {}}


@dataclass(frozen=True)
class Cost:
    """What one run takes: GPU-hours, seconds a step on two CPU cores, gigabytes it leaves; `basis`: how we know."""

    gpu_hours: float
    basis: str
    cpu_step_seconds: float
    cpu_basis: str
    disk_gb: float = 0.0


@dataclass(frozen=True)
class Reference:
    """A published value in percent, and where it stands."""

    source: str
    value: float
    std: float | None


@dataclass(frozen=True)
class Stage:
    """One program of a run. Most runs have one, without a name; in a chain each goes on from those before it.

    `arguments`: words before the flags. They and the values of flags may say `{data_dir}`, and `{name}` for the folder
    of an earlier stage. `subfolder`: below the run's folder, where the program is told to write. `steps`: as far as
    they count for the time left. `path_flags`: flags that name a folder or file, each with DATA_DIR or RUNS_DIR.
    """

    name: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    flags: Mapping[str, Any]
    steps: int
    subfolder: str
    path_flags: Mapping[str, str]


@dataclass(frozen=True)
class Cell:
    """One number of a table: a run for each of its samples (of label noise, say) with each of its seeds.

    `stages`: the programs of a run, one after the other; the number is the last one's. `flags`: those of column, table
    and row; of a chain, by the name of the stage. `shared_run`: name of the run that this number is taken from, where
    several cells take theirs from one. `data`: the data sets it needs, first the one it is trained on.
    """

    id: str
    table: str
    row: str
    column: str
    sub_project: str
    environment: str
    stages: tuple[Stage, ...]
    flags: Mapping[str, Any]
    folder_flag: str
    seeds: tuple[int, ...]
    metric: str
    references: tuple[Reference, ...]
    cost: Cost
    data: tuple[str, ...]
    gpus: int
    samples: Mapping[str, Mapping[str, Any]]
    shared_run: str | None
    statistic: str

    def __hash__(self) -> int:  # flags are mappings, which have none
        return hash(self.id)

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def run_name(self, sample: str = "") -> str:
        """What the run of this cell and sample is called; its seed comes on top."""
        return (self.shared_run or self.id) + (f"-{sample}" if sample else "")

    def folder(self, seed: int, runs_dir: Path, sample: str = "") -> Path:
        """Where the run of this cell, seed and sample goes; its record lies somewhere below."""
        return runs_dir / self.sub_project / self.run_name(sample) / f"seed_{seed}"

    def commands(self, seed: int, folder: Path, sample: str = "", data_dir: Path = DATA_DIR) -> list[list[str]]:
        """The exact command of each stage of one run, in the form the authors print theirs."""
        return [self._command(place, seed, folder, sample, data_dir) for place in range(len(self.stages))]

    def command(self, seed: int, folder: Path, sample: str = "") -> list[str]:
        """The exact command of a run that has one stage."""
        (command,) = self.commands(seed, folder, sample)
        return command

    def _command(self, place: int, seed: int, folder: Path, sample: str, data_dir: Path) -> list[str]:
        stage, names = self.stages[place], {earlier.name: folder / earlier.subfolder for earlier in self.stages[:place]}

        def words(value: Any) -> str:
            return value.format(data_dir=data_dir, **names) if isinstance(value, str) else str(value)

        own, of_sample = (
            given.get(stage.name, {}) if stage.name else given for given in (self.flags, self.samples[sample])
        )
        flags = {**stage.flags, **own, **of_sample, self.folder_flag: folder / stage.subfolder, "seed": seed}
        command = [*stage.program, *map(words, stage.arguments)]
        for name, value in flags.items():
            if isinstance(value, list):
                command += [f"--{name}", *map(words, value)]
            else:
                command.append(f"--{name}" if value is True else f"--{name}={words(value)}")
        return command


@dataclass(frozen=True)
class Table:
    """A table's cells in the order of its rows.

    `prepare`: words of a command that makes a demo's data, or none. `quoted`: published values by row and column, of
    rows that have no cells; `not_run`: why they have none.
    """

    name: str
    title: str
    columns_are: str
    taken: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    prepare: tuple[str, ...] = ()
    quoted: Mapping[str, Mapping[str, Reference]] = field(default_factory=dict)
    not_run: str = ""


def load_tables(path: Path = CELLS, published: Path = PUBLISHED) -> dict[str, Table]:
    """All tables of a cells file, by name; a UsageError names file and entry if one is wrong."""
    content, numbers = read_yaml(path), read_yaml(published)
    try:
        return {name: _table(name, content["tables"][name], content, numbers) for name in content["tables"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path.name}: {type(error).__name__}: {error}") from error


def select(tables: Mapping[str, Table], name: str | None) -> list[Table]:
    """The table of that name, or all of them."""
    if name is not None and name not in tables:
        raise UsageError(f"there is no table {name!r}; there are: {', '.join(tables)}")
    return [tables[name]] if name is not None else list(tables.values())


def _table(name: str, entry: Mapping[str, Any], content: Mapping[str, Any], numbers: Mapping[str, Any]) -> Table:
    missing, unknown = TABLE_KEYS - set(entry), set(entry) - TABLE_KEYS - TABLE_OPTIONS
    if missing or unknown:
        raise ValueError(f"table {name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
    programs = content["programs"]
    statistic = entry.get("statistic", "sample_std")
    if statistic not in STATISTICS:
        raise ValueError(f"table {name}: statistic {statistic!r} is none of {', '.join(STATISTICS)}")
    cells = []
    for row, line in entry["rows"].items():
        program = programs[line.get("program", entry["program"])]
        for column, column_flags in entry["columns"].items():
            own = line.get("flags_by_column", {}).get(column, {})
            flags = _merged(program, column_flags, entry.get("flags", {}), line["flags"], own)
            cells.append(
                Cell(
                    id=f"{name}-{row}-{column}",
                    table=name,
                    row=line["label"],
                    column=column,
                    sub_project=program.get("sub_project", entry["program"]),
                    environment=program["environment"],
                    stages=_stages(program, flags),
                    flags=flags,
                    folder_flag=program["folder_flag"],
                    seeds=tuple(program["seeds"]),
                    metric=_of_column(entry["metric"], column).format(column=column),
                    references=_references(entry, numbers, row=line["label"], column=column),
                    cost=Cost(**content["costs"][line.get("cost", entry.get("cost"))]),
                    data=tuple(_of_column(entry["needs"]["data"], column)),
                    gpus=entry["needs"]["gpus"],
                    samples=_samples(entry, column),
                    shared_run=entry.get("shared_runs", {}).get(column, "").format(row=row) or None,
                    statistic=statistic,
                )
            )
            for sample in cells[-1].samples:
                cells[-1].commands(0, Path(), sample)  # a folder that it names wrongly is found now
    rows = tuple(line["label"] for line in entry["rows"].values())
    taken = entry.get("taken", "accuracy at the last cycle end")
    columns, prepare = tuple(entry["columns"]), tuple(entry.get("prepare", ()))
    quoted, not_run = _quoted(entry, columns, numbers)
    return Table(
        name, entry["title"], entry["columns_are"], taken, rows, columns, tuple(cells), prepare, quoted, not_run
    )


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
        subfolder, places = program.get("subfolder", ""), path_flags(program)
        return (Stage("", tuple(program["command"]), (), {}, steps, subfolder, places),)
    stages = []
    for name, stage in program["stages"].items():
        arguments = tuple(stage.get("arguments", ()))
        given, places = stage.get("flags", {}), path_flags(stage)
        stages.append(Stage(name, tuple(stage["command"]), arguments, given, stage["steps"], name, places))
    return tuple(stages)


def _samples(entry: Mapping[str, Any], column: str) -> Mapping[str, Mapping[str, Any]]:
    """The samples that this column has, each with its flags."""
    if "samples" not in entry:
        return ONE_SAMPLE
    found = {
        name: sample["flags"] for name, sample in entry["samples"].items() if column in sample.get("columns", [column])
    }
    if not found:
        raise ValueError(f"column {column}: none of the samples is meant for it")
    return found


def _of_column(given: Any, column: str) -> Any:
    """What an entry gives for this column: the same for all, or one for each."""
    return given[column] if isinstance(given, Mapping) else given


def _quoted(
    entry: Mapping[str, Any], columns: tuple[str, ...], numbers: Any
) -> tuple[dict[str, dict[str, Reference]], str]:
    """Rows that have published values and no cells, and why."""
    found: dict[str, dict[str, Reference]] = {}
    for row in entry.get("quoted", {}).get("rows", ()):
        known = {column: _references(entry, numbers, row=row, column=column) for column in columns}
        found[row] = {column: references[0] for column, references in known.items() if references}
        if not found[row]:
            raise ValueError(f"quoted row {row}: no number of it was published")
    return found, entry["quoted"]["why"] if found else ""


def _references(entry: Mapping[str, Any], numbers: Any, **names: str) -> tuple[Reference, ...]:
    """The published values of one cell: those of its row and column, or by a path of keys for each source."""
    published = entry.get("published", {})
    if not isinstance(published, Mapping):
        published = {entry["source"]: [*published, "{row}", "{column}"]}
    found = {source: _value(_at(numbers, path, names)) for source, path in published.items()}
    return tuple(Reference(source, value, std) for source, (value, std) in found.items() if value is not None)


def _at(numbers: Any, keys: list[str], names: Mapping[str, str]) -> Any:
    """What stands at the end of these keys; None where a `{row}` or `{column}` was not published."""
    for key in keys:
        name = key.format(**names)
        if isinstance(numbers, list):
            numbers = {_row_label(entry): entry for entry in numbers}
        if name != key and name not in numbers:
            return None
        numbers = numbers[name]
    return numbers


def _row_label(entry: Mapping[str, Any]) -> str:
    """What a row is called whose settings stand beside its numbers."""
    return f"{entry['method']}, K {entry['k']}" + (f", α {entry['alpha']}" if entry["alpha"] else "")


def _value(entry: Any) -> tuple[float | None, float | None]:
    """A published entry is a number, [mean, std], or absent."""
    if isinstance(entry, list):
        return entry[0], entry[1]
    return entry, None
