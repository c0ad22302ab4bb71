"""Makes the paper's tables and learning curves from run folders, ours or the published logs: nothing needs a screen.

python results.py                                    # the runs in $RUNS_DIR/re_sln
python results.py --logdir published/runs            # the published logs, with published/configs and published/hp
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import UsageError
from common.flags import Parser, underscored
from common.paths import repo_root, user_path
from common.program import guarded_training
from common.results.tables import picture
from re_sln.tables.result_curves import draw_curves
from re_sln.tables.result_tables import other_tables, published_tables
from re_sln.tables.run_logs import Logs, read_logs
from re_sln.tables.search_logs import PUBLISHED_SEARCHES, read_searches
from re_sln.training.run_folder import runs_dir


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="results.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--logdir", type=Path, help="folder with runs, at any depth [$RUNS_DIR/re_sln]")
    parser.add_argument("--configs", type=Path, help="folder with <run>/config.yml of published logs [beside logdir]")
    parser.add_argument("--hp", type=Path, help="folder with the published searches for σ [beside logdir]")
    parser.add_argument("--hp_map", type=Path, default=PUBLISHED_SEARCHES, help="YAML: which noise each search had")
    parser.add_argument("--out", type=Path, help="folder for tables and pictures [re_sln/results]")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 a file cannot be written, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = _parser().parse_args(underscored(argv))
    return guarded_training(lambda: _results(arguments), "stopped", "--out")


def _results(arguments: argparse.Namespace) -> int:
    logs = _read(arguments)
    for sentence in logs.left_out:
        print(f"left out: {sentence}", file=sys.stderr)
    if not logs.runs and not logs.searches:
        raise UsageError(f"{_logdir(arguments)} holds no finished run; train one, or say with --logdir where runs are")
    folder = arguments.out or repo_root() / "re_sln" / "results"
    for table in [*published_tables(logs), *other_tables(logs)]:
        print(table.write(folder))
    picture(folder, lambda path: draw_curves(logs.runs, path))
    print(f"written to {folder}: {len(logs.runs)} runs, {len(logs.searches)} searches", file=sys.stderr)
    return 0


def _logdir(arguments: argparse.Namespace) -> Path:
    return user_path(arguments.logdir or runs_dir()).absolute()


def _read(arguments: argparse.Namespace) -> Logs:
    logdir = _logdir(arguments)
    if not logdir.is_dir():
        raise UsageError(f"--logdir={logdir} is no folder; train a run first, or name the folder that holds runs")
    logs = read_logs(logdir, _beside(logdir, "configs", arguments.configs))
    hp = _beside(logdir, "hp", arguments.hp)
    if hp:
        read_searches(logs, hp, arguments.hp_map)
    return logs


def _beside(logdir: Path, name: str, given: Path | None) -> Path | None:
    """The folder that was given, which must be there, or the one beside logdir, which need not."""
    folder = given or logdir.parent / name
    if folder.is_dir():
        return folder
    if given:
        raise UsageError(f"--{name}={given} is no folder")
    return None


if __name__ == "__main__":
    sys.exit(main())
