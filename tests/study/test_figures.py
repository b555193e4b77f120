"""The figure of an ablation, by what its artists hold: means, error bars, labels, no overlaps."""

from itertools import combinations, pairwise
from math import pi, sqrt, tan
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from written_results import (
    comparison_results,
    write_ablation,
    write_output,
    write_run,
    write_tables,
)

from study.__main__ import main
from study.figures.comparison import draw, nll_limits, validation_nll
from study.figures.style import compact
from study.planning.ablation import Ablation

LONG_NAMES = [
    "vdvae",
    "ws-vdvae",
    "x2",
    "r10",
    "normalised-l2",
    "normalised-rms",
    "single-resolution",
    "fourier-value",
    "fourier-position",
]


def write_study(
    results: Path, nll: dict[str, dict[str, float]], seeds: int, **diverged: int
) -> Path:
    """Write runs whose NLL is around the given ones, their tables, and the ablation `sharing`.

    `diverged` gives, for a variant, how many of its first seeds diverged.
    """
    random = np.random.default_rng(0)
    for dataset, variants in nll.items():
        scale = 0.15 if dataset == "digits" else 0.01
        for index, (variant, value) in enumerate(variants.items()):
            for seed in range(seeds):
                write_run(
                    results,
                    dataset,
                    variant,
                    seed,
                    nll=value + scale * random.normal(),
                    status="diverged" if seed < diverged.get(variant, 0) else "finished",
                    num_parameters=106_689 * 9 ** (index % 4),
                )
    write_tables(results)
    return write_ablation(results, {dataset: list(variants) for dataset, variants in nll.items()})


def draw_study(results: Path, **frames: pd.DataFrame) -> Figure:
    ablation = Ablation.load(results / "ablations" / "sharing.yaml")
    return draw(ablation, comparison_results(results, ablation, **frames))


@pytest.fixture
def two_datasets(tmp_path: Path) -> Path:
    nll = {
        "digits": {"vdvae": 80.0, "r2": 79.6, "r5": 79.2, "normalised": 84.0, "x2": 79.5},
        "patches": {"vdvae": 4.5, "r2": 4.46, "r5": 4.42, "normalised": 7.0, "x2": 4.44},
    }
    write_study(tmp_path, nll, seeds=3, normalised=1)
    return tmp_path


@pytest.fixture
def long_names(tmp_path: Path) -> Path:
    nll = {"digits": {name: 80 - 0.1 * i for i, name in enumerate(LONG_NAMES)}}
    write_study(tmp_path, nll, seeds=2)
    return tmp_path


def tick_labels_overlap(figure: Figure, ax: Axes) -> bool:
    """Whether two neighbouring labels of an axis touch, by the boxes that are drawn."""
    figure.draw_without_rendering()
    across = [label.get_window_extent() for label in ax.get_xticklabels()]
    down = [label.get_window_extent() for label in ax.get_yticklabels()]
    down.sort(key=lambda box: box.y0)
    return any(left.x1 >= right.x0 for left, right in pairwise(across)) or any(
        lower.y1 >= upper.y0 for lower, upper in pairwise(down)
    )


def marks(ax: Axes, name: str) -> list[float]:
    """The line, from the top, of all marks of one kind in a panel of test NLLs."""
    return [round(y) for line in ax.lines if line.get_gid() == name for y in line.get_ydata()]


def text_below(figure: Figure) -> str:
    """The note, as one line."""
    return " ".join(figure.legends[0].get_title().get_text().split())


def error_bars(ax: Axes) -> list[ErrorbarContainer]:
    return [c for c in ax.containers if isinstance(c, ErrorbarContainer)]


def test_means_and_error_bars_are_those_of_the_seeds(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    runs = pd.read_parquet(two_datasets / "tables" / "runs.parquet")
    digits = figure.axes[0]
    assert digits.get_title(loc="left") == "digits"
    bars = error_bars(digits)
    assert len(bars) == 5
    variants = ["vdvae", "r2", "r5", "normalised", "x2"]
    for bar, variant in zip(bars, variants, strict=True):
        is_chosen = (runs["dataset"] == "digits") & (runs["variant"] == variant)
        nll = runs.loc[is_chosen & (runs["status"] == "finished"), "nll_nats"].to_numpy()
        error = np.sqrt(((nll - nll.mean()) ** 2).sum() / (len(nll) - 1) / len(nll))
        # Student's t: one and two degrees of freedom have quantiles in closed form.
        error *= tan(0.475 * pi) if len(nll) == 2 else 0.95 * sqrt(2 / (1 - 0.95**2))
        ((low, _), (high, _)) = bar.lines[2][0].get_segments()[0]
        assert (low, high) == pytest.approx((nll.mean() - error, nll.mean() + error))
    baseline = runs.query("dataset == 'digits' and variant == 'vdvae'")["nll_nats"].mean()
    dashed = [line for line in digits.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [pytest.approx(baseline)]
    assert len(marks(digits, "seeds")) == 5 * 3 - 1


def test_one_seed_has_no_error_bars(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0, "r5": 79.0}}, seeds=1)
    figure = draw_study(tmp_path)
    assert not error_bars(figure.axes[0])
    assert len(marks(figure.axes[0], "seeds")) == 2
    assert "n = 1" in text_below(figure)


