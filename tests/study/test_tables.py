"""The table of an ablation: numbers against NumPy, files as a user reads them."""

import re
import shutil
import subprocess
from math import isnan, pi, tan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written_results import (
    comparison_results,
    write_ablation,
    write_output,
    write_run,
    write_tables,
)

from model.table import ResultError
from study.planning.ablation import Ablation
from study.tables.comparison import rows, to_latex, to_markdown
from study.tables.latex import latex_escape
from study.tables.markdown import decimals, format_value

NLL = {
    ("digits", "vdvae"): [80.12, 80.18, 80.15],
    ("digits", "r5"): [79.02, 79.20, 79.11],
    ("digits", "normalised_rms"): [95.0, np.nan, 96.0],
    ("patches", "vdvae"): [4.501, 4.512, 4.507],
    ("patches", "normalised_rms"): [np.nan, np.nan, 9.0],
}
STATUS = {
    ("digits", "normalised_rms", 1): "diverged",
    ("patches", "normalised_rms", 0): "diverged",
    ("patches", "normalised_rms", 1): "diverged",
    # Diverged, but its last finite weights give a number: in no mean all the same.
    ("patches", "normalised_rms", 2): "diverged",
}
VARIANTS = {
    "digits": ["vdvae", "r5", "normalised_rms"],
    "patches": ["vdvae", "normalised_rms"],
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for (dataset, variant), values in NLL.items():
        for seed, nll in enumerate(values):
            status = STATUS.get((dataset, variant, seed), "finished")
            differences = {"repeats": 5} if variant == "r5" else {}
            write_run(tmp_path, dataset, variant, seed, nll=nll, status=status, **differences)
    write_tables(tmp_path)
    write_ablation(tmp_path, VARIANTS)
    return tmp_path


def ablation_of(results: Path) -> Ablation:
    return Ablation.load(results / "ablations" / "sharing.yaml")


def runs_of(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "tables" / "runs.parquet")


def compared(results: Path, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows of the ablation `sharing`, of these runs instead of the results' if given."""
    ablation, frames = ablation_of(results), {} if runs is None else {"runs": runs}
    return rows(ablation, comparison_results(results, ablation, **frames))


def test_numbers(results: Path) -> None:
    table = compared(results).set_index(["dataset", "variant"])
    vdvae, r5 = (np.array(NLL["digits", v]) for v in ("vdvae", "r5"))
    row = table.loc[("digits", "r5")]
    assert row["nll_mean"] == pytest.approx(79.11)
    assert row["nll_standard_error"] == pytest.approx(0.09 / 3**0.5)
    # Student's t with two degrees of freedom has the quantile x sqrt(2 / (1 - x^2)), x = 2 p - 1.
    quantile = 0.95 * (2 / (1 - 0.95**2)) ** 0.5
    assert row["nll_interval_95"] == pytest.approx(quantile * 0.09 / 3**0.5)
    assert row["nll_difference_mean"] == pytest.approx((r5 - vdvae).sum() / 3)
    deviations = (r5 - vdvae) - (r5 - vdvae).sum() / 3
    by_hand = ((deviations**2).sum() / 2 / 3) ** 0.5
    assert row["nll_difference_standard_error"] == pytest.approx(by_hand)
    assert row["nll_difference_interval_95"] == pytest.approx(quantile * by_hand)
    assert row["nll_difference_is_decided"]
    assert row["iw_nll_mean"] == pytest.approx(78.11)
    assert row["num_pairs"] == 3
    assert row["stochastic_depth"] == 2 + 3 * 5
    assert row["rate_share"] == pytest.approx(row["rate_nats_mean"] / 79.11)
    baseline = table.loc[("digits", "vdvae")]
    assert isnan(baseline["nll_difference_mean"])
    assert baseline["num_pairs"] == 0


def test_evaluation_error_is_paired_by_image(results: Path) -> None:
    """Over the images, of the mean over seeds; with pandas, not with our functions."""
    table = compared(results).set_index(["dataset", "variant"])

    def of_images(variant: str) -> pd.DataFrame:
        runs = results / "runs/digits" / variant
        return pd.DataFrame(
            {s: pd.read_parquet(runs / f"seed{s}/test.parquet")["nll_nats"] for s in range(3)}
        )

    r5, vdvae = of_images("r5"), of_images("vdvae")
    row = table.loc[("digits", "r5")]
    assert row["nll_evaluation_error"] == pytest.approx(r5.mean(axis=1).sem())
    paired = (r5 - vdvae).mean(axis=1)
    assert row["nll_difference_evaluation_error"] == pytest.approx(paired.sem())
    assert paired.mean() == pytest.approx(row["nll_difference_mean"])
    patches = pd.read_parquet(results / "runs/patches/vdvae/seed0/test.parquet")["nll_nats"]
    write_ablation(results, {"patches": ["vdvae"]})
    runs = runs_of(results)
    one_seed = compared(results, runs[(runs["dataset"] == "patches") & (runs["seed"] == 0)])
    in_bits = patches.sem() / 768 / np.log(2)
    assert one_seed["nll_evaluation_error"].item() == pytest.approx(in_bits)
    assert one_seed["nll_interval_95"].isna().all()


def test_a_difference_of_two_seeds_may_look_decided_and_is_not(tmp_path: Path) -> None:
    """-0.170 ± 0.015 (standard error): the 95 % interval is ± 0.19."""
    for variant, values in {"x1": [80.0, 80.0], "r2": [79.845, 79.815], "r5": [79.9, 79.9]}.items():
        for seed, nll in enumerate(values):
            write_run(tmp_path, variant=variant, seed=seed, nll=nll)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["x1", "r2", "r5"]})
    table = compared(tmp_path).set_index("variant")
    assert table.loc["r2", "nll_difference_standard_error"] == pytest.approx(0.015)
    assert table.loc["r2", "nll_difference_interval_95"] == pytest.approx(0.015 * tan(0.475 * pi))
    assert list(table["nll_difference_is_decided"].loc[["r2", "r5"]]) == [False, True]
    assert pd.isna(table.loc["x1", "nll_difference_is_decided"])
    assert write_output(tmp_path) == 0
    markdown = (tmp_path / "tables/sharing.md").read_text()
    assert "−0.170 ± 0.191 ?" in markdown
    assert "? marks a difference that is not decided" in markdown


