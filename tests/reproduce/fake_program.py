"""Stands in for a sub-project in the runner's tests: takes its flags, leaves a run folder, trains nothing."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import time
from pathlib import Path

from common.records.record import RunRecord
from common.records.record_files import read_metrics
from common.storage.files import atomic_path


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("goes_on_from", type=Path, nargs="?")
    for name in ("dataset", "checkpoint_path", "network_name", "probe_dataset_hold_ratio", "method"):
        parser.add_argument(f"--{name}", default="none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max_iteration", type=int, default=4)
    parser.add_argument("--step_seconds", type=float, default=0.0)
    parser.add_argument("--fail_seed", type=int, default=-1)
    parser.add_argument("--gate", type=Path, help="a file without which it stays at its second step")
    flags = parser.parse_args(argv)
    if flags.seed == flags.fail_seed:
        print("about to fail\nerror: this seed is meant to fail", file=sys.stderr)
        return 3
    if flags.goes_on_from and not flags.goes_on_from.exists():
        print(f"error: there is no {flags.goes_on_from}", file=sys.stderr)
        return 2
    folder = Path(flags.checkpoint_path) / flags.dataset / flags.method
    config = {
        name: value for name, value in vars(flags).items() if name not in ("checkpoint_path", "goes_on_from", "gate")
    }
    record = RunRecord(
        folder,
        sub_project="ieg",
        command=["python", "-m", "tests.reproduce.fake_program", *argv],
        config=config,
        seed=flags.seed,
        dataset={"name": flags.dataset.split("_")[0], "version": "1", "fingerprint": "0" * 64},
        device="cpu",
        world_size=1,
        libraries={},
    )
    start = int(read_metrics(folder)[-1]["step"]) if (folder / "metrics.jsonl").exists() else 0
    record.begin(start)
    try:
        for step in range(start + 1, flags.max_iteration + 1):
            while flags.gate and step > 2 and not flags.gate.exists():
                time.sleep(0.05)
            time.sleep(flags.step_seconds)
            values = {"acc/ema_eval": accuracy(flags.method, flags.seed, step)}
            values |= {"queue/purity": step / (step + 1)} if flags.method == "fsr" else {}
            record.log(step, step / 2, {**values, "weights/clean": 1 + step / 10, "weights/noisy": 1 - step / 10})
    except KeyboardInterrupt:
        record.interrupted()
        return 130
    write_weights(folder / "example_weights.npz", flags.seed)
    final = accuracy(flags.method, flags.seed, flags.max_iteration)
    metrics = {"accuracy": final, "accuracy_last_step": final - 0.01}
    notes = {"noise_rate": 0.7, "probe_images": 20 if flags.method == "l2r" else 0}
    record.finish(metrics, flags.max_iteration, {"accuracy": {"value": 0.999, "step": 1}}, notes)
    return 0


def accuracy(method: str, seed: int, step: int) -> float:
    """A number that depends on nothing else."""
    return round(0.5 + int(hashlib.sha256(f"{method} {seed} {step}".encode()).hexdigest()[:4], 16) / 0x40000, 4)


def write_weights(path: Path, seed: int) -> None:
    import numpy as np

    generator = np.random.default_rng(seed)
    clean = generator.random(200) < 0.3
    weight = np.where(clean, 1.5, 0.7) * generator.random(200)
    weight[:3] = np.nan
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, weight=weight.astype(np.float32), is_clean=clean, label=np.arange(200) % 10)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # not in main: tests call that in their own process
    sys.exit(main(sys.argv[1:]))
