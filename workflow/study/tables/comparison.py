"""The table of an ablation: its variants compared, beside what the paper published."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import pandas as pd
import pyarrow as pa

from model.table import Table, column
from study.comparing.code import code_columns, with_note
from study.comparing.comparison import compare
from study.comparing.published import PAPER
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.columns import mean_columns
from study.tables.latex import latex_table
from study.tables.markdown import DIVERGED, decimals, format_value, with_caption
from study.unit import UNIT_LABEL

# fmt: off
TABLE = Table(
    name="comparison",
    row="dataset and variant, in display order",
    note="The CSV file has the same columns, missing values empty. An ablation with a `source` has "
    "the paper's values (`workflow/study/comparing/falck2022.csv`) beside ours, and the paper's "
    "further methods as rows of origin `published`. A standard error needs two values. Differences "
    "are variant minus baseline, paired by seed, so a negative one means that the variant is "
    "better; one is decided if its 95 % interval over seeds leaves out 0. NLLs are of the averaged "
    "weights on the whole test set.",
    columns=[
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
        column("unit", pa.string(), "nats (per image) or bits/dim: unit of the NLLs of this row"),
        *mean_columns("nll", "one-sample bound on the test NLL", "the column unit"),
        column("nll_evaluation_error", pa.float64(),
               "standard error of nll_mean over test images: of the evaluation, not of training",
               "the column unit"),
        *mean_columns("nll_difference", "NLL minus the baseline's, paired by seed",
                      "the column unit"),
        column("nll_difference_evaluation_error", pa.float64(),
               "standard error of nll_difference_mean over the test images, paired by image",
               "the column unit"),
        column("nll_difference_is_decided", pa.bool_(),
               "whether its 95 % interval over seeds leaves out 0; null below two pairs"),
        column("num_pairs", pa.int64(), "seeds finished by variant and baseline; 0 for itself"),
        *mean_columns("iw_nll", "importance-weighted bound", "the column unit"),
        column("importance_samples", pa.int64(), "samples K of the importance-weighted bound"),
        *mean_columns("rate_nats", "rate", "nats per image"),
        column("rate_share", pa.float64(), "mean rate / mean NLL, both in nats"),
        column("has_unused_latents", pa.bool_(),
               "rate below 1 nat: variants of latents, cells and skips cannot differ"),
        column("definitions", pa.int64(),
               "version of what the numbers mean (model/definitions.py)"),
        column("dataset_version", pa.string(), "version of the dataset"),
        column("dataset_sha256", pa.string(), "digest of the dataset's arrays"),
        column("num_images", pa.int64(), "test images that each run's NLL is the mean of"),
        column("likelihood_dims", pa.int64(), "pixel values per image that the likelihood covers"),
        column("gpu_hours_mean", pa.float64(), "GPUs x hours of a training, mean over all seeds",
               "h"),
        *code_columns("training", "evaluation"),
        column("origin", pa.string(), "trained, published (the paper's row only) or missing"),
        column("published_method", pa.string(), "the method's name in the paper"),
        column("published_parameters", pa.string(), "parameters as the paper writes them"),
        column("published_bound", pa.string(), "<= where the published NLL is an upper bound"),
        column("published_nll", pa.float64(), "the paper's NLL", "the column unit"),
        column("published_mark", pa.string(),
               "the paper's mark: × for learning that deteriorates"),
        column("published_is_comparable", pa.bool_(), "false: another version of the dataset"),
        column("nll_minus_published", pa.float64(),
               "nll_mean minus published_nll; null if not comparable", "the column unit"),
    ],
)
# fmt: on


def rows(ablation: Ablation, results: StudyResults, *, is_partial: bool = False) -> pd.DataFrame:
    """One row per dataset and variant; raises ResultError (study.comparing.comparison)."""
    compared = compare(ablation, results, is_partial=is_partial)
    integers = [field.name for field in TABLE.schema if field.type == pa.int64()]
    frame = pd.DataFrame(compared, columns=TABLE.schema.names)
    booleans = [field.name for field in TABLE.schema if field.type == pa.bool_()]
    return frame.astype(dict.fromkeys(integers, "Int64") | dict.fromkeys(booleans, "boolean"))


# --- For reading ----------------------------------------------------------------------------------

Row = Mapping[Hashable, Any]  # of a data frame
MISSING = "…"  # a cell of a partial table whose runs have not finished
NOT_DECIDED = " ?"
INTERVAL = "± half the 95 % interval over seeds (Student's t)"
UNUSED = " ‡"


def _always(_frame: pd.DataFrame) -> bool:
    return True


def _has_published(frame: pd.DataFrame) -> bool:
    return bool(frame["published_nll"].notna().any())


def _unit_of(frame: pd.DataFrame) -> str:
    """The unit of all NLLs; "" where they differ, and a column tells."""
    units = frame["unit"].dropna().unique()
    return UNIT_LABEL[units[0]] if len(units) == 1 else ""


def _joined(frame: pd.DataFrame, name: str) -> str:
    return " / ".join(map(str, dict.fromkeys(frame[name].dropna())))


def _mean(row: Row, name: str, sign: str = "") -> str:
    """A mean over seeds with half its interval, in the row's unit."""
    mean, half_width, error = (
        row[f"{name}_{statistic}"] for statistic in ("mean", "interval_95", "standard_error")
    )
    return format_value(mean, half_width, error, row["unit"], sign)