def test_labels_hold_units(two_datasets: Path) -> None:
    digits, digits_curves, patches, patches_curves = draw_study(two_datasets).axes
    assert digits.get_xlabel() == "test NLL (nats per image)\nlower is better"
    assert digits_curves.get_ylabel() == "validation NLL\n(nats per image)"
    assert patches.get_xlabel() == "test NLL (bits per dimension)\nlower is better"
    assert patches_curves.get_ylabel() == "validation NLL\n(bits per dimension)"


def test_the_title_names_ablation_and_study(two_datasets: Path) -> None:
    ablation = Ablation.load(two_datasets / "ablations" / "sharing.yaml")
    title = draw_study(two_datasets).get_suptitle()
    assert title == f"{ablation.title}: study {ablation.study}"


def test_diverged_runs_are_marked(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    assert marks(figure.axes[0], "diverged") == [3]
    note = text_below(figure)
    assert "×: diverged" in note
    assert "mean and 95 % interval" in note
    assert "n = 2 to 3" in note


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_what_the_legend_names_is_drawn_or_said_to_be_elsewhere(tmp_path: Path) -> None:
    nll = {"x1": 80.0, "x2": 79.0, "x3": 79.5, "normalised": 300.0, "lost": 80.0}
    write_study(tmp_path, {"digits": nll}, seeds=2, lost=2)
    figure = draw_study(tmp_path)
    names = [
        "x1",
        "x2",
        "x3",
        "normalised (outside the axis)",
        "lost (diverged, outside the axis)",
    ]
    assert legend_of(figure) == names
    assert marks(figure.axes[0], "above") == [3]
    assert "▶: mean outside the axis" in text_below(figure)


def test_a_curve_that_the_axis_cuts_is_named(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"x1": 80.0, "x2": 79.0}}, seeds=2)
    history = pd.read_parquet(tmp_path / "tables" / "history.parquet")
    assert "Cut by the axis" not in text_below(draw_study(tmp_path, history=history))
    assert "The first iterations lie above the axis." in text_below(draw_study(tmp_path))
    runs = pd.read_parquet(tmp_path / "tables" / "runs.parquet")
    is_x2 = runs["variant"] == "x2"
    runs.loc[is_x2, "status"] = "diverged"
    is_late = (history["variant"] == "x2") & (history["step"] == 1500)
    history.loc[is_late, "nll_nats"] += 500
    note = text_below(draw_study(tmp_path, runs=runs, history=history))
    assert "Cut by the axis: x2." in note


