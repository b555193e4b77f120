"""Tables in LaTeX."""

from collections.abc import Sequence

_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "≤": r"$\le$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
}


def latex_escape(text: str) -> str:
    """Plain text as LaTeX, with ±, × and the minus sign in mathematics."""
    return "".join(_LATEX.get(character, character) for character in text)


def latex_table(
    caption: str,
    label: str,
    headings: Sequence[tuple[str, str]],
    groups: Sequence[Sequence[Sequence[str]]],
) -> str:
    """A table environment: headings of two lines, groups of rows with a rule between them.

    The first two columns are aligned left.  Needs the packages booktabs and graphicx.
    """
    lines = [r"\toprule", *(_line([h[i] for h in headings]) for i in (0, 1))]
    for rows in groups:
        lines += [r"\midrule", *map(_line, rows)]
    body = "\n".join([*lines, r"\bottomrule"])
    return (
        "% \\usepackage{booktabs, graphicx}\n"
        "\\begin{table}[htbp]\n"
        "\\centering\n"
        f"\\caption{{{latex_escape(caption)}}}\n"
        f"\\label{{{label}}}\n"
        # Shrinks a table that is too wide, and leaves the others at their size.
        "\\resizebox{\\ifdim\\width>\\linewidth \\linewidth\\else \\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{ll{'r' * (len(headings) - 2)}}}\n"
        f"{body}\n"
        "\\end{tabular}}\n"
        "\\end{table}\n"
    )


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_escape, cells)) + r" \\"
