import numpy as np
import torch

from re_sln.training.tally import Tally

LOSSES, RIGHT = [1.0, 2.0, 4.0, 8.0, 16.0], [True, False, True, True, False]
NOISY = [False, True, True, False, True]


def tally_of(*parts):
    tally = Tally(torch.device("cpu"))
    for part in parts:
        tally.add(torch.tensor(LOSSES[part]), torch.tensor(RIGHT[part]), torch.tensor(NOISY[part]))
    return tally


def test_all_clean_and_noisy_examples():
    values = Tally.means(tally_of(slice(0, 3), slice(3, 5)).state, True)
    assert values == {
        "accuracy/train": 3 / 5,
        "loss/train_all": 31 / 5,
        "loss/train_clean": 9 / 2,
        "loss/train_noisy": 22 / 3,
    }


def test_a_group_without_examples_has_no_value():
    assert Tally.means(tally_of(slice(0, 1)).state, True).keys() == {
        "accuracy/train", "loss/train_all", "loss/train_clean"
    }  # fmt: skip
    assert Tally.means(tally_of(slice(1, 3)).state, True).keys() == {
        "accuracy/train", "loss/train_all", "loss/train_noisy"
    }  # fmt: skip


def test_where_nobody_knows_there_is_only_the_loss_of_all():
    assert Tally.means(tally_of(slice(0, 5)).state, False).keys() == {"accuracy/train", "loss/train_all"}


def test_states_of_processes_add_up():
    whole, one, other = tally_of(slice(0, 5)), tally_of(slice(0, 2)), tally_of(slice(2, 5))
    assert Tally.means(one.state + other.state, True) == Tally.means(whole.state, True)


def test_sums_are_kept_in_double_precision():
    tally, small = Tally(torch.device("cpu")), torch.full((1,), 0.1)
    tally.state[0, 1] = 2.0**30
    tally.add(small, torch.ones(1, dtype=torch.bool), torch.zeros(1, dtype=torch.bool))
    np.testing.assert_allclose(tally.state[0, 1] - 2.0**30, 0.1, atol=1e-6)
