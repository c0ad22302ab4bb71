"""Pre-training: it schedules; the equations are in the files that they are named for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.errors import UsageError
from common.pytorch.process_group import Group
from common.pytorch.torch_files import MISFITS, copy_into, load_optimiser, load_weights, words_of
from common.pytorch.training_loop import FiniteLoss
from moco_nonsem.model.moco import Contrast, Encoders, MoCo, ViewsOfImages, moco_step
from moco_nonsem.pretraining.config import PretrainConfig
from moco_nonsem.pretraining.tally import Tally
from moco_nonsem.running import checkpoint
from moco_nonsem.running.flags import PretrainFlags

T = TypeVar("T")


class ViewSource(Protocol):
    """Where views come from."""

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches of an epoch."""

    def batches(self, epoch: int, start_batch: int) -> Iterator[ViewsOfImages]:
        """This process's parts of the batches from `start_batch` on of `epoch` (0, 1, …)."""


class Trainer:
    """One run, from its last state to its last epoch. epoch, batch: of the next batch; step: how many are done."""

    checkpoint_names: tuple[str, ...] = ("checkpoint_*.pth.tar",)

    def __init__(
        self,
        config: PretrainConfig,
        views: ViewSource,
        group: Group,
        neighbour_accuracy: Callable[[nn.Module], float] | None = None,
    ) -> None:
        self.config, self.views, self.group, self.neighbour_accuracy = config, views, group, neighbour_accuracy
        self.flags = flags = config.flags
        memory = torch.channels_last if group.channels_last(flags.channels_last) else torch.contiguous_format
        self.model = MoCo(
            flags.arch, flags.moco_dim, flags.moco_k, flags.mlp, flags.seed, config.bn_parts // group.world_size
        ).to(group.device, memory_format=memory)
        self.model.train()
        self.encoders = make_encoders(self.model, flags, group)
        # Both encoders', as in the authors' files; those of the key encoder never have a gradient.
        self.optimiser = torch.optim.SGD(
            [*self.model.encoder_q.parameters(), *self.model.encoder_k.parameters()],
            flags.lr,
            flags.momentum,
            weight_decay=flags.weight_decay,
        )
        self.contrast = Contrast(config.alpha, flags.moco_t, flags.moco_m, flags.seed)
        self.tally, self.finite = Tally(group.device), FiniteLoss(group, "a lower --lr, or --amp=off")
        self.epoch, self.batch, self.step = flags.start_epoch, 0, flags.start_epoch * self.batches_per_epoch
        self.logged, self.last_values = 0, {}  # type: int, dict[str, float]
        self.waiting = Stopwatch()

    @property
    def batches_per_epoch(self) -> int:
        """Steps of an epoch."""
        return self.views.batches_per_epoch

    # ------------------------------------------------------------------ state to and from a checkpoint

    def content(self) -> dict[str, Any]:
        """Everything that the next step depends on, in the authors' layout. All processes must ask at once.

        Every draw is keyed by seed, epoch, step and example: the position is the state of all generators.
        """
        return {
            "epoch": self.epoch,
            "arch": self.config.flags.arch,
            "state_dict": checkpoint.prefixed(self.model.state_dict()),
            "optimizer": self.optimiser.state_dict(),
            "position": {"epoch": self.epoch, "batch": self.batch, "step": self.step, "logged": self.logged},
            "seed": self.config.flags.seed,
            "tally": self.group.add(self.tally.state.clone()),
            "last_values": self.last_values,
        }

    def restore(self, content: Mapping[str, Any], name: str) -> None:
        """Puts everything back as it was; a file of the authors' starts its epoch anew.

        Raises: UsageError, naming `name`, where it does not fit.
        """
        flags = self.config.flags
        if content.get("arch", flags.arch) != flags.arch:
            raise UsageError(
                f"{name} is of --arch={content['arch']}, not of {flags.arch}; give --arch={content['arch']}"
            )
        try:
            position = checkpoint.position_in(content, name, flags.epochs, self.batches_per_epoch)
            load_weights(self.model, checkpoint.unprefixed(content["state_dict"]))
            moved = self.model.encoder_q.parameters() if position["step"] else ()
            # DEVIATION: the authors take momentum and weight decay from the file, whatever the flags say; here they are
            # the flags', which config.yml holds.
            load_optimiser(self.optimiser, content["optimizer"], moved)
            self.last_values = dict(content.get("last_values", {}))
            if self.group.leads and "tally" in content:
                copy_into(self.tally.state, content["tally"], "tally")
        except MISFITS as error:
            raise UsageError(
                f"{name} does not fit this run: {words_of(error)}; give the --arch, --mlp, --moco-dim and --moco-k "
                "that it was trained with"
            ) from error
        self.epoch, self.batch, self.step, self.logged = (position[key] for key in checkpoint.POSITION)

    # ------------------------------------------------------------------ the loop

    def epoch_steps(self) -> Iterator[None]:
        """Trains on what is left of the epoch, and yields after every step."""
        self.finite.step.fill_(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate(self.epoch)
        self.model.train()
        if self.batch == self.batches_per_epoch:
            return
        for views in self.waiting.over(self.views.batches(self.epoch, self.batch)):
            self.update(views)
            self.step += 1
            self.batch += 1
            yield

    def update(self, views: ViewsOfImages) -> None:
        """One step."""
        losses, logits = moco_step(
            self.model, self.encoders, self.optimiser, views, self.contrast, self.step, self.group
        )
        self.tally.add(losses, logits, self.config.num_nonsem, self.contrast.alpha, self.contrast.temperature)
        self.finite.watch(losses)

    def end_epoch(self) -> dict[str, float]:
        """Metrics of the epoch that is over; moves on to the next."""
        values = Tally.means(self.group.add(self.tally.state), self.config.num_nonsem)
        values["learning_rate"] = self.config.rate(self.epoch)
        self.tally = Tally(self.group.device)
        self.epoch, self.batch = self.epoch + 1, 0
        every = self.config.flags.knn_every
        if self.neighbour_accuracy and (self.epoch % every == 0 or self.epoch == self.config.flags.epochs):
            values["accuracy/neighbours"] = self.neighbour_accuracy(self.model.encoder_q)
        self.last_values, self.logged = values, self.step
        return values

    def checkpoints(self) -> list[str]:
        """Names of the authors' checkpoints that are due after the epoch that is over."""
        # DEVIATION: the authors' program saves nothing of a run shorter than --save-freq; here the last epoch is saved
        # too.
        due = self.epoch % self.flags.save_freq == 0 or self.epoch == self.flags.epochs
        return [f"checkpoint_{self.epoch - 1:04d}.pth.tar"] if due else []

    def shown(self) -> dict[str, float]:
        """Means of the epoch so far, of this process."""
        means = Tally.means(self.tally.state, self.config.num_nonsem)
        return {"loss": means["loss/train"], "top1": means["accuracy/contrast_top1"]}


class Stopwatch:
    """Seconds that were waited for items."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, items: Iterator[T]) -> Iterator[T]:
        """The items."""
        while True:
            before = time.monotonic()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.seconds += time.monotonic() - before
            yield item


def make_encoders(model: MoCo, flags: PretrainFlags, group: Group) -> Encoders:
    """The encoders as they are called in training."""
    query: nn.Module = model.encoder_q
    if group.world_size > 1:
        # The running statistics of the first process are the run's, as in the authors' program; no other process reads
        # them, so they need not be sent around.
        query = DistributedDataParallel(query, broadcast_buffers=False, gradient_as_bucket_view=True)
    channels_last = group.channels_last(flags.channels_last)

    def called(network: nn.Module) -> Callable[[Tensor], Tensor]:
        compiled = torch.compile(network, dynamic=False) if flags.compile else network

        def embed(images: Tensor) -> Tensor:
            if channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(group.device.type, torch.bfloat16, enabled=flags.amp == "bf16"):
                return compiled(images)

        return embed

    return Encoders(called(query), called(model.encoder_k))
