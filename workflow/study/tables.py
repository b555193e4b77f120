"""The table of one ablation for reading and for further use: Markdown, LaTeX, CSV, parquet."""

from collections.abc import Sequence
from math import floor, isfinite, log10, nan
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from model.files import write_bytes
from study.comparison import ABLATION, Ablation, compare, complete, records
from study.paper import PAPER
from study.runs import UNIT_LABEL, ResultError, read_parquet, write_frame

_DEFAULT_DECIMALS = {"nats": 2, "bits/dim": 3}


def decimals(uncertainty: float, unit: str) -> int:
    """Decimals to show: up to the standard error's first digit (its second, if the first is 1)."""
    if not isfinite(uncertainty) or uncertainty <= 0:
        return _DEFAULT_DECIMALS[unit]
    exponent = floor(log10(uncertainty))
    leading_one = uncertainty < 2 * 10**exponent
    return min(max(leading_one - exponent, 0), 5)


def format_value(value: float, uncertainty: float, unit: str, sign: str = "") -> str:
    """A mean and its standard error for reading, "80.14 ± 0.03"; "" for NaN."""
    if not isfinite(value):
        return ""
    digits = decimals(uncertainty, unit)
    # A hyphen is no minus sign.
    text = f"{value:{sign}.{digits}f}".replace("-", "−")
    return text if not isfinite(uncertainty) else f"{text} ± {uncertainty:.{digits}f}"


def format_interval(value: float, half_width: float, unit: str) -> str:
    """An interval for reading, "80.05 to 80.23"; "" for NaN."""
    if not (isfinite(value) and isfinite(half_width)):
        return ""
    digits = decimals(half_width, unit)
    return f"{value - half_width:.{digits}f} to {value + half_width:.{digits}f}"


Heading = tuple[str, str]  # a column's name, and its unit or detail


def _headings(table: pd.DataFrame) -> dict[str, Heading]:
    units = table["unit"].dropna().unique()
    unit = UNIT_LABEL[units[0]] if len(units) == 1 else ""
    samples = ", ".join(map(str, table["importance_samples"].dropna().unique()))
    has_published = table["published_nll"].notna().any()
    headings = {
        "dataset": ("dataset", ""),
        "variant": ("variant", ""),
        "num_parameters": ("parameters", ""),
        "stochastic_depth": ("depth", "stochastic"),
        "num_latents": ("latents", "per image"),
        "seeds": ("seeds", ""),
        "nll": ("test NLL", unit),
        "difference": ("difference", f"to {_joined(table, 'baseline')}"),
        "iw_nll": ("IW bound", f"K = {samples}"),
        "rate": ("rate", "nats per image"),
        "unit": ("unit", "of NLL"),
        "interval": ("95 % interval", "of NLL"),
        "published": ("paper", "NLL"),
        "minus_published": ("ours − paper", "NLL"),
        "gpu_hours": ("GPU hours", "per run"),
    }
    if unit:
        del headings["unit"]
    if not has_published:
        del headings["interval"], headings["published"], headings["minus_published"]
    if not (table["gpu_hours_mean"] > 0).any():
        del headings["gpu_hours"]
    return headings


MISSING = "…"  # a cell of a partial table whose runs have not finished
_OUR_CELLS = [
    "stochastic_depth", "num_latents", "seeds", "nll", "difference", "iw_nll", "rate", "interval",
    "gpu_hours",
]  # fmt: skip


