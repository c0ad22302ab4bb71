"""The training loop: schedules steps, evaluations, checkpoints and logs; the mathematics is in `ieg.methods`."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from common.errors import Interrupted, NonFiniteLoss
from common.progress import Progress, tqdm
from common.records.record import AnyRecord
from common.records.saved_state import MARK, Owner
from common.stopping import stop_signals
from common.storage.files import atomic_write
from ieg.checkpoints.checkpoint import FILES, Checkpoint, fitting, save
from ieg.datasets.batches import prefetch
from ieg.datasets.inputs import Inputs
from ieg.devices.distribution import distribute, this_worker
from ieg.methods.fsr_memory import Memory
from ieg.settings.config import Config
from ieg.training.evaluation import Evaluator, accuracies, scores_of
from ieg.training.pictures import draw_pictures
from ieg.training.tally import Tally, tally_classes, tally_step
from ieg.training.train_step import TrainStep
from ieg.training.updates import ema_decay


@dataclass(frozen=True)
class Experiment:
    """What training and evaluation share: data, test sets by name, and the step with the network and its state."""

    inputs: Inputs
    evaluators: Mapping[str, Evaluator]
    step: TrainStep


class Trainer:
    """One run, from its newest checkpoint to its last step."""

    def __init__(self, config: Config, parts: Experiment, record: AnyRecord, folder: Path, owner: Owner):
        self.config, self.record, self.folder, self.owner = config, record, folder, owner
        self.step, self.state, self.strategy = parts.step, parts.step.state, parts.step.strategy
        self.source, self.evaluators, self.worker = parts.inputs.source, parts.evaluators, this_worker(self.strategy)
        self.moments: list[float] = []  # when each step of this process was under way, in seconds
        self.stops_after: int | None = None  # the step in which some worker of several was asked to stop
        self.tally = Tally()
        self.scores: dict[str, dict[str, float]] = {}  # 'best', 'end' (last cycle end) and 'last' evaluation
        self.pending: tuple | None = None  # the last step's number, positions and outputs, not yet tallied
        self.example_weights = np.full(len(self.source.split.train_index), np.nan, np.float32)

    # ------------------------------------------------------------------ state to and from a checkpoint

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts everything back as it was after the step of `checkpoint`. Raises: UsageError where it does not fit."""
        arrays = dict(checkpoint.arrays)
        with fitting(FILES.path(self.folder, checkpoint.step)):
            weights = arrays.pop("example_weights")
            if weights.shape != self.example_weights.shape:
                raise ValueError(f"example_weights {weights.shape} instead of {self.example_weights.shape}")
            self.example_weights = weights.astype(np.float32)
            self.state.restore(arrays)
            self.tally = Tally(checkpoint.meta["tally"])
            if not all(len(pair) == 2 and all(map(is_number, pair)) for pair in self.tally.state.values()):
                raise ValueError("a tally is a sum and a count")
            self.scores = self.scores_in(checkpoint)

    def scores_in(self, checkpoint: Checkpoint) -> dict[str, dict[str, float]]:
        """The scores of the evaluations until the step of `checkpoint`. Raises: ValueError or the like for others."""
        config, step = self.config, checkpoint.step
        due = {"best", "last"} if step >= min(config.eval_every, config.last_step, *config.cycle_ends) else set()
        due |= {"end"} if step >= min(config.cycle_ends) else set()
        scores = {name: dict(score) for name, score in checkpoint.meta["scores"].items()}
        whole = all(
            score.keys() >= {"step", "accuracy"} and all(map(is_number, score.values())) for score in scores.values()
        )
        if scores.keys() != due or not whole:
            raise ValueError(f"scores {sorted(scores)} instead of {sorted(due)}, each of them numbers")
        return scores

    def save(self, step: int) -> None:
        """Writes everything that the next step depends on."""
        if not self.worker.chief:
            return
        meta = {"tally": self.tally.state, "scores": self.scores, MARK: self.owner.mark(step)}
        save(self.folder, Checkpoint(step, {**self.state.arrays(), "example_weights": self.example_weights}, meta))

    # ------------------------------------------------------------------ the loop

    def train(self, start: int) -> None:
        """Steps start+1 … last_step. Raises: Interrupted, NonFiniteLoss."""
        config, flags = self.config, self.config.flags
        if self.state.memory is not None and start == 0:
            self.state.memory.start(lambda chosen: self.source.queue_images(chosen, 0))
        saved = time.monotonic()
        batches = prefetch(self.source, start, config.last_step, flags.workers, depth=2 * flags.workers)
        writer = (
            tf.summary.create_file_writer(str(self.folder / "tensorboard"))
            if self.worker.chief
            else tf.summary.create_noop_writer()
        )
        with (
            stop_signals() as stopped,
            writer.as_default(),
            contextlib.closing(batches),
            contextlib.closing(
                Progress(f"{flags.method} {flags.dataset}", config.last_step, start, self.worker.chief)
            ) as progress,
        ):
            for step, batch in enumerate(batches, start=start + 1):
                self.update(step, batch, bool(stopped))
                self.moments.append(time.perf_counter())
                progress.step()
                stops = self.stops(step, bool(stopped))
                saves = config.evaluates(step) or stops or time.monotonic() - saved > 60 * flags.save_minutes
                if saves or step % flags.log_freq == 0:
                    self.account()
                if step % flags.log_freq == 0:
                    means = self.tally.means()
                    self.summarize(step, means)
                    progress.look({name: means[name] for name in ("loss/net", "acc/train") if name in means})
                if config.evaluates(step):
                    self.evaluate(step)
                if saves:
                    self.save(step)
                    saved = time.monotonic()
                if stops and step < config.last_step:
                    raise Interrupted(
                        f"stopped after step {step} of {config.last_step}; the same command resumes from there"
                    )

    def stops(self, step: int, asked: bool) -> bool:
        """Whether the run ends after `step`; several workers end after the same one, whichever of them was asked."""
        if not self.worker.several:
            return asked
        return self.stops_after is not None and step > self.stops_after

    def update(self, step: int, batch: dict[str, np.ndarray], asked_to_stop: bool = False) -> None:
        """Step `step` (1, 2, …) on `batch`, and the queue's refill where an epoch ends."""
        memory, positions = self.state.memory, batch.pop("positions")
        if memory is not None:
            batch["ids"] = positions.astype(np.int32)
        if self.worker.several:
            batch["stop"] = np.full(len(positions), asked_to_stop, np.float32)
        counted = step - 1 if self.step.ema_first else step
        outputs = self.step(
            distribute(self.strategy, batch),
            tf.constant(self.config.rate(step - 1), tf.float32),
            tf.constant(ema_decay(counted), tf.float32),
        )
        self.account()
        self.pending = (step, positions, outputs)
        if memory is not None and step % self.config.steps_per_epoch == 0:
            self.account()
            refill = step // self.config.steps_per_epoch
            memory.refill(lambda chosen: self.source.queue_images(chosen, refill))

    def account(self) -> None:
        """Checks that the losses of the last step are finite, and tallies it.

        Called once the next step is under way: a GPU works on while Python reads what the last one gave.
        """
        if self.pending is None:
            return
        step, positions, outputs = self.pending
        self.pending = None
        logs = {name: gather(self.strategy, value, self.worker.several) for name, value in outputs.items()}
        if self.worker.several and logs.pop("stop").any() and self.stops_after is None:
            self.stops_after = step
        for name, value in logs.items():
            if not np.all(np.isfinite(value)):
                raise NonFiniteLoss(
                    f"{name} is {value} at step {step}: training stopped; the last checkpoint is from before. "
                    "Try a lower --learning_rate, or --precision=float32"
                )
        logs["weights"] = logs["weights"] / self.config.replicas  # they add up to 1 on every replica
        split, dataset = self.source.split, self.config.dataset
        self.example_weights[positions] = logs["weights"] * len(positions)
        labels, true_labels = split.train_labels[positions], split.true_labels[positions]
        tally_step(self.tally, logs, labels, None if dataset.is_webvision else true_labels)
        if dataset.imbalance is not None:
            tally_classes(self.tally, logs["weights"], labels, dataset.num_classes)

    def evaluate(self, step: int) -> None:
        """Accuracy of raw and EMA weights; closes the tally and writes it all down."""
        values = self.tally.means() | {"learningrate": self.config.rate(step - 1)}
        values |= accuracies(self.evaluators, self.state, self.config.flags.use_ema)
        if self.state.memory is not None:
            values |= self.queue_values(self.state.memory, step)
        epoch = step / self.config.steps_per_epoch
        self.record.log(step, epoch, values)
        self.summarize(step, values | {"epoch": epoch})
        score = {"step": step, **scores_of(values, self.evaluators)}
        if score["accuracy"] > self.scores.get("best", {"accuracy": -1})["accuracy"]:
            self.scores["best"] = score
        if step in self.config.cycle_ends:
            self.scores["end"] = score
        self.scores["last"] = score
        self.tally = Tally()
        shown = (f"{name} {value:.4g}" for name, value in values.items() if not name.startswith("weights/class_"))
        if self.worker.chief:
            tqdm.write(f"step {step}: " + " ".join(shown))

    def queue_values(self, memory: Memory, step: int) -> dict[str, float]:
        """How many examples the queue of fsr holds, and where noise was put in by us, the share whose label is true."""
        held, split = memory.held(), self.source.split
        tf.summary.histogram("queue/indices", held, step)
        values = {"queue/capacity": float(len(held))}
        # DEVIATION: the authors log it on long-tailed data and WebVision too, where nobody knows the true labels.
        if self.config.dataset.noise != "none":
            values["queue/purity"] = float(np.mean(split.train_labels[held] == split.true_labels[held]))
        return values

    def summarize(self, step: int, values: dict[str, float]) -> None:
        """TensorBoard scalars of a step."""
        for name, value in values.items():
            tf.summary.scalar(name, value, step)

    def finish(self, notes: dict) -> None:
        """The result: accuracy at the last cycle end; the last step's and the best on test beside it."""
        if not self.worker.chief:
            return
        clean = self.source.split.train_labels == self.source.split.true_labels
        known = {} if self.config.dataset.is_webvision else {"is_clean": clean}
        file = io.BytesIO()  # numpy leaves a file half closed where the disk is full
        np.savez(file, weight=self.example_weights, **known, label=self.source.split.train_labels)
        atomic_write(self.folder / "example_weights.npz", file.getvalue())
        end, last, best = self.scores["end"], self.scores["last"], self.scores["best"]
        metrics = {name: value for name, value in end.items() if name != "step"}
        metrics["accuracy_last_step"] = last["accuracy"]
        if self.config.dataset.is_webvision:  # the names its tables go by
            names = {"webvision_top1": "accuracy", "imagenet_top1": "accuracy_imagenet"}
            metrics |= {top1: metrics[name] for top1, name in names.items() if name in metrics}
        if len(self.moments) > 1:
            notes |= {"seconds_per_step": float(np.median(np.diff(self.moments)))}
        self.record.finish(
            metrics, int(end["step"]), {"accuracy": {"value": best["accuracy"], "step": best["step"]}}, notes
        )
        logging.info("accuracy %.4f at step %d, the last cycle end", end["accuracy"], end["step"])
        draw_pictures(self.folder, self.config.dataset, float(np.mean(clean)))


def gather(strategy, value, joined: bool) -> np.ndarray:
    """Per-replica outputs on the host: vectors joined in replica order, scalars averaged, unless they are already."""
    parts = [part.numpy() for part in strategy.experimental_local_results(value)]
    if joined:
        return parts[0]
    return np.concatenate(parts) if parts[0].ndim else np.mean(parts)


def is_number(value: object) -> bool:
    """Whether it is a number as JSON has them."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
