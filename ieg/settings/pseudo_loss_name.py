"""The grammar of --use_pseudo_loss: `TYPE_TEMPERATURE_GAMMA_WEIGHT`, such as all_1_0.1_2, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import UsageError

TYPES = ("all", "partial")


@dataclass(frozen=True)
class PseudoLoss:
    """What a --use_pseudo_loss string says.

    kind 'all': mean over the batch; 'partial': sum over the examples of weight 0. temperature > 0 of the target;
    gamma in [0,1]: share of the past in the running logits; weight ≥ 0 of the loss.
    """

    kind: str
    temperature: float
    gamma: float
    weight: float


def parse_pseudo_loss(text: str) -> PseudoLoss | None:
    """None for an empty string. Raises: UsageError outside the grammar, naming the part that is wrong."""
    if not text:
        return None
    kind, *rest = text.split("_")
    start = f"--use_pseudo_loss={text}"
    rule = "expected TYPE_TEMPERATURE_GAMMA_WEIGHT such as all_1_0.1_2, or --use_pseudo_loss= for none"
    if kind not in TYPES or len(rest) != 3:
        raise UsageError(f"{start}: {rule}; the type is {' or '.join(TYPES)}")
    try:
        temperature, gamma, weight = map(float, rest)
    except ValueError:
        raise UsageError(f"{start}: {rule}; {'_'.join(rest)} are not three numbers") from None
    for name, value, holds, bound in (
        ("temperature", temperature, 0 < temperature < float("inf"), "positive"),
        ("gamma", gamma, 0 <= gamma <= 1, "between 0 and 1"),
        ("weight", weight, 0 <= weight < float("inf"), "at least 0"),
    ):
        if not holds:
            raise UsageError(f"{start}: the {name} {value} is not {bound}; {rule}")
    return PseudoLoss(kind, temperature, gamma, weight)
