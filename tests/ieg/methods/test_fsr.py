"""The step of fsr against the authors' numbers, and in float64 against definitions written with loops and one tape."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from ieg.losses.margin import score_update
from ieg.methods import classifier_lookahead as closed_form
from ieg.methods import fsr
from ieg.methods.fsr import fsr_step
from ieg.methods.fsr_memory import Memory, MemorySettings
from ieg.methods.lookahead import looked_ahead
from ieg.networks.resnet29 import resnet29
from ieg.networks.wide_resnet import wide_resnet
from ieg.settings.pseudo_loss_name import PseudoLoss
from ieg.training.state import TrainState
from ieg.training.train_step import TrainStep
from tests.ieg.golden import assert_slope, linear, logged_total, random_problem, toy_problem
from tests.ieg.step_settings import step_settings

RESNET = partial(resnet29, blocks_per_stage=1)
WIDE = partial(wide_resnet, blocks_per_stage=1, width=16)
PLAIN = step_settings(mixup=False, meta_partial_level=0)


def with_memory(problem, weighted=True, weights_move=True):
    """What the memory adds to a batch, and draws for MixUp of the batch with itself."""
    network, parameters, momentum, batch = problem
    size, random = len(batch["labels"]), np.random.default_rng(9)
    dtype = batch["images"].dtype
    added = {
        "weighted": tf.constant(weighted),
        "weights_move": tf.constant(weights_move),
        "class_weights": tf.constant(random.uniform(0.5, 2, network.num_classes) / size, dtype),
        "running_logits": tf.constant(random.normal(size=(size, network.num_classes)), dtype),
        "partner": tf.constant(random.permutation(size), tf.int32),
        "uniform": tf.constant(random.random(size), dtype),
    }
    return network, parameters, momentum, {**batch, **added}


def seen_gradient(monkeypatch, clip):
    """{'g': dL/dw} once a step has run."""
    seen, name = {}, "meta_weights" if clip else "unclipped_weights"
    original = getattr(fsr, name)
    monkeypatch.setattr(fsr, name, lambda g: seen.setdefault("w", original(seen.setdefault("g", g))))
    return seen


# ---------------------------------------------------------------------- the authors' numbers

GOLDEN = {
    True: [0.1785416, 0.5495582, 0.2718061, 0],
    False: [0.2459291, 0.2804972, 0.2546187, 0.2189462],
}


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("level", [0, -1])
def test_golden(clip, level, monkeypatch):
    """On the toy, which is a classifier and nothing else, both look-aheads are the authors'."""
    seen = seen_gradient(monkeypatch, clip)
    settings = dataclasses.replace(PLAIN, clip_meta_weight=clip, meta_partial_level=level)
    problem = with_memory(toy_problem())
    result = fsr_step(*problem, settings)
    np.testing.assert_allclose(seen["g"], [-0.0189943, -0.0584652, -0.0289163, 0.0118157], atol=2e-7)
    np.testing.assert_allclose(result.weights, GOLDEN[clip], atol=2e-6)
    np.testing.assert_allclose(result.examples["loss"], [0.5149165, 1.764955, 1.9366403, 1.2498057], atol=1e-6)
    margins = [0.0518456, 0.1071823, 0.1754267, 0.1235883]
    np.testing.assert_allclose(result.news["margins"], margins, atol=1e-6)
    np.testing.assert_allclose(
        result.examples["loss"] - result.news["margins"], [0.4630709, 1.6577728, 1.7612135, 1.1262174], atol=1e-6
    )
    scores = score_update(tf.zeros(4), result.news["margins"], 0.9)
    np.testing.assert_allclose(scores, [-0.0051846, -0.0107182, -0.0175427, -0.0123588], atol=2e-7)
    network, parameters, momentum, batch = problem
    labels = tf.one_hot(batch["labels"], 3)
    trained = fsr.training_pass(network, parameters, batch, labels, settings)
    ahead = fsr.look_ahead_on_classifier(network, parameters, momentum, batch, trained, settings)
    losses = entropy(tf.one_hot(batch["probe_labels"], 3), ahead.probe_logits)
    np.testing.assert_allclose(losses, [0.6471803, 1.8670967, 1.5288041, 0.7632378], atol=1e-6)
    right = np.argmax(ahead.probe_logits, 1) == batch["probe_labels"].numpy()
    assert float(result.extra["acc/meta"]) == right.mean() == 0.5


