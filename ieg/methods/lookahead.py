"""The look-ahead that L2R, IEG and FSR share: how a small weight on each example would change the probe loss.

1. θ̂ = θ − α (μ·m + ∇_θ[ Σ_i w_i ℓ_i(θ) + reg(θ) ])      `one_step_ahead`
2. v = ∇_θ̂ [ mean CE(yp, f(xp; θ̂)) + ½·wd·Σ‖θ̂‖² ]        `probe_gradient`
3. ∂L_probe/∂w_i = −α ⟨v, ∇_θ ℓ_i(θ)⟩                      `weight_gradient`

θ̂ is linear in w, so 3 is exact without second derivatives: a Jacobian-vector product of the losses along v.
Parameters, momentum and gradients are dicts {name: tensor}; nothing here holds state. α is `--meta_stepsize`, a
constant (not the learning rate); m is the momentum accumulator before this step's update, not differentiated through.
θ̂ and v may hold some of the parameters only (`looked_ahead`): the others stay as they are.
"""

from __future__ import annotations

import tensorflow as tf

from ieg.losses.cross_entropy import cross_entropy
from ieg.losses.weight_decay import probe_l2_loss

STAGES = {1: ("stage3/", "final/", "classifier/"), 2: ("stage2/", "stage3/", "final/", "classifier/")}


def looked_ahead(parameters, level: int) -> dict:
    """The parameters a look-ahead moves: level −1 all, 0 the classifier, 1 the last stage on, 2 the last two stages on.

    Levels 1 and 2 go by the names of resnet29's stages. Returns: {name: tensor}, a part of `parameters`.
    """
    if level == -1:
        return dict(parameters)
    prefixes = ("classifier/",) if level == 0 else STAGES[level]
    return {name: value for name, value in parameters.items() if name.startswith(prefixes)}


def one_step_ahead(parameters, momentum, gradient, stepsize: float, meta_momentum: float):
    """θ̂ = θ − α(μ·m + gradient) of the names in `parameters`; μ = 0 switches the momentum term off (L2R)."""
    return {
        name: value - stepsize * (meta_momentum * momentum[name] + gradient[name]) for name, value in parameters.items()
    }


def probe_gradient(network, parameters, ahead, images, targets):
    """V and the probe loss at the looked-ahead weights θ̂, batch norm in training mode, its averages left alone.

    Args: parameters {name: tensor}, all; ahead {name: tensor}, those that moved; images [P+R,H,W,3] in [-1,1], of
        which the first P are probe images and the others share their batch norm (FSR); targets [P,C].
    Returns: {name: tensor} like `ahead`; L_probe, scalar; logits [P+R,C].
    """
    with tf.GradientTape() as tape:
        tape.watch(ahead)
        logits, _ = network.logits({**parameters, **ahead}, images)  # [P+R,C]
        loss = tf.reduce_mean(cross_entropy(targets, logits[: targets.shape[0]])) + probe_l2_loss(network, ahead)
    return tape.gradient(loss, ahead), loss, logits


def losses_tangent(losses, logits, tangents):
    """Derivative of per-example losses along v, from the derivative of the logits along v.

    Args: losses: function of the tensors in `logits` ([B,C] each) to a tensor or a tuple of tensors [B];
        tangents: the derivatives [B,C] of those logits along v.
    Returns: like `losses`: ⟨v, ∇_θ ℓ_i(θ)⟩, [B].
    """
    with tf.autodiff.ForwardAccumulator(logits, tangents) as accumulator:
        values = losses(*logits)
    return accumulator.jvp(values)


def weight_gradient(loss_tangent, stepsize: float):
    """g_i = ∂L_probe/∂w_i = −α ⟨v, ∇_θ ℓ_i(θ)⟩. Args: loss_tangent [B]. Returns: [B]."""
    return -stepsize * loss_tangent


def share_gradient(label_tangent, guess_tangent, weight: float, stepsize: float):
    """s_i = ∂L_probe/∂λ_i = −α w_i ⟨v, ∇_θ[CE(onehot(y_i)) − CE(q_i)]⟩ for ℓ_i = λ_i CE(y_i) + (1 − λ_i) CE(q_i).

    Args: label_tangent, guess_tangent [B]: derivatives of the two cross-entropies along v; weight w_i = 1/B.
    Returns: [B].
    """
    return -stepsize * weight * (label_tangent - guess_tangent)
