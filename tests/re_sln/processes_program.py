"""Started by test_processes.py in two processes: a run whose network has no batch norm of its own batch, one step of
one that has, and what processes tell one another, in a .npz file of each process."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common.errors import UsageError
from common.pytorch.process_group import Group
from common.records.saved_state import Owner
from re_sln.datasets import load as datasets
from re_sln.training import checkpoint, experiment
from re_sln.training import networks as networks_module
from re_sln.training.distributed import in_group
from re_sln.training.experiment import build, go_on, load_data
from re_sln.training.networks import Networks
from re_sln.training.wide_resnet import build_network
from tests.re_sln.small_runs import config_of, small_data

FLAGS: dict[str, Any] = {
    "sigma": 0.5, "mo": True, "lc_n_epoch": 2, "n_epochs": 3, "lr": 0.05, "ema_decay": 0.6, "batch_size": 16,
    "augmentation": "crop_flip",
}  # fmt: skip


class Frozen(nn.BatchNorm2d):
    """Batch norm that stays in its test mode: it uses averages, which change no more."""

    def train(self, mode: bool = True):
        return super().train(False)


class Double(nn.Module):
    """A network in double precision for images of single precision."""

    def __init__(self, network):
        super().__init__()
        self.network = network.double()

    def forward(self, images):
        return self.network(images.double())


def frozen_networks(_config, num_classes):
    """The run's networks with every batch norm frozen at averages that are not 0 and 1."""
    made = build_network("wrn-10-1", num_classes, 7, 2)
    for network in made:
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.__class__ = Frozen
                part.running_mean += 0.1
                part.running_var *= 1.5
    return [Double(network) for network in made]


def state_of(prefix, network):
    return {f"{prefix}{name}": value.numpy().copy() for name, value in network.state_dict().items()}


def frozen_run(group: Group) -> dict[str, np.ndarray]:
    """Gradient of the first step, then targets, weights, average and metrics of three epochs; the second corrects."""
    original, networks_module.make_networks = networks_module.make_networks, frozen_networks
    trainer = build(config_of(**FLAGS, world_size=group.world_size), small_data(), group)
    networks_module.make_networks = original
    found = {}
    steps = trainer.epoch_steps()
    next(steps)
    for name, value in trainer.networks.model.named_parameters():
        found[f"gradient:{name}"] = value.grad.numpy().copy()
    assert sum(1 for _ in steps) == 4

    def note(done, values):
        epoch = done.epoch - 1
        found.update({f"{epoch}:{name}": np.array(value) for name, value in values.items()})
        found[f"{epoch}:targets"] = done.targets.numpy().copy()

    note(trainer, trainer.end_epoch())
    trainer.train([], lambda _: None, note)
    return found | state_of("model:", trainer.networks.model) | state_of("average:", trainer.networks.average)


def normalising_step(group: Group) -> dict[str, np.ndarray]:
    """Batch norm's averages after one step of a network that has it, in this process; and after they were agreed on."""
    config = config_of(sigma=0.5, batch_size=16, world_size=group.world_size)
    trainer = build(config, small_data(), group)
    next(trainer.epoch_steps())
    found = state_of("own:", trainer.networks.model) | {"batch": trainer.order(1)[:16]}
    trainer.networks.agree(group)
    return found | state_of("agreed:", trainer.networks.model)


def resumed(group: Group) -> dict[str, np.ndarray]:
    """The step that a run is resumed at whose checkpoint the leader alone sees."""
    config = config_of(sigma=0.0, batch_size=16, world_size=group.world_size)
    before = build(config, small_data(), group)
    steps = before.epoch_steps()
    next(steps), next(steps)
    content = before.content() | {"logged": 0}
    trainer = build(config, small_data(), group)
    newest, checkpoint.newest = checkpoint.newest, lambda *_: (Path("there"), content) if group.leads else None
    try:
        go_on(trainer, Path(), Owner("re_sln", "", ""))
    finally:
        checkpoint.newest = newest
    return {"step": np.array(trainer.step), **state_of("model:", trainer.networks.model)}


def other_labels(group: Group) -> str:
    """What a process says whose files differ from the leader's."""
    own = dataclasses.replace(small_data(), fingerprint="same" if group.leads else "other")
    load, datasets.load = datasets.load, lambda *_: own
    try:
        load_data(config_of(sigma=0.0, world_size=group.world_size), group, False)
    except UsageError as error:
        return str(error)
    finally:
        datasets.load = load
    return ""


def other_flags(group: Group) -> str:
    """What a process says that was started with another --lr than the leader."""
    try:
        experiment._run(config_of(sigma=0.0, lr=[0.5, 0.25][group.rank], world_size=group.world_size), group, [])
    except UsageError as error:
        return str(error)
    return ""


def everything(group: Group) -> dict[str, np.ndarray]:
    """All of the above."""
    found = frozen_run(group) | {f"step:{name}": value for name, value in normalising_step(group).items()}
    found["any"] = np.array([group.any(group.rank == 1), group.any(False)])
    found["shared"] = np.array(group.from_leader(f"rank {group.rank}"))
    found |= {f"resumed:{name}": value for name, value in resumed(group).items()}
    found["other labels"] = np.array(other_labels(group))
    found["other flags"] = np.array(other_flags(group))
    try:
        Networks(config_of(sync_bn=True, world_size=group.world_size), 3, group)
    except UsageError as error:
        found["sync_bn"] = np.array(str(error))
    return found


def main(path: str) -> int:
    """Writes `path`.<rank>.npz."""
    torch.set_num_threads(1)

    def work(group: Group) -> int:
        np.savez(f"{path}.{group.rank}.npz", **everything(group))
        return 0

    return in_group("cpu", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
