"""The loader: keyed draws, processes, resumption, its oracle, and what it says of broken files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import UsageError
from common.pytorch.process_group import Group
from moco_nonsem.images.image_tree import ImageTree, read_tree
from moco_nonsem.images.normalisation import STD
from moco_nonsem.images.workers import Reading
from moco_nonsem.views.loader import DecodedBatches, ViewLoader
from moco_nonsem.views.make_views import make_views
from moco_nonsem.views.reference_loader import ReferenceBatches, reference_transform
from moco_nonsem.views.view_recipe import ViewRecipe
from tests.moco_nonsem.photographs import picture, write_tree

CPU = torch.device("cpu")
RECIPE = ViewRecipe(size=32, robust="patch", num_nonsem=2, patch_ratio=(4, 16))
READING = Reading(batch_size=4, workers=0, seed=1, group=Group(0, 1, CPU))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Fourteen photographs: three batches of four, two left over."""
    return read_tree(write_tree(tmp_path_factory.mktemp("trees") / "train", 2, 7))


@pytest.fixture(scope="module")
def textured(tree, tmp_path_factory):
    folder = write_tree(tmp_path_factory.mktemp("textures") / "train", 2, 7, ".png", 100)
    return replace(tree, textures=read_tree(folder).paths)


def batches(tree, epoch=0, start=0, recipe=RECIPE, **changes):
    return list(ViewLoader(tree, recipe, replace(READING, **changes)).batches(epoch, start))


def at(source, epoch, *examples):
    """A batch straight from where workers get it."""
    return source[(epoch, np.array(examples))]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def tensors(views):
    return [views.query, views.key, *views.nonsem]


