"""From the runs of a study to the table of one ablation: numbers, Markdown, CSV and LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from pydantic import ConfigDict
from tabulate import tabulate

from model.config import ConfigError, from_mapping
from model.files import write_bytes
from study.runs import ResultError, column, read_parquet, write_parquet

UNIT_LABEL = {"nats": "nats per image", "bits/dim": "bits per dimension"}
_DEFAULT_DECIMALS = {"nats": 2, "bits/dim": 3}
_WEIGHTS_LABEL = {"ema": "EMA", "raw": "raw"}


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What an ablation compares: `results/{study}/ablations/{ablation}.yaml`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    study: str
    ablation: str
    title: str
    description: str
    variants: dict[str, list[str]]  # per dataset, in display order, the baseline first

    @classmethod
    def load(cls, path: Path) -> "Ablation":
        """Read an ablation's file; raises ResultError, one line."""
        if not path.is_file():
            raise ResultError(
                f"{path} is missing: snakemake writes it for each ablation of a study"
            )
        try:
            ablation = from_mapping(cls, yaml.safe_load(path.read_text()))
        except (ConfigError, yaml.YAMLError) as error:
            raise ResultError(f"{path}: {' '.join(str(error).split())}") from None
        if not ablation.variants or not all(ablation.variants.values()):
            raise ResultError(f"{path}: variants must name a dataset, and variants for each")
        return ablation