def _published_cells(row: dict[str, Any]) -> dict[str, str]:
    """The paper's side of a row: "≤ 80.14", † where it is of another version of the dataset."""
    nll, unit = row["published_nll"], row["unit"]
    if not isfinite(nll):
        return {"published": "", "minus_published": ""}
    bound = "≤ " if row["published_bound"] == "<=" else ""
    mark = "" if row["published_is_comparable"] else "†"
    mark += f" {row['published_mark']}" if row["published_mark"] else ""
    difference = format_value(row["nll_minus_published"], nan, unit, "+")
    return {"published": f"{bound}{nll:.2f}{mark}", "minus_published": difference}


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """One row for reading, with × for what diverged."""
    if row["origin"] != "trained":
        is_missing = row["origin"] == "missing"
        return {
            **dict.fromkeys(_OUR_CELLS, MISSING if is_missing else ""),
            "dataset": row["dataset"],
            "variant": row["variant"] if is_missing else f"{row['variant']} (paper)",
            "num_parameters": MISSING if is_missing else row["published_parameters"],
            "unit": "" if is_missing else row["unit"],
            **_published_cells(row),
        }
    num_seeds, num_diverged, unit = row["num_seeds"], row["num_diverged"], row["unit"]
    if row["variant"] == row["baseline"]:
        difference = "–"
    else:
        difference = format_value(
            row["nll_difference_mean"], row["nll_difference_standard_error"], unit, sign="+"
        )
    cells = {
        "nll": format_value(row["nll_mean"], row["nll_standard_error"], unit),
        "difference": difference,
        "iw_nll": format_value(row["iw_nll_mean"], row["iw_nll_standard_error"], unit),
        "rate": f"{row['rate_nats_mean']:,.1f}",
        "interval": format_interval(row["nll_mean"], row["nll_interval_95"], unit),
        "minus_published": _published_cells(row)["minus_published"],
    }
    if num_seeds == 0:
        cells = dict.fromkeys(cells, "×")
    return {
        "dataset": row["dataset"],
        "variant": row["variant"],
        "num_parameters": f"{row['num_parameters']:,}",
        "stochastic_depth": f"{row['stochastic_depth']:,}",
        "num_latents": f"{row['num_latents']:,}",
        "seeds": f"{num_seeds} + {num_diverged} ×" if num_diverged else str(num_seeds),
        "unit": unit,
        "published": _published_cells(row)["published"],
        "gpu_hours": f"{row['gpu_hours_mean']:,.1f}",
        **cells,
    }


def for_reading(table: pd.DataFrame) -> tuple[list[Heading], list[list[str]]]:
    """The headings and the formatted cells of an ablation's table."""
    headings = _headings(table)
    cells = [_cells(row) for row in records(table)]
    return list(headings.values()), [[row[name] for name in headings] for row in cells]


def caption(ablation: Ablation, table: pd.DataFrame) -> str:
    """What the table shows: study, estimator, images, dataset version."""
    sentences = [
        f"{ablation.title.rstrip('.')} (study {ablation.study}).",
        f"Test NLL: {_joined(table, 'estimator')}, lower is better; mean"
        + (" ± standard error over the seeds" if (table["num_seeds"] > 1).any() else "")
        + ".",
        f"Difference: NLL minus that of {_joined(table, 'baseline')}, paired by seed.",
        "IW bound: importance-weighted bound with K samples.",
    ]
    if (table["num_diverged"] > 0).any():
        sentences.append("× marks diverged runs, which no mean includes.")
    if table["published_nll"].notna().any():
        sentences += [
            f"Paper: {PAPER}, {ablation.source}, an upper bound where it says ≤; its estimator is "
            "not stated.",
            "95 % interval: Student's t over the seeds.",
        ]
    if not table["published_is_comparable"].all():
        sentences.append("† another version of the dataset: not comparable.")
    if table["published_mark"].any():
        sentences.append("× beside the paper's value is the paper's mark.")
    if (table["origin"] == "missing").any():
        sentences.append(f"Partial: {MISSING} marks what has not finished.")
    trained = table[table["origin"] == "trained"]
    sentences += [
        f"{row['dataset']}: {row['num_images']:,} {row['split']} images, version "
        f"{row['dataset_version']}, {row['likelihood_dims']:,} scored dimensions."
        for row in records(trained.drop_duplicates("dataset"))
    ]
    return " ".join(sentences)


def _joined(table: pd.DataFrame, name: str) -> str:
    return " / ".join(dict.fromkeys(table[name].dropna()))


