import numpy as np
import pytest

from preprocess.quilting import BLOCK, Candidates, choose, far_from, overlap_mask, quilt, softened
from preprocess.texture_patches import enlarged, two_patches
from tests.preprocess.small_trees import photographs, pixels

KINDS = [(True, False), (False, True), (True, True)]


@pytest.mark.parametrize("left, top", KINDS)
def test_overlap_errors_are_sums_of_squared_differences(left, top):
    random = np.random.default_rng(0)
    sources = random.integers(0, 256, (2, 17, 17, 3)).astype(float)
    there = random.integers(0, 256, (3, 12, 12, 3)).astype(float)
    mask = overlap_mask(12, 2, left, top)
    slow = np.zeros((3, 2, 6, 6))
    for index in np.ndindex(slow.shape):
        block, source, y, x = index
        slow[index] = np.square(sources[source, y : y + 12, x : x + 12] - there[block])[mask].sum()
    np.testing.assert_allclose(Candidates(sources, 12, 2).errors(there, left, top), slow, rtol=1e-9, atol=1e-5)


def test_the_overlap_is_a_strip_or_an_l():
    assert overlap_mask(12, 2, True, False).sum() == overlap_mask(12, 2, False, True).sum() == 24
    assert overlap_mask(12, 2, True, True).sum() == 44


def test_a_block_is_chosen_evenly_from_those_near_the_least_error():
    errors = np.tile([0.5, 1.0, 1.09, 1.11, 1.05, 9.0], (300, 1))
    allowed = np.tile([False, True, True, True, True, True], (300, 1))
    chosen = choose(errors, allowed, 0.1, (np.arange(300) + 0.5) / 300)
    assert np.bincount(chosen, minlength=6).tolist() == [0, 100, 100, 0, 100, 0]


def test_far_from_names_what_is_near_in_both_directions():
    far = far_from(9, 2, np.array([[[1, 4, 5], [-1, 0, 0]]]), 2)
    slow = [[[not (s == 1 and abs(y - 4) < 2 and abs(x - 5) < 2) for x in range(9)] for y in range(9)] for s in (0, 1)]
    assert far[0].tolist() == slow


def test_a_texture_is_made_of_its_sources_and_hangs_on_the_generator_alone():
    sources = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    texture, error = quilt(sources, 70, np.random.default_rng(5), block=24, soft=False)
    assert texture.shape == (70, 70, 3) and texture.dtype == np.uint8
    colours = {tuple(colour) for colour in sources.reshape(-1, 3)}
    assert {tuple(colour) for colour in texture.reshape(-1, 3)} <= colours  # cut, not blended
    again, error_again = quilt(sources, 70, np.random.default_rng(5), block=24, soft=False)
    assert np.array_equal(again, texture) and error_again == error
    assert not np.array_equal(quilt(sources, 70, np.random.default_rng(6), block=24, soft=False)[0], texture)


def test_blending_lies_along_the_cuts_only():
    mask = np.zeros((1, 9, 9), dtype=bool)
    mask[:, :, 4:] = True
    np.testing.assert_allclose(softened(mask)[0, 4] * 9, [0, 0, 1, 3, 6, 8, 9, 9, 9])
    np.testing.assert_allclose(softened(mask.transpose(0, 2, 1)), softened(mask).transpose(0, 2, 1))
    sources = np.random.default_rng(0).integers(0, 256, (2, 60, 60, 3), dtype=np.uint8)
    soft, hard = (
        quilt(sources, 150, np.random.default_rng(1), 36, tolerance=1e9, soft=each)[0] for each in (True, False)
    )
    same = (soft == hard).all(axis=2)
    assert 0.6 < same.mean() < 0.95
    assert all(same[y + 6 : y + 30, x + 6 : x + 30].all() for y in range(0, 150, 30) for x in range(0, 150, 30))


def test_one_colour_stays_that_colour():
    sources = np.full((2, 48, 48, 3), 200, dtype=np.uint8)
    assert (quilt(sources, 100, np.random.default_rng(0), block=24)[0] == 200).all()


def test_a_source_as_large_as_one_block_is_enough():
    sources = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3), dtype=np.uint8)
    assert quilt(sources, 30, np.random.default_rng(0), block=12)[0].shape == (30, 30, 3)


def from_photographs(count, **options):
    for number, file in enumerate(photographs(count)):
        random = np.random.default_rng(number)
        yield quilt(two_patches(pixels(file), random), 224, random, **options)


def test_overlaps_fit_three_times_better_than_at_random():
    ours = np.array([error for _, error in from_photographs(6)])
    at_random = np.array([error for _, error in from_photographs(6, tolerance=1e9)])
    assert at_random.sum() > 3 * ours.sum()
    assert (at_random > 1.4 * ours).all()


def seams(texture, step):
    """The steepest place in the period of the tiles, against the mean: 1 where there is no grid."""
    steepness = np.abs(np.diff(texture.astype(float), axis=1)).mean(axis=(0, 2))[: 7 * step]
    return steepness.reshape(7, step).mean(axis=0)


def test_no_grid_of_tiles():
    step = BLOCK - BLOCK // 6
    ours = np.mean([seams(texture, step) for texture, _ in from_photographs(6)], axis=0)
    tiled = []
    for number, file in enumerate(photographs(6)):
        sources = two_patches(pixels(file), np.random.default_rng(number))
        corners = np.random.default_rng(number).integers(0, 96 - step, (8, 8, 2))
        rows = [np.concatenate([sources[0, y : y + step, x : x + step] for y, x in row], axis=1) for row in corners]
        tiled.append(seams(np.concatenate(rows)[:224, :224], step))
    tiled = np.mean(tiled, axis=0)
    assert tiled.max() / tiled.mean() > 1.8
    assert ours.max() / ours.mean() < 1.3


def test_pictures_of_whole_sources_do_not_come_back():
    """No window half as wide as a source is one piece of it, though such a piece would fit without any error."""
    random = np.random.default_rng(0)
    sources = random.integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    texture, _ = quilt(sources, 224, random, soft=False)
    windows = np.lib.stride_tricks.sliding_window_view(sources[..., 0], 48, axis=2).reshape(-1, 48)
    rows = {row.tobytes() for row in windows}
    found = [texture[y, x : x + 48, 0].tobytes() in rows for y in range(0, 224, 5) for x in range(0, 177, 3)]
    assert not any(found)


def test_two_patches_are_the_centre_and_a_random_place():
    photograph = np.arange(150 * 200 * 3).reshape(150, 200, 3) % 251
    corners = set()
    for seed in range(40):
        centre, other = two_patches(photograph.astype(np.uint8), np.random.default_rng(seed))
        assert np.array_equal(centre, photograph[27:123, 52:148])
        places = np.argwhere((photograph[:55, :105] == other[0, 0]).all(axis=2))
        at = [tuple(at) for at in places if np.array_equal(photograph[at[0] :, at[1] :][:96, :96], other)]
        corners.add(at[0])
    assert len(corners) > 30


def test_small_images_are_enlarged_first():
    from PIL import Image

    assert enlarged(Image.new("RGB", (48, 64))).size == (96, 128)
    assert enlarged(Image.new("RGB", (300, 5))).size == (5760, 96)
    assert enlarged(Image.new("RGB", (96, 500))).size == (96, 500)
