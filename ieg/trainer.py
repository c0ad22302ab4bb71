"""The training loop: schedules steps, evaluations, checkpoints and logs; the mathematics is in `ieg.methods`."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from ieg.batches import BatchSource, prefetch
from ieg.checkpoint import Checkpoint, save
from ieg.config import Config
from ieg.ema import ema_decay
from ieg.errors import NonFiniteLoss
from ieg.evaluation import Evaluator, distribute
from ieg.state import TrainState
from ieg.tally import Tally, tally_step
from ieg.train_step import TrainStep
from reproduce.record import RunRecord, atomic_path, stop_signals


class Interrupted(Exception):
    """The user stopped the run; what was done is saved."""


class Trainer:
    """One run, from its newest checkpoint to its last step."""

    def __init__(
        self,
        config: Config,
        strategy,
        state: TrainState,
        step: TrainStep,
        source: BatchSource,
        evaluator: Evaluator,
        record: RunRecord,
        folder: Path,
    ):
        self.config, self.strategy, self.state, self.step = config, strategy, state, step
        self.source, self.evaluator, self.record, self.folder = source, evaluator, record, folder
        self.tally = Tally()
        self.scores: dict[str, dict[str, float]] = {}  # 'best', 'end' (last cycle end) and 'last' evaluation
        self.example_weights = np.full(len(source.split.train_index), np.nan, np.float32)

    # ------------------------------------------------------------------ state to and from a checkpoint

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts everything back as it was after the step of `checkpoint`."""
        arrays = dict(checkpoint.arrays)
        self.example_weights = arrays.pop("example_weights")
        self.state.restore(arrays)
        self.tally = Tally(checkpoint.meta["tally"])
        self.scores = dict(checkpoint.meta["scores"])

    def save(self, step: int) -> None:
        """Writes everything that the next step depends on."""
        meta = {"tally": self.tally.state, "scores": self.scores}
        save(self.folder, Checkpoint(step, {**self.state.arrays(), "example_weights": self.example_weights}, meta))

    # ------------------------------------------------------------------ the loop

    def train(self, start: int) -> None:
        """Steps start+1 … last_step. Raises: Interrupted, NonFiniteLoss."""
        config, flags = self.config, self.config.flags
        saved = time.monotonic()
        batches = prefetch(self.source, start, config.last_step, flags.workers, depth=2 * flags.workers)
        writer = tf.summary.create_file_writer(str(self.folder / "tensorboard"))
        with (
            stop_signals() as stopped,
            writer.as_default(),
            contextlib.closing(batches),
            tqdm(
                total=config.last_step,
                initial=start,
                unit="step",
                desc=f"{flags.method} {flags.dataset}",
                mininterval=1,
                disable=None,
                dynamic_ncols=True,
            ) as bar,
        ):
            for step, batch in enumerate(batches, start=start + 1):
                self.update(step, batch)
                bar.update()
                if step % flags.log_freq == 0:
                    self.summarize(step, self.tally.means())
                    bar.set_postfix(
                        {
                            name: f"{value:.3g}"
                            for name, value in self.tally.means().items()
                            if name in ("loss/net", "acc/train")
                        }
                    )
                if config.evaluates(step):
                    self.evaluate(step)
                if config.evaluates(step) or stopped or time.monotonic() - saved > 60 * flags.save_minutes:
                    self.save(step)
                    saved = time.monotonic()
                if stopped and step < config.last_step:
                    raise Interrupted(
                        f"stopped after step {step} of {config.last_step}; the same command goes on from there"
                    )

    def update(self, step: int, batch: dict[str, np.ndarray]) -> None:
        """Step `step` (1, 2, …) on `batch`; checks that every loss is finite, and tallies."""
        positions = batch.pop("positions")
        counted = step - 1 if self.step.ema_first else step
        outputs = self.step(
            distribute(self.strategy, batch),
            tf.constant(self.config.rate(step - 1), tf.float32),
            tf.constant(ema_decay(counted), tf.float32),
        )
        logs = {name: gather(self.strategy, value) for name, value in outputs.items()}
        for name, value in logs.items():
            if not np.all(np.isfinite(value)):
                raise NonFiniteLoss(
                    f"{name} is {value} at step {step}: training stopped; the last checkpoint is from before. "
                    "Try a lower --learning_rate, or --precision=float32"
                )
        split = self.source.split
        self.example_weights[positions] = logs["weights"] * len(positions)
        tally_step(self.tally, logs, split.train_labels[positions], split.true_labels[positions])

    def evaluate(self, step: int) -> None:
        """Accuracy of raw and EMA weights; closes the tally and writes it all down."""
        values = self.tally.means() | {"learningrate": self.config.rate(step - 1)}
        values["acc/eval"] = self.evaluator.accuracy(self.state.parameters, self.state.moving)
        if self.config.flags.use_ema:
            values["acc/ema_eval"] = self.evaluator.accuracy(self.state.ema, self.state.moving)
        epoch = step / self.config.steps_per_epoch
        self.record.log(step, epoch, values)
        self.summarize(step, values | {"epoch": epoch})
        score = {
            "accuracy": values.get("acc/ema_eval", values["acc/eval"]),
            "accuracy_raw": values["acc/eval"],
            "step": step,
        }
        if score["accuracy"] > self.scores.get("best", {"accuracy": -1})["accuracy"]:
            self.scores["best"] = score
        if step in self.config.cycle_ends:
            self.scores["end"] = score
        self.scores["last"] = score
        self.tally = Tally()
        tqdm.write(f"step {step}: " + " ".join(f"{name} {value:.4g}" for name, value in values.items()))

    def summarize(self, step: int, values: dict[str, float]) -> None:
        """TensorBoard scalars of a step."""
        for name, value in values.items():
            tf.summary.scalar(name, value, step)

    def finish(self, notes: dict) -> None:
        """The result: accuracy at the last cycle end; the last step's and the best on test beside it."""
        with atomic_path(self.folder / "example_weights.npz") as path, open(path, "wb") as file:
            clean = self.source.split.train_labels == self.source.split.true_labels
            np.savez(file, weight=self.example_weights, is_clean=clean)
        end, last, best = self.scores["end"], self.scores["last"], self.scores["best"]
        metrics = {
            "accuracy": end["accuracy"],
            "accuracy_raw": end["accuracy_raw"],
            "accuracy_last_step": last["accuracy"],
        }
        self.record.finish(
            metrics, int(end["step"]), {"accuracy": {"value": best["accuracy"], "step": best["step"]}}, notes
        )
        logging.info("accuracy %.4f at step %d, the last cycle end", end["accuracy"], end["step"])


def gather(strategy, value) -> np.ndarray:
    """Per-replica outputs on the host: vectors joined in replica order, scalars averaged."""
    parts = [part.numpy() for part in strategy.experimental_local_results(value)]
    return np.concatenate(parts) if parts[0].ndim else np.mean(parts)
