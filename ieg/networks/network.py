"""The networks by name: how each is built, initialised, regularised and evaluated.

Every network is a `body(layers, images)` that ends in pooled features [B,F], and one linear classifier on them, which
`Network` adds under the name `classifier`: FSR looks ahead on the classifier alone and needs the two apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import tensorflow as tf

from ieg.networks.basic_resnet import resnet18, resnet32
from ieg.networks.layers import Describe, Forward, ParameterSpec, Tangent
from ieg.networks.resnet29 import resnet29
from ieg.networks.resnet50 import resnet50
from ieg.networks.split_forward import Parts
from ieg.networks.wide_resnet import wide_resnet


@dataclass(frozen=True, eq=False)  # one is itself alone: tf.function keys what it compiled by it
class Network:
    """One network: pure functions of explicit parameters.

    `body` makes features [B,F] of images; `l2` is the factor of ½‖v‖²; it covers kernels only where `l2_kernels_only`,
    else every trainable tensor. `probe_l2` is the factor in the look-ahead's probe loss, which covers whatever the
    look-ahead moves; None: `l2`.
    `initializers` maps a ParameterSpec's kind to (shape, seed) -> tensor where it departs from zeros and ones.
    """

    name: str
    num_classes: int
    body: Callable
    l2: float
    l2_kernels_only: bool
    initializers: Mapping[str, Callable]
    image_size: int = 32
    dtype: tf.DType = tf.float32
    momentum: float = 0.9  # of the moving averages of batch norm
    probe_l2: float | None = None

    @cached_property
    def specs(self) -> dict[str, ParameterSpec]:
        """{name: ParameterSpec} of every trainable tensor."""
        describe = Describe()
        self.head(describe, self.body(describe, tf.zeros([1, self.image_size, self.image_size, 3])))
        return describe.specs

    @property
    def batch_norms(self) -> dict[str, int]:
        """{name: channels} of every batch norm."""
        return {name[:-6]: spec.shape[0] for name, spec in self.specs.items() if spec.kind == "scale"}

    def initialize(self, seed: int) -> dict[str, tf.Tensor]:
        """Starting weights {name: float32 tensor}; every tensor has its own seed, drawn from (seed, name)."""
        defaults = {"scale": lambda shape, _: tf.ones(shape), "offset": zeros, "bias": zeros}
        start = {**defaults, **self.initializers}
        return {
            name: start[spec.kind](spec.shape, zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF)
            for name, spec in self.specs.items()
        }

    def head(self, layers, features):
        """The classifier: [B,F] to [B,C], in every reading of `layers`."""
        return layers.dense("classifier", features, self.num_classes)

    def features(self, parameters, images) -> tuple[tf.Tensor, dict]:
        """Training mode: features [B,F] and {batch norm: (mean, variance)} of this batch; moves nothing."""
        layers = Forward(parameters, dtype=self.dtype)
        return self.body(layers, images), layers.batch_statistics

    def features_only(self, parameters, images) -> tf.Tensor:
        """The features [B,F] of `features`, up to rounding, where no gradient is taken: faster on a CPU in float32."""
        if self.dtype != tf.float32 or tf.config.list_physical_devices("GPU"):
            return self.features(parameters, images)[0]
        return self.body(Parts(parameters), images)

    def classifier(self, parameters, features) -> tf.Tensor:
        """Logits [B,C] of features [B,F]; `parameters` need to hold the classifier's only."""
        return self.head(Forward(parameters, dtype=self.dtype), features)

    def logits(self, parameters, images) -> tuple[tf.Tensor, dict]:
        """Training mode: logits [B,C] and {batch norm: (mean, variance)} of this batch; moves nothing."""
        features, statistics = self.features(parameters, images)
        return self.classifier(parameters, features), statistics

    def predict(self, parameters, moving, images) -> tf.Tensor:
        """Evaluation mode, with the moving averages {batch norm: (mean, variance)}: logits [B,C]."""
        layers = Forward(parameters, moving, self.dtype)
        return self.head(layers, self.body(layers, images))

    def logits_tangent(self, parameters, direction, images) -> tf.Tensor:
        """Derivative [B,C] of the training-mode logits along `direction`, a dict like `parameters` (forward mode)."""
        layers = Tangent(parameters, direction, self.dtype)
        return self.head(layers, self.body(layers, images))[1]

    def regularized(self, parameters) -> dict[str, tf.Tensor]:
        """The parameters that weight decay covers."""
        return {
            name: value
            for name, value in parameters.items()
            if not self.l2_kernels_only or self.specs[name].kind in ("conv", "dense")
        }


def zeros(shape, _seed):
    """Zeros, whatever the seed."""
    return tf.zeros(shape)


def glorot_normal(shape, seed):
    """Truncated normal of variance 2 / (fan in + fan out)."""
    return tf.keras.initializers.GlorotNormal(seed)(shape)


def glorot_uniform(shape, seed):
    """U(±√(6 / (fan in + fan out)))."""
    return tf.keras.initializers.GlorotUniform(seed)(shape)


def fan_out_normal(shape, seed):
    """N(0, √(2 / (k²·out)))."""
    deviation = (2 / (shape[0] * shape[1] * shape[3])) ** 0.5
    return tf.keras.initializers.RandomNormal(stddev=deviation, seed=seed)(shape)


def fan_in_normal(shape, seed):
    """Truncated normal of variance 1 / (k²·in)."""
    return tf.keras.initializers.VarianceScaling(1.0, "fan_in", "truncated_normal", seed)(shape)


def classifier_uniform(shape, seed):
    """U(±1/√C), C the number of classes."""
    bound = shape[1] ** -0.5
    return tf.keras.initializers.RandomUniform(-bound, bound, seed)(shape)


RESNET = dict(
    l2=2e-4, l2_kernels_only=True, probe_l2=1e-4, initializers={"conv": glorot_normal, "dense": glorot_uniform}
)
WIDE = dict(l2=5e-4, l2_kernels_only=False, initializers={"conv": fan_out_normal, "dense": classifier_uniform})
BASIC = dict(l2=5e-4, l2_kernels_only=False, initializers={"conv": glorot_uniform, "dense": glorot_uniform})
IMAGENET = dict(
    l2=4e-4, l2_kernels_only=False, initializers={"conv": fan_in_normal, "dense": glorot_uniform}, momentum=0.997
)
NETWORKS: dict[str, dict] = {
    "wrn28-10": dict(body=partial(wide_resnet, blocks_per_stage=4, width=160), **WIDE),
    "resnet29": dict(body=partial(resnet29, blocks_per_stage=3), **RESNET),
    "resnet11": dict(body=partial(resnet29, blocks_per_stage=1), **RESNET),  # not in the papers
    "resnet32": dict(body=resnet32, **BASIC),
    "resnet18": dict(body=resnet18, **BASIC),
    "resnet50": dict(body=resnet50, **IMAGENET),
    "wrn10-1": dict(body=partial(wide_resnet, blocks_per_stage=1, width=16), **WIDE),  # not in the papers
}


def build_network(name: str, num_classes: int, **changes) -> Network:
    """The network called `name`; `changes` replace fields of `Network` (dtype, l2, image_size).

    Raises: KeyError for a name that is not in NETWORKS.
    """
    return Network(name=name, num_classes=num_classes, **{**NETWORKS[name], **changes})
