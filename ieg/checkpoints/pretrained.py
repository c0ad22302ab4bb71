"""Starting weights from an earlier run, or from a TensorFlow checkpoint of the same network."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UsageError
from data.checksums import fingerprint, hash_file
from ieg.checkpoints import checkpoint

EXPECTED = (
    "expected a run folder, one of its files checkpoint_<step>.npz, or the prefix of a TensorFlow checkpoint "
    "(without .index)"
)
CLASSIFIER = "classifier/"
Headers = Mapping[str, tuple[tuple[int, ...], np.dtype]]
Read = Callable[[Iterable[str]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Weights:
    """parameters {name: array}; moving {batch norm: (mean, variance)}."""

    parameters: Mapping[str, np.ndarray]
    moving: Mapping[str, tuple[np.ndarray, np.ndarray]]


def files_of(path: Path) -> list[Path]:
    """The files that hold the weights. Raises: UsageError where there are none."""
    if path.is_dir():
        steps = checkpoint.FILES.steps(path)
        if steps:
            return [checkpoint.FILES.path(path, steps[-1])]
    elif path.is_file() and path.suffix == ".npz":
        return [path]
    elif path.with_name(path.name + ".index").is_file():
        return sorted(path.parent.glob(f"{glob.escape(path.name)}.*"))
    raise UsageError(f"--pretrained_ckpt={path} is not a checkpoint: {EXPECTED}")


def content_hash(path: Path) -> str:
    """What identifies the weights, wherever they lie: 64 hex digits. Raises: UsageError."""
    return fingerprint({file.suffix: hash_file(file).sha256 for file in files_of(path)})


def load(path: Path, mode: str, network) -> Weights:
    """The weights that `network` starts from; with mode 'imagenet' all but the classifier's.

    Raises: UsageError naming what does not fit, or cannot be read.
    """
    # DEVIATION: the authors' program crashes with --pretrained_ckpt; here it loads weights.
    file = files_of(path)[0]
    with explained(path):
        there, read = in_run(file) if file.suffix == ".npz" else in_tensorflow(path, network)
    wanted = [name for name in network.specs if mode == "all" or not name.startswith(CLASSIFIER)]
    needed = needed_shapes(network, wanted)
    # Before anything is read: a damaged or foreign file may claim any size.
    wrong = [
        f"{key.removeprefix('parameters:')} {shape} instead of {needed[key]}"
        for key, (shape, dtype) in ((key, there.get(key, ((), None))) for key in needed)
        if shape != needed[key] or dtype is None or dtype.kind != "f"
    ]
    if wrong:
        raise UsageError(
            f"--pretrained_ckpt={path} does not fit {network.name} with {network.num_classes} classes: "
            f"{'; '.join(wrong[:3])}{' …' if len(wrong) > 3 else ''}. Give weights of the same network"
            f"{'; --pretrained_ckpt_mode=imagenet leaves the classifier out' if mode == 'all' else ''}"
        )
    with explained(path):
        arrays = read(needed)
    for key, value in arrays.items():
        if not np.isfinite(value).all():
            raise UsageError(f"--pretrained_ckpt={path}: {key} is not finite; give weights that were not lost")
    return Weights(
        {name: arrays[f"parameters:{name}"] for name in wanted},
        {name: (arrays[f"moving_mean:{name}"], arrays[f"moving_variance:{name}"]) for name in network.batch_norms},
    )


def needed_shapes(network, wanted: list[str]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor that the network needs, by its name in a checkpoint of this program."""
    shapes = {f"parameters:{name}": tuple(network.specs[name].shape) for name in wanted}
    for name, width in network.batch_norms.items():
        shapes |= {f"moving_mean:{name}": (width,), f"moving_variance:{name}": (width,)}
    return shapes


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """What reading a damaged checkpoint inside raises becomes a UsageError."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # TensorFlow and numpy raise nearly everything, by where the damage is
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"--pretrained_ckpt={path} cannot be read ({said}); give another checkpoint") from error


def in_run(file: Path) -> tuple[Headers, Read]:
    """What a checkpoint of this program holds (weights, not only their moving average), and what reads it."""
    return checkpoint.read_headers(file), lambda keys: checkpoint.read_arrays(file, keys)


def in_tensorflow(path: Path, network) -> tuple[Headers, Read]:
    """What a TensorFlow checkpoint holds, by the names of this program, and what reads it. Raises: UsageError."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path))
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    variables = variables_in_tensorflow(network, sorted(shapes), path)
    headers = {
        key: (tuple(shapes[variable]), np.dtype(types[variable].as_numpy_dtype))
        for key, variable in variables.items()
        if variable in shapes
    }
    return headers, lambda keys: {key: reader.get_tensor(variables[key]) for key in keys}


def variables_in_tensorflow(network, names: list[str], path: Path) -> dict[str, str]:
    """Variables called conv2d_k/kernel, batch_normalization_k/gamma … and dense/kernel, as TensorFlow 1 numbers layers.

    The k-th convolution and batch norm of the checkpoint are the k-th of the network, in the order in which it is
    built. Raises: UsageError where their numbers differ.
    """
    kernels = [name for name, spec in network.specs.items() if spec.kind == "conv"]
    norms = list(network.batch_norms)
    convs, layers = numbered(names, "conv2d", "kernel"), numbered(names, "batch_normalization", "gamma")
    if (len(convs), len(layers)) != (len(kernels), len(norms)):
        raise UsageError(
            f"--pretrained_ckpt={path} holds {len(convs)} variables conv2d*/kernel and {len(layers)} "
            f"batch_normalization*/gamma; {network.name} has {len(kernels)} convolutions and {len(norms)} batch norms"
        )
    variables = {f"parameters:{name}": there for name, there in zip(kernels, convs, strict=True)}
    for name, layer in zip(norms, (there.rpartition("/")[0] for there in layers), strict=True):
        variables |= {f"parameters:{name}/{part}": f"{layer}/{part}" for part in ("gamma", "beta")}
        variables |= {f"{part}:{name}": f"{layer}/{part}" for part in ("moving_mean", "moving_variance")}
    for dense in numbered(names, "dense", "kernel")[:1]:
        variables |= {"parameters:classifier/kernel": dense, "parameters:classifier/bias": dense[:-6] + "bias"}
    return variables


def numbered(names: list[str], layer: str, variable: str) -> list[str]:
    """The names …/layer/variable, …/layer_1/variable, … in the order of their numbers."""
    by_number = {}
    for name in names:
        match = re.fullmatch(rf"(?:.*/)?{layer}(?:_(\d+))?/{variable}", name)
        if match:
            by_number[int(match[1] or 0)] = name
    return [by_number[number] for number in sorted(by_number)]
