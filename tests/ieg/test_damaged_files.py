"""A slice of `make torture`: damaged files of every kind that needs TensorFlow or no framework."""

from tests.torture.damaged_files import campaign


def test_damaged_files_are_read_right_or_refused_in_one_sentence():
    found = campaign(seed=0, count=125, seconds=1000)
    assert found["failures"] == []
    assert found["counts"]["refused"] > 25 and found["counts"]["read"] > 10
