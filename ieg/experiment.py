"""Puts a run together from its configuration: devices, data, network, state, trainer."""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from common.errors import Interrupted, UsageError
from common.machine import cpu_name
from common.paths import user_path
from common.records.record import AnyRecord, NullRecord, RunRecord
from common.records.record_files import check_same_data, finished_result
from common.records.saved_state import Owner
from ieg.checkpoints import checkpoint
from ieg.checkpoints.pretrained import load as load_weights
from ieg.datasets.batches import BatchSource
from ieg.datasets.inputs import make_inputs
from ieg.devices.distribution import agree, this_worker
from ieg.methods import METHODS
from ieg.methods.fsr_memory import Memory, MemorySettings
from ieg.methods.step import settings_of
from ieg.networks.network import build_network
from ieg.settings.config import Config, decay_flag
from ieg.settings.pseudo_loss_name import parse_pseudo_loss
from ieg.training.evaluation import Evaluator, accuracies, scores_of
from ieg.training.state import TrainState
from ieg.training.train_step import TrainStep
from ieg.training.trainer import Experiment, Trainer


def build(config: Config, strategy) -> Experiment:
    """Data, split, network and state of a run, on the devices of `strategy`."""
    flags, inputs = config.flags, make_inputs(config, this_worker(strategy).rows(config.flags.batch_size))
    network = make_network(config)
    with strategy.scope():
        state = TrainState(network, flags.seed, make_memory(config, inputs.source) if flags.method == "fsr" else None)
    step = TrainStep(
        strategy,
        network,
        METHODS[flags.method],
        settings_of(flags),
        state,
        momentum=flags.momentum,
        ema_first=flags.method != "ieg",
        jit_compile=flags.jit_compile,
    )
    evaluators = {
        name: Evaluator(strategy, network, test_set, flags.val_batch_size)
        for name, test_set in inputs.test_sets.items()
    }
    return Experiment(inputs, evaluators, step)


def make_memory(config: Config, source: BatchSource) -> Memory:
    """What fsr remembers. Raises: UsageError for a class that nothing could be queued of."""
    flags, classes, labels = config.flags, config.dataset.num_classes, source.split.train_labels
    absent = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(absent):
        raise UsageError(
            f"the training set of {flags.dataset} has no example labelled {', '.join(map(str, absent))}: the queue of "
            "fsr needs every class; take less noise, another --seed, or a lower --probe_dataset_hold_ratio"
        )
    settings = MemorySettings(
        capacity=flags.queue_capacity // classes,
        batch_size=flags.queue_bs // classes,
        beta=flags.queue_beta,
        steps_per_epoch=config.steps_per_epoch,
        meta_start_epoch=flags.meta_start_epoch,
        moving_weight_gamma=flags.moving_weight_gamma,
        meta_moving_end_epoch=flags.meta_moving_end_epoch,
        global_batch=source.global_batch,
        seed=flags.seed,
        pseudo_loss=parse_pseudo_loss(flags.use_pseudo_loss),
    )
    shape = (config.image_size, config.image_size, 3)
    return Memory(labels, classes, shape, source.byte_values, settings)


def make_network(config: Config):
    """The network of the flags, with their precision and weight decay."""
    flags = config.flags
    name = decay_flag(flags.network_name)
    decay = {"l2": getattr(flags, name)} if name else {}
    # DEVIATION: the authors train in float32, which is the default; --precision=bfloat16 is ours, for speed.
    dtype = tf.as_dtype(flags.precision)
    return build_network(
        flags.network_name, config.dataset.num_classes, dtype=dtype, image_size=config.image_size, **decay
    )


OUTPUTS = ("checkpoint_*.npz", "example_weights.npz", "*.png", "tensorboard/")


