"""What a session found, as JSON and as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.records.record_files import read_metrics, read_result
from common.storage.files import atomic_write
from reproduce.gpu import plan
from reproduce.gpu.session import KERNELS, SPEED, Session

SHOWN = (1, 2, 10, 50, 100, 200, 250, 300)  # the epochs of the published logs in re_sln/README.md


def summary(session: Session) -> dict[str, Any]:
    """Runs with their curves, measurements, what failed and what is left."""
    runs = [_run(session, item) for item in plan.everything() if item.kind == "run" and session.epochs_done(item)]
    measured = {
        name: json.loads((session.work / file).read_text(encoding="utf-8"))
        for name, file in {"steps": SPEED, "kernels": KERNELS}.items()
        if (session.work / file).is_file()
    }
    return {
        "pieces": session.state["pieces"],
        "minutes": session.options.minutes,
        "used_seconds": round(session.state["used"], 1),
        "setting": session.setting(),
        "struck_settings": session.state["struck"],
        "failed": session.state["failed"],
        "to_do": [item.name for item, _ in session.to_do()],
        "runs": runs,
        "measured": measured,
    }


def _run(session: Session, item: plan.Item) -> dict[str, Any]:
    folder = session.folder(item)
    result, lines = read_result(folder), read_metrics(folder)
    return {
        "name": item.name,
        "dataset": result["dataset"]["name"],
        "device": result["device"],
        "epochs": len(lines),
        "finished": result["finished"],
        "wall_seconds": result["wall_seconds"],
        "seconds_an_epoch": round(result["wall_seconds"] / len(lines), 3),
        "accuracy": lines[-1]["accuracy/test"],
        "curve": {str(int(line["epoch"])): line["accuracy/test"] for line in lines if line["epoch"] in SHOWN},
    }


def table(found: dict[str, Any]) -> str:
    """Markdown: a row for each run."""
    rows = [["run", "data", "epochs", "minutes", *(f"epoch {epoch}" for epoch in SHOWN)]]
    for run in found["runs"]:
        shown = [run["curve"].get(str(epoch)) for epoch in SHOWN]  # JSON has no numbers as keys
        curve = ["" if accuracy is None else f"{100 * accuracy:.1f}" for accuracy in shown]
        rows.append([run["name"], run["dataset"], str(run["epochs"]), f"{run['wall_seconds'] / 60:.1f}", *curve])
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write(session: Session, out: Path) -> dict[str, Any]:
    """evidence.json and evidence.md in `out`; returns the summary."""
    found = summary(session)
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / "evidence.json", json.dumps(found, indent=1) + "\n")
    atomic_write(out / "evidence.md", table(found))
    return found
