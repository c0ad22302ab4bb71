"""What the trainer hands to a step, and what it makes of it. Steps and views are stand-ins."""

import pytest
import torch

from common.pytorch.process_group import Group
from common.pytorch.training_loop import Plan, run_epochs
from moco_nonsem.model.moco import Contrast
from moco_nonsem.model.split_batch_norm import SplitBatchNorm2d
from moco_nonsem.pretraining import trainer as module
from moco_nonsem.pretraining.config import resolve
from moco_nonsem.pretraining.trainer import Trainer
from moco_nonsem.running.flags import PretrainFlags

EPOCHS = 5


class Views:
    batches_per_epoch = 2

    def batches(self, epoch, start_batch):
        return iter([(epoch, batch) for batch in range(start_batch, 2)])


@pytest.fixture
def done(monkeypatch):
    """A trainer after its last epoch; of each step its number, views and learning rate; of each epoch its metrics and
    the checkpoints that are due."""
    steps, epochs, scored = [], [], []

    def step(model, encoders, optimiser, views, contrast, number, group):
        (rate,) = {group["lr"] for group in optimiser.param_groups}
        steps.append((number, views, rate, contrast))
        return torch.full((4,), float(number)), torch.zeros(4, 1 + 8 + 1)

    monkeypatch.setattr(module, "moco_step", step)
    flags = PretrainFlags(
        arch="resnet10-small", image_size=16, batch_size=4, moco_k=8, moco_dim=4, lr=0.4, cos=True, epochs=EPOCHS,
        robust="patch", patch_ratio=(3, 7), alpha=3.0, moco_t=0.3, moco_m=0.7, seed=5, bn_splits=2, momentum=0.6,
        weight_decay=0.01, knn_every=2, save_freq=2,
    )  # fmt: skip

    def neighbours(encoder):
        scored.append(encoder)
        return 0.25

    trainer = Trainer(resolve(flags), Views(), Group(0, 1, torch.device("cpu")), neighbours)
    plan = Plan(name="", last_epoch=EPOCHS - 1, steps=2 * EPOCHS, look_every=100, save_minutes=100)
    run_epochs(trainer, plan, [], lambda: None, lambda values: epochs.append((values, trainer.checkpoints())))
    return trainer, steps, epochs, scored


def test_every_flag_reaches_the_step(done):
    trainer, steps, _, _ = done
    numbers, views, rates, contrasts = zip(*steps, strict=True)
    assert numbers == tuple(range(2 * EPOCHS))
    assert views == tuple((epoch, batch) for epoch in range(EPOCHS) for batch in range(2))
    assert rates == tuple(trainer.config.rate(epoch) for epoch in range(EPOCHS) for _ in range(2))
    assert rates[0] == 0.4 > rates[2]
    assert set(contrasts) == {Contrast(alpha=3.0, temperature=0.3, momentum=0.7, seed=5)}
    (group,) = trainer.optimiser.param_groups
    assert (group["momentum"], group["weight_decay"], group["nesterov"]) == (0.6, 0.01, False)
    parts = {norm.splits for norm in trainer.model.modules() if isinstance(norm, SplitBatchNorm2d)}
    assert parts == {2}


def test_metrics_are_of_their_own_epoch(done):
    trainer, steps, epochs, scored = done
    for epoch, (values, _) in enumerate(epochs):
        assert values["loss/train"] == 2 * epoch + 0.5
        assert values["learning_rate"] == steps[2 * epoch][2]
    # every second epoch, and the last; by the query encoder
    assert [values.get("accuracy/neighbours") for values, _ in epochs] == [None, 0.25, None, 0.25, 0.25]
    assert all(encoder is trainer.model.encoder_q for encoder in scored)


def test_checkpoints_are_called_by_their_epoch_counted_from_0(done):
    assert [names for _, names in done[2]] == [
        [], ["checkpoint_0001.pth.tar"], [], ["checkpoint_0003.pth.tar"], ["checkpoint_0004.pth.tar"]
    ]  # fmt: skip
