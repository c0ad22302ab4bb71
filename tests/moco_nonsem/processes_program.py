"""Started by test_processes.py in two processes: steps whose batch norm sees the same images in one process as in two,
and what processes tell one another, in a .npz file of each process; then the program itself."""

import dataclasses
import importlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from common.errors import UsageError
from common.pytorch.process_group import Group
from moco_nonsem.model.batch_shuffle import shuffle_order, shuffled_share, unshuffled
from moco_nonsem.model.moco import MoCo
from moco_nonsem.pretraining import trainer as training
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.running.distributed import in_group
from moco_nonsem.running.flags import LinearFlags, PretrainFlags
from moco_nonsem.running.launch import places

BATCH, SIZE, STEPS = 8, 16, 4
FLAGS = PretrainFlags(
    data="", arch="resnet10-small", image_size=SIZE, batch_size=BATCH, moco_k=24, moco_dim=6, lr=0.1, moco_m=0.7,
    moco_t=0.2, mlp=True, robust="patch", patch_ratio=(3, 7), alpha=2.0, num_nonsem=2, epochs=1, seed=3,
)  # fmt: skip


class MadeUpViews:
    """Random views, the same for each example wherever it is."""

    batches_per_epoch = STEPS

    def __init__(self, group: Group) -> None:
        self.group = group

    def batches(self, epoch: int, start_batch: int):
        for step in range(start_batch, STEPS):
            random = torch.Generator().manual_seed(step)
            images = torch.randn(4, BATCH, 3, SIZE, SIZE, generator=random, dtype=torch.float64)
            query, key, *nonsem = images[:, self.group.share(BATCH)]
            yield SimpleNamespace(query=query, key=key, nonsem=nonsem)


class Frozen(nn.BatchNorm2d):
    """Batch norm that stays in its test mode."""

    def train(self, mode: bool = True):
        return super().train(False)


def doubled(frozen: bool):
    """Makes the run's model in double precision, its batch norm frozen at averages that are not 0 and 1, or not."""

    def make(*arguments) -> MoCo:
        model = MoCo(*arguments)
        for part in model.modules():
            if frozen and isinstance(part, nn.BatchNorm2d):
                part.__class__ = Frozen
                part.running_mean += 0.02  # type: ignore[operator]
                part.running_var *= 0.3  # type: ignore[operator]
        return model.double()

    return make


def steps(group: Group, frozen: bool) -> dict[str, np.ndarray]:
    """Weights, queue, pointer and metrics after some steps; the first step's gradient. Frozen, or in --bn-splits 2."""
    flags = FLAGS if frozen else dataclasses.replace(FLAGS, bn_splits=2)
    original, training.MoCo = training.MoCo, doubled(frozen)  # type: ignore[misc, assignment]
    trainer = training.Trainer(resolve(flags, group.world_size), MadeUpViews(group), group)
    training.MoCo = original  # type: ignore[misc]
    name = "frozen" if frozen else "split"
    found = {}
    for _ in trainer.epoch_steps():
        if trainer.step == 1:
            for part, value in trainer.model.encoder_q.named_parameters():
                assert value.grad is not None
                found[f"{name}:gradient.{part}"] = value.grad.numpy().copy()
    for part, tensor in trainer.model.state_dict().items():
        found[f"{name}:{part}"] = tensor.numpy().copy()
    return found | {f"{name}:{part}": np.array(value) for part, value in trainer.end_epoch().items()}


def shuffles(group: Group) -> dict[str, np.ndarray]:
    """A batch on its way through the shuffle and back."""
    values = torch.arange(12.0)[group.share(12), None] * 10
    order = shuffle_order(1, 2, 0, 12)
    shuffled = shuffled_share(values, order, group.rank, group.world_size)
    back = unshuffled(shuffled, order, group.world_size)
    return {"shuffled": shuffled.numpy(), "unshuffled": back.numpy(), "order": order}


def telling(group: Group) -> dict[str, np.ndarray]:
    """What the leader finds and what it may not."""
    found = {"from_leader": np.array(group.leader_does(lambda: f"rank {group.rank}"))}

    def fails():
        raise UsageError("no good")

    try:
        group.leader_does(fails)
    except UsageError as error:
        found["error"] = np.array(str(error))
    found["any"] = np.array([group.any(group.rank == 1), group.any(False)])
    group.check_same({"lr": 0.1, "schedule": [1, 2]})
    for program, flags in {
        "pretraining": dataclasses.replace(FLAGS, seed=group.rank),
        "linear_probe": LinearFlags(data="", arch=FLAGS.arch, seed=group.rank, pretrained="none"),
    }.items():
        try:
            importlib.import_module(f"moco_nonsem.{program}.run").work(flags, group, [])
        except UsageError as error:
            found[program] = np.array(str(error))
    return found


def main(path: str) -> int:
    """Writes `path`.<rank>.npz."""
    torch.set_num_threads(1)
    (place,) = places(dataclasses.replace(FLAGS, dist_backend="gloo", device="cpu"), 0)

    def work(group: Group) -> int:
        found = {**shuffles(group), **telling(group), **steps(group, True), **steps(group, False)}
        np.savez(f"{path}.{group.rank}.npz", **found)
        return 0

    return in_group(place, work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
