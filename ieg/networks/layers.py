"""The layers the networks are written in, each in three readings: shapes, values, values with tangents.

A network is a function `network(layers, images) -> features` that calls nothing but the methods below, so one text
describes its parameters (`Describe`), its forward pass (`Forward`) and its Jacobian-vector product
(`Tangent`).
Parameters are a plain dict {name: tensor}: the look-ahead evaluates a network at weights that no variable holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

EPSILON = 1e-5


@dataclass(frozen=True)
class ParameterSpec:
    """Shape of one trainable tensor and how it starts: 'conv', 'dense', 'bias', 'scale' or 'offset'."""

    shape: tuple[int, ...]
    kind: str


class Forward:
    """Evaluates a network at given parameters.

    Args:
        parameters: {name: tensor}, float32 or float64.
        moving: {name: (mean [C], variance [C])} of the batch norms for evaluation; None normalises with the batch.
        dtype: dtype of the activations; parameters are cast to it, batch-norm arithmetic stays in at least float32.

    After a training-mode pass `batch_statistics` holds {batch norm: (mean [C], unbiased variance [C])}.
    """

    def __init__(self, parameters: Mapping[str, tf.Tensor], moving: Mapping | None = None, dtype=tf.float32):
        self.parameters, self.moving, self.dtype = parameters, moving, dtype
        self.batch_statistics: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}

    def input(self, images):
        """Images [B,H,W,3] in the dtype of the activations."""
        return tf.cast(images, self.dtype)  # [B,H,W,3]

    def width(self, x) -> int:
        """Channels of x."""
        return x.shape[-1]

    def conv(self, name, x, size, out, stride=1, padding="SAME"):
        """k×k convolution without bias; padding SAME, or SYMMETRIC: k // 2 zeros on every side, whatever the stride."""
        kernel = tf.cast(self.parameters[f"{name}/kernel"], self.dtype)  # [k,k,in,out]
        if padding == "SYMMETRIC":
            sides = [size // 2, size // 2]
            return tf.nn.conv2d(x, kernel, stride, [[0, 0], sides, sides, [0, 0]])
        return tf.nn.conv2d(x, kernel, stride, padding)

    def batch_norm(self, name, x):
        """Batch normalisation over [B,H,W]."""
        gamma, beta = self.parameters[f"{name}/gamma"], self.parameters[f"{name}/beta"]  # [C]
        if self.moving is not None:
            mean, variance = self.moving[name]
            scale = gamma * tf.math.rsqrt(variance + EPSILON)
            return x * tf.cast(scale, x.dtype) + tf.cast(beta - mean * scale, x.dtype)
        y, mean, variance, _ = normalize(x, gamma, beta)
        self.batch_statistics[name] = (mean, variance)
        return y

    def relu(self, x):
        """max(0, x)."""
        return tf.nn.relu(x)

    def add(self, x, y):
        """Sum of x and y."""
        return x + y

    def average_pool(self, x, stride):
        """stride×stride average pooling, padding VALID."""
        return x if stride == 1 else tf.nn.avg_pool2d(x, stride, stride, "VALID")

    def max_pool(self, x, size, stride):
        """size×size max pooling, padding SAME."""
        return tf.nn.max_pool2d(x, size, stride, "SAME")

    def pad_channels(self, x, out):
        """Zero channels, half each side, up to `out`."""
        missing = out - x.shape[-1]
        return tf.pad(x, [[0, 0], [0, 0], [0, 0], [missing // 2, missing - missing // 2]])

    def global_average_pool(self, x):
        """[B,H,W,C] to [B,C], in the dtype of the parameters."""
        return tf.reduce_mean(tf.cast(x, self.parameters_dtype), [1, 2])  # [B,C]

    def dense(self, name, x, out):
        """Product with the kernel, plus bias: [B,out]."""
        return tf.matmul(x, self.parameters[f"{name}/kernel"]) + self.parameters[f"{name}/bias"]

    @property
    def parameters_dtype(self):
        """Dtype of the weights, and of the logits."""
        return next(iter(self.parameters.values())).dtype


class Tangent(Forward):
    """Forward mode: every x is a pair (value, tangent), where the tangent is the derivative along `direction`.

    `direction` {name: tensor} holds tensors of the parameters' shapes; it is 0 for a layer of which it names nothing,
    and a tangent that is 0 is None, so that no work is done before the first layer it moves. Images carry no tangent.
    The values are the very nodes a `Forward` pass at the same parameters makes, so the graph optimiser computes them
    once for both.
    """

    def __init__(self, parameters, direction: Mapping[str, tf.Tensor], dtype=tf.float32):
        super().__init__(parameters, None, dtype)
        self.direction = Forward(direction, None, dtype)

    def input(self, images):
        """Images [B,H,W,3] in the dtype of the activations."""
        return super().input(images), None

    def width(self, x) -> int:
        """Channels of x."""
        return x[0].shape[-1]

    def conv(self, name, x, size, out, stride=1, padding="SAME"):
        """k×k convolution without bias."""
        value, tangent = x
        moved = None
        if f"{name}/kernel" in self.direction.parameters:
            moved = self.direction.conv(name, value, size, out, stride, padding)
        if tangent is not None:
            moved = sum_of(moved, super().conv(name, tangent, size, out, stride, padding))
        return super().conv(name, value, size, out, stride, padding), moved

    def batch_norm(self, name, x):
        """Batch normalisation over [B,H,W]."""
        value, tangent = x
        gamma, beta = self.parameters[f"{name}/gamma"], self.parameters[f"{name}/beta"]
        y, mean, variance, reserve = normalize(value, gamma, beta)
        moved = None
        if tangent is not None:  # the Jacobian with respect to the input is symmetric: the backward pass is the tangent
            moved = normalize_gradient(tangent, value, gamma, reserve)
        if f"{name}/gamma" not in self.direction.parameters:
            return y, moved
        count = tf.cast(tf.size(value) // value.shape[-1], variance.dtype)
        inverse = tf.math.rsqrt(variance * (count - 1) / count + EPSILON)
        slope = self.direction.parameters[f"{name}/gamma"] * inverse
        shift = self.direction.parameters[f"{name}/beta"] - slope * mean
        return y, sum_of(moved, value * tf.cast(slope, value.dtype) + tf.cast(shift, value.dtype))

    def relu(self, x):
        """max(0, x)."""
        value = tf.nn.relu(x[0])
        return value, None if x[1] is None else tf.raw_ops.ReluGrad(gradients=x[1], features=value)

    def add(self, x, y):
        """Sum of x and y."""
        return x[0] + y[0], sum_of(x[1], y[1])

    def average_pool(self, x, stride):
        """stride×stride average pooling, padding VALID."""
        value, tangent = x
        return super().average_pool(value, stride), None if tangent is None else super().average_pool(tangent, stride)

    def max_pool(self, x, size, stride):
        """size×size max pooling, padding SAME: the tangent is taken where the maximum is."""
        value = super().max_pool(x[0], size, stride)
        if x[1] is None:
            return value, None
        window, steps = [1, size, size, 1], [1, stride, stride, 1]
        # XLA has this operation for no bfloat16; float32 holds the same values.
        wide = tf.float32 if value.dtype == tf.bfloat16 else value.dtype
        given, chosen, tangent = (tf.cast(part, wide) for part in (x[0], value, x[1]))
        moved = tf.raw_ops.MaxPoolGradGrad(
            orig_input=given, orig_output=chosen, grad=tangent, ksize=window, strides=steps, padding="SAME"
        )
        return value, tf.cast(moved, value.dtype)

    def pad_channels(self, x, out):
        """Zero channels, half each side, up to `out`."""
        value, tangent = x
        return super().pad_channels(value, out), None if tangent is None else super().pad_channels(tangent, out)

    def global_average_pool(self, x):
        """[B,H,W,C] to [B,C], in the dtype of the parameters."""
        value, tangent = x
        return super().global_average_pool(value), None if tangent is None else super().global_average_pool(tangent)

    def dense(self, name, x, out):
        """Product with the kernel, plus bias: [B,out]."""
        value, tangent = x
        moved = self.direction.dense(name, value, out)
        if tangent is not None:
            moved += tf.matmul(tangent, self.parameters[f"{name}/kernel"])
        return super().dense(name, value, out), moved


def sum_of(first, second):
    """Sum of two tangents, each of which may be None, which is 0."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


class Describe(Forward):
    """Collects the ParameterSpec of every trainable tensor, in the order in which the network meets them."""

    def __init__(self):
        super().__init__({})
        self.specs: dict[str, ParameterSpec] = {}

    def conv(self, name, x, size, out, stride=1, padding="SAME"):
        """k×k convolution without bias."""
        self.specs[f"{name}/kernel"] = ParameterSpec((size, size, x.shape[-1], out), "conv")
        rows, columns = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
        return tf.zeros([x.shape[0], rows, columns, out])

    def batch_norm(self, name, x):
        """Batch normalisation over [B,H,W]."""
        self.specs[f"{name}/gamma"] = ParameterSpec((x.shape[-1],), "scale")
        self.specs[f"{name}/beta"] = ParameterSpec((x.shape[-1],), "offset")
        return x

    def dense(self, name, x, out):
        """Product with the kernel, plus bias: [B,out]."""
        self.specs[f"{name}/kernel"] = ParameterSpec((x.shape[-1], out), "dense")
        self.specs[f"{name}/bias"] = ParameterSpec((out,), "bias")
        return tf.zeros([x.shape[0], out])

    @property
    def parameters_dtype(self):
        """Dtype of the weights, and of the logits."""
        return tf.float32


def normalize(x, gamma, beta):
    """Batch normalisation with the batch's own statistics.

    Args: x [B,H,W,C] float32, bfloat16 or float64; gamma, beta [C].
    Returns: y like x; batch mean [C]; unbiased batch variance [C] (for moving averages); what the gradient reuses.
    """
    if x.dtype == tf.float64:  # the fused kernel knows no float64, which the oracle tests need
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
        y = (x - mean) * tf.math.rsqrt(variance + EPSILON) * gamma + beta
        return y, mean, variance * count / (count - 1), (mean, variance)
    y, mean, variance, *reserve = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=EPSILON, is_training=True
    )
    return y, mean, variance, reserve


def normalize_gradient(upstream, x, gamma, reserve):
    """Vector-Jacobian product of `normalize` with respect to x: [B,H,W,C]."""
    if x.dtype == tf.float64:
        mean, variance = reserve
        inverse = tf.math.rsqrt(variance + EPSILON)
        unit = (x - mean) * inverse
        centred = upstream - tf.reduce_mean(upstream, [0, 1, 2]) - unit * tf.reduce_mean(upstream * unit, [0, 1, 2])
        return gamma * inverse * centred
    return tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=upstream,
        x=x,
        scale=gamma,
        reserve_space_1=reserve[0],
        reserve_space_2=reserve[1],
        reserve_space_3=reserve[2],
        epsilon=EPSILON,
        is_training=True,
    ).x_backprop