def test_unused_latents_are_said(tmp_path: Path) -> None:
    write_run(tmp_path, variant="x1", nll=2.0)  # its rate is a quarter of it: 0.5 nats
    write_run(tmp_path, variant="r5", nll=80.0)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["x1", "r5"]})
    assert list(compared(tmp_path)["has_unused_latents"]) == [True, False]
    assert write_output(tmp_path) == 0
    markdown = (tmp_path / "tables/sharing.md").read_text()
    assert "0.5 ‡" in markdown
    assert "no latent is used" in markdown


def test_diverged_runs_are_in_no_mean(results: Path) -> None:
    table = compared(results).set_index(["dataset", "variant"])
    some = table.loc[("digits", "normalised_rms")]
    assert (some["num_seeds"], some["num_diverged"], some["num_pairs"]) == (2, 1, 2)
    assert some["nll_mean"] == pytest.approx(95.5)
    assert some["nll_difference_mean"] == pytest.approx((95 - 80.12 + 96 - 80.15) / 2)
    every = table.loc[("patches", "normalised_rms")]
    assert (every["num_seeds"], every["num_diverged"]) == (0, 3)
    assert isnan(every["nll_mean"])


def test_finished_run_without_a_finite_nll_counts_as_diverged(results: Path) -> None:
    runs = runs_of(results)
    runs.loc[(runs["variant"] == "r5") & (runs["seed"] == 0), ["nll_nats"]] = np.inf
    table = compared(results, runs).set_index(["dataset", "variant"])
    assert table.loc[("digits", "r5"), "num_diverged"] == 1
    assert table.loc[("digits", "r5"), "nll_mean"] == pytest.approx((79.20 + 79.11) / 2)


def test_rows_are_in_display_order(results: Path) -> None:
    table = compared(results)
    expected = [(dataset, v) for dataset, variants in VARIANTS.items() for v in variants]
    assert list(zip(table["dataset"], table["variant"], strict=True)) == expected


def test_files_hold_the_full_numbers(results: Path) -> None:
    assert write_output(results) == 0
    parquet = pd.read_parquet(results / "tables" / "sharing.parquet")
    path = results / "tables" / "sharing.csv"
    texts = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert list(parquet.columns) == list(texts.columns)
    for name in parquet.columns:
        if parquet[name].dtype == float:
            numbers = [float(text) if text else np.nan for text in texts[name]]
            np.testing.assert_array_equal(parquet[name], numbers)
        else:
            values = parquet[name].map(lambda value: "" if value is None else str(value))
            assert list(values) == list(texts[name])
    assert parquet["nll_mean"][1] == np.mean(runs_of(results).query("variant == 'r5'")["nll_nats"])


