"""Linear evaluation: trains one linear layer on frozen features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from common.errors import UsageError
from common.pytorch.process_group import Group
from common.pytorch.torch_files import MISFITS, copy_into, load_optimiser, words_of
from common.pytorch.training_loop import FiniteLoss
from common.random_streams import generator
from moco_nonsem.images.image_tree import ImageTree
from moco_nonsem.images.labelled_images import Look, labelled_batches, shares_in_order
from moco_nonsem.images.workers import Reading
from moco_nonsem.linear_probe.config import encoder_number, rate
from moco_nonsem.linear_probe.network import LinearNetwork, moved_parts
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import LinearFlags


class LinearTrainer:
    """One run, from its last state to its last epoch. epoch, batch: of the next batch; step: how many are done."""

    checkpoint_names: tuple[str, ...] = ("checkpoint_robust_*.pth.tar", "model_best_*.pth.tar")

    def __init__(
        self,
        flags: LinearFlags,
        network: LinearNetwork,
        train: ImageTree,
        val: ImageTree,
        reading: Reading,
        group: Group,
    ) -> None:
        self.flags, self.network, self.group, self.reading = flags, network, group, reading
        self.train_images, self.val_images = train, val
        self.classifier: nn.Module = network.classifier
        if group.world_size > 1:
            self.classifier = DistributedDataParallel(network.classifier)
        self.channels_last = group.channels_last(flags.channels_last)
        if self.channels_last:
            network.backbone.to(memory_format=torch.channels_last)
        self.features = torch.compile(network.backbone, dynamic=False) if flags.compile else network.backbone
        self.optimiser = torch.optim.SGD(
            network.classifier.parameters(), flags.lr, flags.momentum, weight_decay=flags.weight_decay
        )
        self.finite = FiniteLoss(group, "a lower --lr, or --amp=off")
        self.tally = torch.zeros(3, dtype=torch.float64, device=group.device)  # examples, losses, right ones
        self.epoch, self.batch = flags.start_epoch, 0
        self.step = flags.start_epoch * self.batches_per_epoch
        self.logged, self.last_values = 0, {}  # type: int, dict[str, float]
        self.best = {"value": -1.0, "step": 0.0, "epoch": 0.0}
        self.is_best = False
        self.frozen: Mapping[str, Tensor] = {}  # the encoder that every state has to hold

    @property
    def batches_per_epoch(self) -> int:
        """The last batch, which may be smaller, included."""
        return -(-len(self.train_images) // self.flags.batch_size)

    def content(self) -> dict[str, Any]:
        """Everything that the next step depends on, in the authors' layout. All processes must ask at once."""
        return {
            "epoch": self.epoch,
            "arch": self.flags.arch,
            "state_dict": self.network.state(),
            "best_acc1": 100 * self.best["value"],
            "optimizer": self.optimiser.state_dict(),
            "classes": list(self.train_images.classes),
            "position": {"epoch": self.epoch, "batch": self.batch, "step": self.step, "logged": self.logged},
            "seed": self.flags.seed,
            "best": self.best,
            "tally": self.group.add(self.tally.clone()),
            "last_values": self.last_values,
        }

    def restore(self, content: Mapping[str, Any], name: str) -> None:
        """Puts everything back as it was; a file of the authors' starts its epoch anew.

        Raises: UsageError, naming `name`, where it does not fit.
        """
        try:
            self.network.restore(content["state_dict"], name)
            if moved_parts(self.network, self.frozen):
                raise UsageError(f"{name} holds another encoder than --pretrained: give the one it was trained on")
            position = checkpoint.position_in(content, name, self.flags.epochs, self.batches_per_epoch)
            moved = self.network.classifier.parameters() if position["step"] else ()
            load_optimiser(self.optimiser, content["optimizer"], moved)
            if "position" in content:
                self.best = {key: float(content["best"][key]) for key in self.best}
                self.last_values = dict(content["last_values"])
                if position["epoch"]:
                    float(self.last_values["accuracy/val"]), float(self.last_values["accuracy/val_top5"])
                if self.group.leads:
                    copy_into(self.tally, content["tally"], "tally")
        except MISFITS as error:
            raise UsageError(f"{name} does not fit this run: {words_of(error)}; give another checkpoint") from error
        self.epoch, self.batch, self.step, self.logged = (position[key] for key in checkpoint.POSITION)

    def epoch_steps(self) -> Iterator[None]:
        """Trains on what is left of the epoch, and yields after every step."""
        self.finite.step.fill_(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.flags, self.epoch)
        size = self.flags.batch_size
        order = generator(self.flags.seed, "linear order", self.epoch).permutation(len(self.train_images))
        batches = np.split(order, np.arange(size, len(order), size))[self.batch :]
        shares = [batch[self.reading.group.share(len(batch))] for batch in batches]
        look = Look(self.flags.image_size, random=True)
        if not shares:
            return
        views = labelled_batches(self.train_images, look, shares, self.reading, self.epoch)
        for batch, (images, labels) in zip(batches, views, strict=True):
            self.update(images, labels, len(batch))
            self.step += 1
            self.batch += 1
            yield

    def update(self, images: Tensor, labels: Tensor, whole_batch: int) -> None:
        """One step on images [b, 3, H, W] of `whole_batch` over all processes."""
        logits = self.classifier(self._embed(images))  # [b, 1000]
        losses = functional.cross_entropy(logits, labels, reduction="none")  # [b]
        self.optimiser.zero_grad(set_to_none=True)
        # The processes' gradients are averaged, each over its own part: together the mean over the whole batch.
        (losses.sum() * (self.group.world_size / whole_batch)).backward()
        self.optimiser.step()
        losses = losses.detach()
        right = logits.detach().argmax(dim=1) == labels
        self.tally += torch.stack([torch.ones_like(losses).sum(), losses.sum(), right.sum()]).double()
        self.finite.watch(losses)

    def _embed(self, images: Tensor) -> Tensor:
        """Frozen features [b, D]."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        amp = self.flags.amp == "bf16"
        with torch.no_grad(), torch.autocast(self.group.device.type, torch.bfloat16, enabled=amp):
            return self.features(images).float()

    def end_epoch(self) -> dict[str, float]:
        """Metrics of the epoch that is over, val/ included; moves on to the next."""
        count, losses, right = self.group.add(self.tally.clone()).tolist()
        self.tally.zero_()
        values = {"loss/train": losses / count, "accuracy/train": right / count, **self.score()}
        values["learning_rate"] = rate(self.flags, self.epoch)
        self.is_best = values["accuracy/val"] > self.best["value"]
        if self.is_best:
            self.best = {"value": values["accuracy/val"], "step": float(self.step), "epoch": float(self.epoch)}
        self.epoch, self.batch, self.last_values, self.logged = self.epoch + 1, 0, values, self.step
        return values

    def checkpoints(self) -> list[str]:
        """Names of the authors' checkpoints that are due after the epoch that is over."""
        number = encoder_number(self.flags.pretrained)
        return [f"{kind}_{number}.pth.tar" for kind in ("checkpoint_robust", "model_best")[: 1 + self.is_best]]

    def score(self) -> dict[str, float]:
        """Accuracy on val/ over all 1,000 logits: the first, and among the first five; loss."""
        sums = torch.zeros(3, dtype=torch.float64, device=self.group.device)
        shares = shares_in_order(len(self.val_images), self.reading)
        look = Look(self.flags.image_size)
        with torch.no_grad():
            for images, labels in labelled_batches(self.val_images, look, shares, self.reading):
                logits = self.network.classifier(self._embed(images))  # [b, 1000]
                five = logits.topk(5, dim=1).indices == labels[:, None]  # [b, 5]
                loss = functional.cross_entropy(logits, labels, reduction="sum")
                sums += torch.stack([five[:, 0].sum().double(), five.any(dim=1).sum().double(), loss.double()])
        top1, top5, loss = (self.group.add(sums) / len(self.val_images)).tolist()
        return {"accuracy/val": top1, "accuracy/val_top5": top5, "loss/val": loss}

    def shown(self) -> dict[str, float]:
        """Means of the epoch so far, of this process."""
        count, losses, right = self.tally.tolist()
        return {"loss": losses / count, "top1": right / count}


def load_for_scoring(network: LinearNetwork, content: Mapping[str, Any], name: str) -> None:
    """The weights of a checkpoint of linear evaluation, ours or the authors'. Raises: UsageError."""
    if not any(key.startswith("fc.") for key in checkpoint.unprefixed(content["state_dict"])):
        raise UsageError(f"{name} holds no trained classifier; give a checkpoint of main_lincls.py")
    network.restore(content["state_dict"], name)
