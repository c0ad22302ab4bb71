"""Draws examples with their given labels: what the noise does to a data set.

python -m re_sln.viz cifar10 --noise_mode=sym --p=0.4 --seed=123
python -m re_sln.viz animal-10n --seed=123
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common.errors import UsageError
from common.flags import Parser, underscored
from common.paths import repo_root
from common.program import guarded_training
from data.dataset import ImageDataset
from re_sln.former_names import present_name
from re_sln.noise.labels import NoiseRequest, check_request, noisy_labels
from re_sln.noise.noise_files import rate_text
from re_sln.noise.noise_request import ASYM_RULES, CUSTOM_RNGS, DATASETS, MODES, check_seed
from re_sln.noise.noise_rules import observed_rules

ROWS, COLUMNS = 4, 8
CELLS = ROWS * COLUMNS
LISTED_RULES = 20
Pictures = list[np.ndarray | None]


def _parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    common.add_argument("--seed", type=int, default=123, help="of the choice of examples, and of custom noise [123]")
    common.add_argument("--data_dir", type=Path, help="folder of the data sets [$DATA_DIR, else data/cache]")
    common.add_argument("--allow_unverified", action="store_true", help="use data that are not the official ones")
    common.add_argument("--out", type=Path, help="the picture, a PNG [re_sln/viz/<what it shows>.png]")
    parser = Parser(prog="viz.py", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    kinds = parser.add_subparsers(dest="dataset_name", required=True, metavar=f"{{{','.join(DATASETS)},animal-10n}}")
    for name in DATASETS:
        kind = kinds.add_parser(name, parents=[common], allow_abbrev=False, help="half clean, half noisy examples")
        kind.add_argument("--noise_mode", choices=MODES, default="sym", help="[sym]")
        kind.add_argument("--p", type=float, default=0.4, help="rate of the noise [0.4]")
        kind.add_argument("--custom_noise", action="store_true", help="one's own noise file instead of the authors'")
        kind.add_argument(
            "--custom_rng", type=present_name, choices=CUSTOM_RNGS, default=CUSTOM_RNGS[0], help="[independent]"
        )
        kind.add_argument(
            "--asym_rules", type=present_name, choices=ASYM_RULES, default=ASYM_RULES[0], help="[authors]"
        )
    kinds.add_parser("animal-10n", parents=[common], allow_abbrev=False, help="training examples and their labels")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the picture cannot be written, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = _parser().parse_args(underscored(argv))
    return guarded_training(lambda: _draw(arguments), "stopped", "--out")


def _draw(arguments: argparse.Namespace) -> int:
    animals = arguments.dataset_name == "animal-10n"
    name, pictures, captions = _animal_cells(arguments) if animals else _noise_cells(arguments)
    path = arguments.out or repo_root() / "re_sln" / "viz" / name
    save_cells(path, pictures, captions)
    print(path)
    return 0


# What is shown


def pick_examples(is_noisy: np.ndarray, seed: int) -> list[int | None]:
    """The example in each cell: 16 clean ones, then 16 noisy ones; None where there is none of that kind.

    Args: is_noisy bool [N]. Cell i = 1…32 draws with numpy's legacy generator, seeded with seed + i, as the published
    pictures did.
    """
    clean, noisy = np.flatnonzero(~is_noisy), np.flatnonzero(is_noisy)
    picked: list[int | None] = []
    for cell in range(1, CELLS + 1):
        candidates = clean if cell <= CELLS // 2 else noisy
        random = np.random.RandomState(seed + cell)
        picked.append(int(random.permutation(candidates)[0]) if len(candidates) else None)
    return picked


def caption(true: str, given: str, noisy: bool, open_set: bool) -> str:
    """`clean:NAME`, `dirty:GIVEN (TRUE)`, or `dirty:(NAME)` where the image belongs to no class."""
    if not noisy:
        return f"clean:{true}"
    return f"dirty:({true})" if open_set else f"dirty:{given} ({true})"


def _noise_cells(arguments: argparse.Namespace) -> tuple[str, Pictures, list[str]]:
    request = _request(arguments)
    check_request(request)
    dataset = _load(request)
    noise = noisy_labels(request, dataset)
    print(
        f"{dataset.name}: {noise.is_noisy.sum()} of {len(noise.is_noisy)} training examples are noisy "
        f"({noise.is_noisy.mean():.5f}), says {noise.path}"
    )
    if noise.images is None or noise.rules:
        _print_rules(noise.rules, observed_rules(dataset.train_labels, noise.given))
    images, names = dataset.train_images if noise.images is None else noise.images, dataset.class_names
    pictures: Pictures = []
    captions = []
    for example in pick_examples(noise.is_noisy, request.seed):
        if example is None:
            pictures.append(None)
            captions.append("no such example")
            continue
        true, given = names[dataset.train_labels[example]], names[noise.given[example]]
        pictures.append(images[example])
        captions.append(caption(true, given, bool(noise.is_noisy[example]), noise.images is not None))
    kind = "custom" if request.custom else "paper"
    return f"{request.dataset_name}_{request.mode}_p_{rate_text(request.p)}_{kind}.png", pictures, captions


def _request(arguments: argparse.Namespace) -> NoiseRequest:
    if arguments.p == 0:
        raise UsageError("--p=0.0: there is no noise to show; choose a rate above 0")
    return NoiseRequest(
        arguments.dataset_name,
        arguments.noise_mode,
        arguments.p,
        # The authors published none for the digits.
        custom=arguments.custom_noise or arguments.dataset_name == "digits",
        make_new=False,
        seed=arguments.seed,
        custom_rng=arguments.custom_rng,
        asym_rules=arguments.asym_rules,
        data_dir=arguments.data_dir,
        allow_unverified=arguments.allow_unverified,
    )


def _load(request: NoiseRequest) -> ImageDataset:
    if request.dataset_name == "digits":
        from data.digits import load_digits

        return load_digits()
    from data.cifar import load_cifar

    return load_cifar(request.dataset_name, request.data_dir, request.allow_unverified)


def _print_rules(stated: tuple[dict[str, str], ...], observed: list[dict[str, object]]) -> None:
    if not stated:
        print("the file states no rules; what it does to each class:")
    rules = stated or observed
    for rule in rules[:LISTED_RULES]:
        print("rule: " + ", ".join(f"{key} {value}" for key, value in rule.items()))
    if len(rules) > LISTED_RULES:
        print(f"… and {len(rules) - LISTED_RULES} more")


def _animal_cells(arguments: argparse.Namespace) -> tuple[str, Pictures, list[str]]:
    from re_sln.datasets.animal10n import CLASS_NAMES, read_animal10n
    from re_sln.datasets.image_folder import read_images

    check_seed(arguments.seed)
    paths, labels, *_ = read_animal10n(arguments.data_dir)
    chosen = np.random.RandomState(arguments.seed).permutation(len(paths))[:CELLS]
    pictures: Pictures = [*read_images([paths[example] for example in chosen], "images")]
    return "animal-10n.png", pictures, [CLASS_NAMES[labels[example]] for example in chosen]


# The picture


def save_cells(path: Path, pictures: Pictures, captions: list[str]) -> None:
    """Draws 4×8 cells on 24×8 inches, without a screen. Args: pictures uint8 [H, W, 3] each, or None for none."""
    from common.results.tables import new_figure, save_figure

    figure = new_figure(24, 8)
    grid = figure.subplots(ROWS, COLUMNS)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, picture, text in zip(grid.flat, pictures, captions, strict=False):
        colour = "firebrick" if text.startswith("dirty") else "black"
        axes.set_title(text, fontsize=13 * min(1, 26 / len(text)), color=colour)  # longer ones would overlap
        if picture is not None:
            axes.imshow(picture)
    save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