def test_one_seed_has_no_standard_error(tmp_path: Path) -> None:
    write_run(tmp_path, nll=80.123)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["vdvae"]})
    assert write_output(tmp_path) == 0
    assert pd.read_parquet(tmp_path / "tables/sharing.parquet")["nll_standard_error"].isna().all()
    csv = (tmp_path / "tables/sharing.csv").read_text().splitlines()
    at = csv[0].split(",").index("nll_standard_error")
    assert csv[1].split(",")[at] == ""
    markdown = (tmp_path / "tables/sharing.md").read_text()
    assert " 80.12 |" in markdown
    assert "±" not in markdown
    assert "test NLL (nats per image)" in markdown


def test_markdown_is_for_reading(results: Path) -> None:
    markdown = to_markdown(ablation_of(results), compared(results))
    lines = [re.split(r" *\| *", line) for line in markdown.splitlines() if line.startswith("|")]
    (r5,) = (line for line in lines if "r5" in line)
    assert "79.11 ± 0.22" in r5
    assert "−1.04 ± 0.15" in r5
    assert "106,689" in r5
    assert any("2 + 1 ×" in line and "95.5 ± 6.4" in line for line in lines)
    assert any("0 + 3 ×" in line and line.count("×") == 5 for line in lines)
    assert "unit (of NLL)" in lines[0]  # the datasets' units differ
    stated = ["fake", "Blocks applied r times.", "(EMA)", "50 test images", "scikit-learn-1"]
    for text in [*stated, "64 dimensions"]:
        assert text in markdown


