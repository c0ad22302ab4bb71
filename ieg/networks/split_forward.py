"""A forward pass that no gradient is taken of, in parts of a batch that share their batch norms: faster on a CPU.

A whole batch of FSR's look-ahead makes tensors so large that the memory allocator fetches and returns their pages one
by one; parts of it do not. And a batch norm is not carried out before its use is known: in front of a 1×1 convolution
it is folded into the kernel, in front of a ReLU both are one operation.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from ieg.networks.layers import EPSILON, Forward

PART = 100  # images


class Normalized(NamedTuple):
    """The parts of x, and the batch norm still to be applied to them: [C] each."""

    parts: list[tf.Tensor]
    gamma: tf.Tensor
    beta: tf.Tensor
    mean: tf.Tensor
    variance: tf.Tensor


class Parts(Forward):
    """Training-mode values of a float32 network: every x is a list of tensors [n,H,W,C] or a `Normalized`."""

    def input(self, images):
        """Images [B,H,W,3], cut up."""
        return [images[start : start + PART] for start in range(0, images.shape[0], PART)]

    def width(self, x) -> int:
        """Channels of x."""
        return x[0].shape[-1] if isinstance(x, list) else x.parts[0].shape[-1]

    def conv(self, name, x, size, out, stride=1, padding="SAME"):
        """k×k convolution without bias."""
        if not isinstance(x, Normalized) or size != 1:
            return [super(Parts, self).conv(name, part, size, out, stride, padding) for part in applied(x)]
        scale = x.gamma * tf.math.rsqrt(x.variance + EPSILON)  # [in]
        kernel = self.parameters[f"{name}/kernel"]  # [1,1,in,out]
        bias = tf.linalg.matvec(kernel[0, 0], x.beta - scale * x.mean, transpose_a=True)  # [out]
        scaled = kernel * scale[:, None]
        return [tf.nn.bias_add(tf.nn.conv2d(part, scaled, stride, "SAME"), bias) for part in x.parts]

    def batch_norm(self, name, x):
        """Batch normalisation over [B,H,W], all parts together, to be applied later."""
        parts = applied(x)
        mean, variance = joint_moments(parts)
        return Normalized(parts, self.parameters[f"{name}/gamma"], self.parameters[f"{name}/beta"], mean, variance)

    def relu(self, x):
        """max(0, x)."""
        return [tf.nn.relu(part) for part in applied(x)]

    def add(self, x, y):
        """Sum of x and y."""
        return [one + other for one, other in zip(applied(x), applied(y), strict=True)]

    def average_pool(self, x, stride):
        """stride×stride average pooling, padding VALID."""
        return [super(Parts, self).average_pool(part, stride) for part in applied(x)]

    def max_pool(self, x, size, stride):
        """size×size max pooling, padding SAME."""
        return [super(Parts, self).max_pool(part, size, stride) for part in applied(x)]

    def pad_channels(self, x, out):
        """Zero channels, half each side, up to `out`."""
        return [super(Parts, self).pad_channels(part, out) for part in applied(x)]

    def global_average_pool(self, x):
        """[B,H,W,C] to [B,C], put together again."""
        return tf.concat([super(Parts, self).global_average_pool(part) for part in applied(x)], 0)


def joint_moments(parts):
    """Mean and variance [C] over all of [n,H,W,C] parts, from the sums of values and of squares, without copies."""
    count = float(sum(part.shape[0] * part.shape[1] * part.shape[2] for part in parts))
    width = parts[0].shape[-1]
    total = tf.add_n([tf.matmul(tf.ones([1, tf.size(part) // width]), tf.reshape(part, [-1, width])) for part in parts])
    # The gradient of a depthwise 1×1 convolution with respect to its kernel: Σ x·x of every channel.
    squares = tf.add_n(
        [
            tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=part, filter_sizes=[1, 1, width, 1], out_backprop=part, strides=[1] * 4, padding="VALID"
            )
            for part in parts
        ]
    )
    mean = total[0] / count
    return mean, tf.nn.relu(squares[0, 0, :, 0] / count - tf.square(mean))


def applied(x):
    """The list of parts, with its batch norm carried out if it was waiting."""
    if isinstance(x, list):
        return x
    return [
        tf.raw_ops.FusedBatchNormV3(
            x=part,
            scale=x.gamma,
            offset=x.beta,
            mean=x.mean,
            variance=x.variance,
            epsilon=EPSILON,
            is_training=False,
        ).y
        for part in x.parts
    ]
