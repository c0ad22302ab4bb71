"""The training loop behind every program: it schedules; the equations are in the files that they are named for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from common.pytorch.process_group import Group
from common.pytorch.torch_files import copy_into, whole_number
from common.pytorch.training_loop import AGREE_EVERY, AskedToStop, FiniteLoss, Plan, run_epochs
from common.random_streams import generator
from re_sln.datasets.training_set import Data
from re_sln.images.augmentation import Crops, draw_crops
from re_sln.settings.config import Config
from re_sln.training.captured_steps import CapturedSteps
from re_sln.training.evaluation import Images, accuracy_and_loss, all_logits
from re_sln.training.networks import Networks
from re_sln.training.replay import ReplayedForward
from re_sln.training.sln_step import correct_labels, sln_step
from re_sln.training.tally import Tally

CHECK_EVERY = 50  # steps between looks at the loss: each look makes a GPU wait


class Trainer:
    """One run, from its last state to its last epoch.

    train, tests: the images of `data`; tests has `test`, and `validation` where there is a clean one.
    """

    def __init__(
        self, config: Config, data: Data, networks: Networks, train: Images, tests: dict[str, Images], group: Group
    ) -> None:
        self.config, self.data, self.networks, self.group = config, data, networks, group
        self.train_images, self.test_images = train, tests
        self.in_bfloat16 = config.flags.amp == "bf16"
        self.targets = functional.one_hot(torch.from_numpy(data.given), data.num_classes).float().to(group.device)
        self.given = torch.from_numpy(data.given).to(group.device)  # [N]
        self.is_noisy = torch.from_numpy(data.is_noisy).to(group.device)  # [N]
        self.tally = Tally(group.device)
        self.finite = FiniteLoss(group, "a lower --lr or --sigma, or --amp=off")
        self.captured = CapturedSteps(self) if config.flags.capture_steps else None
        self.forward = ReplayedForward(networks.tested, self.in_bfloat16) if self.captured else networks.tested
        self.epoch, self.batch, self.step = 1, 0, 0  # the next batch to train on; steps done
        self.corrected = False
        self.scores: dict[str, dict[str, float]] = {}
        self.stopped: Sized = ()

    # ------------------------------------------------------------------ state to and from a checkpoint

    def content(self) -> dict[str, Any]:
        """Everything that the next step depends on. All processes must ask at once."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "scores": self.scores,
            "tally": self.group.add(self.tally.state.clone()),
            "targets": self.targets if self.corrected else None,
            **self.networks.state(),
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Puts everything back as it was. Raises: one of `torch_files.MISFITS` for what is not a state of this run."""
        epochs, per_epoch = self.config.flags.n_epochs, self.steps_per_epoch()
        epoch = whole_number(content["epoch"], 1, epochs + 1, "epoch")
        batch = whole_number(content["batch"], 0, per_epoch, "batch")
        done = (epoch - 1) * per_epoch + batch
        self.epoch, self.batch, self.step = epoch, batch, whole_number(content["step"], done, done, "step")
        due = {"best", "last"} if epoch > 1 else set()
        if due and "validation" in self.data.tests:
            due.add("selected")
        self.scores = {name: dict(score) for name, score in content["scores"].items()}
        if self.scores.keys() != due:
            raise ValueError(f"scores {sorted(self.scores)} instead of {sorted(due)}")
        for score in self.scores.values():
            float(score["accuracy"]), whole_number(score["step"], 1, done, "the step of a score")
        if self.group.leads:
            copy_into(self.tally.state, content["tally"], "tally")
        self.corrected = content["targets"] is not None
        if self.corrected:
            copy_into(self.targets, content["targets"], "targets")
        self.networks.restore(content)

    # ------------------------------------------------------------------ the loop

    def train(
        self,
        stopped: Sized,
        save: Callable[[Trainer], None],
        report: Callable[[Trainer, dict[str, float]], None],
        save_minutes: float = 10.0,
    ) -> None:
        """Trains to the last epoch; calls `save` now and then and `report` with the metrics of every epoch.

        stopped: true as soon as training is to save and stop. Raises: Interrupted, NonFiniteLoss.
        """
        flags, self.stopped = self.config.flags, stopped
        plan = Plan(
            name=f"{self.config.model} {flags.dataset_name}",
            last_epoch=flags.n_epochs,
            steps=self.steps_per_epoch() * flags.n_epochs,
            look_every=CHECK_EVERY,
            save_minutes=save_minutes,
        )
        run_epochs(self, plan, stopped, lambda: save(self), lambda values: report(self, values))

    def shown(self) -> dict[str, float]:
        """Means of the epoch so far, of this process."""
        means = Tally.means(self.tally.state, apart=False)
        return {"loss": means["loss/train_all"], "accuracy": means["accuracy/train"]}

    def epoch_steps(self):
        """Trains on what is left of the epoch, and yields after every step."""
        flags, epoch = self.config.flags, self.epoch
        order = self.order(epoch)
        if self.config.corrects(epoch) and self.batch == 0:
            self.correct_labels(order)
        first = self.batch * flags.batch_size  # an interrupted run resumes within the epoch
        self.networks.start_epoch(self.config.rate(epoch))
        self.finite.step.fill_(self.step)
        for _ in self.captured.epoch(order, first) if self.captured else self.steps(order, first):
            self.step += 1
            self.batch += 1
            yield

    def steps(self, order: np.ndarray, first: int) -> Iterator[None]:
        """Trains on the examples `order` from place `first` on, batch by batch, by way of Python each time."""
        noise, size = self.label_noise(self.epoch), self.config.flags.batch_size
        batches = [order[start : start + size] for start in range(first, len(order), size)]
        shares = [batch[self.group.share(len(batch))] for batch in batches]
        images = self.train_images.batches(shares, self.crops("crops", self.epoch))
        # Everything goes to the device once: between two steps it has nothing to wait for.
        examples = torch.from_numpy(np.concatenate([*shares, np.empty(0, np.int64)])).to(self.group.device)
        indices = examples.split([len(mine) for mine in shares])
        for batch, index, pictures in zip(batches, indices, images, strict=True):
            self.update(pictures, index, None if noise is None else noise[index], len(batch))
            yield

    def update(self, images: Tensor, index: Tensor, noise: Tensor | None, global_batch: int) -> None:
        """One step on images [b, 3, H, W], the examples `index` [b], of `global_batch` over all processes.

        noise: z, float [b, C], or None where σ is 0. It may be captured: what it leaves is written in place, and it
        neither waits for the device nor reads the host's memory.
        """
        flags, clean_targets = self.config.flags, self.targets[index]  # [b, C]
        # The processes' gradients are averaged, each over its own part: together the mean over the global batch.
        scale = self.group.world_size / global_batch
        sigma = self.config.sigma_of(self.epoch)
        logits, targets, losses = sln_step(self.networks, images, clean_targets, noise, sigma, scale, flags.ema_decay)
        aim = clean_targets if flags.train_accuracy == "rerun" else targets
        self.tally.add(losses, logits.argmax(dim=1) == aim.argmax(dim=1), self.is_noisy[index])
        self.finite.watch(losses)

    # ------------------------------------------------------------------ an epoch's draws

    def label_noise(self, epoch: int) -> Tensor | None:
        """The draws z ~ N(0, I) of an epoch, float32 [N, C]; None where σ is 0."""
        if self.config.sigma_of(epoch) == 0:
            return None
        # DEVIATION: authors and rerun draw batch by batch from the global generator, so that another process count
        # gives other numbers; here the draws depend on seed, epoch and example only.
        shape = (len(self.data.given), self.data.num_classes)
        draws = generator(self.config.flags.seed, "label noise", epoch).standard_normal(shape, np.float32)
        return torch.from_numpy(draws).to(self.group.device)

    def order(self, epoch: int) -> np.ndarray:
        """int64, the examples of an epoch in the order in which they are trained on."""
        return order_of(self.config, self.data, epoch)

    def epoch_size(self) -> int:
        """How many examples an epoch has."""
        return len(self.order(1))

    def steps_per_epoch(self) -> int:
        """The last batch, which may be smaller, included."""
        return -(-self.epoch_size() // self.config.flags.batch_size)

    def crops(self, purpose: str, epoch: int) -> Crops | None:
        """The crops and flips of an epoch; none without augmentation."""
        return (
            draw_crops(self.config.flags.seed, purpose, epoch, len(self.data.given)) if self.config.augments else None
        )

    # ------------------------------------------------------------------ between steps

    def correct_labels(self, order: np.ndarray) -> None:
        """Before an epoch: new targets from what the averaged model makes of the examples (LC)."""
        flags, task = self.config.flags, self.config.task
        chosen = np.sort(order)
        index = torch.from_numpy(chosen).to(self.group.device)
        crops = self.crops("score", self.epoch) if flags.lc_eval_transform == "train" else None
        logits = self.logits(self.train_images, chosen, crops, task.score_batch)  # [n, C]
        given = functional.one_hot(self.given[index], self.data.num_classes).float()  # [n, C]
        self.corrected = True
        self.targets[index] = correct_labels(logits, given, self.targets[index], task.soft_labels)

    def end_epoch(self) -> dict[str, float]:
        """Metrics of the epoch that is over: training tally and test; moves on to the next epoch."""
        values = Tally.means(self.group.add(self.tally.state.clone()), self.data.knows_noise)
        for name, labels in self.data.tests.items():
            chosen = np.arange(len(labels))
            logits = self.logits(self.test_images[name], chosen, self.test_crops(name), self.config.task.test_batch)
            accuracy, loss = accuracy_and_loss(logits, torch.from_numpy(labels).to(self.group.device))
            values |= {f"accuracy/{name}": accuracy, f"loss/{name}": loss}
        if not all(map(math.isfinite, values.values())):
            raise self.finite.error("the test's loss", self.step)
        self.tally.clear()  # not before: a test that is stopped is repeated
        self.keep_scores(values)
        self.epoch, self.batch = self.epoch + 1, 0
        return values

    def test_crops(self, name: str) -> Crops | None:
        """None, the middle of each image; a search on images as in training gives crops."""
        if name not in self.data.augmented_tests:
            return None
        return draw_crops(self.config.flags.seed, "test crops", self.epoch, len(self.data.tests[name]))

    def logits(self, images: Images, chosen: np.ndarray, crops: Crops | None, batch_size: int) -> Tensor:
        """Logits [n, C] of the model that is tested."""
        self.networks.agree(self.group)
        tested, classes = self.networks.tested, self.data.num_classes
        return all_logits(
            tested, images, chosen, batch_size, crops, self.group, classes, self.in_bfloat16, self.forward, self.look
        )

    def look(self, batch: int) -> None:
        """Before each batch of a test or of scoring, which may take minutes. Raises: AskedToStop."""
        asks = self.group.world_size == 1 or batch % AGREE_EVERY == 0
        if asks and self.group.any(bool(self.stopped)):
            raise AskedToStop

    def keep_scores(self, values: dict[str, float]) -> None:
        """Last epoch, best on test (never a result), best on the clean validation set."""
        score = {"accuracy": values["accuracy/test"], "step": self.step, "epoch": self.epoch}
        if score["accuracy"] > self.scores.get("best", {"accuracy": -1.0})["accuracy"]:
            self.scores["best"] = score
        self.scores["last"] = score
        if "accuracy/validation" in values:
            score = score | {"validation": values["accuracy/validation"]}
            if score["validation"] > self.scores.get("selected", {"validation": -1.0})["validation"]:
                self.scores["selected"] = score


def order_of(config: Config, data: Data, epoch: int) -> np.ndarray:
    """int64, the examples of an epoch in the order in which they are trained on."""
    flags, rng, given = config.flags, generator(config.flags.seed, "order", epoch), data.given
    if not config.task.select_on_validation or flags.images_per_class == -1:
        return rng.permutation(len(given))
    parts = [rng.permutation(np.flatnonzero(given == label)) for label in range(data.num_classes)]
    return rng.permutation(np.concatenate([part[: flags.images_per_class] for part in parts]))
