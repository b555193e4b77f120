"""What an ablation shows on a dataset, in a sentence generated from its comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from model.table import read_parquet
from study.page.output import Files
from study.planning.ablation import Ablation
from study.tables.markdown import decimals

Row = Mapping[str, Any]  # of the table `comparison`


@dataclass(frozen=True)
class Finding:
    """What the variants of an ablation show on one dataset."""

    dataset: str
    text: str
    num_decided: int  # differences whose 95 % interval over seeds leaves out 0


def ablation_findings(ablation: Ablation, files: Files) -> list[Finding]:
    """The findings of an ablation, as far as its table is there; raises ResultError."""
    comparison = files.tables / f"{ablation.name}.parquet"
    return findings(read_parquet(comparison).to_pylist()) if comparison.exists() else []


def findings(comparison: Iterable[Row]) -> list[Finding]:
    """One finding per dataset of the rows of a table `comparison`, in its order."""
    groups = groupby(comparison, key=lambda row: row["dataset"])
    return [_finding(dataset, list(rows)) for dataset, rows in groups]


def _finding(dataset: str, rows: Sequence[Row]) -> Finding:
    ours = [row for row in rows if row["origin"] != "published"]
    baseline, *others = ours
    there = [row for row in others if row["origin"] == "trained"]
    paired = [row for row in there if row["num_pairs"] > 0]
    decided = [row for row in paired if row["nll_difference_is_decided"]]
    sentences = [_decided(row, baseline) for row in decided]
    equal = [row for row in paired if _is_equal(row)]
    if equal:
        names = ", ".join(row["variant"] for row in equal)
        sentences.append(f"The same NLL as {baseline['variant']} in every seed: {names}.")
    open_ = [row for row in paired if not (row["nll_difference_is_decided"] or _is_equal(row))]
    if open_:
        sentences.append(f"Not decided against {baseline['variant']}: {_listed(open_)}.")
        if all(row["num_pairs"] == 1 for row in open_):
            sentences.append("One seed has no interval.")
    trained = [row for row in ours if row["origin"] == "trained"]
    sentences += [_diverged(row) for row in trained if row["num_diverged"] > 0]
    finished = [row for row in trained if row["num_seeds"] > 0]
    unused = [row["variant"] for row in finished if row["has_unused_latents"]]
    if unused:
        sentences.append(f"Latents unused (rate below 1 nat): {', '.join(unused)}.")
    unpaired = [r["variant"] for r in finished if r["num_pairs"] == 0 and r is not baseline]
    if unpaired and baseline["origin"] == "trained":
        sentences.append(
            f"No seed has finished both for {baseline['variant']} and for {', '.join(unpaired)}."
        )
    missing = [row["variant"] for row in ours if row["origin"] == "missing"]
    if missing:
        sentences.append(f"Not finished: {', '.join(missing)}.")
    if not others:
        sentences.append(f"{baseline['variant']} alone: nothing is compared.")
    return Finding(dataset, " ".join(sentences), len(decided))


def _is_equal(row: Row) -> bool:
    """Whether a difference is 0 in each of several seeds: there is nothing to decide."""
    return row["nll_difference_mean"] == row["nll_difference_interval_95"] == 0


def _decided(row: Row, baseline: Row) -> str:
    """ "r5 is better than x1 by 0.9 nats at equal parameters, 95 % interval 0.2 to 1.7, ..."."""
    mean, half_width = row["nll_difference_mean"], row["nll_difference_interval_95"]
    word, size = ("better", -mean) if mean < 0 else ("worse", mean)
    low, high = size - half_width, size + half_width
    digits = decimals(row["nll_difference_standard_error"], row["unit"])
    while round(low, digits) == 0 and digits < 6:  # "0.0 to 1.7" would not look decided
        digits += 1
    interval = f"{low:.{digits}f} to {high:.{digits}f}"
    return (
        f"{row['variant']} is {word} than {baseline['variant']} by {size:.{digits}f} "
        f"{row['unit']} {_parameters(row, baseline)}, 95 % interval {interval}, "
        f"{_seeds(row['num_pairs'])}."
    )


def _parameters(row: Row, baseline: Row) -> str:
    """ "at equal parameters", "with 47 % more parameters"."""
    ratio = row["num_parameters"] / baseline["num_parameters"] - 1
    if ratio == 0:
        return "at equal parameters"
    percent = abs(100 * ratio)
    text = f"{percent:.0f}" if percent >= 10 else f"{percent:.1g}"
    return f"with {text} % {'more' if ratio > 0 else 'fewer'} parameters"


def _listed(rows: Sequence[Row]) -> str:
    """ "r2 (+0.1 nats, 95 % interval −0.9 to +1.1, 3 seeds), r3 (...)"."""
    return ", ".join(f"{row['variant']} ({_undecided(row)})" for row in rows)


def _undecided(row: Row) -> str:
    mean, half_width = row["nll_difference_mean"], row["nll_difference_interval_95"]
    digits = decimals(row["nll_difference_standard_error"] or 0.0, row["unit"])
    parts = [f"{_signed(mean, digits)} {row['unit']}"]
    if half_width is not None:
        ends = (mean - half_width, mean + half_width)
        low, high = (_signed(end, digits) for end in ends)
        parts.append(f"95 % interval {low} to {high}")
    parts.append(_seeds(row["num_pairs"]))
    return ", ".join(parts)


def _diverged(row: Row) -> str:
    of = row["num_seeds"] + row["num_diverged"]
    return f"{row['variant']} diverged in {row['num_diverged']} of {_seeds(of)}."


def _seeds(number: int) -> str:
    return f"{number} seed{'' if number == 1 else 's'}"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")  # a hyphen is no minus sign
