"""What a run logs of its steps, by hand. Of five examples numbers 1, 3 and 4 carry a wrong label."""

import numpy as np
import pytest

from ieg.training.tally import Tally, tally_classes, tally_step

TRUE, LABELS = np.array([0, 1, 2, 1, 0]), np.array([0, 2, 2, 0, 1])
LOGS = {
    "weights": np.array([0.5, 0.125, 0.25, 0.0, 0.125]),
    "predictions": np.array([0, 2, 1, 1, 0]),
    "loss/net": np.float32(3),
}


def means_of(more, true_labels=TRUE):
    tally = Tally()
    tally_step(tally, {**LOGS, **more}, LABELS, true_labels)
    return tally.means()


def test_weights_of_clean_and_noisy_examples_are_multiples_of_the_uniform_one():
    assert means_of({}) == pytest.approx(
        {
            "acc/train": 2 / 5,  # against the labels as given
            "loss/net": 3,
            "weights/clean": 5 * (0.5 + 0.25) / 2,
            "weights/noisy": 5 * (0.125 + 0 + 0.125) / 3,
            "weights/zeroratio": 1 / 5,
        }
    )


def test_recovered_labels_are_the_true_ones():
    means = means_of({"recovered": np.array([0, 1, 1, 0, 0])})
    assert (means["labels/recovered"], means["labels/recovered_noisy"]) == pytest.approx((3 / 5, 2 / 3))


def test_losses_and_margins_by_label_and_weight():
    means = means_of({"example/loss": 2.0 ** np.arange(5), "example/margin": np.array([5.0, 4, 3, 2, 1])})
    assert {name: value for name, value in means.items() if name.startswith(("loss/", "margin"))} == pytest.approx(
        {
            "loss/net": 3,
            "loss/clean": (1 + 4) / 2,
            "loss/noisy": (2 + 8 + 16) / 3,
            "loss/unmasked_noisy": (2 + 16) / 2,  # no clean example has a weight of 0
            "margin": 3,
            "margin/clean": (5 + 3) / 2,
            "margin/noisy": (4 + 2 + 1) / 3,
        }
    )
    masked = {"weights": np.array([0.0, 0, 1, 0, 0]), "example/loss": 2.0 ** np.arange(5), "example/margin": TRUE}
    assert means_of(masked)["loss/masked_clean"] == 1


def test_where_nobody_knows_nothing_is_told_of_clean_and_noisy():
    more = {"example/loss": np.ones(5), "example/margin": np.ones(5), "recovered": LABELS}
    assert means_of(more, None).keys() == {"acc/train", "loss/net", "margin", "weights/zeroratio"}


def test_means_are_over_the_examples_of_all_steps_and_go_on_from_a_state():
    tally = Tally()
    tally_classes(tally, LOGS["weights"], LABELS, 4)
    tally = Tally(tally.state)
    tally_classes(tally, np.array([1.0, 0]), np.array([1, 0]), 4)
    assert tally.means() == pytest.approx(  # of class 3 there is none
        {"weights/class_00": (2.5 + 0 + 0) / 3, "weights/class_01": (0.625 + 2) / 2, "weights/class_02": 1.875 / 2}
    )
