"""The devices of a run: replicas on one machine, on several, on one device or on a TPU, and who of them writes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from common.errors import UsageError
from common.machine import check_port
from common.machine import gpus as visible_gpus
from ieg.devices.all_gather import all_gather
from ieg.settings.flags import Flags

EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


def make_strategy(flags: Flags):
    """The strategy of --distribution_strategy. Raises: UsageError for missing devices or settings."""
    if flags.deterministic:
        tf.keras.utils.set_random_seed(flags.seed)
        tf.config.experimental.enable_op_determinism()
    if flags.distribution_strategy == "tpu":
        return tpu(flags)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if said := start_on_gpus([tf.config.experimental.get_device_details(gpu) for gpu in gpus]):
        logging.warning(said)
    if flags.num_devices > len(gpus) > 0:
        raise UsageError(f"--num_devices={flags.num_devices}, but this machine has {len(gpus)} GPU(s)")
    if flags.distribution_strategy == "multi_worker":
        return multi_worker(flags, gpus)
    if flags.distribution_strategy == "one_device":
        return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")
    return mirrored(flags.num_devices or max(1, len(gpus)), gpus)


def start_on_gpus(details: Sequence[Mapping[str, Any]], built: Mapping[str, Any] | None = None) -> str:
    """What a user should know before the first step; mostly nothing.

    details: what TensorFlow knows of each GPU it finds; built: how TensorFlow was built, left out: as this one.
    """
    built = tf.sysconfig.get_build_info() if built is None else built
    if not details:
        there = "finds none" if built.get("is_cuda_build") else "was built without them"
        why = f"nvidia-smi shows a GPU, but TensorFlow {there}: computing on the CPU; `make check-gpu` says why"
        return why if visible_gpus() else ""
    # "sm_75", "compute_80": it has kernels for every GPU of these generations.
    known = max((int(name.rpartition("_")[2]) // 10 for name in built.get("cuda_compute_capabilities", ())), default=0)
    newest = max(detail.get("compute_capability", (0, 0))[0] for detail in details)
    if newest <= known:
        return ""
    return (
        "TensorFlow is older than this GPU and compiles its kernels for it when they are first used: the first steps "
        "take long, once; CUDA keeps them in ~/.nv/ComputeCache"
    )


def on_cpu(flags: Flags) -> bool:
    """Whether a run with these flags computes on a CPU."""
    return flags.distribution_strategy != "tpu" and not tf.config.list_physical_devices("GPU")


def mirrored(count: int, gpus: list):
    """MirroredStrategy over `count` devices; one device needs none and gets TensorFlow's default strategy."""
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return tf.distribute.MirroredStrategy([f"{'GPU' if gpus else 'CPU'}:{index}" for index in range(count)])


def multi_worker(flags: Flags, gpus: list):
    """MultiWorkerMirroredStrategy over the machines of TF_CONFIG, with every GPU of each, or one CPU of each."""
    check_tf_config(os.environ.get("TF_CONFIG", ""))
    if flags.num_devices:
        tf.config.set_visible_devices(gpus[: flags.num_devices], "GPU")
    logging.getLogger("tensorflow").setLevel(logging.WARNING)  # it would tell of every exchange between machines
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"--distribution_strategy=multi_worker: TF_CONFIG {os.environ['TF_CONFIG']} makes no cluster "
            f"({str(error).splitlines()[0]}); start one process for each worker in it, each with its own index"
        ) from error


def check_tf_config(text: str) -> None:
    """Raises: UsageError where TF_CONFIG does not say which workers there are and which of them this is.

    Also where the port of this one is taken.
    """
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        good = task["type"] == "worker" and 0 <= int(task["index"]) < len(workers) and len(config["cluster"]) == 1
        address = workers[int(task["index"])] if good else ""
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise UsageError(
            f"--distribution_strategy=multi_worker: TF_CONFIG is {text or 'not set'!r}; it must name the workers and "
            f"which of them this process is, such as {EXAMPLE}"
        )
    check_port(str(address).rpartition(":")[2], f"TF_CONFIG's own worker {address}")


def tpu(flags: Flags):
    """TPUStrategy. Untried: there was no TPU to try it on. Raises: UsageError where none answers."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=flags.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, OSError) as error:
        raise UsageError(
            f"--distribution_strategy=tpu --tpu={flags.tpu}: no TPU answers ({str(error).splitlines()[0]}); give its "
            "name or address, or use --distribution_strategy=mirrored"
        ) from error


@dataclass(frozen=True)
class Worker:
    """This process among those of a run: replicas `first` … `first + count − 1` of all are here."""

    chief: bool
    several: bool
    first: int
    count: int

    def rows(self, batch_size: int) -> slice:
        """Rows of a global batch that belong to the replicas here."""
        return slice(self.first * batch_size, (self.first + self.count) * batch_size)


def this_worker(strategy) -> Worker:
    """The first worker of several writes checkpoints and records; a run of one process is its own."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Worker(chief=True, several=False, first=0, count=strategy.num_replicas_in_sync)
    index, here = strategy.cluster_resolver.task_id, len(strategy.extended.worker_devices)
    return Worker(chief=index == 0, several=True, first=index * here, count=here)


def agree(strategy, value: int) -> list[int]:
    """`value` of every replica, in their order: workers compare before they start. Not for the middle of a step."""
    own = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([value], tf.int64))
    joined = tf.function(lambda: strategy.run(all_gather, (own,)), autograph=False)()
    return np.asarray(strategy.experimental_local_results(joined)[0]).tolist()


def distribute(strategy, batch: Mapping[str, np.ndarray]) -> dict:
    """Cuts every array [R·n,…] into the n rows of each of the R replicas."""
    count = strategy.num_replicas_in_sync

    def part(array):
        size = len(array) // count
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(array[context.replica_id_in_sync_group * size :][:size])
        )

    return {name: part(array) for name, array in batch.items()}