# ---------------------------------------------------------------------- the look-ahead by its definition


def entropy(targets, logits):
    return -tf.reduce_sum(targets * tf.math.log(tf.nn.softmax(logits)), 1)


def one_hot(labels):
    return tf.one_hot(labels, 3, dtype=tf.float64)


def mixed(batch, labels, settings):
    """Row by row: own·x_i + (1 − own)·x_partner."""
    if not settings.mixup:
        return batch["images"], (1 - settings.label_smoothing) * labels + settings.label_smoothing / 3
    rows = []
    for i, j in enumerate(batch["partner"].numpy()):
        own = max(float(batch["uniform"][i]) ** 2 / 2, 1 - float(batch["uniform"][i]) ** 2 / 2)
        rows.append([own * value[i] + (1 - own) * value[j] for value in (batch["images"], labels)])
    return tf.stack([image for image, _ in rows]), tf.stack([label for _, label in rows])


def look(problem, settings, weights):
    """L_probe as an explicit function of w, and the plain images' logits at θ̂; the tape runs through ∇ℓ."""
    network, parameters, momentum, batch = problem
    moved = list(looked_ahead(parameters, settings.meta_partial_level))
    images, targets = mixed(batch, one_hot(batch["labels"]), settings)
    with tf.GradientTape() as tape:
        tape.watch([parameters[name] for name in moved])
        losses = entropy(targets, network.logits(parameters, images)[0])
        regularised = [parameters[name] for name in moved if name.endswith("kernel") or not network.l2_kernels_only]
        decay = network.l2 * tf.add_n([tf.nn.l2_loss(value) for value in regularised])
        objective = tf.reduce_sum(weights * losses) + decay
    gradients = tape.gradient(objective, [parameters[name] for name in moved])
    ahead = dict(parameters)
    for name, gradient in zip(moved, gradients, strict=True):
        step = settings.meta_momentum * momentum[name] + gradient
        ahead[name] = parameters[name] - settings.meta_stepsize * step
    logits, _ = network.logits(ahead, tf.concat([batch["probe_images"], batch["images"]], 0))
    probes, smoothing = len(batch["probe_labels"]), settings.label_smoothing
    targets = (1 - smoothing) * one_hot(batch["probe_labels"]) + smoothing / 3
    decay = (network.probe_l2 or network.l2) * tf.add_n([tf.nn.l2_loss(ahead[name]) for name in moved])
    return tf.reduce_mean(entropy(targets, logits[:probes])) + decay, logits[probes:]


# as resnet29's: training regularises kernels alone, the probe loss everything, with half the factor
HALF = dict(l2_kernels_only=True, probe_l2=0.025)
LOOK_AHEADS = [
    (RESNET, step_settings(meta_partial_level=0), {}),
    (RESNET, step_settings(meta_partial_level=1), {}),
    (RESNET, step_settings(meta_partial_level=2), {}),
    (RESNET, step_settings(meta_partial_level=-1), {}),
    (RESNET, step_settings(meta_partial_level=0), HALF),
    (RESNET, step_settings(meta_partial_level=1), HALF),
    (WIDE, step_settings(meta_partial_level=0, mixup=False, label_smoothing=0.1), {}),
    (WIDE, step_settings(meta_partial_level=0, label_smoothing=0.1), {}),
    (WIDE, step_settings(meta_partial_level=-1, mixup=False), {}),
]