def test_latex_is_escaped_and_closed(results: Path) -> None:
    latex = to_latex(ablation_of(results), compared(results))
    assert latex.isascii()
    assert r"normalised\_rms" in latex
    assert r"sharing \& 100 \% more" in latex
    assert r"79.11 $\pm$ 0.22" in latex
    assert [latex.count(r) for r in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    opened, closed = (re.findall(rf"\\{word}{{(\w+)}}", latex) for word in ("begin", "end"))
    assert opened == closed[::-1] == ["table", "tabular"]
    unescaped = re.sub(r"\\.", "", latex)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    (columns,) = re.findall(r"\\begin{tabular}{(\w+)}", latex)
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {row.replace(r"\&", "").count("&") for row in rows} == {len(columns) - 1}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(results: Path, tmp_path: Path) -> None:
    table = to_latex(ablation_of(results), compared(results))
    document = (
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\n"
        f"\\begin{{document}}\n{table}\\end{{document}}\n"
    )
    (tmp_path / "a.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_writing_again_gives_the_same_bytes(results: Path) -> None:
    assert write_output(results) == 0
    paths = sorted((results / "tables").glob("sharing.*"))
    assert [p.suffix for p in paths] == [".csv", ".md", ".parquet", ".tex"]
    before = [path.read_bytes() for path in paths]
    assert write_output(results) == 0
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize(
    ("value", "half_width", "standard_error", "expected"),
    [
        (80.1432, 0.13, 0.031, "80.14 ± 0.13"),
        (80.1432, 0.0564, 0.0131, "80.143 ± 0.056"),
        (80.1432, 1.33, 0.31, "80.1 ± 1.3"),
        (103.4, 52.5, 12.2, "103 ± 52"),
        (2.87123, 0.00181, 0.00042, "2.8712 ± 0.0018"),
        (80.1432, np.nan, np.nan, "80.14"),
        (np.nan, np.nan, np.nan, ""),
        (80.0, 0.0, 0.0, "80.00 ± 0.00"),
        (-0.36, 4.8, 0.38, "−0.4 ± 4.8"),
    ],
)
def test_digits_follow_the_standard_error(
    value: float, half_width: float, standard_error: float, expected: str
) -> None:
    assert format_value(value, half_width, standard_error, "nats") == expected


def test_difference_has_a_sign() -> None:
    assert format_value(-0.5, 0.13, 0.03, "nats", sign="+") == "−0.50 ± 0.13"
    assert format_value(0.5, np.nan, np.nan, "bits/dim", sign="+") == "+0.500"
    assert decimals(np.nan, "bits/dim") == 3


def test_latex_escape() -> None:
    assert latex_escape("a_b & 5 % ± \\ −1 ×") == (
        r"a\_b \& 5 \% $\pm$ \textbackslash{} $-$1 $\times$"
    )


def test_missing_variant_is_named(results: Path) -> None:
    write_ablation(results, {"digits": ["vdvae", "r20"]})
    with pytest.raises(ResultError, match=r"digits/r20/seed0/config\.yaml is missing; make it"):
        compared(results)


def test_missing_seed_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(results / "runs/digits/r5/seed1")
    assert write_output(results) == 1
    assert "digits/r5/seed1/config.yaml is missing" in capsys.readouterr().err


def test_an_ablation_is_made_of_its_own_runs(tmp_path: Path) -> None:
    """Neither the study's tables nor the runs of other ablations need be there."""
    for variant in ("vdvae", "r5"):
        write_run(tmp_path, variant=variant)
    (write_run(tmp_path, variant="r20") / "test.parquet").unlink()
    write_ablation(tmp_path, {"digits": ["vdvae", "r5"]})
    assert write_output(tmp_path) == 0
    table = pd.read_parquet(tmp_path / "tables/sharing.parquet")
    assert list(table["variant"]) == ["vdvae", "r5"]
    assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == ["sharing"] * 4


def test_rows_of_different_code_are_told(tmp_path: Path) -> None:
    """In Markdown and in LaTeX: trained, or evaluated, by other sources than their neighbours."""
    write_run(tmp_path, variant="vdvae")
    for seed, code in enumerate(["aaaa" * 4, "c0de" * 4]):
        write_run(tmp_path, variant="r5", seed=seed, training_code=("c0de" * 4, code))
    write_run(tmp_path, variant="vdvae", seed=1)
    write_ablation(tmp_path, {"digits": ["vdvae", "r5"]})
    assert write_output(tmp_path) == 0
    note = (
        "Rows come of different code: training by c0dec0de: digits/vdvae; "
        "c0dec0de + aaaaaaaa: digits/r5."
    )
    for suffix in ("md", "tex"):
        assert note in (tmp_path / f"tables/sharing.{suffix}").read_text()
    table = pd.read_parquet(tmp_path / "tables/sharing.parquet")
    assert list(table["evaluation_code_digest"]) == ["e7a1" * 4] * 2


def test_evaluations_by_different_code_are_told(tmp_path: Path) -> None:
    write_run(tmp_path, variant="vdvae")
    write_run(tmp_path, variant="r5", evaluation_code="bbbb" * 4)
    write_ablation(tmp_path, {"digits": ["vdvae", "r5"]})
    assert write_output(tmp_path) == 0
    note = "evaluation by e7a1e7a1: digits/vdvae; bbbbbbbb: digits/r5."
    assert note in (tmp_path / "tables/sharing.md").read_text()


def test_rows_of_one_code_have_no_note(results: Path) -> None:
    assert "different code" not in to_markdown(ablation_of(results), compared(results))


def test_versions_of_a_dataset_are_not_compared(results: Path) -> None:
    runs = runs_of(results)
    runs.loc[runs["variant"] == "r5", "dataset_version"] = "another"
    with pytest.raises(ResultError, match=r"different dataset_version .*r5 another"):
        compared(results, runs)


def test_runs_on_other_data_are_not_compared(tmp_path: Path) -> None:
    """Of the same version by its name: other images of one's own."""
    write_run(tmp_path, variant="x1")
    write_run(tmp_path, variant="r5", dataset_sha256="ee" * 32)
    write_ablation(tmp_path, {"digits": ["x1", "r5"]})
    wanted = r"different dataset_sha256 are not compared: r5 e+, x1 .* command trains again"
    with pytest.raises(ResultError, match=wanted):
        compared(tmp_path)


def test_another_number_of_test_images_is_one_line(tmp_path: Path) -> None:
    """Before differences by image are taken."""
    write_run(tmp_path, variant="x1")
    write_run(tmp_path, variant="r5", num_images=40)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["x1", "r5"]})
    with pytest.raises(ResultError, match="different num_images are not compared: r5 40, x1 50"):
        compared(tmp_path)


def test_versions_of_the_definitions_are_not_compared(results: Path) -> None:
    runs = runs_of(results)
    runs.loc[runs["variant"] == "r5", "definitions"] -= 1
    with pytest.raises(ResultError, match=r"variants of different definitions are not compared"):
        compared(results, runs)


def test_misspelt_key_of_an_ablation(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = results / "ablations" / "sharing.yaml"
    path.write_text(path.read_text().replace("title:", "titel:"))
    assert write_output(results) == 1
    error = capsys.readouterr().err
    assert "titel" in error or "title" in error
    assert error.count("\n") == 1
