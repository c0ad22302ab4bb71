"""The trainer against the same run done slowly and by the book, epoch by epoch."""

import dataclasses

import numpy as np
import pytest
import torch

from common.pytorch.process_group import Group
from common.random_streams import generator
from re_sln.settings.config import Config
from re_sln.training.experiment import build
from re_sln.training.trainer import Trainer
from tests.re_sln.slow_training import VARIANTS, SlowTraining
from tests.re_sln.small_runs import config_of, small_data

ALONE = Group(0, 1, torch.device("cpu"))
SIZES = {"lr": 0.05, "ema_decay": 0.6, "seed": 7, "batch_size": 16}
LC = {"sigma": 0.5, "mo": True, "lc_n_epoch": 3, "n_epochs": 5}


def trainer_of(config: Config, data) -> Trainer:
    """With 8×8 images whatever the data set, and networks in double precision."""
    trainer = build(dataclasses.replace(config, image_size=8), data, ALONE)
    for network in (trainer.networks.model, trainer.networks.average):
        if network is not None:
            network.double().register_forward_pre_hook(lambda _, images: (images[0].double(),))
    return trainer


def epochs_of(trainer):
    """Targets and metrics after every epoch."""
    found = []
    trainer.train([], lambda _: None, lambda done, values: found.append((done.targets.clone().numpy(), values)))
    return found


def slow_of(config: Config, data, order, **changes):
    flags = config.flags
    values = {
        "sigma": config.sigma, "mo": config.mo, "lc": flags.lc_n_epoch, "lr": flags.lr, "batch": flags.batch_size,
        "decay": flags.ema_decay, "seed": flags.seed,
    }  # fmt: skip
    return SlowTraining(data, order, **{**values, **changes})


def agree(trainer, slow, epochs):
    for number, (targets, values) in enumerate(epochs, 1):
        expected = slow.epoch()
        np.testing.assert_allclose(targets, slow.targets, atol=3e-4, err_msg=f"epoch {number}")
        assert values.keys() == expected.keys()
        for name, value in values.items():
            assert value == pytest.approx(expected[name], abs=3e-4), f"{name} of epoch {number}"
    pairs = [(trainer.networks.model, slow.model), (trainer.networks.average, slow.average)]
    for ours, theirs in pairs:
        assert (ours is None) == (theirs is None)
        for name, value in (ours.state_dict() if ours else {}).items():
            np.testing.assert_allclose(value, theirs.state_dict()[name], atol=3e-4, err_msg=name)


@pytest.mark.parametrize(
    "flags, slowly",
    [
        ({"sigma": 0.0, "n_epochs": 3}, {}),
        ({"sigma": 0.5, "n_epochs": 3, "train_accuracy": "authors"}, {"noisy_aim": True}),
        ({"sigma": 0.5, "mo": True, "n_epochs": 3}, {}),
        (LC, {}),
        (LC | {"lc_eval_transform": "test"}, {"score_as_test": True}),
    ],
    ids=["ce", "sln", "sln-mo", "sln-mo-lc", "sln-mo-lc-as-test"],
)
def test_every_model_does_what_the_slow_program_does(flags, slowly):
    config, data = config_of(**SIZES, **flags, augmentation="crop_flip"), small_data()
    trainer = trainer_of(config, data)
    epochs = epochs_of(trainer)
    assert len(epochs) == flags["n_epochs"]
    agree(trainer, slow_of(config, data, trainer.order, **slowly), epochs)


def test_label_correction_begins_in_its_epoch_with_the_given_labels_and_without_noise():
    """accuracy/train jumps in epoch lc_n_epoch itself, and the losses have no noise from there on."""
    config, data = config_of(**SIZES, **LC), small_data()
    onehot = np.eye(3)[data.given]
    epochs = epochs_of(trainer_of(config, data))
    for targets, _ in epochs[:2]:
        assert np.array_equal(targets, onehot)
    for targets, _ in epochs[2:]:
        assert not np.array_equal(targets, onehot)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        # mixed from the given label and one other class at most, in every round
        assert (np.count_nonzero(np.where(onehot == 1, 0, targets) > 1e-6, axis=1) <= 1).all()
        # the largest loss keeps its given label whole
        assert (targets[onehot == 1] > 1 - 1e-6).any()
    assert [config.sigma_of(epoch) for epoch in (1, 2, 3, 4, 5)] == [0.5, 0.5, 0, 0, 0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_comparison_sees_what_a_wrong_program_would_do(variant):
    config, data = config_of(**SIZES, **LC, augmentation="crop_flip"), small_data()
    trainer = trainer_of(config, data)
    epochs = epochs_of(trainer)
    with pytest.raises(AssertionError):
        agree(trainer, slow_of(config, data, trainer.order, variant=variant), epochs)


def clothing(**flags):
    return config_of("train_clothing1m", weights="none", image_size=32, **(SIZES | {"lr": 0.02}), **flags)


def test_clothing1m_mixes_in_the_softmax_scores_against_given_labels_and_drops_its_rate():
    config = clothing(sigma=0.2, mo=True, lc_n_epoch=2, n_epochs=7, images_per_class=15)
    data = small_data(tests=("test", "validation"))
    trainer = trainer_of(config, data)
    # Clothing1M's images have no border of their own
    assert trainer.train_images.look.padding == 0
    epochs = epochs_of(trainer)
    slow = slow_of(config, data, trainer.order, soft=True, weight_decay=1e-3, rates={6: 0.1, 7: 0.1}, border=0)
    agree(trainer, slow, epochs)


def test_clothing1m_draws_as_many_of_every_class_anew_each_epoch():
    config, data = clothing(n_epochs=3, images_per_class=15), small_data()
    trainer, counts = trainer_of(config, data), np.bincount(data.given)
    assert counts.min() >= 15
    first, second = trainer.order(1), trainer.order(2)
    for order in (first, second):
        assert len(set(order.tolist())) == len(order) == trainer.epoch_size() == 45
        assert np.bincount(data.given[order]).tolist() == [15, 15, 15]
    assert set(first.tolist()) != set(second.tolist())
    assert not (np.diff(data.given[first]) >= 0).all()  # classes are mixed
    few = trainer_of(clothing(n_epochs=3, images_per_class=int(counts.min()) + 1), data)
    assert sorted(np.bincount(data.given[few.order(1)])) == sorted(np.minimum(counts, counts.min() + 1))
    everything = trainer_of(clothing(n_epochs=3, images_per_class=-1), data)
    assert sorted(everything.order(1)) == list(range(71))


def test_an_epoch_goes_through_all_examples_once_in_an_order_of_its_own():
    trainer = trainer_of(config_of(**SIZES, n_epochs=3), small_data())
    orders = [trainer.order(epoch).tolist() for epoch in (1, 2, 1)]
    assert orders[0] == generator(7, "order", 1).permutation(71).tolist()  # as in the runs that are recorded
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(71))
    assert orders[0] == orders[2] != orders[1]
    assert orders[0] != trainer_of(config_of(**(SIZES | {"seed": 8}), n_epochs=3), small_data()).order(1).tolist()


