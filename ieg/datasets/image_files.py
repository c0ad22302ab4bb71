"""Images from files and TFRecords, decoded in parallel inside tf.data; every draw comes in from outside."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from common.errors import DataError, UnreadableImage
from common.foreign_text import one_line
from common.storage.image_files import open_rgb
from data.webvision import NUM_CLASSES, PREPARE
from ieg.augmentation import imagenet_policy, inception

ANEW = f"delete it and start `{PREPARE}` again"
# A message of TensorFlow's may quote bytes of the file, or its name, that are no text.
REFUSED = (tf.errors.OpError, UnicodeDecodeError)
PARALLEL = os.cpu_count() or 1
RECORD = {"image/encoded": tf.io.FixedLenFeature([], tf.string), "image/label": tf.io.FixedLenFeature([], tf.int64)}


def draw_weak(random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Draws of a random crop and flip for `count` images: seed int32 [n,2], flip bool [n]."""
    return {
        "seed": random.integers(2**31, size=(count, 2), dtype=np.int32),
        "flip": random.random(count) < 0.5,
    }


def draw_strong(random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Draws of a strong copy: its own crop and flip, policy int32 [n], uniform and centre [n,2], negate [n,2]."""
    policies = len(imagenet_policy.imagenet_policies()[0])
    return draw_weak(random, count) | {
        "policy": random.integers(policies, size=count, dtype=np.int32),
        "uniform": random.random((count, 2), dtype=np.float32),
        "negate": random.random((count, 2)) < 0.5,
        "centre": random.random((count, 2), dtype=np.float32),
    }


def weak_image(element: Mapping[str, tf.Tensor], size: int):
    """Random crop and flip: float32 [size,size,3] in [-1,1]."""
    image = inception.training_image(encoded(element), element["seed"], element["flip"], size)
    return inception.to_input(image)


def strong_image(element: Mapping[str, tf.Tensor], size: int):
    """Random crop and flip, AutoAugment, cutout: float32 [size,size,3] in [-1,1]."""
    image = inception.training_image(encoded(element), element["seed"], element["flip"], size)
    image = imagenet_policy.to_bytes(image)
    image = imagenet_policy.autoaugment(image, element["policy"], element["uniform"], element["negate"])
    return inception.to_input(imagenet_policy.cutout(image, element["centre"]))


def evaluation_image(element: Mapping[str, tf.Tensor], size: int):
    """Central crop: float32 [size,size,3] in [-1,1]."""
    return inception.to_input(inception.evaluation_image(encoded(element), size))


def encoded(element: Mapping[str, tf.Tensor]):
    """The bytes of an image: those in the element, or those of its file."""
    return element["encoded"] if "encoded" in element else tf.io.read_file(element["file"])


class Decoder:
    """Makes batches of one kind of image: `kind` is weak_image, strong_image or evaluation_image.

    Called with {"file" or "encoded": string [n], draws: [n,…]}; returns float32 [n,size,size,3]. What TensorFlow does
    not decode, `common.storage.image_files` does. Raises: UnreadableImage naming the image that neither can.
    """

    def __init__(self, kind: Callable, size: int):
        self.image = functools.partial(kind, size=size)
        self.graph = tf.function(self.decode, autograph=False, reduce_retracing=True)
        self.refused: set[str] = set()  # files known to be nothing for TensorFlow

    def __call__(self, elements: Mapping[str, np.ndarray]) -> np.ndarray:
        """A batch, in the order of `elements`."""
        with tf.device("CPU"):
            known = [k for k, file in enumerate(elements.get("file", ())) if file in self.refused]
            elements = rewritten(elements, known)
            try:
                return self.batch(elements)
            except REFUSED:
                bad = [k for k in range(len(next(iter(elements.values())))) if self.why_refused(elements, k)]
                if not bad:  # no image is to blame
                    raise
                self.refused |= {elements["file"][k] for k in bad if "file" in elements}
                elements = rewritten(elements, bad)
            try:
                return self.batch(elements)
            except REFUSED as error:
                whys = {name_of(elements, k): self.why_refused(elements, k) for k in bad}
                name, why = next(((name, why) for name, why in whys.items() if why), ("an image", one_line(error)))
                raise UnreadableImage(f"{name} cannot be used ({why}): move it away") from error

    def batch(self, elements: Mapping[str, np.ndarray]) -> np.ndarray:
        """A batch of what TensorFlow decodes. Raises: tf.errors.OpError."""
        return self.graph({name: tf.constant(values) for name, values in inputs(elements).items()}).numpy()

    def decode(self, elements):
        """All images of a batch, several at a time."""
        count = tf.cast(tf.shape(next(iter(elements.values())))[0], tf.int64)
        images = tf.data.Dataset.from_tensor_slices(elements).map(self.image, PARALLEL, deterministic=True)
        return images.batch(count).get_single_element()

    def why_refused(self, elements: Mapping[str, np.ndarray], k: int) -> str:
        """What TensorFlow says of image `k`; "" where it decodes it."""
        try:
            self.image({name: tf.constant(values) for name, values in inputs(elements, k).items()})
        except REFUSED as error:
            return one_line(error)
        return ""


def inputs(elements: Mapping[str, np.ndarray], index: int | slice = slice(None)) -> dict[str, Any]:
    """What TensorFlow is given of a batch; names of files as bytes, since they need not be UTF-8."""
    chosen: dict[str, Any] = {name: values[index] for name, values in elements.items() if name != "name"}
    if "file" in chosen:
        files = chosen["file"]
        chosen["file"] = os.fsencode(files) if isinstance(files, str) else [os.fsencode(file) for file in files]
    return chosen


def rewritten(elements: Mapping[str, np.ndarray], index: Sequence[int]) -> Mapping[str, np.ndarray]:
    """The batch with the images at these places as PNG, their names under "name". Raises: UnreadableImage."""
    if not index:
        return elements
    names = np.array([name_of(elements, k) for k in range(len(next(iter(elements.values()))))], object)
    contents = np.array(elements["encoded"] if "encoded" in elements else [None] * len(names), object)
    for k, name in enumerate(names):
        if k in index:
            # DEVIATION: the authors' pipelines silently skip such images; here one that Pillow cannot read
            # ends the run.
            contents[k] = as_png(elements["encoded"][k] if "encoded" in elements else name, name)
        elif contents[k] is None:
            contents[k] = Path(name).read_bytes()
    return {name: values for name, values in elements.items() if name != "file"} | {"encoded": contents, "name": names}


def name_of(elements: Mapping[str, np.ndarray], k: int) -> str:
    """What an error calls image `k` of a batch."""
    if "name" in elements or "file" in elements:
        return str(elements["name" if "name" in elements else "file"][k])
    return f"image {k} of a TFRecord"


def as_png(file: str | bytes, name: str) -> bytes:
    """An image file, or its content, as a PNG. Raises: UnreadableImage, saying how to find all such images."""
    content = io.BytesIO()
    try:
        open_rgb(file, name).save(content, "PNG", compress_level=1)
    except UnreadableImage as error:
        raise UnreadableImage(
            f"{error}; `python -m preprocess.webvision_mini --decode` finds all such images"
        ) from error
    return content.getvalue()


def read_records(path: Path) -> tuple[list[bytes], np.ndarray]:
    """Encoded images and labels int64 [n] of a TFRecord file. Raises: DataError for one that is damaged."""
    try:
        examples = [tf.io.parse_single_example(record, RECORD) for record in tf.data.TFRecordDataset(str(path))]
    except REFUSED as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}): {ANEW}") from error
    labels = np.array([int(example["image/label"]) for example in examples], np.int64)
    if odd := [label for label in labels.tolist() if not 0 <= label < NUM_CLASSES]:
        raise DataError(f"{path} holds the label {odd[0]}; labels are 0…{NUM_CLASSES - 1}: {ANEW}")
    return [example["image/encoded"].numpy() for example in examples], labels


class EncodedImages:
    """A test set of encoded images, in files or in memory, for `ieg.training.evaluation.Evaluator`.

    Args: elements: {"file" or "encoded": [T]}; labels: int [T]; size: side in pixels.
    """

    def __init__(self, elements: Mapping[str, np.ndarray], labels: np.ndarray, size: int):
        self.elements, self.labels, self.size = elements, labels, size
        self.decoder = Decoder(evaluation_image, size)

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images float32 [≤size,H,W,3] and labels [≤size], in order; the next ones are decoded meanwhile."""
        for start in range(0, len(self.labels), size):
            part = {name: values[start : start + size] for name, values in self.elements.items()}
            yield self.decoder(part), self.labels[start : start + size]
