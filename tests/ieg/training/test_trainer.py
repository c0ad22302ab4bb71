"""What the trainer hands to a step, and what it makes of evaluations. No network: steps and test sets are stand-ins."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from common.records.saved_state import Owner
from ieg.datasets.split import Split
from ieg.settings.config import resolve
from ieg.settings.flags import parse_flags
from ieg.training import trainer as module
from ieg.training.trainer import Experiment, Trainer, gather
from ieg.training.updates import ema_decay

# 1,437 images in batches of 400: three steps an epoch; cycles end after 3 and 9 steps.
WORDS = ["--dataset=digits_uniform_0.4", "--method=fsr", "--probe_dataset_hold_ratio=0", "--batch_size=400",
         "--max_iteration=10", "--cos_t_mul=2", "--eval_freq=4"]  # fmt: skip
EVALUATED = (3, 4, 8, 9, 10)
TRUE, LABELS = np.arange(8) % 4, np.array([0, 1, 2, 3, 1, 2, 3, 0])  # the second half is wrong
POSITIONS = np.array([5, 1, 4, 0])


class Steps:
    """Stands in for TrainStep: keeps what it is given, gives `logs`."""

    def __init__(self, ema_first, logs, memory):
        self.strategy, self.ema_first, self.logs, self.given = tf.distribute.get_strategy(), ema_first, logs, []
        self.state = SimpleNamespace(memory=memory)

    def __call__(self, batch, *numbers):
        self.given.append([float(number) for number in numbers])
        return {name: tf.constant(value) for name, value in self.logs.items()}


class Memory:
    """Stands in for what fsr remembers: three clean examples of four are in the queue."""

    def __init__(self):
        self.refills = []

    def refill(self, images_of):
        self.refills.append(images_of("chosen"))

    def held(self):
        return np.array([0, 1, 2, 7])


class TestSet:
    """Stands in for an Evaluator: right answers of each evaluation, in percent, of weights and average."""

    __test__ = False

    def __init__(self, *percents):
        self.percents = [list(reversed(both)) for both in zip(*percents, strict=True)]

    def accuracy(self, state, averaged=False):
        return self.percents[averaged].pop() / 100


def trainer_of(folder, *words, tests=None, ema_first=True, logs=None, memory=None, replicas=1):
    config = dataclasses.replace(resolve(parse_flags([*WORDS, *words]), 1), replicas=replicas)
    source = SimpleNamespace(
        split=Split(np.arange(8), LABELS, TRUE, np.zeros(0), np.zeros(0), np.arange(4)),
        queue_images=lambda chosen, refill: (chosen, refill),
    )
    lines, results = [], []
    record = SimpleNamespace(
        log=lambda *line: lines.append(line),
        finish=lambda *result: results.append(result),
        lines=lines,
        results=results,
    )
    weights = np.array([0.5, 0, 0.25, 0.25], np.float32)
    logs = {"weights": weights, "predictions": LABELS[POSITIONS], "loss/net": np.float32(2)} | (logs or {})
    parts = Experiment(SimpleNamespace(source=source), tests or {}, Steps(ema_first, logs, memory))
    return Trainer(config, parts, record, folder, Owner.of("ieg", {}, 0))


def train(trainer):
    """Every step and evaluation of the run."""
    for step in range(1, trainer.config.last_step + 1):
        trainer.update(step, {"positions": POSITIONS})
        if trainer.config.evaluates(step):
            trainer.account()
            trainer.evaluate(step)


@pytest.mark.parametrize("ema_first", [True, False])
def test_step_k_has_the_rate_and_the_memory_of_the_updates_before_it(ema_first, tmp_path):
    trainer = trainer_of(tmp_path, ema_first=ema_first, tests={"": TestSet(*[(50, 50)] * 5)})
    train(trainer)
    rates, decays = zip(*trainer.step.given, strict=True)
    assert rates == pytest.approx([trainer.config.rate(done) for done in range(10)])
    assert rates[0] == pytest.approx(trainer.config.flags.learning_rate)
    assert decays == pytest.approx([ema_decay(done if ema_first else done + 1) for done in range(10)])
    # what is logged after a step is the rate that it had
    logged = {step: values["learningrate"] for step, _, values in trainer.record.lines}
    assert logged == pytest.approx({step: rates[step - 1] for step in EVALUATED})


def test_the_result_is_that_of_the_last_cycle_end_and_the_best_on_test_stands_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda *_: None)
    averaged = (10, 60, 60, 40, 50)
    first = TestSet(*zip((9, 59, 61, 39, 49), averaged, strict=True))
    other = TestSet(*zip((8, 58, 57, 38, 48), (7, 56, 55, 37, 47), strict=True))
    trainer = trainer_of(tmp_path, tests={"": first, "imagenet": other})
    train(trainer)
    trainer.finish({})
    assert [step for step, *_ in trainer.record.lines] == list(EVALUATED)
    ((metrics, step, best, _),) = trainer.record.results
    assert step == 9
    assert metrics == {
        "accuracy": 0.4, "accuracy_raw": 0.39, "accuracy_imagenet": 0.37, "accuracy_imagenet_raw": 0.38,
        "accuracy_last_step": 0.5,
    }  # fmt: skip
    assert best == {"accuracy": {"value": 0.6, "step": 4}}  # the first of two that are equal
    json.dumps([metrics, best])


def test_without_an_average_the_weights_themselves_are_scored(tmp_path):
    trainer = trainer_of(tmp_path, "--nouse_ema", tests={"": TestSet(*[(50, 99)] * 5)})
    train(trainer)
    assert trainer.scores["end"] == {"step": 9, "accuracy": 0.5, "accuracy_raw": 0.5}
    assert "acc/ema_eval" not in trainer.record.lines[0][2]


def test_webvision_has_a_result_of_each_of_its_test_sets(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda *_: None)
    trainer = trainer_of(tmp_path, tests={"": TestSet(*[(20, 30)] * 5), "imagenet": TestSet(*[(40, 50)] * 5)})
    trainer.config = dataclasses.replace(
        trainer.config, dataset=dataclasses.replace(trainer.config.dataset, base="webvisionmini")
    )
    train(trainer)
    trainer.finish({})
    ((metrics, *_),) = trainer.record.results
    assert (metrics["webvision_top1"], metrics["imagenet_top1"]) == (0.3, 0.5)
    assert "weights/clean" not in trainer.record.lines[0][2]  # nobody knows
    with np.load(tmp_path / "example_weights.npz") as file:
        assert set(file.files) == {"weight", "label"}


def test_means_are_over_the_steps_since_the_last_evaluation(tmp_path):
    trainer = trainer_of(tmp_path, tests={"": TestSet(*[(50, 50)] * 5)})
    trainer.step.logs["loss/net"] = np.float32(8)
    trainer.update(1, {"positions": POSITIONS})
    trainer.account()
    trainer.evaluate(3)
    trainer.step.logs["loss/net"] = np.float32(2)
    trainer.update(4, {"positions": POSITIONS})
    trainer.account()
    trainer.evaluate(4)
    assert [values["loss/net"] for _, _, values in trainer.record.lines] == [8, 2]


def test_weights_are_multiples_of_the_uniform_one_on_any_number_of_replicas(tmp_path, monkeypatch):
    """Each of two replicas has weights that add up to 1."""
    monkeypatch.setattr(module, "draw_pictures", lambda *_: None)
    trainer = trainer_of(
        tmp_path, replicas=2, logs={"weights": np.array([1, 0, 0.25, 0.75])}, tests={"": TestSet(*[(50, 50)] * 5)}
    )
    train(trainer)
    trainer.finish({})
    values = trainer.record.lines[-1][2]
    # of positions 5, 1, 4 and 0 the labels of 1 and 0 are right
    assert (values["weights/clean"], values["weights/noisy"]) == pytest.approx((0.75, 1.25))
    assert values["acc/train"] == 1
    with np.load(tmp_path / "example_weights.npz") as file:
        assert file["weight"].tolist() == pytest.approx([1.5, 0, *[np.nan] * 2, 0.5, 2, *[np.nan] * 2], nan_ok=True)
        assert file["is_clean"].tolist() == [True] * 4 + [False] * 4
        assert file["label"].tolist() == LABELS.tolist()


def test_the_queue_is_filled_anew_after_every_epoch_and_its_purity_is_of_what_it_holds(tmp_path):
    memory = Memory()
    trainer = trainer_of(tmp_path, memory=memory, tests={"": TestSet(*[(50, 50)] * 5)})
    train(trainer)
    assert memory.refills == [("chosen", 1), ("chosen", 2), ("chosen", 3)]
    assert (trainer.record.lines[0][2]["queue/capacity"], trainer.record.lines[0][2]["queue/purity"]) == (4, 0.75)


def test_outputs_of_replicas_are_joined_and_their_scalars_averaged():
    strategy = SimpleNamespace(experimental_local_results=lambda parts: parts)
    assert gather(strategy, [tf.constant(1.0), tf.constant(3.0)], joined=False) == 2
    assert gather(strategy, [tf.constant([1, 2]), tf.constant([3, 4])], joined=False).tolist() == [1, 2, 3, 4]
