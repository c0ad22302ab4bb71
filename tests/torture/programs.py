"""Every program of the suite as a function, with command lines to change and with what must not begin.

A program is called in this process. `begins` are the functions with which its work begins, "module:name": while
command lines are tried they raise Begun instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reproduce.cells import load_tables
from tests.torture.campaigns import PYTORCH, TENSORFLOW

DIGITS = "--dataset=digits_uniform_0.8 --image_size=8 --network_name=wrn10-1 --probe_dataset_hold_ratio=0.014"
SLN = "--dataset_name=digits --image_size=8 --network=wrn-10-1 --device=cpu"
MOCO = "--arch=resnet10-small --image-size=16 --batch-size=2 --workers=0 --device=cpu"


class Begun(BaseException):
    """The program took the command line and would work now."""


@dataclass(frozen=True)
class Program:
    """`module`: as after `python -m`; `lines`: command lines that it takes; `check`: whether it has --check."""

    module: str
    lines: tuple[str, ...]
    begins: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    check: bool = False
    imported: str = ""

    def main(self) -> Callable[[list[str]], int | None]:
        """The function that takes a command line."""
        return importlib.import_module(self.imported or self.module).main


def published(module: str) -> tuple[str, ...]:
    """The command lines of the papers' tables, of one program."""
    found: dict[str, None] = {}
    for table in load_tables().values():
        for cell in table.cells:
            sample = next(iter(cell.samples))
            for command in cell.commands(cell.seeds[0], Path("runs"), sample, Path("data")):
                if command[2] == module:
                    found[" ".join(command[3:])] = None
    return tuple(found)


