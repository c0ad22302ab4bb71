"""What is written of the claims: docs/claims/README.md, the README's lines, the report's section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from common.results.tables import format_mean, markdown_table, mean, sample_std
from reproduce.cells.files import CLAIMS
from reproduce.claims import records
from reproduce.claims.definitions import UNITS, Claim, Comparison, load_claims
from reproduce.claims.verdicts import CONTRADICTED, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Effect, Finding, findings
from reproduce.runs import runs_of

HEADER = ["claim", "the paper", "here, 95 % interval", "p", "verdict", "cost", "command"]
BREAK = "<br>"
SHOWN = 2  # numbers of the paper in the table of all claims; a claim's section has the rest
VERDICTS = (SUPPORTED, NOT_SUPPORTED, CONTRADICTED, NOT_RUN)
MADE = "<!-- Made by `python -m reproduce readme`. Do not edit: edit reproduce/cells/claims.yaml. -->"
INTRODUCTION = """Each claim of the four papers as a small experiment on data that come with the suite. Settings were
chosen on pilot seeds (100 and up, [pilots.md](pilots.md)) and written into
[claims.yaml](../../reproduce/cells/claims.yaml) before the reported seeds ran once. `make claims` runs all of them,
`make claims CLAIM=sln-1` one; `make demo-fsr`, `make demo-sln` and `make demo-moco` some, on three seeds.

The effect is paired by seed, with Student's 95 % interval; p is that of the exact two-sided sign-flip test, after
Holm's correction over all claims. A claim is *supported* where p ≤ 0.05 and each of its effects lies beyond its bound
by the smallest distance that matters, *contradicted* where p ≤ 0.05 and one lies as far on the other side (with its own
p times their number ≤ 0.05), else *not supported*: [verdicts.py](../../reproduce/claims/verdicts.py),
[its test](../../tests/reproduce/claims/test_verdicts.py).