def train(config: Config, strategy, folder: Path, command: list[str], data: str) -> int:
    """Trains from the newest checkpoint in `folder`, or from the start. Returns the exit code.

    data: fingerprint of what is trained on.
    """
    worker = this_worker(strategy)
    if not worker.chief:
        logging.getLogger().setLevel(logging.WARNING)
    finished = finished_result(folder, config.record(), "accuracy")
    owner = Owner.of("ieg", config.record(), config.flags.seed, data)
    saved = None if finished else checkpoint.newest(folder, config.flags.restore_step, owner)
    if worker.several:
        refuse_different_runs(agree(strategy, zlib.crc32(f"{owner.config_hash} {data}".encode())))
        refuse_different_starts(agree(strategy, -1 if finished else saved.step if saved else 0), folder)
    if finished:
        logging.info("%s is finished: accuracy %.4f", folder, finished["metrics"]["accuracy"])
        return 0
    run = build(config, strategy)
    source, dataset = run.inputs.source, run.inputs.described()
    if saved:
        check_same_data(folder, dataset)
    record: AnyRecord = NullRecord()
    if worker.chief:
        record = RunRecord(
            folder,
            sub_project="ieg",
            command=command,
            config=config.record(),
            seed=config.flags.seed,
            dataset=dataset,
            device=device_name(),
            world_size=config.replicas,
            libraries={"tensorflow": tf.__version__, "numpy": np.__version__},
        )
    trainer = Trainer(config, run, record, folder, owner)
    if config.pretrained and not saved:
        start_from_pretrained(trainer.state, run.step.network, config)
    if saved:
        trainer.restore(saved)
        logging.info("resuming after step %d of %d in %s", saved.step, config.last_step, folder)
    logged = int(trainer.scores["last"]["step"]) if trainer.scores else 0
    record.begin(logged, saved=saved is not None, outputs=OUTPUTS)
    if not saved:
        logging.info("training %d steps in %s", config.last_step, folder)
    try:
        trainer.train(saved.step if saved else 0)
    except Interrupted as stop:
        logging.warning("%s", stop)
        return 130
    finally:
        record.interrupted()
    split = source.split
    notes: dict = {"probe_images": len(split.probe_index)}
    if not config.dataset.is_webvision:  # there nobody knows
        notes["noise_rate"] = float(np.mean(split.train_labels != split.true_labels))
    trainer.finish(notes)
    return 0


def start_from_pretrained(state: TrainState, network, config: Config) -> None:
    """Weights, their average and the moving statistics of --pretrained_ckpt; momentum starts at 0."""
    flags = config.flags
    weights = load_weights(user_path(flags.pretrained_ckpt), flags.pretrained_ckpt_mode, network)
    for name, value in weights.parameters.items():
        state.parameters[name].assign(value)
        state.ema[name].assign(value)
    for name, (mean, variance) in weights.moving.items():
        state.moving[name][0].assign(mean)
        state.moving[name][1].assign(variance)
    logging.info("starting from %s: %d of %d tensors", flags.pretrained_ckpt, len(weights.parameters), len(state.ema))


def refuse_different_runs(runs: list[int]) -> None:
    """Raises: UsageError where the workers have not the same flags and data: the record would tell of the first's."""
    if len(set(runs)) > 1:
        raise UsageError(
            f"the workers would train different runs ({', '.join(f'{run:08x}' for run in runs)}): start the same "
            "command, with the same data, on all of them; --check prints what each would train"
        )


def refuse_different_starts(starts: list[int], folder: Path) -> None:
    """Raises: UsageError where the workers do not see the same checkpoint."""
    if len(set(starts)) > 1:
        raise UsageError(
            f"the workers would start after different steps ({', '.join(map(str, starts))}): {folder} must be one "
            "folder that all of them see; give a shared --checkpoint_path"
        )


def evaluate(config: Config, strategy, folder: Path) -> int:
    """Scores the newest checkpoint of the run. Returns the exit code."""
    # DEVIATION: the authors' --mode=evaluation crashes for fsr; here it does the same for every method.
    owner = Owner.of("ieg", config.record(), config.flags.seed)  # it may be scored on other images
    saved = checkpoint.newest(folder, config.flags.restore_step, owner)
    if saved is None:
        raise UsageError(
            f"--mode=evaluation: no checkpoint in {folder}; train first with the same flags without --mode, "
            "or give the --checkpoint_path it was trained with"
        )
    run = build(config, strategy)
    with checkpoint.fitting(checkpoint.FILES.path(folder, saved.step)):
        run.step.state.restore(saved.arrays)
        kept = saved.meta["scores"]
    values = accuracies(run.evaluators, run.step.state, config.flags.use_ema)
    for name, evaluator in run.evaluators.items():
        images = f"{len(evaluator.test_set.labels)} test images of {name or run.inputs.dataset.name}"
        suffix = f"_{name}" if name else ""
        print(f"step {saved.step}: accuracy {values[f'acc/eval{suffix}']:.4f} on {images}")
        if config.flags.use_ema:
            print(f"step {saved.step}: EMA accuracy {values[f'acc/ema_eval{suffix}']:.4f} on {images}")
    scores = {"step": saved.step, "metrics": scores_of(values, run.evaluators), "dataset": run.inputs.described()}
    print(json.dumps(scores | {"kept": kept}), flush=True)
    return 0


def device_name() -> str:
    """The accelerator's name, else the processor's architecture and core count."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return cpu_name()
