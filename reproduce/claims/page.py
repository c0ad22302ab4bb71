"""What is written of the claims: docs/claims/README.md, the README's lines, the report's section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from common.results.tables import markdown_table
from reproduce.cells.files import CLAIMS
from reproduce.claims import records
from reproduce.claims.definitions import Claim, load_claims
from reproduce.claims.verdicts import CONTRADICTED, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Effect, Finding, findings
from reproduce.runs import runs_of

HEADER = ["claim", "the paper", "effect here, 95 % interval", "p", "verdict", "cost", "command"]
BREAK = "<br>"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, CONTRADICTED, NOT_RUN)
MADE = "<!-- Made by `python -m reproduce readme`. Do not edit: edit reproduce/cells/claims.yaml. -->"
INTRODUCTION = """Each claim of the four papers as a small experiment on data that come with the suite. Settings were
chosen on pilot seeds (100 and up, [pilots.md](pilots.md)) and written into
[claims.yaml](../../reproduce/cells/claims.yaml) before the reported seeds ran once. `make claims` runs all of them,
`make claims CLAIM=sln-1` one.

The effect is paired by seed, with Student's 95 % interval; p is that of the exact two-sided sign-flip test, after
Holm's correction over all claims. A claim is *supported* where p ≤ 0.05 and each of its effects lies beyond its bound
by the smallest distance that matters, *contradicted* where p ≤ 0.05 and one lies as far on the other side (with its own
p times their number ≤ 0.05), else *not supported*: [verdicts.py](../../reproduce/claims/verdicts.py),
[its test](../../tests/reproduce/claims/test_verdicts.py).

The data are small digits and drawn images: no number here stands for a paper's. The cost is that of all runs of a claim
on one core; runs that claims share are done once."""


def kept_findings(folder: Path = records.DOCS, claims_file: Path = CLAIMS) -> dict[str, Finding]:
    """The findings from the records that are kept."""
    claims = load_claims(claims_file)
    return findings(claims, records.numbers(records.read(claims, folder)))


def page(found: Mapping[str, Finding], folder: Path) -> str:
    """The page of all claims; folder: where its pictures are."""
    parts = [MADE, "# The papers' claims, at the size of a laptop", INTRODUCTION, table(found).strip()]
    parts += [_section(name, finding, (folder / f"{name}.png").exists()) for name, finding in found.items()]
    return "\n\n".join(parts) + "\n"


def table(found: Mapping[str, Finding]) -> str:
    """One line a claim, as Markdown."""
    return markdown_table(HEADER, [_line(name, finding) for name, finding in found.items()])


def summary(found: Mapping[str, Finding]) -> str:
    """For the README: a sentence for all, then a line a paper."""
    papers = dict.fromkeys(finding.claim.paper for finding in found.values())
    lines = [f"- {paper}: {_by_verdict(own for own in found.values() if own.claim.paper == paper)}" for paper in papers]
    counts = Counter(finding.verdict for finding in found.values())
    total = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    every = f"Of {len(found)} claims of the papers, at the size of a laptop (`make claims`): {total}"
    return "\n".join([f"{every}. [Table, curves and the rule](docs/claims/README.md).", "", *lines])


def report_section(found: Mapping[str, Finding]) -> str:
    """The claims as a table of the HTML report."""
    heads = "".join(f'<th><button type="button">{escape(name)}</button></th>' for name in HEADER[:-1])
    rows = [[escape(cell).replace(escape(BREAK), BREAK) for cell in _line(*own)[:-1]] for own in found.items()]
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="sorted"><thead><tr>{heads}</tr></thead>{lines}</table></div>'


def _line(name: str, finding: Finding) -> list[str]:
    claim = finding.claim
    paper = "; ".join(f"{words} {number}" for words, number in claim.published.items()) or "no number at hand"
    effects = BREAK.join(f"{found.comparison.name}: {effect_text(found)}" for found in finding.effects) or "-"
    p = f"{finding.adjusted:.3f}" if finding.effects else "-"
    return [f"{name}: {claim.statement}", f"{paper} ({claim.place})", effects, p, finding.verdict, cost(claim),
            f"`make claims CLAIM={name}`"]  # fmt: skip


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


def _section(name: str, finding: Finding, drawn: bool) -> str:
    claim = finding.claim
    lines = [
        [found.comparison.name, _measured(found), effect_text(found), _rule(found), str(len(found.values)),
         f"{found.p:.4f}"]
        for found in finding.effects
    ]  # fmt: skip
    parts = [f"## {name}", f"{claim.paper}: {claim.statement} **{finding.verdict.capitalize()}.**", claim.scaled_down]
    if lines:
        parts.append(markdown_table(["comparison", "of", "effect", "has to be", "n", "p alone"], lines).strip())
    if drawn:
        parts.append(f"![{name}]({name}.png)")
    if claim.found:
        parts.append(claim.found.strip())
    links = ", ".join(f"[{own.name}](records/{own.name}.json)" for own in claim.tables)
    return "\n\n".join([*parts, f"Records: {links if lines else 'none are kept'}."])


def _measured(found: Effect) -> str:
    own = found.comparison
    other = f" − {own.minus}" if own.minus else f" / {own.over}" if own.over else ""
    return f"{own.measure}: {own.of}{other}"


def _rule(found: Effect) -> str:
    own = found.comparison
    side = "above" if own.direction == 1 else "below"
    return f"{side} {own.bound:g}, by {own.matters:g} at least"