The data are small digits and drawn images: no number here stands for a paper's. Accuracies and their differences are in
percent and points, mean ± sample standard deviation over the seeds; *last* is the end of training, *best* the best
epoch on test, *note* a number in the run's record. The cost is that of all runs of a claim on one core; runs that
claims share are done once."""


def kept_findings(folder: Path = records.DOCS, claims_file: Path = CLAIMS) -> dict[str, Finding]:
    """The findings from the records that are kept."""
    claims = load_claims(claims_file)
    return findings(claims, records.numbers(records.read(claims, folder)))


def page(found: Mapping[str, Finding], folder: Path) -> str:
    """The page of all claims; folder: where its pictures are."""
    rows = [[f"[{name}](#{name}): {own.claim.statement}", *_line(name, own)] for name, own in found.items()]
    parts = [MADE, "# The papers' claims, at the size of a laptop", INTRODUCTION, markdown_table(HEADER, rows).strip()]
    first: dict[str, str] = {}  # by what was scaled down, which claims share
    for name, finding in found.items():
        as_there = first.setdefault(finding.claim.scaled_down, name)
        parts.append(_section(name, finding, as_there, folder))
    return "\n\n".join(parts) + "\n"


def outcome(found: Mapping[str, Finding]) -> str:
    """What is printed: each claim with its verdict and comparisons, then the counts where there are several."""
    parts = ["\n\n".join(_outcome(name, finding, _verdict(finding))) for name, finding in found.items()]
    return "\n\n".join([*parts, *([f"Of {len(found)} claims: {_counts(found)}."] if len(found) > 1 else [])])


def of_some_seeds(
    found: Mapping[str, Finding], kept: Mapping[str, Finding], seeds: Sequence[int], folder: Path | None = None
) -> str:
    """The same on other seeds than claims.yaml asks for: no verdict; with the pictures that are in `folder`, if any."""
    parts = [
        f"# {', '.join(found)}: seeds {', '.join(map(str, seeds))}",
        f"No verdict: the sign-flip test of {len(seeds)} seeds cannot give a p below {2 / 2 ** len(seeds):.2g}, and a "
        "verdict is given on the seeds of reproduce/cells/claims.yaml alone. Theirs, and what was scaled down from the "
        "papers, are in docs/claims/README.md. Accuracies in percent, mean ± sample standard deviation.",
    ]
    for name, finding in found.items():
        parts += _outcome(name, finding, f"No verdict here; on all seeds: {_verdict(kept[name]).lower()}")
        parts += _picture(name, folder) if folder else []
    return "\n\n".join(parts) + "\n"


def summary(found: Mapping[str, Finding]) -> str:
    """For the README: a sentence for all, then a line a paper."""
    papers = dict.fromkeys(finding.claim.paper for finding in found.values())
    lines = [f"- {paper}: {_by_verdict(own for own in found.values() if own.claim.paper == paper)}" for paper in papers]
    every = f"Of {len(found)} claims of the papers, at the size of a laptop (`make claims`): {_counts(found)}"
    return "\n".join([f"{every}. [Table, curves and the rule](docs/claims/README.md).", "", *lines])


def report_section(found: Mapping[str, Finding]) -> str:
    """The claims as a table of the HTML report."""
    heads = "".join(f'<th><button type="button">{escape(name)}</button></th>' for name in HEADER[:-1])
    texts = [[f"{name}: {finding.claim.statement}", *_line(name, finding)[:-1]] for name, finding in found.items()]
    rows = [[escape(cell).replace(escape(BREAK), BREAK) for cell in line] for line in texts]
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="sorted"><thead><tr>{heads}</tr></thead>{lines}</table></div>'


def _line(name: str, finding: Finding) -> list[str]:
    """What stands beside the claim, for each word of HEADER after the first."""
    numbers = [f"{words} {number}" for words, number in finding.claim.published.items()]
    paper = BREAK.join(numbers[:SHOWN]) + (", …" if len(numbers) > SHOWN else "") or "-"
    effects = BREAK.join(f"{found.comparison.name}: {effect_text(found)}" for found in finding.effects) or "-"
    p = f"{finding.adjusted:.3f}" if finding.effects else "-"
    return [paper, effects, p, finding.verdict, cost(finding.claim), f"`make claims CLAIM={name}`"]


def effect_text(found: Effect) -> str:
    """`+15.2 [+12.0, +18.4]`."""
    text = found.comparison.text
    return f"{text(found.mean)} [{text(found.interval[0])}, {text(found.interval[1])}]"


def cost(claim: Claim) -> str:
    """`80 runs, 16 min`, by the step times of the cells file."""
    seconds = sum(run.cell.steps * run.cell.cost.cpu_step_seconds for run in runs_of(claim.cells, None, Path()))
    return f"{len(runs_of(claim.cells, None, Path()))} runs, {max(1, round(seconds / 60))} min"


def _by_verdict(found: Iterable[Finding]) -> str:
    names: dict[str, list[str]] = {}
    for finding in found:
        names.setdefault(finding.verdict, []).append(finding.claim.short)
    return "; ".join(f"*{verdict}*: {', '.join(names[verdict])}" for verdict in VERDICTS if verdict in names)


def _counts(found: Mapping[str, Finding]) -> str:
    counts = Counter(finding.verdict for finding in found.values())
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])


def _verdict(finding: Finding) -> str:
    """`Supported, p 0.033`."""
    return finding.verdict.capitalize() + (f", p {finding.adjusted:.3f}" if finding.effects else "")


def _outcome(name: str, finding: Finding, verdict: str) -> list[str]:
    """Heading, claim and verdict, and the comparisons as a table."""
    claim = finding.claim
    parts = [f"## {name}", f"{claim.paper}: {claim.statement} **{verdict}.**"]
    if not finding.effects:
        return parts
    header = ["comparison", "of", "against", "effect, 95 % interval", "has to be", "n", "p alone"]
    rows = [
        [found.comparison.name, *_levels(claim, found), effect_text(found),
         _rule(found.comparison), str(len(found.values)), f"{found.p:.4f}"]
        for found in finding.effects
    ]  # fmt: skip
    return [*parts, markdown_table(header, rows).strip(), _measured(finding.effects)]


def _section(name: str, finding: Finding, as_there: str, folder: Path) -> str:
    """A claim's part of the page; as_there: the first claim with the same scaled-down setting."""
    claim = finding.claim
    numbers = "; ".join(f"{words} {number}" for words, number in claim.published.items()) or "no number at hand"
    links = ", ".join(f"[{own.name}](records/{own.name}.json)" for own in claim.tables)
    parts = [
        *_outcome(name, finding, _verdict(finding)),
        f"The paper, {claim.place}: {numbers}.",
        claim.scaled_down.strip() if as_there == name else f"Scaled down as [{as_there}](#{as_there}).",
        *_picture(name, folder),
        *([claim.found.strip()] if claim.found else []),
        f"Records: {links if finding.effects else 'none are kept'}.",
    ]
    return "\n\n".join(parts)


def _picture(name: str, folder: Path) -> list[str]:
    return [f"![{name}]({name}.png)"] if (folder / f"{name}.png").exists() else []


def _measured(effects: Iterable[Effect]) -> str:
    """What the comparisons measure, once where it is the same."""
    texts = {
        own.name: own.measure + (", in points" if own.unit == "points" else "")
        for own in (found.comparison for found in effects)
    }
    if len(set(texts.values())) == 1:
        return f"Measured: {next(iter(texts.values()))}."
    return f"Measured: {'; '.join(f'{name}: {text}' for name, text in texts.items())}."


def _levels(claim: Claim, found: Effect) -> list[str]:
    """The cell that the effect is of, and the one it is compared with: name, mean ± std."""
    own = found.comparison
    digits = UNITS[own.unit][1] + bool(own.over)
    texts = [
        f"{claim.label(cell)} {format_mean(mean(values), sample_std(values), digits)}"
        for cell, values in zip(own.cells, found.levels, strict=True)
    ]
    return [*texts, "-"][:2]


def _rule(own: Comparison) -> str:
    side = "above" if own.direction == 1 else "below"
    return f"{side} {own.bound:g}".replace("-", "−") + (f" by {own.matters:g} or more" if own.matters else "")
