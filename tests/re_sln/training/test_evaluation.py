"""Evaluation apart from training; what it finds is tested with the trainer."""

import numpy as np
import torch
from torch import nn

from common.pytorch.process_group import Group
from re_sln.training.evaluation import all_logits


class Compiled(nn.Module):
    """As torch.compile wraps a network: its length is that of the network, which has none."""

    def forward(self, images):
        return images.mean((2, 3))

    def __len__(self):
        raise TypeError("object of type 'WideResNet' has no len()")


class Pictures:
    """Image i is full of the number i."""

    def batches(self, indices, crops):
        for index in indices:
            yield torch.from_numpy(index).float()[:, None, None, None].expand(-1, 3, 2, 2)


def test_a_compiled_network_is_evaluated_without_its_length():
    model, group, seen = Compiled(), Group(0, 1, torch.device("cpu")), []
    chosen = np.array([4, 2, 7])
    for forward in (None, model):
        logits = all_logits(model, Pictures(), chosen, 2, None, group, 3, forward=forward, before=seen.append)
        assert logits.tolist() == [[4.0] * 3, [2.0] * 3, [7.0] * 3]
    assert seen == [0, 1, 0, 1]
