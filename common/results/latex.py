r"""Tables as LaTeX that needs no package: rules are \hline, lines of a cell are stacked. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "−": "$-$", "×": r"$\times$", "σ": r"$\sigma$", "α": r"$\alpha$", "<": "$<$", ">": "$>$"},
}


def latex_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str, label: str) -> str:
    """A `table` with title and note as its caption. A line break in a cell starts a new line there."""
    lines = [" & ".join(map(_cell, line)) + r" \\" for line in (header, *rows)]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{escaped(title)}. {escaped(' '.join(note.split()))}}}",
            f"  \\label{{tab:{label}}}",
            f"  \\begin{{tabular}}{{{'l' * len(header)}}}",
            r"    \hline",
            f"    {lines[0]}",
            r"    \hline",
            *(f"    {line}" for line in lines[1:]),
            r"    \hline",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text as LaTeX shows it unchanged."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def _cell(text: str) -> str:
    parts = [escaped(part) for part in text.split("\n")]
    return parts[0] if len(parts) == 1 else r"\shortstack[l]{" + r" \\ ".join(parts) + "}"