def _difference(row: Row) -> str:
    if row["variant"] == row["baseline"]:
        return "–"
    text = _mean(row, "nll_difference", sign="+")
    half_width = row["nll_difference_interval_95"]
    has_interval = isfinite(half_width) and half_width > 0  # 0: equal in every seed
    return f"{text}{NOT_DECIDED}" if has_interval and not row["nll_difference_is_decided"] else text


def _evaluation_error(row: Row) -> str:
    """Of the mean, and of the difference: "0.24 / 0.05"."""
    unit = row["unit"]
    errors = (row["nll_evaluation_error"], row["nll_difference_evaluation_error"])
    return " / ".join(f"{e:.{decimals(e, unit)}f}" for e in errors if isfinite(e))


def _rate(row: Row) -> str:
    return f"{row['rate_nats_mean']:,.1f}{UNUSED if row['has_unused_latents'] else ''}"


def _seeds(row: Row) -> str:
    diverged = f" + {row['num_diverged']} {DIVERGED}" if row["num_diverged"] else ""
    return f"{row['num_seeds']}{diverged}"


def _published(row: Row) -> str:
    """The paper's NLL: "≤ 80.14", † where it is of another version of the dataset."""
    if not isfinite(row["published_nll"]):
        return ""
    bound = "≤ " if row["published_bound"] == "<=" else ""
    mark = "" if row["published_is_comparable"] else "†"
    mark += f" {row['published_mark']}" if row["published_mark"] else ""
    return f"{bound}{row['published_nll']:.2f}{mark}"


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A column for reading: its heading, and what stands in it."""

    name: str
    detail: Callable[[pd.DataFrame], str] = lambda _frame: ""  # below the name: unit and the like
    text: Callable[[Row], str]  # of a row that was trained
    published: Callable[[Row], str] = lambda _row: ""  # of a row of the paper only
    needs_a_finished_run: bool = False
    is_shown: Callable[[pd.DataFrame], bool] = _always


_COLUMNS = [
    _Column(name="dataset", text=lambda row: row["dataset"], published=lambda row: row["dataset"]),
    _Column(
        name="variant",
        text=lambda row: row["variant"],
        published=lambda row: f"{row['variant']} (paper)",
    ),
    _Column(
        name="parameters",
        text=lambda row: f"{row['num_parameters']:,}",
        published=lambda row: row["published_parameters"],
    ),
    _Column(
        name="depth",
        detail=lambda _frame: "stochastic",
        text=lambda row: f"{row['stochastic_depth']:,}",
    ),
    _Column(
        name="latents",
        detail=lambda _frame: "per image",
        text=lambda row: f"{row['num_latents']:,}",
    ),
    _Column(name="seeds", text=_seeds),
    _Column(
        name="test NLL",
        detail=_unit_of,
        text=lambda row: _mean(row, "nll"),
        needs_a_finished_run=True,
    ),
    _Column(
        name="difference",
        detail=lambda frame: f"to {_joined(frame, 'baseline')}",
        text=_difference,
        needs_a_finished_run=True,
    ),
    _Column(
        name="evaluation error",
        detail=lambda _frame: "of NLL / of difference",
        text=_evaluation_error,
        needs_a_finished_run=True,
    ),
    _Column(
        name="IW bound",
        detail=lambda frame: f"K = {_joined(frame, 'importance_samples').replace(' /', ',')}",
        text=lambda row: _mean(row, "iw_nll"),
        needs_a_finished_run=True,
    ),
    _Column(
        name="rate",
        detail=lambda _frame: "nats per image",
        text=_rate,
        needs_a_finished_run=True,
    ),
    _Column(
        name="unit",
        detail=lambda _frame: "of NLL",
        text=lambda row: row["unit"],
        published=lambda row: row["unit"],
        is_shown=lambda frame: not _unit_of(frame),
    ),
    _Column(
        name="paper",
        detail=lambda _frame: "NLL",
        text=_published,
        published=_published,
        is_shown=_has_published,
    ),
    _Column(
        name="ours − paper",
        detail=lambda _frame: "NLL",
        text=lambda row: format_value(row["nll_minus_published"], nan, nan, row["unit"], "+"),
        needs_a_finished_run=True,
        is_shown=_has_published,
    ),
    _Column(
        name="GPU hours",
        detail=lambda _frame: "per run",
        text=lambda row: f"{row['gpu_hours_mean']:,.1f}",
        is_shown=lambda frame: bool((frame["gpu_hours_mean"] > 0).any()),
    ),
]
# What a partial table says of a variant without any run; all other cells are MISSING.
_KNOWN_BEFORE = {"dataset": "dataset", "variant": "variant"}
_OF_THE_PAPER = {"paper", "ours − paper", "unit"}


def _cell(column: _Column, row: Row) -> str:
    if row["origin"] == "published":
        return column.published(row)
    if row["origin"] == "missing":
        if column.name in _KNOWN_BEFORE:
            return str(row[_KNOWN_BEFORE[column.name]])
        if column.name in _OF_THE_PAPER:
            return _published(row) if column.name == "paper" else ""
        return MISSING
    if column.needs_a_finished_run and row["num_seeds"] == 0:
        return DIVERGED
    return column.text(row)


def for_reading(frame: pd.DataFrame) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """The headings, each a name and a detail such as its unit, and the formatted cells."""
    shown = [column for column in _COLUMNS if column.is_shown(frame)]
    cells = [[_cell(column, row) for column in shown] for row in frame.to_dict("records")]
    return [(column.name, column.detail(frame)) for column in shown], cells


def caption(ablation: Ablation, frame: pd.DataFrame) -> str:
    """What the table shows: the ablation's description, study, estimator, images, dataset."""
    sentences = [
        ablation.about,
        "Test NLL: one-sample ELBO, averaged weights (EMA), lower is better"
        + (f"; mean {INTERVAL}" if (frame["num_seeds"] > 1).any() else "; one seed")
        + ".",
        f"Difference: NLL minus that of {_joined(frame, 'baseline')}, paired by seed"
        + (f", {INTERVAL}" if (frame["num_pairs"] > 1).any() else "")
        + ".",
        "Evaluation error: standard error over the test images, of the difference paired by image; "
        "it says nothing of other trainings.",
        "IW bound: importance-weighted bound with K samples.",
    ]
    if (frame["nll_difference_is_decided"] == False).any():  # noqa: E712, it may be null
        sentences.append("? marks a difference that is not decided: its interval holds 0.")
    if (frame["num_seeds"] == 1).any():
        sentences.append("With one seed there is no interval, and no difference is decided.")
    if frame["has_unused_latents"].any():
        sentences.append(
            "‡ marks a rate below 1 nat: no latent is used, so variants of latents, cells and "
            "skips cannot differ."
        )
    if (frame["num_diverged"] > 0).any():
        sentences.append("× marks diverged runs, which no mean includes.")
    if _has_published(frame):
        sentences += [
            f"Paper: {PAPER}, {ablation.source}, an upper bound where it says ≤; its estimator is "
            "not stated.",
        ]
    if not frame["published_is_comparable"].all():
        sentences.append("† another version of the dataset: not comparable.")
    if frame["published_mark"].any():
        sentences.append("× beside the paper's value is the paper's mark.")
    if (frame["origin"] == "missing").any():
        sentences.append(f"Partial: {MISSING} marks what has not finished.")
    trained = frame[frame["origin"] == "trained"].drop_duplicates("dataset")
    sentences += [
        f"{row['dataset']}: {row['num_images']:,} test images, version {row['dataset_version']}, "
        f"{row['likelihood_dims']:,} dimensions in the likelihood."
        for row in trained.to_dict("records")
    ]
    return with_note(" ".join(sentences), frame)


def to_markdown(ablation: Ablation, frame: pd.DataFrame) -> str:
    """The table in Markdown, its caption above."""
    headings, cells = for_reading(frame)
    names = [f"{name} ({detail})" if detail else name for name, detail in headings]
    return with_caption(caption(ablation, frame), names, cells, num_left=2)


def to_latex(ablation: Ablation, frame: pd.DataFrame) -> str:
    """The table as a LaTeX table environment; needs the packages booktabs and graphicx."""
    headings, cells = for_reading(frame)
    label = f"tab:{ablation.study}-{ablation.name}"
    return latex_table(caption(ablation, frame), label, headings, _grouped(cells))


def _grouped(cells: Sequence[list[str]]) -> list[list[list[str]]]:
    """Rows by dataset, whose name stands in the first one only."""
    groups: list[list[list[str]]] = []
    dataset = ""
    for dataset_of_row, *others in cells:
        if not groups or dataset_of_row != dataset:
            groups.append([])
        groups[-1].append(["" if groups[-1] else dataset_of_row, *others])
        dataset = dataset_of_row
    return groups