def test_variant_far_above_leaves_the_others_readable(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    patches = figure.axes[2]
    assert patches.get_xlim()[1] < 5
    assert marks(patches, "above") == [3]
    assert [float(text.get_text()) for text in patches.texts] == [pytest.approx(7, abs=0.1)]
    runs = pd.read_parquet(two_datasets / "tables" / "runs.parquet")
    ablation = Ablation.load(two_datasets / "ablations" / "sharing.yaml")
    assert nll_limits(ablation, runs, "patches").above == ("normalised",)
    digits = nll_limits(ablation, runs, "digits")
    assert digits.above == ()
    assert digits.low < 79
    assert digits.high > 84


def test_intervals_of_three_seeds_are_shown_whole(two_datasets: Path) -> None:
    """Those of two are nine deviations wide on each side and would hide the differences."""
    figure = draw_study(two_datasets)
    low, high = figure.axes[0].get_xlim()
    results = comparison_results(
        two_datasets, Ablation.load(two_datasets / "ablations" / "sharing.yaml")
    )
    nll = results.tables["runs"].query("dataset == 'digits'").groupby("variant")["nll_nats"]
    half = 4.302653 / 3**0.5 * nll.std()  # Student's t with two degrees of freedom
    assert low < (nll.mean() - half).min()
    assert (nll.mean() + half).max() < high
    runs = pd.read_parquet(two_datasets / "tables" / "runs.parquet").query("seed < 2")
    two = draw_study(two_datasets, runs=runs)
    of_two = runs.query("dataset == 'digits' and variant != 'normalised'")["nll_nats"]  # outside
    span = of_two.max() - of_two.min()
    assert two.axes[0].get_xlim() == pytest.approx(
        (of_two.min() - 0.12 * span, of_two.max() + 0.3 * span)
    )


def test_curves_are_the_validation_nll_of_the_seeds(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    ablation = Ablation.load(two_datasets / "ablations" / "sharing.yaml")
    tables = two_datasets / "tables"
    runs, history = (pd.read_parquet(tables / f"{t}.parquet") for t in ("runs", "history"))
    curves = validation_nll(ablation, runs, history, "patches")
    wanted = history.query("dataset == 'patches' and variant == 'r5' and split == 'valid'")
    at_end = wanted[wanted["step"] == 2000]["nll_nats"].to_numpy() / np.log(2) / 768
    r5 = curves[(curves["variant"] == "r5") & (curves["step"] == 2000)]
    np.testing.assert_allclose(r5["nll"], at_end)
    drawn = [line for line in figure.axes[3].lines if line.get_xdata()[-1] == 2000]
    assert len(drawn) == 5
    assert drawn[2].get_ydata()[-1] == pytest.approx(at_end.mean())
    assert figure.axes[3].get_xlabel() == "iteration"


@pytest.fixture
def forty_variants(tmp_path: Path) -> Path:
    write_study(tmp_path, {"digits": {f"variant-{i}": 80 - 0.1 * i for i in range(40)}}, seeds=2)
    return tmp_path


@pytest.mark.parametrize("study", ["two_datasets", "long_names", "forty_variants"])
def test_no_text_overlaps_leaves_the_figure_or_enters_another_panel(
    study: str, request: pytest.FixtureRequest
) -> None:
    figure = draw_study(request.getfixturevalue(study))
    assert figure.get_figwidth() == 7  # as wide as the text of a page
    for ax in figure.axes:
        assert not tick_labels_overlap(figure, ax)
        assert {label.get_rotation() for label in ax.get_xticklabels()} == {0}
    boxes = [ax.get_tightbbox() for ax in figure.axes] + [figure.legends[0].get_window_extent()]
    for box in boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    for box, other in combinations(boxes, 2):
        assert min(box.x1, other.x1) - max(box.x0, other.x0) < 1 or (
            min(box.y1, other.y1) - max(box.y0, other.y0) < 1
        )


def test_labels_say_the_number_of_parameters(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0, "r5": 79.0}}, seeds=2)
    figure = draw_study(tmp_path)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["vdvae (107k)", "r5 (960k)"]
    assert "In brackets: parameters." in text_below(figure)


def test_all_runs_diverged(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0}}, seeds=2, vdvae=2)
    figure = draw_study(tmp_path)
    assert marks(figure.axes[0], "diverged") == [0, 0]
    assert "No run finished" in text_below(figure)


def test_single_validation_is_visible(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0}}, seeds=2)
    history = pd.read_parquet(tmp_path / "tables" / "history.parquet")
    one = history[history["step"] == 100]
    (line,) = draw_study(tmp_path, history=one).axes[1].lines
    assert len(line.get_xdata()) == 1
    assert line.get_marker() == "o"


def test_missing_ablation_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ablation", "comparison", "--ablation", "no.yaml", "--study-dir", str(tmp_path)]
    assert main(command) == 1
    assert capsys.readouterr().err.startswith("study: no.yaml is missing")


def test_files_are_the_same_bytes_again(two_datasets: Path) -> None:
    figures = two_datasets / "figures"
    assert write_output(two_datasets) == 0
    before = {path.name: path.read_bytes() for path in figures.iterdir()}
    assert sorted(before) == ["sharing.pdf", "sharing.png", "sharing.svg"]
    assert b"CreationDate" not in before["sharing.pdf"]
    assert b"<dc:date>" not in before["sharing.svg"]
    # A matplotlibrc of the user's own changes nothing.
    with mpl.rc_context({"font.size": 20, "axes.grid": True, "lines.linewidth": 5}):
        assert write_output(two_datasets) == 0
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (500, "500"), (1500, "1.5k"), (106_689, "107k"), (39_145_700, "39.1M")],
)
def test_compact(number: int, text: str) -> None:
    assert compact(number) == text
