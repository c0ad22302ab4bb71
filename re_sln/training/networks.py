"""The model that is trained, its moving average, and the optimiser; on one device or several."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.errors import UsageError
from common.paths import user_path
from common.pytorch.process_group import Group
from common.pytorch.torch_files import load_optimiser, load_weights, not_finite, read_tensors
from re_sln.settings.config import Config
from re_sln.training.moving_average import start_moving_average
from re_sln.training.wide_resnet import build_network

RESNET50_ADDRESS = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
RESNET50_SHA256_PREFIX = "0676ba61"


class Networks:
    """`model` is trained through `trained`; `tested` is what accuracies are of: the average if there is one."""

    def __init__(self, config: Config, num_classes: int, group: Group) -> None:
        flags = config.flags
        memory = torch.channels_last if group.channels_last(flags.channels_last) else torch.contiguous_format
        made = make_networks(config, num_classes)
        self.model = made[0].to(group.device, memory_format=memory)
        self.average: nn.Module | None = None
        if config.mo:
            self.average = made[1].to(group.device, memory_format=memory).requires_grad_(False)
            start_moving_average(self.average, self.model)
        if flags.sync_bn and group.world_size > 1:
            if group.device.type == "cpu":
                raise UsageError("--sync_bn: torch has synchronised batch norm for GPUs only; leave it out on a CPU")
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), flags.lr, config.task.momentum, weight_decay=config.task.weight_decay, fused=True
        )
        self.trained: nn.Module = self.model
        self.autocast = flags.amp == "bf16"
        self.tested = self.model if self.average is None else self.average
        if group.world_size > 1:
            self.trained = DistributedDataParallel(self.model, gradient_as_bucket_view=True)
        if flags.compile:
            self.trained, self.tested = (compiled(part, flags.cuda_graphs) for part in (self.trained, self.tested))

    def start_epoch(self, rate: float) -> None:
        """Ready to train at this learning rate."""
        self.trained.train()
        if self.average is not None:
            self.average.eval()
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def logits(self, images: Tensor) -> Tensor:
        """f(x) of the model that is trained, float32 [b, C]; images: x [b, 3, H, W]."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast):
            return self.trained(images).float()

    def descend(self, loss: Tensor) -> None:
        """One step of the optimiser down the gradient of `loss`."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def agree(self, group: Group) -> None:
        """Before a test: every process copies the leader's averages of batch norm: its own are of its own images."""
        if group.world_size > 1:
            for value in (self.model if self.average is None else self.average).state_dict().values():
                torch.distributed.broadcast(value, src=0)

    def state(self) -> dict[str, Any]:
        """Weights and optimiser."""
        average = None if self.average is None else self.average.state_dict()
        return {"model": self.model.state_dict(), "average": average, "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave, as part of a checkpoint. Raises: one of `torch_files.MISFITS`."""
        load_weights(self.model, state["model"])
        if self.average is not None:
            load_weights(self.average, state["average"])
        load_optimiser(self.optimiser, state["optimiser"], self.model.parameters() if state["step"] else ())


def compiled(network: nn.Module, cuda_graphs: bool) -> nn.Module:
    """The network compiled at its first batch; a last batch of another size is compiled once more."""
    return torch.compile(network, mode="reduce-overhead" if cuda_graphs else None, dynamic=False)  # type: ignore[return-value]


def make_networks(config: Config, num_classes: int) -> list[nn.Module]:
    """The model, and the moving average where there is one, each with its own initial values."""
    flags = config.flags
    if flags.network == "resnet50":
        return [pretrained_resnet50(flags.weights, num_classes, flags.seed + number) for number in range(1 + config.mo)]
    return build_network(flags.network, num_classes, flags.seed, 1 + config.mo)


def pretrained_resnet50(weights: str, num_classes: int, seed: int) -> nn.Module:
    """Torchvision's ResNet-50 with a new last layer. Raises: UsageError for weights that are missing or do not fit."""
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = resnet50(weights=None)
        if weights != "none":
            _load(network, weights)
        network.fc = nn.Linear(network.fc.in_features, num_classes)
    return network


def weights_path(weights: str) -> Path:
    """Where the file of --weights lies."""
    if weights == "imagenet1k_v1":
        return Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(RESNET50_ADDRESS)
    return user_path(weights)


def check_weights(weights: str) -> None:
    """Raises: UsageError where the file of --weights is missing."""
    path = weights_path(weights)
    if weights != "none" and not path.is_file():
        raise UsageError(
            f"--weights={weights}: {path} is missing; download {RESNET50_ADDRESS} (its SHA-256 begins with "
            f"{RESNET50_SHA256_PREFIX}) to there, name another file, or start from --weights=none"
        )


def _load(network: nn.Module, weights: str) -> None:
    check_weights(weights)
    path = weights_path(weights)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = read_tensors(path)
    except ValueError as error:
        raise UsageError(f"--weights={weights}: {error}; download {RESNET50_ADDRESS} again") from error
    try:
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        lost = not_finite(state)
        missing, unexpected = network.load_state_dict(state, strict=False)
        fits = not unexpected and set(missing) == {"fc.weight", "fc.bias"}
    except (RuntimeError, AttributeError, TypeError):  # other shapes, or no mapping of names at all
        fits, lost = False, ""
    if lost:
        raise UsageError(f"--weights={weights}: {path}: {lost}; name another file, or download {RESNET50_ADDRESS}")
    if not fits:
        raise UsageError(
            f"--weights={weights}: {path} holds no ResNet-50 of torchvision; name another file, or download "
            f"{RESNET50_ADDRESS}"
        )
