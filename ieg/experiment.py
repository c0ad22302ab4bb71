"""Puts a run together from its configuration: devices, data, network, state, trainer."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data.cifar import describe_cifar, load_cifar
from data.dataset import ImageDataset
from data.digits import load_digits
from ieg import checkpoint
from ieg.batches import BatchSource
from ieg.config import USES_PROBES, Config
from ieg.dataset_name import parse_dataset_name
from ieg.errors import UsageError
from ieg.evaluation import Evaluator
from ieg.flags import Flags
from ieg.methods import METHODS
from ieg.methods.step import Settings
from ieg.networks import build_network
from ieg.split import make_split
from ieg.state import TrainState
from ieg.train_step import TrainStep
from ieg.trainer import Interrupted, Trainer
from reproduce.record import RunRecord, read_result


def make_strategy(flags: Flags):
    """MirroredStrategy over the devices asked for; one device needs none and gets TensorFlow's default strategy."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    count = flags.num_devices or max(1, len(gpus))
    if gpus and count > len(gpus):
        raise UsageError(f"--num_devices={count}, but this machine has {len(gpus)} GPU(s)")
    if flags.deterministic:
        tf.keras.utils.set_random_seed(flags.seed)
        tf.config.experimental.enable_op_determinism()
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return tf.distribute.MirroredStrategy([f"{'GPU' if gpus else 'CPU'}:{index}" for index in range(count)])


@dataclass(frozen=True)
class Described:
    """What is known of a data set before its images are read."""

    name: str
    fingerprint: str
    num_images: int | None = None


def describe(flags: Flags) -> Described:
    """Verifies the files. Raises: data.errors.DataError, its message saying how to get or allow them."""
    base = parse_dataset_name(flags.dataset).base
    if base == "digits":
        digits = load_digits(flags.image_size)
        return Described(digits.name, digits.fingerprint)
    name, _, fingerprint = describe_cifar(base, flags.dataset_dir, flags.allow_unverified)
    return Described(name, fingerprint)


def load(flags: Flags) -> ImageDataset:
    """The data set. Raises: data.errors.DataError."""
    base = parse_dataset_name(flags.dataset).base
    return (
        load_digits(flags.image_size)
        if base == "digits"
        else load_cifar(base, flags.dataset_dir, flags.allow_unverified)
    )


@dataclass(frozen=True)
class Experiment:
    """The parts of a run that training and evaluation share."""

    dataset: ImageDataset
    source: BatchSource
    evaluator: Evaluator
    state: TrainState
    step: TrainStep


def build(config: Config, strategy) -> Experiment:
    """Data, split, network and state of a run, on the devices of `strategy`."""
    flags, dataset = config.flags, load(config.flags)
    split = make_split(
        dataset.train_labels,
        len(dataset.test_labels),
        config.dataset.num_classes,
        config.probe_size,
        config.dataset.noise,
        config.dataset.ratio,
        flags.seed,
    )
    is_ieg = flags.method == "ieg"
    # DEVIATION: --no_mixup and --no_probe_mixing, for the paper's ablation; the authors' program has no flags for it.
    blocks = 0 if not is_ieg or flags.no_mixup else 2 if flags.no_probe_mixing else 3
    source = BatchSource(
        dataset.train_images,
        split,
        flags.batch_size,
        flags.seed,
        config.replicas,
        aug_type=flags.aug_type if is_ieg else None,
        probes=flags.method in USES_PROBES,
        mixup_blocks=blocks,
    )
    network = make_network(flags, config.dataset.num_classes)
    with strategy.scope():
        state = TrainState(network, flags.seed)
    settings = Settings(
        flags.meta_stepsize,
        flags.meta_momentum,
        flags.grad_eps_init,
        flags.ce_factor,
        flags.consistency_factor,
        flags.label_smoothing,
        not flags.no_meta_relabel,
        not flags.no_mixup,
        not flags.no_probe_mixing,
    )
    step = TrainStep(
        strategy,
        network,
        METHODS[flags.method],
        settings,
        state,
        momentum=flags.momentum,
        ema_first=not is_ieg,
        jit_compile=flags.jit_compile,
    )
    evaluator = Evaluator(
        strategy,
        network,
        dataset.test_images[split.test_index],
        dataset.test_labels[split.test_index],
        flags.val_batch_size,
    )
    return Experiment(dataset, source, evaluator, state, step)


def make_network(flags: Flags, num_classes: int):
    """The network of the flags, with their precision and weight decay."""
    # DEVIATION: --precision=bfloat16 is ours; the authors train in float32, which is the default.
    decay = {"l2": flags.weight_decay} if flags.network_name.startswith("wrn") else {}
    return build_network(
        flags.network_name, num_classes, dtype=tf.as_dtype(flags.precision), image_size=flags.image_size, **decay
    )


def train(config: Config, strategy, folder: Path, command: list[str]) -> int:
    """Trains from the newest checkpoint in `folder`, or from the start. Returns the exit code."""
    if (folder / "result.json").exists() and read_result(folder)["finished"]:
        logging.info("%s is finished: accuracy %.4f", folder, read_result(folder)["metrics"]["accuracy"])
        return 0
    found = checkpoint.newest(folder, config.flags.restore_step)
    run = build(config, strategy)
    dataset = {"name": run.dataset.name, "version": run.dataset.version, "fingerprint": run.dataset.fingerprint}
    record = RunRecord(
        folder,
        sub_project="ieg",
        command=command,
        config=config.record(),
        seed=config.flags.seed,
        dataset=dataset,
        device=device_name(),
        world_size=config.replicas,
        libraries=libraries(),
    )
    trainer = Trainer(config, strategy, run.state, run.step, run.source, run.evaluator, record, folder)
    if found:
        trainer.restore(found)
        logging.info("going on after step %d of %d in %s", found.step, config.last_step, folder)
    record.begin(found.step if found else 0)
    if not found:
        logging.info("training %d steps in %s", config.last_step, folder)
    try:
        trainer.train(found.step if found else 0)
    except Interrupted as stop:
        logging.warning("%s", stop)
        return 130
    finally:
        record.interrupted()
    split = run.source.split
    trainer.finish(
        {"noise_rate": float(np.mean(split.train_labels != split.true_labels)), "probe_images": config.probe_size}
    )
    return 0


def evaluate(config: Config, strategy, folder: Path) -> int:
    """Scores the newest checkpoint of the run. Returns the exit code."""
    # DEVIATION: one way for every method; the authors' --mode=evaluation does not work for all of theirs.
    found = checkpoint.newest(folder, config.flags.restore_step)
    if found is None:
        raise UsageError(
            f"--mode=evaluation: no checkpoint in {folder}; train first with the same flags without --mode, "
            "or give the --checkpoint_path it was trained with"
        )
    run = build(config, strategy)
    run.state.restore(found.arrays)
    accuracy = run.evaluator.accuracy(run.state.parameters, run.state.moving)
    print(
        f"step {found.step}: accuracy {accuracy:.4f} on {len(run.evaluator.labels)} test images of {run.dataset.name}",
        flush=True,
    )
    if config.flags.use_ema:
        print(f"step {found.step}: EMA accuracy {run.evaluator.accuracy(run.state.ema, run.state.moving):.4f}")
    return 0


def device_name() -> str:
    """The accelerator's name, else the processor's architecture and core count."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return f"CPU {platform.machine()}, {os.cpu_count()} cores"


def libraries() -> dict[str, str]:
    """Versions that a result names."""
    return {"tensorflow": tf.__version__, "numpy": np.__version__}
