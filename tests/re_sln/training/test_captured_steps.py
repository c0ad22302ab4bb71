"""--capture_steps: steps that find their examples by themselves are the steps of the loop, and may be replayed."""

import dataclasses

import pytest
import torch

from common.errors import UsageError
from common.pytorch.process_group import Group
from re_sln.settings.config import Config
from re_sln.training import captured_steps, replay
from re_sln.training.experiment import build
from re_sln.training.replay import WARM_UP, Replay, ReplayedForward
from tests.re_sln.small_runs import config_of, small_data
from tests.re_sln.training.stand_in_recorder import StandInRecorder

ALONE = Group(0, 1, torch.device("cpu"))
LC = {"sigma": 0.5, "mo": True, "lc_n_epoch": 4, "n_epochs": 8, "ema_decay": 0.6}
SIZES = {"lr": 0.05, "seed": 7, "batch_size": 16, "augmentation": "crop_flip"}


def trainer_of(**flags):
    return build(dataclasses.replace(config_of(**SIZES, **flags), image_size=8), small_data(), ALONE)


@pytest.fixture
def recorders(monkeypatch):
    """Every recorder that is asked for."""
    made = []

    def recorder_of(_):
        made.append(StandInRecorder())
        return made[-1]

    monkeypatch.setattr(captured_steps.CapturedSteps.__init__, "__defaults__", (recorder_of,))
    monkeypatch.setattr(replay.ReplayedForward.__init__, "__defaults__", (recorder_of,))
    return made


def bits_after(trainer):
    """What training leaves: metrics of every epoch, and every tensor of the state."""
    metrics = []
    trainer.train([], lambda _: None, lambda _, values: metrics.append(values))
    state = trainer.networks.state()
    tensors = [*state["model"].values(), *(state["average"] or {}).values(), trainer.targets]
    momentum = [kept["momentum_buffer"] for kept in state["optimiser"]["state"].values()]
    return metrics, [value.numpy().tobytes() for value in tensors + momentum]


@pytest.mark.parametrize("flags", [{"sigma": 0.0, "n_epochs": 5}, LC], ids=["ce", "sln-mo-lc"])
def test_captured_steps_leave_the_bits_of_the_loop(flags, recorders):
    expected = bits_after(trainer_of(**flags))
    assert not recorders
    assert bits_after(trainer_of(**flags, capture_steps=True)) == expected
    assert any(recorder.replayed for recorder in recorders)


def test_on_a_cpu_nothing_is_captured_and_the_bits_are_the_same():
    flags = {"sigma": 0.5, "n_epochs": 2}
    assert bits_after(trainer_of(**flags, capture_steps=True)) == bits_after(trainer_of(**flags))


def test_each_size_of_batch_is_captured_after_its_warm_up_and_anew_when_its_numbers_change(recorders):
    trainer = trainer_of(**LC, capture_steps=True)
    trainer.train([], lambda _: None, lambda *_: None)
    steps = [recorder for recorder in recorders if recorder.trains]
    # Whole batches (4 an epoch) and the last one, with noise (epochs 1-3) and from epoch 4 on without.
    assert [(recorder.ran, recorder.captured, recorder.replayed) for recorder in steps] == [
        (WARM_UP, 1, 12 - WARM_UP),
        (WARM_UP, 0, 0),
        (WARM_UP, 1, 20 - WARM_UP),
        (WARM_UP, 1, 5 - WARM_UP),
    ]


def test_a_run_resumes_within_an_epoch(recorders):
    flags = {"sigma": 0.5, "n_epochs": 3, "capture_steps": True}
    expected = bits_after(trainer_of(**flags))
    first = trainer_of(**flags)
    for _ in first.epoch_steps():
        if first.batch == 2:
            break
    second = trainer_of(**flags)
    second.restore(first.content())
    assert second.batch == 2
    assert bits_after(second) == expected


def test_another_learning_rate_is_another_capture(recorders, monkeypatch):
    trainer = trainer_of(sigma=0.5, n_epochs=4, capture_steps=True)
    monkeypatch.setattr(Config, "rate", lambda _, epoch: 0.05 if epoch < 3 else 0.01)
    trainer.train([], lambda _: None, lambda *_: None)
    assert sum(recorder.captured for recorder in recorders if recorder.trains) == 2


def test_what_steps_leave_stays_where_it_is(recorders):
    """A captured step writes where it wrote before, whatever Python calls it by then."""
    trainer, seen = trainer_of(**LC, capture_steps=True), set()

    def places(*_):
        parts = [trainer.networks.model, trainer.networks.average]
        tensors = [value for part in parts for value in part.state_dict().values()]
        tensors += [kept["momentum_buffer"] for kept in trainer.networks.optimiser.state_dict()["state"].values()]
        tensors += [trainer.tally.state, trainer.finite.first, trainer.finite.step, trainer.targets]
        seen.add(tuple(value.data_ptr() for value in tensors))

    trainer.train([], lambda _: None, places)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"capture_steps": True, "compile": True, "cuda_graphs": True}, "--cuda_graphs"),
        ({"capture_steps": True, "world_size": 2}, "2 processes"),
    ],
)
def test_what_does_not_go_together(flags, words):
    with pytest.raises(UsageError, match=f"--capture_steps captures .* {words}"):
        config_of(sigma=0.0, **flags)


def test_images_of_worker_processes_are_refused():
    with pytest.raises(UsageError, match="--capture_steps: the images must lie on the device"):
        config_of(sigma=0.0, capture_steps=True, loader="dataloader")


def test_the_first_calls_do_the_work_and_the_later_ones_replay_it():
    done, recorder = [], StandInRecorder()
    work = Replay(lambda: done.append(1), recorder)
    for _ in range(WARM_UP):
        work()
    assert (recorder.ran, recorder.captured, recorder.replayed, len(done)) == (WARM_UP, 0, 0, WARM_UP)
    work(), work()
    assert (recorder.ran, recorder.captured, recorder.replayed, len(done)) == (WARM_UP, 1, 2, WARM_UP + 2)


def test_a_replayed_forward_follows_the_weights_and_keeps_its_memory():
    network = torch.nn.Linear(3, 2)
    recorder = StandInRecorder()
    forward = ReplayedForward(network, False, lambda _: recorder)
    places = set()
    for scale in range(WARM_UP + 3):
        images = torch.full((4, 3), float(scale))
        with torch.no_grad():
            network.weight.fill_(scale)
            found = forward(images)
            assert torch.equal(found, network(images))
        places.add(found.data_ptr())
    assert len(places) == 1
    assert recorder.replayed == 3
