"""Symmetric and asymmetric label noise: which classes turn into which, and the draws that decide whose label does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# truck → automobile, bird → airplane, cat ↔ dog, deer → horse
CIFAR10_PAIRS = ((9, 1), (2, 0), (3, 5), (5, 3), (4, 7))
# DEVIATION: the rerun leaves deer → horse out, 16.1 % noise at p = 0.4 instead of 20 %; here only --asym_rules rerun.
CIFAR10_PAIRS_OF_THE_RERUN = CIFAR10_PAIRS[:4]
# Digits that resemble each other; the paper has no digits, these pairs are the usual ones for handwriting.
DIGIT_PAIRS = ((2, 7), (3, 8), (7, 1), (5, 6), (6, 5))


@dataclass(frozen=True)
class NoiseRule:
    """With probability `p` the label `src` becomes one of `dsts`, each equally likely."""

    src: int
    dsts: tuple[int, ...]
    p: float


def symmetric_rules(num_classes: int, p: float) -> tuple[NoiseRule, ...]:
    """One rule a class, to all the other classes, in the order of the classes."""
    classes = range(num_classes)
    return tuple(NoiseRule(src, tuple(dst for dst in classes if dst != src), p) for src in classes)


def asymmetric_rules(dataset_name: str, p: float, kind: str = "authors") -> tuple[NoiseRule, ...]:
    """The pairs of similar classes: five for cifar10 (kind `rerun`: four), k → k+1 mod 100 for cifar100, digits."""
    pairs = {
        "cifar10": CIFAR10_PAIRS_OF_THE_RERUN if kind == "rerun" else CIFAR10_PAIRS,
        "cifar100": tuple(((dst - 1) % 100, dst) for dst in range(100)),
        "digits": DIGIT_PAIRS,
    }[dataset_name]
    return tuple(NoiseRule(src, (dst,), p) for src, dst in pairs)


def flip_independently(labels: np.ndarray, rules: tuple[NoiseRule, ...], random: np.random.Generator) -> np.ndarray:
    """Every example draws for itself. Args: labels int [N]. Returns: int64 [N].

    The draws are two for each example whatever the rules, so their order is of no account, and a larger p only adds
    to the examples that flip.
    """
    # DEVIATION: the rerun seeds anew for every class, so that the k-th examples of all classes flip, or not, together
    # (`flip_as_the_rerun`); here each example is drawn independently.
    flips, choices = random.random((2, len(labels)))  # [N], [N]
    noisy = labels.astype(np.int64)
    for rule in rules:
        chosen = (labels == rule.src) & (flips < rule.p)
        noisy[chosen] = np.array(rule.dsts)[(choices[chosen] * len(rule.dsts)).astype(int)]
    return noisy


def flip_as_the_rerun(labels: np.ndarray, rules: tuple[NoiseRule, ...], num_classes: int, seed: int) -> np.ndarray:
    """The labels that the re-implementation behind the published second sample drew, bit for bit.

    For each rule: torch's generator is set to `seed`, a Bernoulli(p) for each example of the class, then a class from
    the destinations for each, used where the first said so. Args: labels int [N]. Returns: int64 [N].
    """
    import torch
    from torch.distributions import Bernoulli, Categorical

    noisy = labels.astype(np.int64)
    with torch.random.fork_rng(devices=[]):  # the caller's generator stays as it is
        for rule in rules:
            members = np.flatnonzero(labels == rule.src)  # [n]
            if not len(members):
                continue
            torch.manual_seed(seed)
            probabilities = torch.zeros(num_classes, dtype=torch.float32)
            probabilities[list(rule.dsts)] = 1 / len(rule.dsts)
            flips = Bernoulli(torch.tensor(rule.p, dtype=torch.float32)).sample((len(members),)).bool().numpy()
            chosen = Categorical(probabilities).sample((len(members),)).numpy()  # [n]
            noisy[members[flips]] = chosen[flips]
    return noisy


def observed_rules(labels: np.ndarray, noisy: np.ndarray) -> list[dict[str, object]]:
    """For noise without rules: of each class src, the classes dsts it turned into and the share p of it that did.

    Args: labels, noisy int [N]. A class that stayed whole has an empty list.
    """
    rules: list[dict[str, object]] = []
    for src in np.unique(labels).tolist():
        given = noisy[labels == src]
        dsts = np.unique(given[given != src]).tolist()
        rules.append({"src": src, "dsts": dsts, "p": round(float((given != src).mean()), 4)})
    return rules
