"""How clean an example looks to FSR (arXiv 2109.03216, section on the queue): the margin, and its running score."""

from __future__ import annotations


def margin(loss, loss_ahead):
    """ℓ_i(θ) − CE(onehot(y_i), f(x_i; θ̂)): how far the loss of example i falls in the look-ahead.

    As in the authors' program the first loss is that of the training pass (mixed image and target where MixUp is on),
    the second that of the plain image and its hard noisy label.

    Args: loss, loss_ahead [B], in nats. Returns: [B]; large where the label agrees with what the queue teaches.
    """
    return loss - loss_ahead


def score_update(score, margin, beta: float):
    """Score ← β·score + (1 − β)(−margin), and for β ≥ 1 score − β·margin. Low scores are clean examples.

    Args: score, margin [B]; beta ≥ 0, `--queue_beta`: 0 keeps the last margin only. Returns: [B].
    """
    return score - beta * margin if beta >= 1 else beta * score - (1 - beta) * margin
