"""Draws what the network of a finished run makes of its examples: how sure it is, which labels are wrong, its features.

python plot.py --exp_id exp_2021-01-31_12-00-00-000000 --plot_type pred_probs
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common.errors import UsageError
from common.flags import Parser, underscored
from common.paths import repo_root
from common.program import guarded_training
from common.random_streams import generator
from re_sln.figures.run_pictures import count_probabilities, dissect, largest_probabilities
from re_sln.noise.noise_files import rate_text
from re_sln.settings.config import Config
from re_sln.settings.names import MODELS
from re_sln.trained_run import config_of, load_trainer, weights_of
from re_sln.training.run_folder import find_run

if TYPE_CHECKING:
    from re_sln.training.trainer import Trainer

FILES = {"pred_probs": "prediction-probabilities", "sample_dissect": "sample-dissection", "tsne": "tsne"}
BIN_SIZE, FEWEST_BINS = 1000, 20
FEWEST_POINTS = 10


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="plot.py", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--exp_id", required=True, help="the run: exp_…, below $RUNS_DIR/re_sln, or a path")
    parser.add_argument(
        "--plot_type",
        required=True,
        choices=FILES,
        help="pred_probs: largest softmax value of clean and of noisy training images; sample_dissect: whether labels "
        "and predictions are right, by rising loss; tsne: penultimate features of the test images",
    )
    parser.add_argument(
        "--plot_transform",
        choices=("train", "test"),
        default="train",
        help="how the training images are seen: cropped and flipped as in training, or as test images [train]",
    )
    parser.add_argument(
        "--bin_size", type=int, help="sample_dissect: examples a bar [1,000; in small sets a twentieth of all]"
    )
    parser.add_argument("--max_points", type=int, default=2000, help="tsne: at most so many test images [2000]")
    parser.add_argument("--data_dir", help="folder of the data sets [$DATA_DIR, else data/cache]")
    parser.add_argument("--allow_unverified", action="store_true", help="use data that are not the official ones")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="[auto: a GPU if there is one]"
    )
    parser.add_argument("--out", type=Path, help="the picture, a PNG [re_sln/assets/<run>/<what it shows>.png]")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 the picture cannot be written, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = _parser().parse_args(underscored(argv))
    return guarded_training(lambda: _plot(arguments), "stopped", "--out")


def _plot(arguments: argparse.Namespace) -> int:
    if arguments.bin_size is not None and arguments.bin_size < 1:
        raise UsageError(f"--bin_size={arguments.bin_size}: a bar holds at least one example")
    if arguments.max_points < FEWEST_POINTS:
        raise UsageError(f"--max_points={arguments.max_points}: a map needs at least {FEWEST_POINTS} points")
    folder = find_run(arguments.exp_id)
    weights_of(folder)
    config = config_of(
        folder,
        data_dir=arguments.data_dir,
        allow_unverified=arguments.allow_unverified,
        device=arguments.device,
    )
    if arguments.plot_type != "tsne" and "noise_mode" in config.program.without:
        raise UsageError(
            f"--plot_type={arguments.plot_type}: nobody knows which labels of {config.flags.dataset_name} are wrong, "
            "so there is nothing to tell apart; --plot_type=tsne can be drawn"
        )
    path = arguments.out or repo_root() / "re_sln" / "assets" / folder.name / f"{file_name(config, arguments)}.png"
    trainer = load_trainer(folder, config)
    DRAW[arguments.plot_type](trainer, arguments, path)
    print(path)
    return 0


def file_name(config: Config, arguments: argparse.Namespace) -> str:
    """`cifar10-sln-mo-sym-paper-0.4-tsne` and the like."""
    noise = config.noise
    words = [config.flags.dataset_name, config.model]
    if noise:
        words += [noise.mode, "custom" if noise.custom else "paper", rate_text(noise.p)]
    words.append(FILES[arguments.plot_type])
    if arguments.plot_transform == "test" and arguments.plot_type != "tsne":
        words.append("test-transform")
    return "-".join(words)


def heading(config: Config, words: str) -> str:
    """The title of the picture."""
    noise = config.noise
    kind = f", {noise.mode} noise {rate_text(noise.p)} ({'custom' if noise.custom else 'paper'})" if noise else ""
    return f"{config.flags.dataset_name}, {MODELS[config.model]}{kind}, after {config.flags.n_epochs} epochs\n{words}"


def training_logits(trainer: Trainer, transform: str) -> np.ndarray:
    """Logits of the training images, float32 [N, C]."""
    everything = np.arange(len(trainer.data.given))
    # The draws are of epoch 0: no epoch of training had them.
    crops = trainer.crops("plot", 0) if transform == "train" else None
    logging.info("%d training images go through the network", len(everything))
    return trainer.logits(trainer.train_images, everything, crops, trainer.config.task.score_batch).cpu().numpy()


def seen(trainer: Trainer, transform: str) -> str:
    """How the training images are seen, in words."""
    return "cropped and flipped" if transform == "train" and trainer.config.augments else "uncropped"


def draw_pred_probs(trainer: Trainer, arguments: argparse.Namespace, path: Path) -> None:
    """Clean against noisy examples."""
    from re_sln.figures.run_pictures import draw_probabilities

    probabilities = largest_probabilities(training_logits(trainer, arguments.plot_transform))
    noisy = trainer.data.is_noisy
    title = heading(trainer.config, f"how sure it is of its training images, {seen(trainer, arguments.plot_transform)}")
    draw_probabilities(
        path, title, count_probabilities(probabilities[~noisy]), count_probabilities(probabilities[noisy])
    )


def draw_sample_dissect(trainer: Trainer, arguments: argparse.Namespace, path: Path) -> None:
    """Losses are against the given labels; right is what equals the true label."""
    from re_sln.figures.run_pictures import draw_dissection

    data, noise = trainer.data, trainer.config.noise
    assert data.true is not None
    logits = training_logits(trainer, arguments.plot_transform).astype(np.float64)
    # An image of another data set has no true label.
    true = np.where(data.is_noisy, -1, data.true) if noise and noise.mode == "openset" else data.true
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(logits)), data.given]
    bin_size = arguments.bin_size or max(1, min(BIN_SIZE, len(logits) // FEWEST_BINS))
    counts = dissect(losses, data.given == true, logits.argmax(axis=1) == true, bin_size)
    title = heading(trainer.config, f"training images, {seen(trainer, arguments.plot_transform)}, by their loss")
    draw_dissection(path, title, counts, bin_size)


def draw_tsne(trainer: Trainer, arguments: argparse.Namespace, path: Path) -> None:
    """A map on which test images with like features lie together."""
    from sklearn.manifold import TSNE

    from re_sln.figures.run_pictures import draw_map

    labels, seed = trainer.data.tests["test"], trainer.config.flags.seed
    chosen = np.sort(generator(seed, "tsne").permutation(len(labels))[: arguments.max_points])
    features = test_features(trainer, chosen)
    logging.info("t-SNE of %d points with %d features each", *features.shape)
    points = TSNE(perplexity=min(30.0, (len(chosen) - 1) / 3), init="pca", random_state=seed).fit_transform(features)
    share = "all" if len(chosen) == len(labels) else f"{len(chosen):,} of"
    title = heading(trainer.config, f"t-SNE of the last features of {share} {len(labels):,} test images")
    draw_map(path, title, points, labels[chosen], trainer.data.class_names)


def test_features(trainer: Trainer, chosen: np.ndarray) -> np.ndarray:
    """What the last layer gets of test images: float32 [len(chosen), features]. Takes the last layer off."""
    from torch import nn

    from re_sln.training.evaluation import all_logits

    network, last = trainer.networks.tested, "fc" if hasattr(trainer.networks.tested, "fc") else "linear"
    width = getattr(network, last).in_features
    setattr(network, last, nn.Identity())
    batch_size = trainer.config.task.test_batch
    return (
        all_logits(network, trainer.test_images["test"], chosen, batch_size, None, trainer.group, width).cpu().numpy()
    )


DRAW = {"pred_probs": draw_pred_probs, "sample_dissect": draw_sample_dissect, "tsne": draw_tsne}

if __name__ == "__main__":
    sys.exit(main())
