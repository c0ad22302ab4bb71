from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from ieg.losses.weight_decay import l2_loss
from ieg.networks.basic_resnet import resnet18, resnet32
from ieg.networks.layers import Forward
from ieg.networks.network import build_network
from ieg.networks.wide_resnet import wide_resnet
from tests.ieg.golden import fill, random_problem, values

WRN_28_1 = {"body": partial(wide_resnet, blocks_per_stage=4, width=16)}
COUNTS = [  # name, changes, parameters with 10 and 100 classes, trainable tensors, batch norms
    ("resnet29", {}, 840_730, 863_860, 89, 28),
    ("resnet11", {}, 296_090, 319_220, 35, 10),
    ("wrn28-10", {}, 36_220_634, 36_278_324, 77, 25),
    ("wrn28-10", WRN_28_1, 366_938, None, 77, 25),
    ("resnet32", {}, 464_154, 470_004, 95, 31),
    ("resnet18", {}, 269_626, 275_476, 59, 19),
    ("resnet50", {}, 23_520_842, 23_705_252, 153, 49),
]
ORACLE = {  # mean CE, ‖grad of CE‖, reg, training logits of row 0, evaluation logits of row 0
    "resnet29": (
        2.34503, 3.22664, 0.613203,
        "-.05750 -.01096 -.19641 .03772 .13062 .18857 -.23079 -.06959 .16345 -.00393",
        "37.263 44.341 -144.585 -14.830 81.267 137.327 -167.768 -92.552 69.883 37.568",
    ),
    "resnet11": (
        2.34027, 3.04992, 0.267592,
        "-.04786 .01670 -.12535 .01453 .09023 .15395 -.15938 -.03220 .10333 -.02175",
        "-1.25757 -.48474 -1.29050 .01176 -.25567 .45642 -3.58595 .45180 2.51277 .26401",
    ),
    "WRN 28-1": (
        2.29030, None, 0.689023,
        "-.44893 -.02859 .16656 .37434 -.03333 -.20070 -.24059 .21617 .15016 -.23153",
        "-2.00384 .02574 3.13076 1.71012 1.38273 -1.36560 .23061 2.24214 .66440 .30524",
    ),
    "resnet32": (
        2.75857, None, 0.857032,
        "-2.34793 -.34229 1.77444 1.35852 -.06149 -.56732 -.95547 1.62966 .30555 -1.00066",
        "-3.14277 .69577 5.88571 4.06883 1.38458 -.40401 -.37470 4.97708 .74201 -2.64262",
    ),
    "resnet18": (
        2.33571, None, 0.509015,
        "-.72706 .65957 1.95061 .90319 .11598 -.23015 .65279 1.53542 .24803 -.39343",
        "-.32304 .10340 1.67140 .71026 .16396 -.36869 .61038 1.45278 .37282 -.41427",
    ),
}  # fmt: skip


def size(network):
    return sum(int(np.prod(spec.shape)) for spec in network.specs.values())


@pytest.mark.parametrize(("name", "changes", "ten", "hundred", "tensors", "norms"), COUNTS)
def test_parameter_counts(name, changes, ten, hundred, tensors, norms):
    network = build_network(name, 10, **changes)
    assert (size(network), len(network.specs), len(network.batch_norms)) == (ten, tensors, norms)
    if hundred:
        assert size(build_network(name, 100, **changes)) == hundred


@pytest.mark.parametrize("name", ORACLE)
def test_architecture_oracle(name):
    network = build_network("wrn28-10", 10, **WRN_28_1) if name == "WRN 28-1" else build_network(name, 10)
    entropy, norm, decay, training, evaluation = ORACLE[name]
    parameters = fill(network)
    images = tf.constant(2 * values((4, 32, 32, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        logits, _ = network.logits(parameters, images)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 1, 2, 3], logits))
    assert logits.shape == (4, 10)
    np.testing.assert_allclose(logits[0], np.array(training.split(), float), atol=3e-5)
    assert float(loss) == pytest.approx(entropy, abs=2e-5)
    assert float(l2_loss(network, parameters)) == pytest.approx(decay, rel=1e-5)
    if norm:
        assert float(tf.linalg.global_norm(list(tape.gradient(loss, parameters).values()))) == pytest.approx(
            norm, rel=1e-4
        )
    moving = {bn: (tf.zeros(width), tf.ones(width)) for bn, width in network.batch_norms.items()}
    predicted = network.predict(parameters, moving, images)
    np.testing.assert_allclose(predicted[0], np.array(evaluation.split(), float), rtol=2e-5, atol=2e-4)


def test_resnet50_oracle():
    network = build_network("resnet50", 10)
    parameters = fill(network)
    assert float(l2_loss(network, parameters)) == pytest.approx(15.1720, rel=1e-5)
    assert network.momentum == 0.997
    moving = {bn: (tf.zeros(width), tf.ones(width)) for bn, width in network.batch_norms.items()}
    logits = network.predict(parameters, moving, tf.constant(2 * values((4, 64, 64, 3)), tf.float32))
    golden = "-.1585 .4017 .2074 -.2763 -.1308 .1542 .1966 -.1174 -.1933 -.2113"
    np.testing.assert_allclose(logits[0], np.array(golden.split(), float), atol=2.5e-4)
    assert size(build_network("resnet50", 50)) == 23_602_802


