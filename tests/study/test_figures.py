"""The figure of an ablation, by what its artists hold: means, error bars, labels, no overlaps."""

from itertools import pairwise
from math import pi, radians, sin, sqrt, tan
from pathlib import Path

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
    """Whether the names of two neighbouring variants touch, by the boxes that are drawn."""
    figure.draw_without_rendering()
    labels = ax.get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    if labels[0].get_rotation() == 0:
        return any(left.x1 >= right.x0 for left, right in pairwise(boxes))
    # Tilted: parallel lines of text, so far from each other as their anchors are across them.
    tilt = radians(labels[0].get_rotation())
    height = labels[0].get_fontsize() * figure.dpi / 72 * 1.2
    return any((right.x1 - left.x1) * sin(tilt) < height for left, right in pairwise(boxes))


def marks(ax: Axes, name: str) -> list[float]:
    """The x of all marks of one kind in a panel."""
    return [x for line in ax.lines if line.get_gid() == name for x in line.get_xdata()]


def error_bars(ax: Axes) -> list[ErrorbarContainer]:
    return [c for c in ax.containers if isinstance(c, ErrorbarContainer)]


def test_means_and_error_bars_are_those_of_the_seeds(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    runs = pd.read_parquet(two_datasets / "tables" / "runs.parquet")
    digits = figure.axes[0]
    assert digits.get_title() == "digits"
    bars = error_bars(digits)
    assert len(bars) == 5
    variants = ["vdvae", "r2", "r5", "normalised", "x2"]
    for bar, variant in zip(bars, variants, strict=True):
        is_chosen = (runs["dataset"] == "digits") & (runs["variant"] == variant)
        nll = runs.loc[is_chosen & (runs["status"] == "finished"), "nll_nats"].to_numpy()
        error = np.sqrt(((nll - nll.mean()) ** 2).sum() / (len(nll) - 1) / len(nll))
        # Student's t: one and two degrees of freedom have quantiles in closed form.
        error *= tan(0.475 * pi) if len(nll) == 2 else 0.95 * sqrt(2 / (1 - 0.95**2))
        ((_, low), (_, high)) = bar.lines[2][0].get_segments()[0]
        assert (low, high) == pytest.approx((nll.mean() - error, nll.mean() + error))
    baseline = runs.query("dataset == 'digits' and variant == 'vdvae'")["nll_nats"].mean()
    dashed = [line for line in digits.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [pytest.approx(baseline)]
    assert len(marks(digits, "seeds")) == 5 * 3 - 1


def test_one_seed_has_no_error_bars(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0, "r5": 79.0}}, seeds=1)
    figure = draw_study(tmp_path)
    assert not error_bars(figure.axes[0])
    assert len(marks(figure.axes[0], "seeds")) == 2
    assert "n = 1" in figure.legends[0].get_title().get_text()


def test_labels_hold_units(two_datasets: Path) -> None:
    labels = [ax.get_ylabel() for ax in draw_study(two_datasets).axes]
    assert labels == [
        "test NLL\n(nats per image)",
        "test NLL\n(bits per dimension)",
        "validation NLL\n(nats per image)",
        "validation NLL\n(bits per dimension)",
    ]


def test_diverged_runs_are_marked(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    assert marks(figure.axes[0], "diverged") == [3]
    note = " ".join(figure.legends[0].get_title().get_text().split())
    assert "×: diverged" in note
    assert "mean and 95 % interval" in note
    assert "n = 2 to 3" in note


def test_variant_far_above_leaves_the_others_readable(two_datasets: Path) -> None:
    figure = draw_study(two_datasets)
    patches = figure.axes[1]
    assert patches.get_ylim()[1] < 5
    assert marks(patches, "above") == [3]
    assert [float(text.get_text()) for text in patches.texts] == [pytest.approx(7, abs=0.1)]
    runs = pd.read_parquet(two_datasets / "tables" / "runs.parquet")
    ablation = Ablation.load(two_datasets / "ablations" / "sharing.yaml")
    assert nll_limits(ablation, runs, "patches").above == ("normalised",)
    digits = nll_limits(ablation, runs, "digits")
    assert digits.above == ()
    assert digits.low < 79
    assert digits.high > 84


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


@pytest.mark.parametrize("study", ["two_datasets", "long_names"])
def test_tick_labels_do_not_overlap(study: str, request: pytest.FixtureRequest) -> None:
    figure = draw_study(request.getfixturevalue(study))
    for ax in figure.axes:
        assert not tick_labels_overlap(figure, ax)
    assert figure.get_figwidth() <= 7


def test_no_text_leaves_the_figure_or_enters_another_panel(long_names: Path) -> None:
    figure = draw_study(long_names)
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in figure.axes] + [figure.legends[0].get_window_extent()]
    for box in boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    for upper, lower in pairwise(boxes):  # one dataset: panels and legend below each other
        assert upper.y0 >= lower.y1 - 1


def test_tick_labels_say_the_number_of_parameters(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0, "r5": 79.0}}, seeds=2)
    labels = [label.get_text() for label in draw_study(tmp_path).axes[0].get_xticklabels()]
    assert labels == ["vdvae\n107k", "r5\n960k"]


def test_all_runs_diverged(tmp_path: Path) -> None:
    write_study(tmp_path, {"digits": {"vdvae": 80.0}}, seeds=2, vdvae=2)
    figure = draw_study(tmp_path)
    assert marks(figure.axes[0], "diverged") == [0, 0]
    assert "No run finished" in figure.legends[0].get_title().get_text()


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
    assert write_output(two_datasets) == 0
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == before


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (500, "500"), (1500, "1.5k"), (106_689, "107k"), (39_145_700, "39.1M")],
)
def test_compact(number: int, text: str) -> None:
    assert compact(number) == text
