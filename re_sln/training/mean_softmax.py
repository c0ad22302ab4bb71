"""Which wrong class each example looks most like: softmax of a network, averaged over its training on clean labels.

Noise against noise, Sec. 5 (instance-dependent noise): examples that the network is least sure of get wrong labels.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

import numpy as np

from common.errors import Interrupted
from common.stopping import stop_signals
from re_sln.settings.config import Config

if TYPE_CHECKING:
    from re_sln.training.trainer import Trainer


def plain_config(config: Config) -> Config:
    """The run's network, trained with plain cross-entropy for --dependent_epochs epochs on all images, labels clean."""
    flags = dataclasses.replace(
        config.flags,
        n_epochs=config.flags.dependent_epochs,
        mo=False,
        lc_n_epoch=-1,
        p=0.0,
        sigma=0.0,
        limit_train_examples=0,
    )
    return dataclasses.replace(config, flags=flags, model="ce", sigma=0.0)


def mean_softmax(trainer: Trainer) -> np.ndarray:
    """float64 [N, C], rows summing to 1: the mean over epochs of the softmax on the training images, uncropped.

    trainer: of `plain_config`, before its first step; it is trained. Raises: Interrupted.
    """
    config, data = trainer.config, trainer.data
    epochs = config.flags.n_epochs
    logging.info("instance-dependent noise: training a network on the clean labels for %d epochs", epochs)
    total = np.zeros((len(data.given), data.num_classes))

    def score(trainer: Trainer, _values: dict[str, float]) -> None:
        logits = trainer.logits(trainer.train_images, np.arange(len(data.given)), None, config.task.score_batch)
        total[:] += logits.double().softmax(dim=1).cpu().numpy()

    with stop_signals() as stopped:
        try:
            trainer.train(stopped, lambda _trainer: None, score, float("inf"))
        except Interrupted as stop:
            raise Interrupted(
                "stopped while custom dependent noise was made; the same command starts with it again"
            ) from stop
    return total / epochs