def pooled(layers, images):
    """A 7×7 convolution with padding on every side and the 3×3 max pooling of resnet50, whose windows overlap."""
    x = layers.max_pool(layers.conv("stem/conv", layers.input(images), 7, 4, 2, padding="SYMMETRIC"), 3, 2)
    return layers.global_average_pool(layers.relu(layers.batch_norm("stem/bn", x)))


@pytest.mark.parametrize("body", [pooled, partial(resnet32, blocks_per_stage=1), partial(resnet18, blocks_per_stage=1)])
def test_tangent_is_the_difference_quotient(body):
    network, parameters, direction, batch = random_problem(body, image_size=16)
    step = 1e-6

    def moved(sign):
        there = {name: value + sign * step * direction[name] for name, value in parameters.items()}
        return network.logits(there, batch["images"])[0]

    quotient = (moved(1) - moved(-1)) / (2 * step)
    tangent = network.logits_tangent(parameters, direction, batch["images"])
    np.testing.assert_allclose(tangent, quotient, rtol=1e-6, atol=1e-7)
    assert np.abs(tangent).max() > 0.01


def test_symmetric_padding_is_zeros_on_every_side():
    """A convolution of stride 2 by hand; SAME would pad below and to the right only."""
    image, kernel = values((1, 6, 6, 1)), values((3, 3, 1, 1), k=1)
    padded = np.pad(image[0, :, :, 0], 1)
    expected = [[np.sum(padded[r : r + 3, c : c + 3] * kernel[..., 0, 0]) for c in (0, 2, 4)] for r in (0, 2, 4)]
    layers = Forward({"c/kernel": tf.constant(kernel)}, dtype=tf.float64)
    found = layers.conv("c", tf.constant(image), 3, 1, 2, padding="SYMMETRIC")
    np.testing.assert_allclose(found[0, :, :, 0], expected, atol=1e-12)


def test_batch_statistics_are_mean_and_unbiased_variance():
    network = build_network("wrn10-1", 10)
    images = tf.constant(values((4, 32, 32, 3)), tf.float32)
    parameters = network.initialize(0)
    _, statistics = network.logits(parameters, images)
    stem = tf.nn.conv2d(images, parameters["stem/conv/kernel"], 1, "SAME").numpy().reshape(-1, 16)
    mean, variance = statistics["stage1/block1/bn1"]
    np.testing.assert_allclose(mean, stem.mean(0), atol=1e-5)
    np.testing.assert_allclose(variance, stem.var(0, ddof=1), rtol=1e-4)


def test_evaluation_uses_the_moving_averages():
    network = build_network("wrn10-1", 10)
    parameters, images = network.initialize(0), tf.constant(values((4, 32, 32, 3)), tf.float32)
    trained, statistics = network.logits(parameters, images)
    np.testing.assert_allclose(network.predict(parameters, statistics, images), trained, rtol=0.02, atol=2e-3)
    other = {name: (mean + 1, variance) for name, (mean, variance) in statistics.items()}
    assert np.abs(network.predict(parameters, other, images) - trained).max() > 0.05


def test_initial_weights_follow_their_distributions_and_their_seed():
    resnet, wide = build_network("resnet29", 10), build_network("wrn28-10", 10, **WRN_28_1)
    first, again, other = resnet.initialize(1), resnet.initialize(1), resnet.initialize(2)
    for name, spec in resnet.specs.items():
        np.testing.assert_array_equal(first[name], again[name])
        if spec.kind == "conv":
            receptive = np.prod(spec.shape[:2])
            deviation = np.sqrt(2 / (receptive * (spec.shape[2] + spec.shape[3])))
            tolerance = 4 / np.sqrt(2 * np.prod(spec.shape))
            assert np.std(first[name]) == pytest.approx(deviation, rel=tolerance)
            assert np.abs(first[name] - other[name]).max() > 0
    basic, imagenet = build_network("resnet32", 10).initialize(1), build_network("resnet50", 50).initialize(1)
    bound = np.sqrt(6 / (9 * (64 + 64)))
    assert 0.99 * bound < np.abs(basic["stage3/block2/conv1/kernel"]).max() <= bound
    kernel = imagenet["stage2/block2/conv2/kernel"]
    assert np.std(kernel) == pytest.approx(np.sqrt(1 / (9 * 128)), rel=0.02)
    assert np.abs(kernel).max() < 2.3 * np.sqrt(1 / (9 * 128))
    bound = np.sqrt(6 / (256 + 10))
    assert 0.95 * bound < np.abs(first["classifier/kernel"]).max() <= bound
    start = wide.initialize(1)
    assert np.abs(start["classifier/kernel"]).max() <= 10**-0.5
    kernel = start["stage3/block2/conv1/kernel"]
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.03)


def test_bfloat16_activations_stay_close_to_float32():
    images = tf.constant(2 * values((8, 32, 32, 3)), tf.float32)
    exact = build_network("resnet11", 10)
    parameters = exact.initialize(0)
    rounded = build_network("resnet11", 10, dtype=tf.bfloat16)
    logits = rounded.logits(parameters, images)[0]
    assert logits.dtype == tf.float32
    reference = exact.logits(parameters, images)[0]
    assert 0 < np.abs(logits - reference).max() < 0.1 * np.abs(reference).max()
