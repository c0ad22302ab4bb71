"""WebVision mini and what goes with it: checks the images, makes the ImageNet test set and the trusted images."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import DataError, Interrupted, UsageError, WorkFailed
from common.flags import flag
from common.paths import data_dir
from common.random_streams import generator
from common.stopping import stop_signals
from common.storage.files import atomic_path
from common.storage.image_files import open_rgb, why_unreadable
from data.webvision import (
    NUM_CLASSES,
    PREPARE,
    TEST_IMAGES,
    WNIDS,
    fingerprint_of,
    imagenet_records,
    list_webvision,
    probe_records,
)
from preprocess import program
from preprocess.imagenet_source import Source, open_source
from preprocess.progress import progress_bar
from preprocess.worker_pool import results

Picked = list[tuple[str, str, int]]  # class, name, label


@dataclass(frozen=True)
class Flags:
    """The command line."""

    dataset_dir: str = flag("", "folder of the data sets [$DATA_DIR, else data/cache]", group="trees")
    imagenet_path: str = flag(
        "",
        "ImageNet: train/ and val/ with one folder per class, or the archives; without it nothing is written",
        group="trees",
    )
    probes_per_class: int = flag(10, "trusted images per class, for l2r and ieg", group="work")
    seed: int = flag(12345, "random seed that selects the trusted images", group="work")
    decode: bool = flag(False, "decode every image of WebVision mini and list damaged ones", group="work")
    jobs: int = flag(0, "decoding processes; 0: one per core", group="work")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 all is there, 1 something is missing or damaged, 2 a mistake in flags or trees, 130 stopped."""
    flags = program.parse(Flags, argv, "webvision_mini", __doc__ or "")
    return program.guarded(lambda: prepare(flags), "--dataset_dir")


def prepare(flags: Flags) -> None:
    """Does and checks everything, part by part, then says what is missing. Raises: WorkFailed where something is."""
    if not 1 <= flags.probes_per_class <= 732:
        raise UsageError(f"--probes_per_class {flags.probes_per_class}: 1 to 732, as many as every class has")
    program.refuse_seed(flags.seed)
    if flags.seed != Flags.seed and not flags.imagenet_path:
        raise UsageError(f"--seed {flags.seed} selects images of ImageNet: give --imagenet_path too, or leave it out")
    jobs = program.jobs_of(flags.jobs)
    folder = data_dir(flags.dataset_dir)
    source = open_source(Path(flags.imagenet_path).absolute()) if flags.imagenet_path else None
    missing = []
    try:
        check_webvision(folder, flags.decode, jobs)
    except (DataError, WorkFailed) as error:
        missing.append(str(error))
    for part in record_parts(folder, flags):
        if problem := ensure_records(part, source):
            missing.append(problem)
    if missing:
        raise WorkFailed("not everything is there:\n  " + "\n  ".join(missing))
    print("everything is there")


def check_webvision(folder: Path, decode: bool, jobs: int) -> None:
    """Lists, counts and perhaps decodes the images. Raises: DataError, WorkFailed."""
    train, val = list_webvision(folder)
    for images in (train, val):
        low, high = min(map(images.labels.count, range(NUM_CLASSES))), max(map(images.labels.count, range(NUM_CLASSES)))
        print(f"{images.root}: {len(images.paths):,} images, {low:,} to {high:,} in each of {NUM_CLASSES} classes")
    names = [Path(path).parent.name for path in dict(zip(train.labels, train.paths, strict=True)).values()]
    if not all(name.isdigit() for name in names) and tuple(names) != WNIDS:
        print(
            f"warning: the class folders ({', '.join(names[:3])}, …) are neither WordNet ids nor numbers; their place "
            "in the alphabet is taken for ImageNet's label",
            file=sys.stderr,
        )
    print(f"fingerprint {fingerprint_of(train, val)}; no count or checksum of this set is published")
    if decode:
        decode_all([*train.files(), *val.files()], jobs)


def decode_all(files: list[str], jobs: int) -> None:
    """Raises: WorkFailed naming the files that cannot be decoded."""
    damaged = []
    with stop_signals() as stopped, progress_bar(len(files), "decoding") as bar:
        for name, problem in results(decode_one, files, jobs, stopped):
            bar.update()
            if problem:
                damaged.append(f"{name} ({problem})")
        if stopped:
            raise Interrupted("stopped; the same command begins to decode anew")
    if damaged:
        shown = ", ".join(sorted(damaged)[:10])
        raise WorkFailed(f"{len(damaged)} of {len(files):,} images cannot be decoded: {shown}: move them away")


def decode_one(file: str) -> tuple[str, str]:
    """The file and what is wrong with it, or ''."""
    return file, why_unreadable(file)


@dataclass(frozen=True)
class RecordPart:
    """A TFRecord file to be: from which split of ImageNet, how many images of the whole, which, and by which flags."""

    path: Path
    split: str
    usual: int
    pick: Callable[[Source], Picked]
    given: str


