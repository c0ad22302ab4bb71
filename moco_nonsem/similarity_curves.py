"""Draws how similar queries are to their keys, to the queue and to non-semantic views over training.

python similarity_curves.py ../runs/moco_nonsem/pretrain_… [more runs] --out similarity.png
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import RecordError, UsageError
from common.flags import Parser
from common.program import guarded
from common.records.record_files import read_config, read_metrics
from common.results.tables import new_figure, save_figure

CURVES = {
    "similarity/key": ("q·k, its own key", "C0"),
    "similarity/queue": ("q·queue, other images", "C7"),
    "similarity/nonsem": ("q·t, a non-semantic view", "C3"),
}


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the picture cannot be written, 2 a mistake in flags or runs."""
    parser = Parser(prog="similarity_curves.py", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of moco-non-sem-neg.py")
    parser.add_argument("--out", type=Path, help="the picture [similarity.png in the first run's folder]")
    arguments = parser.parse_args(argv)
    return guarded(
        lambda: _draw(arguments.runs, arguments.out or arguments.runs[0] / "similarity.png"), "stopped", places="--out"
    )


def _draw(runs: list[Path], out: Path) -> int:
    curves = [_read(run) for run in runs]
    figure = new_figure(5.0 * len(runs), 3.6)
    for column, (title, lines) in enumerate(curves, 1):
        axes = figure.add_subplot(1, len(runs), column)
        for name, (label, colour) in CURVES.items():
            points = [(line["epoch"] + 1, line[name]) for line in lines if name in line and "epoch" in line]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, label=label, marker="." if len(points) < 30 else "")
        axes.set(title=title, xlabel="epoch", ylabel="mean cosine", ylim=(-1.05, 1.05))
        axes.axhline(0, color="0.8", linewidth=0.8)
        axes.legend(fontsize=8)
    save_figure(figure, out)
    print(f"written to {out}", file=sys.stderr)
    return 0


def _read(run: Path) -> tuple[str, list[dict[str, float]]]:
    try:
        config, lines = read_config(run), read_metrics(run)
    except RecordError as error:
        raise UsageError(f"{run} is not a run of moco-non-sem-neg.py: {error}; name its run folder") from error
    if not any("similarity/key" in line for line in lines):
        raise UsageError(f"{run} holds no finished epoch of moco-non-sem-neg.py; train it, or name another run")
    alpha = f", α = {config['alpha']:g}" if isinstance(config.get("alpha"), (int, float)) else ""
    return f"{config.get('robust')}{alpha}, seed {config.get('seed')}", lines


if __name__ == "__main__":
    sys.exit(main())
