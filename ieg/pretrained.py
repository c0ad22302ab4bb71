"""Starting weights from an earlier run, or from a TensorFlow checkpoint of the same network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.checksums import fingerprint, hash_file
from ieg import checkpoint
from ieg.errors import UsageError

EXPECTED = (
    "expected a run folder, one of its files checkpoint_<step>.npz, or the prefix of a TensorFlow checkpoint "
    "(without .index)"
)
CLASSIFIER = "classifier/"


@dataclass(frozen=True)
class Weights:
    """parameters {name: array}; moving {batch norm: (mean, variance)}."""

    parameters: Mapping[str, np.ndarray]
    moving: Mapping[str, tuple[np.ndarray, np.ndarray]]


def files_of(path: Path) -> list[Path]:
    """The files that hold the weights. Raises: UsageError where there are none."""
    if path.is_dir():
        steps = checkpoint.steps(path)
        if steps:
            return [checkpoint.checkpoint_path(path, steps[-1])]
    elif path.is_file() and path.suffix == ".npz":
        return [path]
    elif path.with_name(path.name + ".index").is_file():
        return sorted(path.parent.glob(f"{path.name}.*"))
    raise UsageError(f"--pretrained_ckpt={path} is no checkpoint: {EXPECTED}")


def content_hash(path: Path) -> str:
    """What identifies the weights, wherever they lie: 64 hex digits. Raises: UsageError."""
    return fingerprint({file.suffix: hash_file(file).sha256 for file in files_of(path)})


def load(path: Path, mode: str, network) -> Weights:
    """The weights that `network` starts from; with mode 'imagenet' all but the classifier's.

    Raises: UsageError naming what does not fit.
    """
    # DEVIATION: the authors' --pretrained_ckpt crashes.
    file = files_of(path)[0]
    if file.suffix == ".npz":
        found = from_run(file)
    else:
        import tensorflow as tf

        reader = tf.train.load_checkpoint(str(path))
        shapes = reader.get_variable_to_shape_map()
        found = from_tensorflow(network, sorted(shapes), reader.get_tensor, path)
    wanted = [name for name in network.specs if mode == "all" or not name.startswith(CLASSIFIER)]
    wrong = [
        f"{name} {np.shape(found.parameters.get(name, ()))} instead of {network.specs[name].shape}"
        for name in wanted
        if np.shape(found.parameters.get(name, ())) != network.specs[name].shape
    ]
    wrong += [name for name in network.batch_norms if name not in found.moving]
    if wrong:
        raise UsageError(
            f"--pretrained_ckpt={path} does not fit {network.name} with {network.num_classes} classes: "
            f"{'; '.join(wrong[:3])}{' …' if len(wrong) > 3 else ''}. Give weights of the same network"
            f"{'; --pretrained_ckpt_mode=imagenet leaves the classifier out' if mode == 'all' else ''}"
        )
    return Weights({name: found.parameters[name] for name in wanted}, found.moving)


def from_run(file: Path) -> Weights:
    """The weights (not their moving average) of a checkpoint of this program. Raises: UsageError for a damaged one."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            groups = {name: arrays[name] for name in arrays.files if name.startswith(("parameters:", "moving_"))}
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"--pretrained_ckpt={file} cannot be read ({error}); give another checkpoint") from error
    parameters = {name.partition(":")[2]: value for name, value in groups.items() if name.startswith("parameters:")}
    norms = [name.partition(":")[2] for name in groups if name.startswith("moving_mean:")]
    return Weights(
        parameters, {name: (groups[f"moving_mean:{name}"], groups[f"moving_variance:{name}"]) for name in norms}
    )


def from_tensorflow(network, names: list[str], read: Callable[[str], np.ndarray], path: Path) -> Weights:
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
    parameters = {name: read(there) for name, there in zip(kernels, convs, strict=True)}
    moving = {}
    for name, there in zip(norms, (layer.rpartition("/")[0] for layer in layers), strict=True):
        parameters |= {f"{name}/gamma": read(f"{there}/gamma"), f"{name}/beta": read(f"{there}/beta")}
        moving[name] = (read(f"{there}/moving_mean"), read(f"{there}/moving_variance"))
    dense = numbered(names, "dense", "kernel")
    if dense:
        parameters |= {"classifier/kernel": read(dense[0]), "classifier/bias": read(dense[0][:-6] + "bias")}
    return Weights(parameters, moving)


def numbered(names: list[str], layer: str, variable: str) -> list[str]:
    """The names …/layer/variable, …/layer_1/variable, … in the order of their numbers."""
    found = {}
    for name in names:
        match = re.fullmatch(rf"(?:.*/)?{layer}(?:_(\d+))?/{variable}", name)
        if match:
            found[int(match[1] or 0)] = name
    return [found[number] for number in sorted(found)]
