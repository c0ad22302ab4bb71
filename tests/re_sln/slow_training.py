"""The training loop once more, slowly and by the book: loops over examples and entries, no optimiser, autograd for the
network alone. Draws come from the same streams, so both programs must do the same. In double precision: rounding would
be amplified by every ReLU that it pushes over its edge."""

import math

import numpy as np
import torch

from common.random_streams import generator
from re_sln.training.wide_resnet import build_network

VARIANTS = ("late", "against given", "from corrected", "sigma stays", "model scores", "average kept apart")


def looked_at(data, index, draws, border):
    """[n, 3, H, W]: cut, mirrored, normalised one by one. draws: (rows, columns, flips) or None."""
    pictures = []
    for i in index:
        image, (height, width) = data.train[i], data.train.shape[1:3]
        if draws is not None:
            canvas = np.zeros((height + 2 * border, width + 2 * border, 3), np.uint8)
            canvas[border : border + height, border : border + width] = image
            top, left = int(draws[0][i] * (2 * border + 1)), int(draws[1][i] * (2 * border + 1))
            image = canvas[top : top + height, left : left + width]
            image = image[:, ::-1] if draws[2][i] else image
        pictures.append(((image / 255 - data.mean) / data.std).transpose(2, 0, 1))
    return torch.tensor(np.array(pictures))


def draws_of(seed, purpose, epoch, count):
    rng = generator(seed, purpose, epoch)
    return rng.random(count), rng.random(count), rng.random(count) < 0.5


def log_softmax(row):
    top = max(row)
    total = math.log(sum(math.exp(value - top) for value in row))
    return [value - top - total for value in row]


def losses_of(logits, targets):
    return [
        -sum(weight * value for weight, value in zip(target, log_softmax(row), strict=True))
        for row, target in zip(logits.tolist(), targets.tolist(), strict=True)
    ]


def logits_of(network, images):
    network.eval()
    with torch.no_grad():
        return network(images)


class SlowTraining:
    """After `epoch()` was called e times: targets, model, average and metrics of e epochs.

    order: the examples of an epoch, by epoch; soft: as on Clothing1M; variant: one thing done wrongly.
    """

    def __init__(self, data, order, *, sigma, mo, lc, lr, batch, decay, seed, border=1, rates=None,
                 weight_decay=5e-4, soft=False, score_as_test=False, noisy_aim=False, variant=None):  # fmt: skip
        self.data, self.order, self.variant, self.lc = data, order, variant, lc
        self.sigma, self.lr, self.rates, self.batch, self.decay, self.seed = sigma, lr, rates or {}, batch, decay, seed
        self.border = border
        self.weight_decay, self.soft, self.score_as_test, self.noisy_aim = weight_decay, soft, score_as_test, noisy_aim
        made = [network.double() for network in build_network("wrn-10-1", data.num_classes, seed, 2 if mo else 1)]
        self.model, self.average = made[0], made[1] if mo else None
        if mo and variant != "average kept apart":
            for mine, start in zip(self.model.parameters(), self.average.parameters(), strict=True):
                mine.data = start.data.clone()
        self.speed = [torch.zeros_like(value) for value in self.model.parameters()]
        self.given = np.eye(data.num_classes)[data.given]
        self.targets, self.done = self.given.copy(), 0

    def epoch(self):
        self.done += 1
        start = self.lc + 1 if self.variant == "late" else self.lc
        corrects = self.lc > 0 and self.done >= start
        order = self.order(self.done)
        if corrects:
            self.correct(sorted(order.tolist()))
        shape = (len(self.given), self.data.num_classes)
        noise = generator(self.seed, "label noise", self.done).standard_normal(shape, np.float32)
        sigma = 0 if corrects and self.variant != "sigma stays" else self.sigma
        seen = []
        for k in range(0, len(order), self.batch):
            index = order[k : k + self.batch]
            seen += self.step(index, self.targets[index], self.targets[index] + sigma * noise[index])
        return self.metrics(seen)

    def step(self, index, clean_targets, targets):
        draws = draws_of(self.seed, "crops", self.done, len(self.given))
        images = looked_at(self.data, index, draws, self.border)
        self.model.train()
        logits = self.model(images)
        values = logits.detach()
        probabilities = np.exp([log_softmax(row) for row in values.tolist()])
        gradient = (probabilities * targets.sum(axis=1, keepdims=True) - targets) / len(index)
        self.model.zero_grad()
        logits.backward(torch.tensor(gradient))
        rate = self.lr * self.rates.get(self.done, 1)
        with torch.no_grad():
            for value, speed in zip(self.model.parameters(), self.speed, strict=True):
                speed.mul_(0.9).add_(value.grad + self.weight_decay * value)
                value.sub_(rate * speed)
            if self.average is not None:
                for mine, theirs in zip(
                    self.average.state_dict().values(), self.model.state_dict().values(), strict=True
                ):
                    mine.copy_(self.decay * mine + (1 - self.decay) * theirs if mine.is_floating_point() else theirs)
        aim = targets if self.noisy_aim else clean_targets
        right = [int(max(range(len(row)), key=row.__getitem__)) for row in values.tolist()]
        return [
            (loss, guess == int(np.argmax(target)), bool(self.data.is_noisy[i]))
            for i, loss, guess, target in zip(index, losses_of(values, targets), right, aim, strict=True)
        ]

    def tested(self):
        return self.model if self.average is None else self.average

    def correct(self, chosen):
        draws = None if self.score_as_test else draws_of(self.seed, "score", self.done, len(self.given))
        scorer = self.model if self.variant == "model scores" else self.tested()
        logits = logits_of(scorer, looked_at(self.data, chosen, draws, self.border))
        given_only = self.soft or self.variant == "against given"
        losses = losses_of(logits, (self.given if given_only else self.targets)[chosen])
        low, high = min(losses), max(losses)
        for place, i in enumerate(chosen):
            weight = (losses[place] - low) / (high - low)
            row = np.exp(log_softmax(logits[place].tolist()))
            prediction = row if self.soft else np.eye(len(row))[row.argmax()]
            old = self.targets[i] if self.variant == "from corrected" else self.given[i]
            self.targets[i] = weight * old + (1 - weight) * prediction

    def metrics(self, seen):
        def mean(values):
            return sum(values) / len(values)

        values = {
            "accuracy/train": mean([right for _, right, _ in seen]),
            "loss/train_all": mean([loss for loss, _, _ in seen]),
            "loss/train_clean": mean([loss for loss, _, noisy in seen if not noisy]),
            "loss/train_noisy": mean([loss for loss, _, noisy in seen if noisy]),
        }
        for name, labels in self.data.tests.items():
            images = (self.data.test_images[name] / 255 - self.data.mean) / self.data.std
            logits = logits_of(self.tested(), torch.tensor(images.transpose(0, 3, 1, 2)))
            values[f"accuracy/{name}"] = mean((logits.argmax(dim=1).numpy() == labels).tolist())
            values[f"loss/{name}"] = mean(losses_of(logits, torch.eye(logits.shape[1])[labels]))
        return values
