import numpy as np
import pytest
import torch

from common.errors import UsageError
from common.random_streams import generator
from re_sln.noise.dependent_noise import flip_most_doubtful
from re_sln.noise.noise_rules import (
    asymmetric_rules,
    flip_as_the_rerun,
    flip_independently,
    observed_rules,
    symmetric_rules,
)
from re_sln.noise.openset_noise import choose_places, choose_places_as_the_rerun, replace_images

LABELS = np.random.default_rng(0).integers(0, 10, size=20000)


def test_the_rules_are_the_papers():
    assert [(rule.src, rule.dsts, rule.p) for rule in symmetric_rules(3, 0.4)] == [
        (0, (1, 2), 0.4), (1, (0, 2), 0.4), (2, (0, 1), 0.4)
    ]  # fmt: skip
    pairs = {
        kind: {rule.src: rule.dsts for rule in asymmetric_rules("cifar10", 0.4, kind)} for kind in ("authors", "rerun")
    }
    assert pairs["authors"] == {9: (1,), 2: (0,), 3: (5,), 5: (3,), 4: (7,)}
    assert pairs["rerun"] == {9: (1,), 2: (0,), 3: (5,), 5: (3,)}
    hundred = asymmetric_rules("cifar100", 0.4)
    assert {rule.src: rule.dsts for rule in hundred} == {k: ((k + 1) % 100,) for k in range(100)} and len(
        hundred
    ) == 100
    for rule in (*hundred, *asymmetric_rules("digits", 0.4)):
        assert rule.p == 0.4 and rule.src not in rule.dsts


@pytest.mark.parametrize("kind", ["sym", "asym"])
def test_independent_flips_are_those_of_a_loop(kind):
    rules = symmetric_rules(10, 0.3) if kind == "sym" else asymmetric_rules("cifar10", 0.3)
    noisy = flip_independently(LABELS[:500], rules, generator(5, "test"))
    draws = generator(5, "test").random((2, 500))
    for example, label in enumerate(LABELS[:500].tolist()):
        expected = label
        for rule in rules:
            if rule.src == label and draws[0, example] < 0.3:
                expected = rule.dsts[int(draws[1, example] * len(rule.dsts))]
        assert noisy[example] == expected
    assert noisy.dtype == np.int64
    assert np.array_equal(noisy, flip_independently(LABELS[:500], rules[::-1], generator(5, "test")))


def within(count, total, p):
    """Five standard deviations of the binomial distribution."""
    return abs(count - total * p) < 5 * (total * p * (1 - p)) ** 0.5


def test_rates_and_destinations_are_those_asked_for():
    noisy = flip_independently(LABELS, symmetric_rules(10, 0.4), generator(1, "test"))
    for label in range(10):
        given = noisy[label == LABELS]
        assert within((given != label).sum(), len(given), 0.4)
        for other in set(range(10)) - {label}:
            assert within((given == other).sum(), len(given), 0.4 / 9)
    asymmetric = flip_independently(LABELS, asymmetric_rules("cifar10", 0.4), generator(1, "test"))
    assert within((asymmetric != LABELS).sum(), np.isin(LABELS, [2, 3, 4, 5, 9]).sum(), 0.4)
    assert np.array_equal(
        flip_independently(LABELS, symmetric_rules(10, 1.0), generator(1, "test")) != LABELS, LABELS >= 0
    )


def first_of_each_class(mask):
    return np.stack([mask[label == LABELS][:1500] for label in range(10)])  # [10, 1500]


def test_classes_flip_independently_of_one_another_unlike_the_seeds():
    rules = symmetric_rules(10, 0.4)
    ours = first_of_each_class(flip_independently(LABELS, rules, generator(1, "test")) != LABELS)
    for label in range(1, 10):
        assert within((ours[0] == ours[label]).sum(), 1500, 0.4**2 + 0.6**2)
    theirs = first_of_each_class(flip_as_the_rerun(LABELS, rules, 10, 1) != LABELS)
    assert (theirs == theirs[0]).all() and within(theirs[0].sum(), 1500, 0.4)


def test_the_seeds_draws_leave_the_global_generator_alone_and_skip_empty_classes():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    noisy = flip_as_the_rerun(np.array([1, 1, 1, 5, 5]), symmetric_rules(10, 1.0), 10, 123)
    assert torch.equal(torch.get_rng_state(), before)
    assert noisy.dtype == np.int64 and (noisy != [1, 1, 1, 5, 5]).all()