def record_parts(folder: Path, flags: Flags) -> list[RecordPart]:
    """The test set and the trusted images."""
    per_class, given = flags.probes_per_class, f"--imagenet_path {flags.imagenet_path}"
    return [
        RecordPart(imagenet_records(folder), "val", TEST_IMAGES, pick_tests, given),
        RecordPart(
            probe_records(folder, per_class),
            "train",
            per_class * NUM_CLASSES,
            lambda source: pick_probes(source, per_class, flags.seed),
            f"{given} --seed {flags.seed}",
        ),
    ]


def ensure_records(part: RecordPart, source: Source | None) -> str | None:
    """Leaves a file alone that is whole, and makes it otherwise. Returns: what is missing, or None.

    Raises: UsageError for a whole one of other images, which runs may have begun on.
    """
    path, there = part.path, part.path.is_file()
    found = label_counts(path) if there else None  # None for a damaged one too
    if source is None:
        if found and min(found) > 0:
            print(f"{path}: {sum(found):,} images, {min(found)} to {max(found)} in each of {NUM_CLASSES} classes")
            return None
        return (
            f"{path} ({part.usual:,} images of ImageNet's {part.split}/) is {'damaged' if there else 'not there'}; "
            f"`{PREPARE} --imagenet_path /data/imagenet` makes it, and `python -m data list imagenet` says how to get "
            "ImageNet"
        )
    picked = part.pick(source)
    if found == count_labels(picked):
        wanted = ((source.read(part.split, wnid, name), label) for wnid, name, label in picked)
        if any(example != image for example, image in zip(examples(path), wanted, strict=True)):
            raise UsageError(
                f"{path} holds other images than {part.given} selects: give the flags that it was made with, or move "
                "it away, and it is made anew"
            )
        print(f"{path}: {len(picked):,} images, those it should hold")
        return None
    write_records(path, part.split, picked, source)
    if label_counts(path) != count_labels(picked):
        raise WorkFailed(f"{path} does not hold what was written; is the disk full or failing? Start again")
    print(f"{path}: written, {len(picked):,} images of {NUM_CLASSES} classes")
    if len(picked) != part.usual:
        print(f"warning: from the whole of ImageNet it would be {part.usual:,} images", file=sys.stderr)
    return None


def pick_tests(source: Source) -> Picked:
    """Every validation image of the 50 classes."""
    names = source.names("val", WNIDS)
    return [(wnid, name, label) for label, wnid in enumerate(WNIDS) for name in names[wnid]]


def pick_probes(source: Source, per_class: int, seed: int) -> Picked:
    """Training images drawn for every class apart, so that one class's images do not depend on another's."""
    picked = []
    for label, (wnid, names) in enumerate(source.names("train", WNIDS).items()):
        if len(names) < per_class:
            raise UsageError(f"--probes_per_class {per_class}: {wnid} has {len(names)} training images; ask for fewer")
        chosen = generator(seed, "webvision probes", label).permutation(len(names))[:per_class]
        picked += [(wnid, names[place], label) for place in chosen]
    return picked


def count_labels(picked: Picked) -> list[int]:
    """Images of every label."""
    labels = [label for _, _, label in picked]
    return [labels.count(label) for label in range(NUM_CLASSES)]


def write_records(path: Path, split: str, picked: Picked, source: Source) -> None:
    """One file, whole or not at all. Raises: Interrupted; UnreadableImage for one that training could not read."""
    tf = tensorflow()
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        stop_signals() as stopped,
        progress_bar(len(picked), path.name) as bar,
        atomic_path(path) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for wnid, name, label in picked:
            image = source.read(split, wnid, name)
            open_rgb(image, f"{split}/{wnid}/{name} of ImageNet", draft=True)
            content = tf.train.BytesList(value=[image])
            features = {
                "image/encoded": tf.train.Feature(bytes_list=content),
                "image/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
            bar.update()
            if stopped:
                raise Interrupted(f"stopped while {path} was written; the same command writes it anew")


def label_counts(path: Path) -> list[int] | None:
    """Images of every label in a TFRecord file; None where it is damaged."""
    counts = [0] * NUM_CLASSES
    for example in examples(path):
        if example is None or not 0 <= example[1] < NUM_CLASSES:
            return None
        counts[example[1]] += 1
    return counts


def examples(path: Path) -> Iterator[tuple[bytes, int] | None]:
    """The images, encoded, and labels of a TFRecord file; None, and an end, where it is damaged."""
    tf = tensorflow()
    from google.protobuf.message import DecodeError  # a dependency of TensorFlow's

    try:
        for record in tf.data.TFRecordDataset(str(path)):
            example = tf.train.Example.FromString(record.numpy())
            images = example.features.feature["image/encoded"].bytes_list.value
            labels = example.features.feature["image/label"].int64_list.value
            yield (images[0], labels[0]) if labels and images else None
    except (tf.errors.OpError, DecodeError):
        yield None


def tensorflow():
    """TensorFlow, which writes and reads TFRecords. Raises: UsageError in an environment without it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise UsageError(
            "TFRecords need TensorFlow: start this program with .venv/tensorflow/bin/python (make env-tensorflow)"
        ) from error
    return tf


if __name__ == "__main__":
    sys.exit(main())
