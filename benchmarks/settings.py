"""Time of a training step under settings of the process: kernels, memory allocator, threads, layout.

python -m benchmarks.settings sln --out benchmarks/results/settings_sln.json

Each setting has a process of its own, and the processes take turns step by step, so that whatever else the machine does
hits them alike. The first setting is what the programs do by themselves; the others leave one thing out or try another.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator

from benchmarks.machine import described, keep, out_file
from benchmarks.turns import answer, in_turns
from common.flags import Parser

BLOCKS = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=2147483647:glibc.malloc.top_pad=67108864"
MALLOC = {
    "memory given back": {"KEEP_FREED_MEMORY": "0"},
    "memory kept": {"KEEP_FREED_MEMORY": "1"},
    "memory kept, huge pages": {"KEEP_FREED_MEMORY": "0", "GLIBC_TUNABLES": f"glibc.malloc.hugetlb=1:{BLOCKS}"},
}
LAYOUTS = {"rows first": {"CHANNELS_LAST": "0"}, "channels last": {"CHANNELS_LAST": "1"}}
PYTORCH = {f"{layout}, {memory}": own | other for layout, own in LAYOUTS.items() for memory, other in MALLOC.items()}
TENSORFLOW = {
    "oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "no oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "no oneDNN, memory kept": {"TF_ENABLE_ONEDNN_OPTS": "0", "KEEP_FREED_MEMORY": "1"},
    "oneDNN, memory kept": {"TF_ENABLE_ONEDNN_OPTS": "1", "KEEP_FREED_MEMORY": "1"},
    "oneDNN, one operation at a time": {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTEROP_THREADS": "1"},
    "oneDNN, one thread an operation": {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTRAOP_THREADS": "1"},
}
CASES = {"ieg": TENSORFLOW, "supervised": TENSORFLOW, "sln": PYTORCH, "moco": PYTORCH}
# As if the processor had no more than AVX2; what Eigen and numpy take does not change.
ONLY_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def steps_of(case: str, batch_size: int | None) -> Iterator[None]:
    """Takes one training step of ours each time, on random data."""
    if case in ("ieg", "supervised"):
        from benchmarks.ieg import endless

        yield from endless(case, "resnet29", batch_size or 100, "float32")
    layout = {"channels_last": os.environ["CHANNELS_LAST"] == "1"}
    if case == "sln":
        from benchmarks import sln

        yield from sln.endless(sln.make_trainer(layout, "wrn-28-2", batch_size or 128, "cpu"))
    import torch

    from benchmarks import moco

    options = moco.parse(["--size=64", "--workers=0", "--arch=resnet18", f"--batch_size={batch_size or 64}"])
    with moco.photographs(None) as paths:
        yield from moco.endless(moco.make_trainer(paths, layout, options, torch.device("cpu")))


def worker(case: str, batch_size: int | None) -> None:
    """Takes steps as `benchmarks.turns` asks for them."""
    if os.environ.get("KEEP_FREED_MEMORY") == "1":
        from common.pytorch.allocator import keep_freed_memory

        keep_freed_memory()
    answer(steps_of(case, batch_size))


def measure(case: str, settings: list[str], options: argparse.Namespace) -> dict[str, list[dict]]:
    """{setting: answers of the timed steps}, the settings taking turns."""
    command = [sys.executable, "-m", "benchmarks.settings", case, "--worker"]
    command += [f"--batch_size={options.batch_size}"] if options.batch_size else []
    common = {**os.environ, **(ONLY_AVX2 if options.only_avx2 else {}), "TF_CPP_MIN_LOG_LEVEL": "2"}
    environments = {name: common | CASES[case][name] for name in settings}
    return in_turns(dict.fromkeys(settings, command), options.steps, options.warmup, environments)


def summarize(answers: dict[str, list[dict]]) -> list[dict]:
    """One row a setting; its ratio is the median of the turn-by-turn ratio to the first setting."""
    base = [answer["seconds"] for answer in next(iter(answers.values()))]
    rows = []
    for name, own in answers.items():
        seconds = [answer["seconds"] for answer in own]
        ratios = [a / b for a, b in zip(seconds, base, strict=True)]
        rows.append(
            {
                "setting": name,
                "steps": len(own),
                "median_seconds": round(statistics.median(seconds), 4),
                "ratio_to_first": round(statistics.median(ratios), 3),
                "interquartile_ratio": [round(value, 3) for value in statistics.quantiles(ratios, n=4)[::2]],
                "kernel_seconds": round(statistics.median(answer["kernel_seconds"] for answer in own), 3),
                "page_faults": round(statistics.median(answer["page_faults"] for answer in own)),
                "peak_memory_bytes": own[-1]["peak_memory_bytes"],
            }
        )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Prints the measurements, and with --out keeps them as JSON."""
    parser = Parser(description="Time of a training step on a CPU under settings of its process.")
    parser.add_argument("case", choices=CASES, help="whose step")
    parser.add_argument("--settings", help="separated by ;, the first is the base [all of the case's]")
    parser.add_argument("--batch_size", type=int, help="images a step [as in the other benchmarks]")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each setting [10]")
    parser.add_argument("--warmup", type=int, default=2, help="steps before, not counted [2]")
    parser.add_argument("--only_avx2", action="store_true", help="as if the processor had nothing beyond AVX2")
    parser.add_argument("--out", type=out_file, help="JSON file to write, e.g. benchmarks/results/settings_sln.json")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        worker(options.case, options.batch_size)
        return 0
    if options.steps < 2 or options.warmup < 1:
        parser.error(f"--steps={options.steps} --warmup={options.warmup}: at least 2 timed steps after 1 of warm-up")
    settings = options.settings.split(";") if options.settings else list(CASES[options.case])
    if unknown := [name for name in settings if name not in CASES[options.case]]:
        parser.error(f"--settings: {unknown[0]!r} is none of {'; '.join(CASES[options.case])}")
    rows = summarize(measure(options.case, settings, options))
    report = {
        **described("benchmarks.settings", argv),
        "as_if_only_avx2": options.only_avx2,
        "settings": {name: CASES[options.case][name] for name in settings},
        "steps": rows,
    }
    for row in rows:
        print(json.dumps(row))
    keep(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