@pytest.mark.parametrize("augmented", [True, False])
def test_a_test_set_seen_as_in_training_is_cropped_as_there(augmented):
    data = dataclasses.replace(small_data(), augmented_tests=frozenset({"test"} if augmented else ()))
    trainer = trainer_of(config_of(**SIZES, augmentation="crop_flip"), data)
    assert trainer.train_images.look.padding == 1  # an eighth of 8 pixels
    assert trainer.test_images["test"].look.padding == augmented
    assert (trainer.test_crops("test") is not None) == augmented


@pytest.mark.parametrize("flags", [{"sigma": 0.5}, LC])
def test_several_processes_agree_on_the_model_that_is_tested(flags, monkeypatch):
    trainer, sent = trainer_of(config_of(**SIZES, **({"n_epochs": 2} | flags)), small_data()), []
    monkeypatch.setattr(torch.distributed, "broadcast", lambda value, src: sent.append((value.data_ptr(), src)))
    trainer.networks.agree(Group(0, 2, torch.device("cpu")))
    assert sent == [(value.data_ptr(), 0) for value in trainer.networks.tested.state_dict().values()]


def test_the_last_batch_is_kept():
    trainer = trainer_of(config_of(**SIZES, n_epochs=2), small_data())
    epochs_of(trainer)
    assert trainer.step == 2 * 5  # 71 in batches of 16


def test_scores_last_best_and_selected_on_validation():
    config = clothing(n_epochs=5)
    trainer = trainer_of(config, small_data(tests=("test", "validation")))
    for step, (test, validation) in enumerate([(0.1, 0.5), (0.4, 0.7), (0.4, 0.7), (0.2, 0.6)], 1):
        trainer.step = trainer.epoch = step
        trainer.keep_scores({"accuracy/test": test, "accuracy/validation": validation})
    assert trainer.scores["last"] == {"accuracy": 0.2, "step": 4, "epoch": 4}
    # strictly greater: the third epoch, as good as the second, changes nothing
    assert trainer.scores["best"] | {"accuracy": 0.4, "epoch": 2} == trainer.scores["best"]
    assert trainer.scores["selected"] | {"accuracy": 0.4, "epoch": 2, "step": 2} == trainer.scores["selected"]


def test_the_published_settings():
    config = config_of(dataset_name="cifar10", image_size=32, network="wrn-28-2", p=0.0)
    assert (config.flags.lr, config.flags.batch_size, config.flags.n_epochs) == (0.001, 128, 300)
    assert (config.task.momentum, config.task.weight_decay, config.flags.seed) == (0.9, 5e-4, 123)
    assert {config.rate(epoch) for epoch in (1, 150, 300)} == {0.001}
    (group,) = trainer_of(config, small_data()).networks.optimiser.param_groups
    assert (group["momentum"], group["weight_decay"], group["nesterov"], group["dampening"]) == (0.9, 5e-4, False, 0)
    assert len(group["params"]) == 108
    flags = clothing(n_epochs=10).flags
    assert (flags.images_per_class, flags.ema_decay, config.flags.ema_decay) == (18976, 0.6, 0.999)
    sigmas = {
        ("cifar10", "sym"): 1.0, ("cifar10", "asym"): 0.5, ("cifar10", "dependent"): 0.5, ("cifar10", "openset"): 0.5,
        ("cifar100", "sym"): 0.2, ("cifar100", "asym"): 0.2, ("cifar100", "dependent"): 0.1,
    }  # fmt: skip
    for (name, mode), sigma in sigmas.items():
        assert config_of(dataset_name=name, image_size=32, noise_mode=mode, p=0.0).sigma == sigma
    assert config_of("train_real").sigma == 0.5
    assert config_of("train_clothing1m", weights="none", image_size=32).sigma == 0.2