@pytest.mark.parametrize(("body", "settings", "fields"), LOOK_AHEADS)
def test_look_ahead_equals_reverse_over_reverse_and_finite_differences(body, settings, fields, monkeypatch):
    problem = with_memory(random_problem(body, **fields))
    network, _, _, batch = problem
    uniform = tf.fill([6], tf.constant(1 / 6, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch(uniform)
        loss, logits = look(problem, settings, uniform)
    expected = tape.gradient(loss, uniform).numpy()
    assert_slope(lambda w: float(look(problem, settings, tf.constant(w))[0]), uniform.numpy(), expected, 1e-6)
    seen = seen_gradient(monkeypatch, clip=False)
    result = fsr_step(*problem, settings)
    np.testing.assert_allclose(seen["g"], expected, rtol=1e-7, atol=1e-12)
    assert float(result.losses["meta"]) == pytest.approx(float(loss), rel=1e-12)
    images, targets = mixed(batch, one_hot(batch["labels"]), settings)
    losses = entropy(targets, network.logits(problem[1], images)[0])
    expected = losses - entropy(one_hot(batch["labels"]), logits)  # the first smoothed or mixed, the second never
    np.testing.assert_allclose(result.news["margins"], expected, rtol=1e-9, atol=1e-12)


def test_closed_form_equals_the_general_look_ahead(monkeypatch):
    """`look_ahead` at level 0, which the step never takes."""
    problem = with_memory(random_problem(RESNET))
    network, parameters, momentum, batch = problem
    settings = step_settings(meta_partial_level=0)
    trained = fsr.training_pass(network, parameters, batch, one_hot(batch["labels"]), settings)
    general, closed = (
        form(network, parameters, momentum, batch, trained, settings)
        for form in (fsr.look_ahead, fsr.look_ahead_on_classifier)
    )
    for one, other in zip(general, closed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)


def test_gradient_of_a_linear_classifier_is_an_outer_product():
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(5, 4)), random.dirichlet(np.ones(3), 5)
    classifier = {
        closed_form.KERNEL: tf.constant(random.normal(size=(4, 3))),
        closed_form.BIAS: tf.constant(random.normal(size=3)),
    }
    v = {name: tf.constant(random.normal(size=value.shape)) for name, value in classifier.items()}
    mean, along = {name: 0 for name in v}, []
    for i in range(5):
        with tf.GradientTape() as tape:
            tape.watch(classifier)
            logits = features[i : i + 1] @ classifier[closed_form.KERNEL] + classifier[closed_form.BIAS]
            loss = entropy(targets[i : i + 1], logits)
        gradient = tape.gradient(loss, classifier)
        mean = {name: mean[name] + gradient[name] / 5 for name in v}
        along.append(sum(np.sum(gradient[name] * v[name]) for name in v))
    logits = features @ classifier[closed_form.KERNEL] + classifier[closed_form.BIAS]
    residuals = closed_form.residual(logits, targets)
    for name, value in closed_form.mean_gradient(tf.constant(features), residuals).items():
        np.testing.assert_allclose(value, mean[name], rtol=1e-10)
    np.testing.assert_allclose(closed_form.gradients_along(v, features, residuals), along, rtol=1e-10)


def test_one_batch_norm_over_probe_and_plain_images():
    """With a batch norm of its own each part would give other numbers: the reused features show by how much."""
    problem = with_memory(random_problem(RESNET))
    network, parameters, _, batch = problem
    joint, alone = (
        fsr_step(*problem, step_settings(meta_partial_level=0, mixup=False, reuse_features=reuse))
        for reuse in (False, True)
    )
    assert abs(float(joint.losses["meta"]) - float(alone.losses["meta"])) > 1e-3
    features, _ = network.features(parameters, batch["images"])
    trained = fsr.training_pass(network, parameters, batch, one_hot(batch["labels"]), step_settings(mixup=False))
    np.testing.assert_allclose(trained.features, features, rtol=1e-12)


def test_reused_features_are_those_of_the_training_pass():
    problem = with_memory(random_problem(RESNET))
    network, parameters, momentum, batch = problem
    settings = step_settings(meta_partial_level=0, reuse_features=True)
    labels = one_hot(batch["labels"])
    images, targets = mixed(batch, labels, settings)
    features, _ = network.features(parameters, images)
    logits = network.classifier(parameters, features)
    trained = fsr.TrainingPass(None, images, targets, features, logits, entropy(targets, logits), {})
    ahead = fsr.look_ahead_on_classifier(network, parameters, momentum, batch, trained, settings)
    kernel, bias = parameters["classifier/kernel"], parameters["classifier/bias"]
    residuals = tf.nn.softmax(logits) - targets
    step = 0.9 * momentum["classifier/kernel"] + tf.transpose(features) @ residuals / 6 + network.l2 * kernel
    shift = 0.9 * momentum["classifier/bias"] + tf.reduce_mean(residuals, 0) + network.l2 * bias
    at_ahead = features @ (kernel - 0.1 * step) + bias - 0.1 * shift
    np.testing.assert_allclose(ahead.logits, at_ahead, rtol=1e-10)
    result = fsr_step(*problem, settings)
    np.testing.assert_allclose(result.news["margins"], entropy(targets, logits) - entropy(labels, at_ahead), rtol=1e-9)


# ---------------------------------------------------------------------- the update

UPDATES = [
    (step_settings(meta_partial_level=0), True),
    (step_settings(meta_partial_level=0, mixup=False, label_smoothing=0.2), True),
    (
        step_settings(meta_partial_level=0, clip_meta_weight=True, pseudo_loss=PseudoLoss("partial", 0.5, 0.3, 1.5)),
        True,
    ),
    (step_settings(meta_partial_level=0, pseudo_loss=PseudoLoss("all", 2.0, 0.1, 2.0)), True),
    (step_settings(meta_partial_level=0, pseudo_loss=PseudoLoss("all", 2.0, 0.1, 2.0)), False),
    (step_settings(meta_partial_level=0, moving_weight_gamma=0.7), True),
]


@pytest.mark.parametrize(("settings", "weighted"), UPDATES)
def test_gradient_is_that_of_the_total_loss(settings, weighted):
    problem = with_memory(random_problem(RESNET), weighted)
    network, parameters, _, batch = problem
    result = fsr_step(*problem, settings)
    if not weighted:
        np.testing.assert_allclose(result.weights, np.full(6, 1 / 6))
    if settings.clip_meta_weight:
        assert 0 < np.count_nonzero(result.weights) < 6

    images, targets = mixed(batch, one_hot(batch["labels"]), settings)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        logits, _ = network.logits(parameters, images)
        total = tf.reduce_sum(result.weights * entropy(targets, logits))
        total += network.l2 / 2 * tf.add_n([tf.reduce_sum(value**2) for value in parameters.values()])
        if settings.pseudo_loss and weighted:
            total += settings.pseudo_loss.weight * naive_pseudo(batch, logits, result.weights, settings.pseudo_loss)
    for name, value in tape.gradient(total, parameters).items():
        np.testing.assert_allclose(result.gradients[name], value, rtol=1e-7, atol=1e-10, err_msg=name)
    assert logged_total(result) == pytest.approx(float(total), rel=1e-9)
    if settings.pseudo_loss:
        running = batch["running_logits"]
        normed = running / tf.sqrt(tf.reduce_mean(running**2) + 1e-8)
        gamma = settings.pseudo_loss.gamma
        np.testing.assert_allclose(result.news["running_logits"], gamma * normed + (1 - gamma) * logits, rtol=1e-9)
    else:
        assert "running_logits" not in result.news


def naive_pseudo(batch, logits, weights, settings):
    """Example by example: CE(softmax(normed e / T), f(x_i))."""
    running = batch["running_logits"].numpy()
    normed = running / np.sqrt((running**2).mean() + 1e-8)
    losses = []
    for i in range(6):
        scores = np.exp(normed[i] / settings.temperature)
        losses.append(-tf.reduce_sum(scores / scores.sum() * tf.math.log(tf.nn.softmax(logits[i]))))
    if settings.kind == "all":
        return sum(losses) / 6
    return sum(loss for loss, weight in zip(losses, weights.numpy(), strict=True) if weight == 0)


def test_moving_weights_stand_in_for_those_of_the_step():
    problem = with_memory(random_problem(RESNET))
    labels, start = problem[3]["labels"].numpy(), problem[3]["class_weights"].numpy()
    own = fsr_step(*problem, step_settings(meta_partial_level=0)).weights.numpy()
    settings = step_settings(meta_partial_level=0, moving_weight_gamma=0.7)
    result = fsr_step(*problem, settings)
    moved = [0.7 * start[c] + 0.3 * own[labels == c].mean() if (labels == c).any() else start[c] for c in range(3)]
    np.testing.assert_allclose(result.news["class_weights"], moved, rtol=1e-12)
    np.testing.assert_allclose(result.weights, np.array(moved)[labels], rtol=1e-12)
    frozen = fsr_step(*with_memory(random_problem(RESNET), weights_move=False), settings)
    np.testing.assert_array_equal(frozen.news["class_weights"], start)
    np.testing.assert_array_equal(frozen.weights, start[labels])  # frozen, and still used


def test_moving_averages_of_batch_norm_take_the_pass_on_mixed_images():
    problem = with_memory(random_problem(RESNET))
    network, parameters, _, batch = problem
    result = fsr_step(*problem, step_settings(meta_partial_level=0))
    _, expected = network.logits(parameters, mixed(batch, one_hot(batch["labels"]), step_settings())[0])
    for name, pair in expected.items():
        np.testing.assert_allclose(result.batch_statistics[name], pair, rtol=1e-10)


# ---------------------------------------------------------------------- whole steps


def small_memory():
    settings = MemorySettings(
        capacity=2, batch_size=1, beta=0.9, steps_per_epoch=2, meta_start_epoch=1, moving_weight_gamma=0.5,
        meta_moving_end_epoch=0, global_batch=4, seed=1, pseudo_loss=PseudoLoss("all", 1.0, 0.1, 2.0),
    )  # fmt: skip
    memory = Memory(np.arange(12) % 3, 3, (2, 2, 3), np.linspace(-1, 1, 256, dtype=np.float32), settings)
    memory.start(lambda chosen: np.random.default_rng(4).integers(0, 256, (len(chosen), 2, 2, 3), np.uint8))
    return memory


def test_steps_update_weights_and_memory_as_the_formulas_say():
    """Momentum with a changing rate, EMA before the update; scores, logits and averages follow the margins."""
    network, _, _, batch = toy_problem()
    network = type(network)("toy", 3, linear, 0.01, False, {"dense": lambda shape, _: tf.ones(shape) / 7}, image_size=2)
    settings = step_settings(
        meta_partial_level=0, moving_weight_gamma=0.5, pseudo_loss=PseudoLoss("all", 1.0, 0.1, 2.0)
    )
    batch = {name: batch[name] for name in ("images", "labels")}
    batch |= {"partner": tf.constant([2, 3, 0, 1]), "uniform": tf.constant([0.1, 0.9, 0.5, 0.3])}
    state, memory = TrainState(network, 0, small_memory()), small_memory()
    step = TrainStep(tf.distribute.get_strategy(), network, fsr_step, settings, state, momentum=0.9, ema_first=True)
    theta = {name: value.numpy() for name, value in state.parameters.items()}
    m, ema = {name: np.zeros_like(value) for name, value in theta.items()}, dict(theta)
    scores, running, weights = np.zeros(12), np.zeros((12, 3)), set()
    for count, (rate, decay) in enumerate([(0.1, 0.1), (0.05, 0.5), (0.2, 0.25)]):
        ids = np.array([0, 1, 2, 3]) + 3 * count  # two of them were in the step before
        inputs = memory.read(batch | {"ids": tf.constant(ids, tf.int32)})
        tensors = [{name: tf.constant(value) for name, value in values.items()} for values in (theta, m)]
        result = fsr_step(network, *tensors, inputs, settings)
        for name, gradient in result.gradients.items():
            ema[name] = decay * ema[name] + (1 - decay) * theta[name]
            m[name] = 0.9 * m[name] + gradient.numpy()
            theta[name] = theta[name] - rate * m[name]
        for i, margin in zip(ids, result.news["margins"].numpy(), strict=True):
            scores[i] = 0.9 * scores[i] - 0.1 * margin
        running[ids] = result.news["running_logits"]
        for variable, value in ((memory.step, count + 1), (memory.running_logits, running)):
            variable.assign(value)
        memory.class_weights.assign(result.news["class_weights"])
        logs = step(batch | {"ids": tf.constant(ids, tf.int32)}, tf.constant(rate), tf.constant(decay))
        np.testing.assert_allclose(logs["example/margin"], result.news["margins"], rtol=1e-4, atol=1e-6)
        weights.add(tuple(np.round(logs["weights"].numpy(), 4)))
    assert len(weights) == 2  # an epoch of equal weights, and what came after
    for expected, found in ((theta, state.parameters), (m, state.momentum), (ema, state.ema)):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(state.memory.scores, scores, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.memory.running_logits, running, rtol=1e-4, atol=1e-6)
    assert np.flatnonzero(state.memory.seen).tolist() == list(range(10))
    np.testing.assert_allclose(state.memory.class_weights, memory.class_weights, rtol=1e-5)
