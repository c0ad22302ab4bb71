"""Between two looks at the loss a GPU never waits for the host: all that a step needs is sent ahead."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from common.pytorch.process_group import Group
from common.pytorch.transfer import to_device
from moco_nonsem.images import labelled_images
from moco_nonsem.images.image_tree import read_tree
from moco_nonsem.images.workers import Reading
from moco_nonsem.linear_probe.network import LinearNetwork
from moco_nonsem.linear_probe.trainer import LinearTrainer
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.pretraining.trainer import Trainer
from moco_nonsem.running.flags import LinearFlags, PretrainFlags
from moco_nonsem.views.loader import DecodedBatches, ViewLoader
from moco_nonsem.views.make_views import make_views
from moco_nonsem.views.view_recipe import ViewRecipe
from tests.host_waits import GPU, as_if_on_a_gpu, host_waits
from tests.moco_nonsem.small_runs import make_tree

BATCH = 8
READING = Reading(batch_size=BATCH, workers=0, seed=3, group=Group(0, 1, GPU))
SMALL: dict[str, Any] = {"arch": "resnet10-small", "image_size": 16, "batch_size": BATCH, "lr": 0.05}


@pytest.fixture
def tree(tmp_path):
    return read_tree(make_tree(tmp_path) / "train")


@pytest.mark.parametrize("aug_plus", [True, False])
def test_a_step_of_pretraining_and_its_views(aug_plus, tree, monkeypatch):
    recipe = ViewRecipe(size=16, aug_plus=aug_plus, patch_ratio=(3, 7))
    flags = PretrainFlags(
        **SMALL, moco_k=16, moco_dim=8, mlp=True, bn_splits=2, aug_plus=aug_plus, robust="patch", patch_ratio=(3, 7)
    )
    source = DecodedBatches(tree, recipe, 3)
    batches = [source[0, np.arange(BATCH)], source[1, np.arange(BATCH)]]
    with as_if_on_a_gpu(monkeypatch) as pinned:
        trainer = Trainer(resolve(flags), ViewLoader(tree, recipe, READING), READING.group)
        trainer.update(make_views(pin_memory(batches[0]), recipe, GPU))  # the first one makes constants
        with host_waits(pinned) as found:
            views = make_views(pin_memory(batches[1]), recipe, GPU)
            trainer.update(views)
    assert views.query.device == GPU and len(views.nonsem) == 1
    assert found == []


def test_a_step_of_linear_evaluation_and_its_images(tree, monkeypatch):
    loaded = [torch.zeros(BATCH, 3, 16, 16, dtype=torch.uint8) for _ in range(2)]
    monkeypatch.setattr(labelled_images, "read", lambda *_: map(pin_memory, loaded))
    with as_if_on_a_gpu(monkeypatch) as pinned:
        network = LinearNetwork("resnet10-small", 0).to(GPU)
        trainer = LinearTrainer(LinearFlags(**SMALL), network, tree, tree, READING, READING.group)
        places = [np.arange(BATCH), np.arange(BATCH)]
        images = labelled_images.labelled_batches(tree, labelled_images.Look(16, random=True), places, READING)
        trainer.update(*next(images), BATCH)
        with host_waits(pinned) as found:
            trainer.update(*next(images), BATCH)
    assert found == []


def test_what_waits_is_found(monkeypatch):
    with as_if_on_a_gpu(monkeypatch) as pinned:
        values, sent, kept = torch.zeros(4, device=GPU), np.arange(4.0), torch.arange(4)
        with host_waits(pinned) as found:
            to_device(sent, GPU)
            assert found == []
            kept.to(GPU, non_blocking=True)
            torch.from_numpy(sent).to(GPU)
            values.copy_(kept)
            values.new_tensor([1.0, 2.0]), torch.tensor(1.0, device=GPU)
            values[kept]
            # The way back to the host is in no list: it ends a test by itself, for `meta` has no numbers.
            with pytest.raises(NotImplementedError, match="no data"):
                values.cpu()
    kinds = [name.partition(" ")[0] for name in found]
    copies = ["aten._to_copy.default", "aten._to_copy.default", "aten.copy_.default"]
    assert kinds == [*copies, "new_tensor", "tensor", "aten.index.Tensor"]
