"""What FSR remembers from step to step (arXiv 2109.03216): scores, the queue, running logits, weights of classes.

Everything lives in variables on every replica and changes inside the training step, the draw of the probe batch
included; Python acts once an epoch only, when the queue is refilled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ieg.devices.all_gather import all_gather
from ieg.losses.margin import score_update
from ieg.methods.fsr_queue import class_balanced_draw, first_of_each_class, lowest_scored
from ieg.settings.pseudo_loss_name import PseudoLoss

NOTHING = -1  # the id of a place of the queue that is not taken


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    """Hyper-parameters; names as the flags. `capacity` and `batch_size` of the queue count examples of one class."""

    capacity: int
    batch_size: int
    beta: float
    steps_per_epoch: int
    meta_start_epoch: int
    moving_weight_gamma: float
    meta_moving_end_epoch: int
    global_batch: int
    seed: int
    pseudo_loss: PseudoLoss | None


class Memory:
    """Scores [N] and what depends on them. Create it inside `strategy.scope()`.

    Place c·K + k of the queue is for an example of class c, K = capacity; the first counts[c] of them are taken.

    Args:
        labels: int [N], as training sees them.
        num_classes: C.
        image_shape: (H, W, 3).
        byte_values: float32 [256], the value of each byte of an image: evenly spaced.
        settings: the hyper-parameters.
    """

    def __init__(self, labels: np.ndarray, num_classes: int, image_shape, byte_values, settings: MemorySettings):
        self.labels, self.num_classes, self.settings = labels, num_classes, settings
        self.lowest, self.spacing = float(byte_values[0]), float(byte_values[-1] - byte_values[0]) / 255
        size, slots = len(labels), num_classes * settings.capacity

        def made(value, name: str) -> tf.Variable:
            return tf.Variable(value, trainable=False, name=f"memory_{name}")

        self.step = made(tf.constant(0, tf.int64), "step")
        self.scores = made(tf.zeros([size]), "scores")
        self.seen = made(tf.zeros([size]), "seen")  # 1 from the first step on that trained on the example
        # Between machines no collective operation takes bytes; half precision holds them exactly.
        several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
        dtype = tf.half if several else tf.uint8
        self.queue_images = made(tf.zeros([slots, *image_shape], dtype), "queue_images")
        self.queue_ids = made(tf.fill([slots], NOTHING), "queue_ids")
        self.queue_labels = made(tf.repeat(tf.range(num_classes), settings.capacity), "queue_labels")
        self.counts = made(tf.zeros([num_classes], tf.int32), "counts")
        rows = size if settings.pseudo_loss else 0
        self.running_logits = made(tf.zeros([rows, num_classes]), "running_logits")
        self.class_weights = made(tf.fill([num_classes], 1 / settings.global_batch), "class_weights")

    def variables(self) -> dict[str, tf.Variable]:
        """All of them under the names they have in a checkpoint."""
        return {f"memory:{name}": value for name, value in vars(self).items() if isinstance(value, tf.Variable)}

    # ------------------------------------------------------------------ inside the step

    def read(self, batch) -> dict[str, tf.Tensor]:
        """`batch` and what the step needs besides, on one replica: the same probe batch on all of them.

        probe_images [queue_bs,H,W,3], probe_labels [queue_bs], running_logits [B,C], class_weights [C], and
        whether examples are weighted (from meta_start_epoch on) and their classes' averages move.
        """
        settings, step = self.settings, self.step.read_value()
        epoch = step // settings.steps_per_epoch
        drawn = class_balanced_draw(
            self.counts.read_value(), settings.capacity, settings.batch_size, tf.stack([settings.seed, step])
        )  # [C,size]
        slots = tf.reshape(tf.range(self.num_classes)[:, None] * settings.capacity + drawn, [-1])
        weighted = epoch >= settings.meta_start_epoch
        # DEVIATION: the authors freeze the averages from this epoch on; the default of 0, read so, would never let them
        # move. Here 0 means never.
        end = settings.meta_moving_end_epoch
        pixels = tf.cast(tf.gather(self.queue_images, slots), tf.float32)  # [queue_bs,H,W,3] in 0…255
        added = {
            "probe_images": pixels * self.spacing + self.lowest,
            "probe_labels": tf.gather(self.queue_labels, slots),
            "class_weights": self.class_weights.read_value(),
            "weighted": weighted,
            "weights_move": weighted & (epoch < end) if end else weighted,
        }
        if settings.pseudo_loss:
            added["running_logits"] = tf.gather(self.running_logits, batch["ids"])
        return {**batch, **added}

    def gathered(self, ids, news) -> dict[str, tf.Tensor]:
        """What the replicas of a step have to write, joined. Called on every replica."""
        # DEVIATION: the authors' program keeps the scores of the last replica only; here those of all replicas count.
        context = tf.distribute.get_replica_context()
        joined = {"ids": all_gather(ids), "margins": all_gather(news["margins"])}
        if "running_logits" in news:
            joined["running_logits"] = all_gather(news["running_logits"])
        if self.settings.moving_weight_gamma:
            joined["class_weights"] = context.all_reduce(tf.distribute.ReduceOp.MEAN, news["class_weights"])
        return joined

    def write(self, strategy, joined) -> None:
        """Ends a step: scores, running logits and class weights of its examples. Called once for all replicas."""

        def update(variable, function, *names):
            strategy.extended.update(variable, function, args=[joined[name] for name in names], group=False)

        def move_scores(scores, ids, margins):
            moved = score_update(tf.gather(scores, ids), margins, self.settings.beta)
            scores.scatter_update(tf.IndexedSlices(moved, ids))

        update(self.scores, move_scores, "ids", "margins")
        update(self.seen, lambda seen, ids: seen.scatter_update(tf.IndexedSlices(tf.ones(ids.shape), ids)), "ids")
        update(self.step, lambda step: step.assign_add(1))
        if "running_logits" in joined:
            update(
                self.running_logits,
                lambda running, ids, rows: running.scatter_update(tf.IndexedSlices(rows, ids)),
                "ids",
                "running_logits",
            )
        if "class_weights" in joined:
            update(self.class_weights, lambda average, moved: average.assign(moved), "class_weights")

    # ------------------------------------------------------------------ between epochs

    def fill(self, chosen: list[np.ndarray], images_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Puts the examples `chosen` [C arrays of positions] into the queue, `images_of` them uint8 [n,H,W,3].

        A class of which none is chosen keeps what it has. Nothing else of the old queue stays.
        """
        # DEVIATION: in the authors' program a refill of fewer examples leaves old ones at the head; here none is left.
        capacity = self.settings.capacity
        ids, counts, images = self.queue_ids.numpy(), self.counts.numpy(), self.queue_images.numpy()
        fresh = np.concatenate(chosen)
        slots = [c * capacity + np.arange(len(members)) for c, members in enumerate(chosen)]
        for c, members in enumerate(chosen):
            if len(members):
                ids[c * capacity : (c + 1) * capacity] = NOTHING
                counts[c] = len(members)
        if len(fresh):
            ids[np.concatenate(slots)] = fresh
            images[np.concatenate(slots)] = images_of(fresh)
        self.queue_ids.assign(ids)
        self.counts.assign(counts)
        self.queue_images.assign(images)

    def start(self, images_of: Callable) -> None:
        """The first queue: the first examples of each class in the order of the training set."""
        # DEVIATION: the authors' first probe batch is all zeros with label 0; here it is drawn from this queue.
        self.fill(first_of_each_class(self.labels, self.num_classes, self.settings.capacity), images_of)

    def refill(self, images_of: Callable) -> None:
        """The lowest-scored examples of each class, of those seen at least once."""
        scores, seen = self.scores.numpy(), self.seen.numpy() > 0
        self.fill(lowest_scored(scores, seen, self.labels, self.num_classes, self.settings.capacity), images_of)

    def held(self) -> np.ndarray:
        """Positions of the examples in the queue, int [≤ C·K]."""
        ids = self.queue_ids.numpy()
        return ids[ids != NOTHING]