def test_observed_rules_count_what_happened():
    assert observed_rules(np.array([0, 0, 0, 2, 2]), np.array([1, 0, 2, 2, 2])) == [
        {"src": 0, "dsts": [1, 2], "p": 0.6667}, {"src": 2, "dsts": [], "p": 0.0}
    ]  # fmt: skip


# Noise that depends on the image


def test_the_most_doubtful_labels_flip_to_the_most_likely_wrong_class():
    softmax = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.6, 0.2], [0.4, 0.4, 0.2], [0.0, 0.3, 0.7]])
    labels = np.array([0, 2, 0, 2, 2])  # largest wrong: .3 → 1, .1 → 0, .6 → 1, .4 → 0, .3 → 1
    for p, expected in [(0, [0, 2, 0, 2, 2]), (0.2, [0, 2, 1, 2, 2]), (0.4, [0, 2, 1, 0, 2]), (0.6, [1, 2, 1, 0, 2])]:
        assert flip_most_doubtful(labels, softmax, p).tolist() == expected
    assert flip_most_doubtful(labels, softmax, 1).tolist() == [1, 0, 1, 0, 1]


def test_the_number_of_flips_is_rounded_and_the_earlier_of_equals_flip():
    given = flip_most_doubtful(np.zeros(100, np.int64), np.full((100, 4), 0.25), 0.29)  # 0.29·100 = 28.999…
    assert given.tolist() == [1] * 29 + [0] * 71


@pytest.mark.parametrize("decimals", [1, 8])  # with one there are many equals
def test_the_most_doubtful_are_those_of_a_sorted_list(decimals):
    random = np.random.default_rng(2)
    softmax = random.dirichlet(np.ones(6), size=300).astype(np.float32).round(decimals)
    labels = random.integers(0, 6, size=300)
    before = softmax.copy()
    doubts = [max((row[c], -c) for c in range(6) if c != y) for row, y in zip(softmax.tolist(), labels, strict=True)]
    expected = labels.copy()
    for example in sorted(range(300), key=lambda i: (-doubts[i][0], i))[:87]:
        expected[example] = -doubts[example][1]
    assert np.array_equal(flip_most_doubtful(labels, softmax, 0.29), expected)
    assert np.array_equal(softmax, before)


@pytest.mark.parametrize("softmax", [np.ones((3, 2)), np.ones(4), np.full((4, 2), np.nan)])
def test_other_predictions_are_refused(softmax):
    with pytest.raises(UsageError, match="one row of finite numbers for each of the 4 examples"):
        flip_most_doubtful(np.zeros(4, np.int64), softmax, 0.5)


# Open-set noise


def test_the_seeds_places_are_the_published_ones():
    places, sources = choose_places_as_the_rerun(50000, 50000, 0.4, 123)
    assert places[:5].tolist() == [11872, 40828, 36400, 5166, 30273] and len(set(places)) == 20000
    assert sources[:5].tolist() == [20304, 22089, 1976, 22154, 31917] and len(set(sources)) == 20000


@pytest.mark.parametrize("choose", [choose_places, choose_places_as_the_rerun])
def test_places_and_sources_are_different_each(choose):
    places, sources = choose(1000, 400, 0.37, 7)
    assert len(places) == len(set(places)) == 370 and set(places) <= set(range(1000))
    assert len(sources) == len(set(sources)) == 370 and set(sources) <= set(range(400))
    assert [a.tolist() for a in choose(1000, 400, 0.37, 7)] == [places.tolist(), sources.tolist()]
    assert choose(1000, 400, 0.37, 8)[0].tolist() != places.tolist()
    with pytest.raises(UsageError, match="410 images are to be replaced, but there are 400 foreign ones"):
        choose(1000, 400, 0.41, 7)


def test_our_number_of_places_is_rounded_where_the_reruns_is_cut():
    assert (
        len(choose_places(100, 100, 0.29, 1)[0]) == 29 and len(choose_places_as_the_rerun(100, 100, 0.29, 1)[0]) == 28
    )


def test_images_are_replaced_in_a_copy():
    random = np.random.default_rng(3)
    images, foreign = (random.integers(0, 256, size=(n, 32, 32, 3), dtype=np.uint8) for n in (6, 4))
    before = images.copy()
    replaced, is_foreign = replace_images(images, foreign, np.array([4, 1]), np.array([3, 0]))
    assert is_foreign.tolist() == [False, True, False, False, True, False]
    for place, source in [(4, 3), (1, 0)]:
        assert np.array_equal(replaced[place], foreign[source])
    assert np.array_equal(replaced[[0, 2, 3, 5]], images[[0, 2, 3, 5]]) and np.array_equal(images, before)
