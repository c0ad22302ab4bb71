"""What a run trains on and is tested on, whether its images are in memory or in files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.paths import data_dir
from data.dataset import ImageDataset
from ieg.augmentation.transforms import CIFAR, LONG_TAIL
from ieg.datasets import load as datasets
from ieg.datasets import webvision
from ieg.datasets.batches import ArrayBatchSource, BatchSource
from ieg.datasets.file_batches import FileBatchSource
from ieg.datasets.split import make_split
from ieg.datasets.test_set import ImageArray, TestSet
from ieg.settings.config import USES_PROBES, Config


@dataclass(frozen=True)
class Inputs:
    """Training batches, and test sets by name: "" is the data set's own, "imagenet" the second one of WebVision."""

    dataset: ImageDataset | webvision.WebVision
    source: BatchSource
    test_sets: Mapping[str, TestSet]

    def described(self) -> dict[str, str]:
        """What a record says of the data set."""
        return {name: getattr(self.dataset, name) for name in ("name", "version", "fingerprint")}


def make_inputs(config: Config, rows: slice) -> Inputs:
    """Reads the data set; `rows` of a global batch are made here. Raises: UsageError or DataError."""
    return webvision_inputs(config, rows) if config.dataset.is_webvision else array_inputs(config, rows)


def array_inputs(config: Config, rows: slice) -> Inputs:
    """Images in memory: CIFAR, whole or long-tailed, and the digits."""
    flags, dataset = config.flags, datasets.load(config.flags)
    split = make_split(
        dataset.train_labels,
        len(dataset.test_labels),
        config.dataset.num_classes,
        config.probe_size,
        config.dataset.noise,
        config.dataset.ratio,
        flags.seed,
    )
    transform = CIFAR if config.dataset.imbalance is None else LONG_TAIL
    if flags.weak_aug == "none":
        transform = dataclasses.replace(transform, pad=0, flips=False)
    source = ArrayBatchSource(
        images=dataset.train_images, split=split, **common(config), transform=transform, rows=rows
    )
    images, labels = dataset.test_images[split.test_index], dataset.test_labels[split.test_index]
    return Inputs(dataset, source, {"": ImageArray(images, labels, transform.normalize)})


def webvision_inputs(config: Config, rows: slice) -> Inputs:
    """Images in files."""
    flags, uses_probes = config.flags, config.flags.method in USES_PROBES
    data = webvision.load(flags, uses_probes, config.dataset)
    encoded, labels = (
        webvision.probes(data_dir(flags.dataset_dir), config.dataset) if uses_probes else ((), np.zeros(0, np.int64))
    )
    source = FileBatchSource(
        files=np.array(data.train.files()),
        split=webvision.make_split(data, labels),
        **common(config),
        rows=rows,
        size=config.image_size,
        encoded_probes=encoded,
    )
    return Inputs(data, source, webvision.test_sets(flags, data, config.image_size))


def common(config: Config) -> dict:
    """Arguments of a batch source that do not depend on where the images are."""
    flags, is_ieg = config.flags, config.flags.method == "ieg"
    # DEVIATION: the authors' program has no flags for the paper's ablation; --no_mixup, --no_probe_mixing are ours.
    blocks = 0 if not is_ieg or flags.no_mixup else 2 if flags.no_probe_mixing else 3
    if flags.method == "fsr":
        blocks = int(flags.use_mixup)
    return {
        "batch_size": flags.batch_size,
        "seed": flags.seed,
        "replicas": config.replicas,
        "aug_type": flags.aug_type if is_ieg else None,
        "probes": flags.method in USES_PROBES,
        "mixup_blocks": blocks,
    }