TF, TORCH = (TENSORFLOW,), (PYTORCH,)
PROGRAMS = (
    Program(
        "ieg.main",
        (DIGITS, f"{DIGITS} --method=fsr", f"{DIGITS} --evaluate", *published("ieg.main")),
        ("ieg.experiment:train", "ieg.experiment:evaluate"),
        TF,
        check=True,
    ),
    *(
        Program(
            f"re_sln.{name}",
            (*lines, *published(f"re_sln.{name}")),
            ("re_sln.training.experiment:train",),
            TORCH,
            check=True,
        )
        for name, lines in {
            "train_cifar": (SLN, f"{SLN} --noise_mode=asym --p=0.2 --custom_noise", f"{SLN} --evaluate --run_dir=run"),
            "train_real": ("--sigma=0.5 --mo --device=cpu",),
            "train_clothing1m": ("--sigma=0.5 --weights=none --device=cpu",),
        }.items()
    ),
    Program(
        "re_sln.tune", (f"{SLN} --sigmas=0.1,1 --val_size=0.2",), ("re_sln.tune:try_missing",), TORCH, check=True
    ),
    Program(
        "re_sln.viz", ("digits --noise_mode=sym --p=0.4 --seed=1", "animal-10n"), ("re_sln.viz:save_cells",), TORCH
    ),
    Program("re_sln.plot", ("--exp_id=run --plot_type=tsne --out=x.png",), ("re_sln.plot:load_trainer",), TORCH),
    Program("re_sln.results", ("--logdir=folder --out=new",), ("re_sln.results:draw_curves",), TORCH),
    Program(
        "moco_nonsem.moco-non-sem-neg",
        (
            f"{MOCO} --moco-k=4 --bn-splits=2 --mlp --aug-plus tree",
            f"{MOCO} --moco-k=4 --robust=patch --patch-ratio 3 7 --alpha=2 tree",
            f"{MOCO} --multiprocessing-distributed --processes=2 --dist-backend=gloo tree",
            *published("moco_nonsem.moco-non-sem-neg"),
        ),
        ("moco_nonsem.pretraining.run:Trainer", "moco_nonsem.running.program:start_all"),
        TORCH,
        check=True,
        imported="moco_nonsem.pretraining.program",
    ),
    Program(
        "moco_nonsem.main_lincls",
        (f"{MOCO} --pretrained=file tree", f"{MOCO} -e --resume=file tree", *published("moco_nonsem.main_lincls")),
        ("moco_nonsem.linear_probe.run:train", "moco_nonsem.running.program:start_all"),
        TORCH,
        check=True,
    ),
    Program(
        "moco_nonsem.eval_robustness",
        (f"file {MOCO} --val=tree/val", *published("moco_nonsem.eval_robustness")),
        ("moco_nonsem.robustness.run:_check_place", "moco_nonsem.running.program:start_all"),
        TORCH,
        check=True,
    ),
    Program("moco_nonsem.similarity_curves", ("run --out=x.png",), (), TORCH),
    Program("moco_nonsem.view_sheet", ("tree --out=x.png --images=2 --image-size=32 --patch-ratio 8 9",), (), TORCH),
    Program("preprocess.imagenet_100_robustness", ("--set=sketch --source_path=tree --subset_path=new",), (), TORCH),
    Program("preprocess.imagenet_100_subset", ("--imagenet_path=tree --imagenet100_path=new",), (), TORCH),
    *(
        Program(
            f"preprocess.{name}",
            ("--imagenet_path=tree --imagenet_t_path=new --tool=builtin",),
            ("preprocess.imagenet_texture_syn:_work_through",),
            TORCH,
        )
        for name in ("imagenet_texture_syn", "imangenet_texture_syn")
    ),
    Program(
        "preprocess.shapes_textures",
        ("--path=new --train=1 --val=1 --conflict=1 --size=16", "--sheet=x.png --size=16"),
        ("preprocess.shapes_textures:sheet", "preprocess.shapes_textures:_write_missing"),
        TORCH,
    ),
    Program("preprocess.webvision_mini", ("--dataset_dir=new --probes_per_class=2",)),
    Program(
        "reproduce",
        (
            "plan --table ieg-cifar10", "run --table ieg-cifar10 --seeds 0 --dry_run", "run --table sln-sigma --force",
            "run --table ieg-cifar10 --force --jobs 2 --retries 1", "tables --table ieg-cifar10 --out new",
            "report --table ieg-cifar10 --out new/report.html", "keep", "demo --dry_run", "demo --jobs=1",
            "verify --records_only folder", "readme --check", "import re_sln folder", "curves run --out x.png",
            "claims --dry_run",
        ),
        (
            "reproduce.engines.local:LocalEngine.run", "reproduce.commands.results:write_pages",
            "reproduce.keep:keep", "reproduce.verify:verify",
            "reproduce.commands.run:make_data", "reproduce.commands.run:write_claims",
            "reproduce.engines.ray_cluster:RayEngine.run",
        ),
        imported="reproduce.cli",
    ),
    Program("reproduce.side_by_side", ("run file --bins=3 --out=new",)),
    Program(
        "data",
        (
            "fetch cifar10 --data_dir=data", "verify cifar10", "list", "list cifar100 --markdown",
            "list --registry=folder", "import file --as cifar10", "import --move file folder",
        ),
        ("data.fetch:fetch",),
        imported="data.cli",
    ),
    Program("benchmarks.check_gpu", ("--minutes=1 --out=x.json", "--look"), ("benchmarks.check_gpu:check",), TORCH),
    Program(
        "benchmarks.moco_kernels",
        ("--device=cpu --images=tree --turns=2 --size=32",),
        ("benchmarks.moco_kernels:Parts", "benchmarks.moco_kernels:measure"),
        TORCH,
    ),
    Program("benchmarks.commands", ("--turns=3 --demo --out=x.json",), ("benchmarks.commands:measured",)),
    Program("benchmarks.ieg", ("--steps=3 --warmup=1",), ("benchmarks.ieg:measure", "benchmarks.ieg:worker"), TF),
    Program("benchmarks.sln", ("--steps=3 --device=cpu",), ("benchmarks.sln:measure",), TORCH),
    Program(
        "benchmarks.moco",
        ("--steps=3 --device=cpu --images=tree",),
        ("benchmarks.moco:steps", "benchmarks.moco:input_path"),
        TORCH,
    ),
    Program(
        "benchmarks.settings",
        ("ieg --steps=3", "sln --warmup=1 --only_avx2"),
        ("benchmarks.settings:measure", "benchmarks.settings:worker"),
    ),
)  # fmt: skip