def to_markdown(ablation: Ablation, table: pd.DataFrame) -> str:
    """The table in Markdown, its caption above."""
    headings, cells = for_reading(table)
    names = [f"{name} ({detail})" if detail else name for name, detail in headings]
    body = tabulate(
        cells,
        headers=names,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left", "left"] + ["right"] * (len(names) - 2),
    )
    return f"{caption(ablation, table)}\n\n{body}\n"


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
}


def latex_escape(text: str) -> str:
    """Plain text as LaTeX, with ±, × and the minus sign in mathematics."""
    return "".join(_LATEX.get(character, character) for character in text)


def to_latex(ablation: Ablation, table: pd.DataFrame) -> str:
    """The table as a LaTeX table environment; needs the packages booktabs and graphicx."""
    headings, cells = for_reading(table)
    lines = [r"\toprule", *(_latex_line([h[i] for h in headings]) for i in (0, 1)), r"\midrule"]
    for index, row in enumerate(cells):
        is_first = index == 0 or cells[index - 1][0] != row[0]
        if is_first and index > 0:
            lines.append(r"\midrule")
        lines.append(_latex_line(row if is_first else ["", *row[1:]]))
    lines.append(r"\bottomrule")
    body = "\n".join(lines)
    return (
        "% \\usepackage{booktabs, graphicx}\n"
        "\\begin{table}[htbp]\n"
        "\\centering\n"
        f"\\caption{{{latex_escape(caption(ablation, table))}}}\n"
        f"\\label{{tab:{ablation.study}-{ablation.ablation}}}\n"
        # Shrinks a table that is too wide, and leaves the others at their size.
        "\\resizebox{\\ifdim\\width>\\linewidth \\linewidth\\else \\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{ll{'r' * (len(headings) - 2)}}}\n"
        f"{body}\n"
        "\\end{tabular}}\n"
        "\\end{table}\n"
    )


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_escape, cells)) + r" \\"


def write(
    ablation: Ablation,
    runs: pd.DataFrame,
    timings: pd.DataFrame,
    directory: Path,
    *,
    is_partial: bool = False,
) -> None:
    """Write {ablation}.parquet and .csv (full numbers), .md and .tex (for reading)."""
    table = complete(ablation, compare(ablation, runs, is_partial=is_partial), timings)
    stem = directory / ablation.ablation
    write_frame(table, ABLATION, stem.with_name(f"{stem.name}.parquet"))
    for suffix, text in {
        "csv": table.to_csv(index=False, lineterminator="\n"),
        "md": to_markdown(ablation, table),
        "tex": to_latex(ablation, table),
    }.items():
        write_bytes(stem.with_name(f"{stem.name}.{suffix}"), text.encode())


def find_study(results: Path, study: str | None) -> Path:
    """The directory of a study under `results`, or of the only one there is."""
    found = sorted(p.parent.parent.name for p in results.glob("*/tables/runs.parquet"))
    if study is None and len(found) == 1:
        return results / found[0]
    if study in found:
        return results / study
    there = f"there are {', '.join(found)}" if found else "there is none yet: run snakemake first"
    wanted = "name one with --study" if study is None else f"{study} has no tables"
    raise ResultError(f"{results}: {wanted}; {there}")


def overview(path: Path) -> str:
    """The runs of a study for a terminal, one line each."""
    runs = read_parquet(path).to_pandas()
    columns = {
        "dataset": runs["dataset"],
        "variant": runs["variant"],
        "seed": runs["seed"],
        "status": runs["status"],
        "test NLL": [f"{x:.4f}" for x in runs["nll"]],
        "IW bound": [f"{x:.4f}" for x in runs["iw_nll"]],
        "unit": runs["unit"],
        "parameters": [f"{x:,}" for x in runs["num_parameters"]],
        "depth": runs["stochastic_depth"],
        "iterations": [f"{x:,}" for x in runs["iterations_done"]],
    }
    return tabulate(columns, headers="keys", tablefmt="simple", disable_numparse=True)
