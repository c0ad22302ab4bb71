"""A machine whose programs take as long as they are told to, on a clock of its own."""

import json
from pathlib import Path

from reproduce.gpu.session import VARIANTS, Options, Session

RESULT = {
    "schema_version": 1, "run_id": "re_sln-0", "sub_project": "re_sln", "command": ["python"], "config_hash": "0" * 64,
    "seed": 123, "metrics": {"accuracy": 0.5}, "metrics_step": 1, "best_on_test": {},
    "dataset": {"name": "cifar10-jpeg", "version": "unverified", "fingerprint": "0"},
    "git": {"commit": None, "dirty": None}, "environment_lock": None, "libraries": {}, "python": "3.12",
    "device": "NVIDIA X", "world_size": 1, "wall_seconds": 1.0, "peak_memory_bytes": 1, "finished": False, "notes": {},
}  # fmt: skip


GPU = {"gpu": "NVIDIA X 80GB", "driver": "580.1", "torch": "2.11.0, CUDA 13.0"}


class Machine:
    """epoch: seconds of an epoch; start: before the first; failing: word of a command → its exit code."""

    def __init__(self, work, epoch=1.0, start=10.0, failing=None, **options):
        self.work, self.epoch, self.start, self.failing = work, epoch, start, failing or {}
        self.now, self.commands, self.options = 0.0, [], Options(**options)
        self.begun = "2026-01-02T03:04:05+00:00"

    def session(self):
        """As a program that is started again: all it knows is in the folder."""
        made = Session(self.work, Path("data"), self.options, self.run, lambda: self.now, lambda _: None)
        made.state["pieces"].append({"begun": self.begun, "command": "python3 -m reproduce gpu-evidence"} | GPU)
        return made

    def run(self, command, log, allowed):
        self.commands.append(command)
        given = dict(word.split("=", 1) for word in command if "=" in word)
        for word, code in self.failing.items():
            if word in command:
                self.now += 3
                log.write_text(f"some words\n{word} cannot be\n")
                return code
        if command[2] != "re_sln.train_cifar":
            needed = 100.0
            if needed > allowed:
                self.now += allowed
                return 130
            self.now += needed
            slower = {"as it is": 3, "captured": 1, "compiled, captured": 1.05}
            rows = [{"variant": n, "median_seconds": slower[VARIANTS[n]] * self.epoch / 391} for n in VARIANTS]
            kernels = [{"name": f"kernel_{n}", "calls": 2, "milliseconds": 9.0 - n} for n in range(8)]
            origin = {"date": "2026-01-02", "command": f"python -m {' '.join(command[2:])}", "device": "NVIDIA X"}
            parts = {"median_seconds": {"decode": 0.001, "update": 0.05}, "update": {"kernels": kernels}}
            found = {"steps": rows} if command[2] == "benchmarks.sln" else parts
            Path(given["--out"]).write_text(json.dumps(origin | found))
            return 0
        return self.train(Path(given["--run_dir"]), int(given["--n_epochs"]), allowed)

    def train(self, folder, epochs, allowed):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        done = len(path.read_text().splitlines()) if path.exists() else 0
        gained = min(epochs - done, max(0, int((allowed - self.start) / self.epoch)))
        lines = [{"step": 391 * n, "epoch": n, "accuracy/test": n / 1000} for n in range(done + 1, done + gained + 1)]
        with open(path, "a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
        finished = done + gained == epochs
        self.now += self.start + gained * self.epoch if finished else allowed
        command = ["python", "-m", "re_sln.train_cifar", "--data_dir=/a place/data", f"--run_dir={folder}"]
        (folder / "result.json").write_text(json.dumps(RESULT | {"finished": finished, "command": command}))
        (folder / "config.yml").write_text("a: 1\n")
        (folder / f"checkpoint_{done + gained:08d}.pt").write_bytes(bytes(1000))
        return 0 if finished else 130

    def trained(self):
        """Names of the runs in the order in which they were started, each once."""
        words = [word for command in self.commands for word in command if word.startswith("--run_dir=")]
        return list(dict.fromkeys("/".join(word.split("/")[-3:-1]) for word in words))
