"""The network of linear evaluation: a frozen backbone and a linear layer over 1,000 classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import UsageError, WorkFailed
from common.pytorch.torch_files import MISFITS, load_weights, words_of
from moco_nonsem.model.encoder import build_network
from moco_nonsem.running import checkpoint

CLASSES = 1000  # ImageNet-100 has 100 of them: 900 logits are never right, as in the authors' program


class FrozenWeightsMoved(WorkFailed):
    """Linear evaluation changed what it must not."""


class LinearNetwork:
    """backbone [N, 3, H, W] → [N, D], frozen, in eval mode; classifier [N, D] → [N, 1000], from N(0, 0.01), bias 0."""

    def __init__(self, arch: str, seed: int) -> None:
        self.backbone = build_network(arch, CLASSES, seed)
        self.classifier: nn.Linear = self.backbone.fc  # type: ignore[assignment]
        self.backbone.fc = nn.Identity()
        self.backbone.eval().requires_grad_(False)
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.classifier.weight.normal_(0.0, 0.01, generator=random)
            self.classifier.bias.zero_()

    def to(self, device: torch.device) -> LinearNetwork:
        """Moves both."""
        self.backbone.to(device)
        self.classifier.to(device)
        return self

    def logits(self, images: Tensor) -> Tensor:
        """[N, 1000], without a gradient."""
        with torch.no_grad():
            return self.classifier(self.backbone(images))

    def state(self) -> dict[str, Tensor]:
        """Weights under the names of the authors' files."""
        classifier = {f"fc.{name}": value for name, value in self.classifier.state_dict().items()}
        return checkpoint.prefixed({**self.backbone.state_dict(), **classifier})

    def restore(self, weights: Mapping[str, Tensor], name: str) -> None:
        """Puts back what `state` gave, ours or the authors'. Raises: UsageError, naming `name`."""
        try:
            plain = checkpoint.unprefixed(weights)
            head = {key.removeprefix("fc."): value for key, value in plain.items() if key.startswith("fc.")}
            load_weights(self.classifier, head)
            load_weights(self.backbone, {key: value for key, value in plain.items() if not key.startswith("fc.")})
        except MISFITS as error:
            raise UsageError(f"{name} holds no {CLASSES}-way network of this --arch: {words_of(error)}") from error


def load_backbone(network: LinearNetwork, content: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    """Takes over the query encoder of a pre-training checkpoint without its head, and returns its weights.

    Raises: UsageError, naming `name`.
    """
    weights = checkpoint.unprefixed(content["state_dict"], "encoder_q.")
    weights = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    if not weights:
        raise UsageError(f"--pretrained={name} holds no encoder_q; give a checkpoint of moco-non-sem-neg.py")
    try:
        load_weights(network.backbone, weights)
    except MISFITS as error:
        raise UsageError(
            f"--pretrained={name} does not fit --arch; give the one it was trained with: {words_of(error)}"
        ) from error
    return weights


def moved_parts(network: LinearNetwork, before: Mapping[str, Tensor]) -> list[str]:
    """The weights and statistics of batch norm that are not those that `load_backbone` returned."""
    after = network.backbone.state_dict()
    return [key for key, value in before.items() if not torch.equal(after[key].cpu(), value.to(after[key].dtype))]


def check_frozen(network: LinearNetwork, before: Mapping[str, Tensor]) -> None:
    """That nothing has moved since `load_backbone`. Raises: FrozenWeightsMoved."""
    moved = moved_parts(network, before)
    if moved:
        raise FrozenWeightsMoved(
            f"the backbone is not as it was: {len(moved)} parts have moved, {moved[0]} is the first"
        )