ABLATION = pa.schema(
    [
        column("study", pa.string(), "study"),
        column("ablation", pa.string(), "ablation"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant, in display order"),
        column("baseline", pa.string(), "variant that the differences are to: the dataset's first"),
        column("num_parameters", pa.int64(), "trainable scalars"),
        column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
        column("num_latents", pa.int64(), "scalar latent variables per image"),
        column("num_seeds", pa.int64(), "finished runs: what the means are over"),
        column("num_diverged", pa.int64(), "further runs, diverged: in no mean"),
        column("nll_mean", pa.float64(), "one-sample bound on the test NLL, mean over seeds, unit"),
        column("nll_standard_error", pa.float64(), "its standard error over seeds (ddof 1), unit"),
        column("unit", pa.string(), "nats (per image) or bits/dim"),
        column("nll_difference_mean", pa.float64(), "NLL minus the baseline's, mean over pairs"),
        column("nll_difference_standard_error", pa.float64(), "its standard error over pairs"),
        column("num_pairs", pa.int64(), "seeds finished by variant and baseline; 0 for itself"),
        column("iw_nll_mean", pa.float64(), "importance-weighted bound, mean over seeds, unit"),
        column("iw_nll_standard_error", pa.float64(), "its standard error over seeds, unit"),
        column("importance_samples", pa.int64(), "samples K of the importance-weighted bound"),
        column("rate_nats_mean", pa.float64(), "rate, nats per image, mean over seeds"),
        column("rate_share", pa.float64(), "mean rate / mean NLL, both in nats"),
        column("dataset_version", pa.string(), "version of the dataset"),
        column("split", pa.string(), "split that was evaluated"),
        column("num_images", pa.int64(), "images that each run's NLL is the mean of"),
        column("scored_dims", pa.int64(), "pixel values per image that the likelihood scores"),
        column("estimator", pa.string(), "estimator of nll_mean, and the weights evaluated"),
    ]
)

# Numbers of one dataset may stand in one column only if these agree.
_COMPARABLE = ["unit", "dataset_version", "split", "num_images", "scored_dims", "estimator"]


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean, ddof 1; NaN below two values."""
    if len(values) < 2:
        return nan
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else nan


def is_diverged(runs: pd.DataFrame) -> "pd.Series[bool]":
    """Which runs diverged: stopped as such, or with a test NLL that is not finite."""
    return (runs["status"] == "diverged") | ~np.isfinite(runs["nll_nats"])


def select(runs: pd.DataFrame, study: str, dataset: str, variant: str) -> pd.DataFrame:
    """The runs of one variant, by seed; raises ResultError if there are none."""
    found = runs[
        (runs["study"] == study) & (runs["dataset"] == dataset) & (runs["variant"] == variant)
    ]
    if found.empty:
        raise ResultError(
            f"the table of runs has no run of {study}: {dataset}/{variant}; train and evaluate it, "
            "then write the table with `python -m study runs`"
        )
    return found.sort_values("seed")


def estimator(weights: str) -> str:
    """What the column nll estimates, with the weights that were evaluated ("ema" or "raw")."""
    return f"one-sample ELBO, {_WEIGHTS_LABEL[weights]} weights"


def compare(ablation: Ablation, runs: pd.DataFrame) -> pd.DataFrame:
    """The table of an ablation: one row per dataset and variant, means over finished seeds."""
    rows = []
    for dataset, variants in ablation.variants.items():
        baseline = select(runs, ablation.study, dataset, variants[0])
        rows_of_dataset = [
            _row(ablation, select(runs, ablation.study, dataset, variant), baseline)
            for variant in variants
        ]
        _check_seeds(runs, ablation, dataset)
        _check_comparable(dataset, rows_of_dataset)
        rows += rows_of_dataset
    return pd.DataFrame(rows, columns=ABLATION.names)


def _row(ablation: Ablation, runs: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, Any]:
    finished = runs[~is_diverged(runs)]
    differences = _differences(finished, baseline[~is_diverged(baseline)])
    dataset, variant = str(runs["dataset"].iloc[0]), str(runs["variant"].iloc[0])
    baseline_variant = str(baseline["variant"].iloc[0])
    if variant == baseline_variant:
        differences = []
    same = [
        "num_parameters",
        "stochastic_depth",
        "num_latents",
        "unit",
        "importance_samples",
        "dataset_version",
        "split",
        "num_images",
        "scored_dims",
        "weights",
    ]
    of_all_seeds = {name: _the_one(runs, name, f"{dataset}/{variant}") for name in same}
    return {
        "study": ablation.study,
        "ablation": ablation.ablation,
        "dataset": dataset,
        "variant": variant,
        "baseline": baseline_variant,
        "num_seeds": len(finished),
        "num_diverged": len(runs) - len(finished),
        "nll_mean": mean(list(finished["nll"])),
        "nll_standard_error": standard_error(list(finished["nll"])),
        "nll_difference_mean": mean(differences),
        "nll_difference_standard_error": standard_error(differences),
        "num_pairs": len(differences),
        "iw_nll_mean": mean(list(finished["iw_nll"])),
        "iw_nll_standard_error": standard_error(list(finished["iw_nll"])),
        "rate_nats_mean": mean(list(finished["rate_nats"])),
        "rate_share": mean(list(finished["rate_nats"])) / mean(list(finished["nll_nats"])),
        "estimator": estimator(of_all_seeds.pop("weights")),
        **of_all_seeds,
    }


def _differences(runs: pd.DataFrame, baseline: pd.DataFrame) -> list[float]:
    """NLL minus the baseline's, for each seed that both have."""
    nll, nll_baseline = runs.set_index("seed")["nll"], baseline.set_index("seed")["nll"]
    return list((nll - nll_baseline).dropna())


def _the_one(runs: pd.DataFrame, name: str, what: str) -> Any:
    """The value of a column that all seeds share."""
    values = runs[name].unique().tolist()
    if len(values) != 1:
        raise ResultError(f"{what}: the seeds differ in {name}: {', '.join(map(str, values))}")
    return values[0]


def _check_seeds(runs: pd.DataFrame, ablation: Ablation, dataset: str) -> None:
    """A mean over fewer seeds than its neighbour's is a missing run, unless one diverged."""
    seeds = {
        variant: select(runs, ablation.study, dataset, variant)["seed"].tolist()
        for variant in ablation.variants[dataset]
    }
    wanted = sorted({seed for found in seeds.values() for seed in found})
    for variant, found in seeds.items():
        if found != wanted:
            missing = min(set(wanted) - set(found))
            raise ResultError(
                f"the table of runs has {dataset}/{variant} without seed {missing}; train and "
                "evaluate it, then write the table with `python -m study runs`"
            )


def _check_comparable(dataset: str, rows: Sequence[dict[str, Any]]) -> None:
    for name in _COMPARABLE:
        values = {row[name]: row["variant"] for row in rows}
        if len(values) > 1:
            found = ", ".join(f"{variant} {value}" for value, variant in values.items())
            raise ResultError(f"{dataset}: variants of different {name} are not compared: {found}")


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


Heading = tuple[str, str]  # a column's name, and its unit or detail


def _headings(table: pd.DataFrame) -> dict[str, Heading]:
    units = table["unit"].unique()
    unit = UNIT_LABEL[units[0]] if len(units) == 1 else ""
    samples = ", ".join(map(str, table["importance_samples"].unique()))
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
    }
    if unit:
        del headings["unit"]
    return headings


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """One row for reading, with × for what diverged."""
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
        **cells,
    }


def for_reading(table: pd.DataFrame) -> tuple[list[Heading], list[list[str]]]:
    """The headings and the formatted cells of an ablation's table."""
    headings = _headings(table)
    cells = [_cells(row) for row in _records(table)]
    return list(headings.values()), [[row[name] for name in headings] for row in cells]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


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
    sentences += [
        f"{row['dataset']}: {row['num_images']:,} {row['split']} images, version "
        f"{row['dataset_version']}, {row['scored_dims']:,} scored dimensions."
        for row in _records(table.drop_duplicates("dataset"))
    ]
    return " ".join(sentences)


def _joined(table: pd.DataFrame, name: str) -> str:
    return " / ".join(dict.fromkeys(table[name]))


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


def write(ablation: Ablation, runs: pd.DataFrame, directory: Path) -> None:
    """Write {ablation}.parquet and .csv (full numbers), .md and .tex (for reading)."""
    table = compare(ablation, runs)
    arrow = pa.Table.from_pandas(table, schema=ABLATION, preserve_index=False)
    stem = directory / ablation.ablation
    # Without pandas' own metadata, which holds the version of pandas.
    write_parquet(arrow.replace_schema_metadata(None), stem.with_name(f"{stem.name}.parquet"))
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