@pytest.mark.parametrize("kind", ["device", "reference"])
def test_two_processes_and_their_workers_see_what_one_sees(tree, kind):
    whole = batches(tree, kind=kind)
    parts = [batches(tree, kind=kind, group=Group(rank, 2, CPU), workers=rank) for rank in range(2)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == 3
    for one, left, right in zip(whole, *parts, strict=True):
        assert np.array_equal(one.examples, np.concatenate([left.examples, right.examples]))
        for a, b, c in zip(tensors(one), tensors(left), tensors(right), strict=True):
            assert a.shape == (4, 3, 32, 32) and a.dtype == torch.float32
            assert torch.equal(a, torch.cat([b, c]))


def test_an_epoch_goes_on_at_any_batch(tree):
    loader = ViewLoader(tree, RECIPE, READING)
    whole = list(loader.batches(2))
    assert loader.batches_per_epoch == 3
    for start in range(4):
        rest = list(loader.batches(2, start))
        assert len(rest) == 3 - start
        assert all(same(one, other) for one, other in zip(whole[start:], rest, strict=True))


def test_draws_differ_between_views_epochs_and_seeds_and_come_again(tree):
    first = batches(tree)
    assert all(same(one, other) for one, other in zip(first, batches(tree), strict=True))
    assert sorted(np.concatenate([views.examples for views in first]).tolist()) != list(range(14))
    assert len({int(k) for views in first for k in views.examples}) == 12
    assert not torch.equal(first[0].query, first[0].key)
    assert not torch.equal(first[0].nonsem[0], first[0].nonsem[1])
    for other in (batches(tree, epoch=1), batches(tree, seed=2)):
        assert not np.array_equal(first[0].examples, other[0].examples)
    one, two = (at(DecodedBatches(tree, RECIPE, 1), epoch, 3) for epoch in range(2))
    assert not torch.equal(one.crops, two.crops)


def test_an_example_looks_the_same_in_whatever_batch(tree):
    source = DecodedBatches(tree, RECIPE, 5)
    alone, among = (make_views(at(source, 3, *k), RECIPE, CPU) for k in ([6], [2, 6, 9]))
    for one, many in zip(tensors(alone), tensors(among), strict=True):
        assert torch.equal(one[0], many[1])


@pytest.mark.parametrize("kind", ["device", "reference"])
def test_torchs_generator_is_left_as_it_was(tree, kind):
    before = torch.random.get_rng_state()
    batches(tree, kind=kind)
    batches(tree, kind=kind, workers=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_patch_views_are_made_of_the_query_after_everything(tree):
    views = batches(tree)[0]
    for view in views.nonsem:
        for own, query in zip(view, views.query, strict=True):
            known = {tuple(pixel) for pixel in query.reshape(3, -1).T.tolist()}
            assert {tuple(pixel) for pixel in own.reshape(3, -1).T.tolist()} <= known


@pytest.mark.parametrize("kind", ["device", "reference"])
def test_no_negatives(tree, kind):
    assert batches(tree, recipe=ViewRecipe(size=32, robust="none"), kind=kind)[0].nonsem == []


@pytest.mark.parametrize("aug_plus", [True, False], ids=["v2", "v1"])
def test_views_are_distributed_as_the_references(tmp_path, aug_plus):
    """Means, spreads, colour and contrast of neighbours over 300 views of a photograph: within 4 standard errors."""
    path = tmp_path / "a.png"
    picture(11, 96, 80).save(path)
    tree = ImageTree((path,), np.zeros(1, np.int64), ("a",))
    recipe = ViewRecipe(size=48, aug_plus=aug_plus, robust="none")
    ours, theirs = DecodedBatches(tree, recipe, 1), ReferenceBatches(tree, recipe, 1)
    found = torch.cat([make_views(at(ours, epoch, 0), recipe, CPU).query for epoch in range(300)])
    expected = torch.cat([at(theirs, epoch, 0).query for epoch in range(300)])

    def figures(views):
        views = views * torch.tensor(STD)[:, None, None] * 255
        colors = torch.stack([views.std(1).mean((1, 2)), views.mean((1, 2, 3)), views.std((1, 2, 3))], 1)
        steps = views.diff(dim=3).abs().mean((2, 3))
        return torch.cat([views.mean((2, 3)), views.std((2, 3)), steps, colors], 1)  # [300, 12]

    one, two = figures(found), figures(expected)
    error = ((one.var(0) + two.var(0)) / 300).sqrt()
    assert ((one.mean(0) - two.mean(0)).abs() < 4 * error).all()
    assert ((one.std(0) / two.std(0)).log().abs() < 0.25).all()


def test_the_reference_is_torchvisions_on_pillow_images(tree):
    recipe = ViewRecipe(size=32, robust="none")
    views = at(ReferenceBatches(tree, recipe, 1), 0, 4)
    from common.random_streams import generator

    seeds = generator(1, "reference", 0, 4).integers(2**63, size=3).tolist()
    with torch.random.fork_rng(devices=[]):
        for seed, view in zip(seeds, (views.query, views.key), strict=False):
            torch.manual_seed(seed)
            assert torch.equal(view[0], reference_transform(32, True)(Image.open(tree.paths[4]).convert("RGB")))


@pytest.mark.parametrize("draw", ["seed", "aligned"])
def test_textures_share_their_querys_draws(textured, draw):
    """Where photograph and texture are the same picture, so are the views."""
    recipe = ViewRecipe(size=32, robust="texture", texture_draw=draw)
    twins = replace(textured, textures=textured.paths)
    for views in batches(twins, recipe=recipe):
        assert torch.equal(views.nonsem[0], views.query)
    colors = at(DecodedBatches(textured, recipe, 1), 0, *range(14)).colors
    equal = [np.array_equal(a, b) for a, b in zip(colors[0].factors, colors[2].factors, strict=True)]
    assert all(equal) if draw == "aligned" else any(equal)


def test_the_references_textures_share_the_querys_seed(textured):
    recipe = ViewRecipe(size=32, robust="texture")
    for views in batches(replace(textured, textures=textured.paths), recipe=recipe, kind="reference"):
        assert torch.equal(views.nonsem[0], views.query)


@pytest.mark.parametrize("kind", ["device", "reference"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_broke_after_the_check_is_named(tmp_path, kind, workers):
    tree = read_tree(write_tree(tmp_path / "train", 1, 4))
    tree.paths[2].write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"n00000000_2.JPEG cannot be read as an image .*--skip-unreadable"):
        batches(tree, kind=kind, workers=workers)


@pytest.mark.parametrize(
    "recipe, message",
    [
        (ViewRecipe(robust="shape"), "--robust=shape is not one of none, patch, nonsem, texture, texture_syn"),
        (ViewRecipe(num_nonsem=0), "--num-nonsem=0: at least 1"),
        (ViewRecipe(robust="texture", num_nonsem=2), "an image has one texture"),
        (ViewRecipe(patch_ratio=(20, 10)), "--patch-ratio 20 10: two sizes"),
        (ViewRecipe(patch_ratio=(16, 224)), "use at most 223"),
    ],
)
def test_recipes_that_cannot_be(tree, recipe, message):
    with pytest.raises(UsageError, match=message):
        ViewLoader(tree, recipe, READING)


def test_loaders_that_cannot_be(tree, textured):
    with pytest.raises(UsageError, match="14 training images make no batch of 16"):
        ViewLoader(tree, RECIPE, replace(READING, batch_size=16))
    recipe = ViewRecipe(size=32, robust="texture", texture_draw="aligned")
    with pytest.raises(UsageError, match="--texture-draw=aligned"):
        ViewLoader(textured, recipe, replace(READING, kind="reference"))


@pytest.mark.parametrize("source", [DecodedBatches, ReferenceBatches])
def test_examples_are_drawn_apart_even_of_one_file(tree, source):
    twice = ImageTree((tree.paths[0],) * 2, np.zeros(2, np.int64), ("a",))
    batch = at(source(twice, RECIPE, 1), 0, 0, 1)
    for images in (batch.crops[:, 0], batch.crops[:, 1]) if source is DecodedBatches else (batch.query, batch.key):
        assert not torch.equal(images[0], images[1])
