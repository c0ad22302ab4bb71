from common.random_streams import generator


def test_draws_are_those_of_the_runs_that_are_recorded():
    """Another number here is another run under the same seed."""
    assert generator(12345, "weak", 7).integers(2**31, size=3).tolist() == [1394192071, 2057593461, 9917526]
    assert generator(0, "order", 1, 2).permutation(6).tolist() == [4, 2, 1, 3, 0, 5]


def test_every_part_of_a_key_counts():
    keys = [(0, "a", 0, 1), (1, "a", 0, 1), (0, "b", 0, 1), (0, "a", 1, 1), (0, "a", 1, 0), (0, "a", 0, 2)]
    assert len({generator(*key).integers(2**63) for key in keys}) == len(keys)
    assert generator(*keys[-1]).integers(2**63) == generator(*keys[-1]).integers(2**63)
