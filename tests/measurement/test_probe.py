"""The probe of trained runs: its files, and the tables and figures that a study makes of them."""

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from examples import tiny_run
from matplotlib.figure import Figure
from written_results import write_ablation

from model.measurement.kept_images import write_images
from model.probe import main as probe
from model.train import main as train
from study.__main__ import main
from study.figures import block_norms, instability, learnt, samples
from study.planning.ablation import Ablation
from study.registry import tables_of
from study.results import StudyResults
from study.tables import norm_segments, temperatures
from study.tables.identity import NAMES
from study.tables.norm_segments import segments
from study.tables.temperatures import energy_deviation, nearest_temperature

RUNS = {"x1": {}, "r3": {"repeats": 3}}
SAMPLES = ["--num-samples", "30", "--temperatures", "0.25", "0.5", "1"]
FILES = ["instability.parquet", "block_norms.parquet", "samples.npy", "learnt.npy"]


def probe_run(directory: Path, data_dir: Path, *options: str) -> int:
    command = [str(directory), "--data-dir", str(data_dir), "--device", "cpu"]
    return probe([*command, *(options or SAMPLES)])


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """A study with two trained and probed runs, its tables and an ablation; not to be changed."""
    results = tmp_path_factory.mktemp("probed")
    for variant, model in RUNS.items():
        directory = results / "runs" / "digits" / variant / "seed0"
        directory.mkdir(parents=True)
        (directory / "config.yaml").write_text(tiny_run(model=model, variant=variant).dump())
        assert train([str(directory), "--data-dir", str(data_dir), "--device", "cpu"]) == 0
        assert probe_run(directory, data_dir) == 0
    assert collect(results) == 0
    write_ablation(results, {"digits": ["r3", "x1"]})
    return results


@pytest.fixture
def copy(probed: Path, tmp_path: Path) -> Path:
    shutil.copytree(probed, tmp_path / "copy")
    return tmp_path / "copy"


def collect(results: Path) -> int:
    directories = [str(path) for path in results.glob("runs/*/*/seed*")]
    tables = str(results / "tables")
    return main(["collect", "--runs", "probed", "--study", "s", "--tables", tables, *directories])


def draw(results: Path) -> int:
    ablation = str(results / "ablations/sharing.yaml")
    return main(["figures", "--ablations", ablation, "--study-dir", str(results)])


def baseline_results(
    results: Path, ablations: list[Ablation], **frames: pd.DataFrame
) -> StudyResults:
    """What the study's figures are drawn from; `frames` stand in for tables."""
    run_dirs = [path for ablation in ablations for path in ablation.baseline_dirs(results)]
    read = StudyResults.of_runs(results, "fake", tables_of("probed"), run_dirs)
    return StudyResults({**read.tables, **frames}, results / "runs")


def drawn(module: ModuleType, results: Path, variant: str, **frames: pd.DataFrame) -> Figure:
    """A figure of one variant."""
    path = write_ablation(results, {"digits": [variant]}, f"only-{variant}")
    ablations = [Ablation.load(path)]
    return module.draw(ablations, baseline_results(results, ablations, **frames))


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(results / "tables" / f"{name}.parquet")


def test_files_say_what_they_are_and_are_the_same_bytes_again(probed: Path, data_dir: Path) -> None:
    directory = probed / "runs/digits/r3/seed0"
    for name in ("block_norms.parquet", "instability.parquet"):
        metadata = pq.read_schema(directory / name).metadata
        assert metadata[b"config_hash"].decode() == tiny_run(model=RUNS["r3"]).hash
        assert metadata[b"num_samples"] == b"30"
        assert metadata[b"dataset_version"]
    blocks = pd.read_parquet(directory / "block_norms.parquet")
    assert list(blocks["tower"]) == ["bottom-up"] * 11 + ["top-down"] * 11
    assert set(blocks["num_images"]) == {300}  # of the digits' 300 test images
    assert np.load(directory / "samples.npy").shape == (3, 8, 1, 8, 8)
    before = [(directory / name).read_bytes() for name in FILES]
    assert probe_run(directory, data_dir) == 0
    assert [(directory / name).read_bytes() for name in FILES] == before


def test_mistakes_are_one_line_and_write_nothing(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(tiny_run().dump())
    assert probe_run(tmp_path, data_dir) == 1
    assert probe_run(tmp_path, data_dir, "--num-samples", "1") == 1
    assert probe_run(tmp_path, data_dir, "--temperatures", "1", "0.5") == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 3
    for error, text in zip(errors, ["model.safetensors", "num_samples", "ascending"], strict=True):
        assert error.startswith("error: ")
        assert text in error
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_missing_data_is_one_line_and_writes_nothing(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = copy / "runs/digits/r3/seed0"
    before = [(directory / name).read_bytes() for name in FILES]
    assert probe_run(directory, tmp_path / "nothing") == 1
    error = capsys.readouterr().err
    assert "dataset.json" in error
    assert error.count("\n") == 1
    assert [(directory / name).read_bytes() for name in FILES] == before


def test_tables_are_typed_and_hold_all_rows_of_the_runs(probed: Path) -> None:
    for name, owner in [("norm_segments", norm_segments), ("temperatures", temperatures)]:
        stored = pq.read_schema(probed / "tables" / f"{name}.parquet")
        assert stored.names == [*NAMES, *owner.TABLE.schema.names]
        for field in owner.TABLE.schema:
            assert stored.field(field.name).type == field.type
            assert stored.field(field.name).metadata == field.metadata
    blocks = table(probed, "block_norms")
    assert list(dict.fromkeys(blocks["variant"])) == ["r3", "x1"]
    for variant in RUNS:
        own = pd.read_parquet(probed / f"runs/digits/{variant}/seed0/block_norms.parquet")
        rows = blocks[blocks["variant"] == variant].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[own.columns], own, check_dtype=False)
    assert blocks.loc[blocks["tower"] == "bottom-up", "num_masked"].isna().all()


def test_segments_are_those_of_the_norms() -> None:
    """Rising steps are counted inside a resolution only; jumps are between them."""
    norms, resolutions = [2.0, 3.0, 2.5, 10.0, 11.0, 44.0], [1, 1, 1, 4, 4, 8]
    blocks = pd.DataFrame(
        {
            "tower": "top-down",
            "block": range(6),
            "resolution": resolutions,
            "norm": norms,
            "norm_in": [0.5, *norms[:-1]],
        }
    )
    first, second, third = segments(blocks)
    assert (first["num_steps"], first["num_rising"]) == (2, 1)
    assert (second["num_steps"], second["num_rising"]) == (1, 1)
    assert (third["num_steps"], third["num_rising"]) == (0, 0)
    assert (first["norm_before"], first["jump_ratio"], first["rms_jump_ratio"]) == (0.5, None, None)
    assert (second["norm_before"], second["jump_ratio"], second["rms_jump_ratio"]) == (2.5, 4, 1)
    assert (third["jump_ratio"], third["rms_jump_ratio"]) == (4, 2)


def test_a_normalised_state_does_not_rise() -> None:
    """Its norm is 1 up to rounding."""
    blocks = pd.DataFrame(
        {
            "tower": "top-down",
            "block": range(3),
            "resolution": 4,
            "norm": [0.9999995, 0.9999999, 1.001],
            "norm_in": [0.1, 1.0, 1.0],
        }
    )
    (segment,) = segments(blocks)
    assert (segment["num_steps"], segment["num_rising"]) == (2, 1)


def test_norms_of_a_trained_run_agree_with_its_probe(probed: Path) -> None:
    rows = table(probed, "norm_segments").query("variant == 'r3' and tower == 'top-down'")
    assert list(rows["resolution"]) == [1, 4, 8]
    assert list(rows["num_blocks"]) == [3, 4, 4]
    blocks = table(probed, "block_norms").query("variant == 'r3' and tower == 'top-down'")
    norm = blocks["norm"].to_numpy()
    rises = norm[1:] > norm[:-1] * 1.0001
    assert list(rows["num_rising"]) == [rises[:2].sum(), rises[3:6].sum(), rises[7:].sum()]
    np.testing.assert_allclose(rows["jump_ratio"][1:], [norm[3] / norm[2], norm[7] / norm[6]])
    text = (probed / "tables/norm_segments.md").read_text()
    total = rises[[0, 1, 3, 4, 5, 7, 8, 9]].sum()
    assert f"{total} of 8 ({total / 8:.0%}".replace("%", " %") in text
    assert f"1→4: ×{norm[3] / norm[2]:.2f} ({norm[3] / norm[2] / 4:.2f})" in text


def test_the_nearest_temperature_is_that_of_the_energies(probed: Path) -> None:
    one = pd.DataFrame(
        {
            "temperature": [0.5, 0.5, 1.0, 1.0],
            "energy_samples": [1.0, 4.0, 2.0, 0.0],
            "energy_test": [2.0, 2.0, 2.0, 2.0],
        }
    )
    assert energy_deviation(one)[0.5] == pytest.approx(np.log(2))
    assert energy_deviation(one)[1.0] == np.inf  # no energy at one resolution
    assert nearest_temperature(one) == 0.5
    rows = table(probed, "instability").query("variant == 'x1'")
    nearest = nearest_temperature(rows)
    assert f"| {nearest:g} (nearest)" in (probed / "tables/temperatures.md").read_text()


def test_a_missing_foreign_or_damaged_file_is_one_line(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = copy / "runs/digits/r3/seed0"
    (directory / "block_norms.parquet").rename(copy / "kept.parquet")
    assert collect(copy) == 1
    shutil.copy(copy / "runs/digits/x1/seed0/block_norms.parquet", directory)
    assert collect(copy) == 1
    (directory / "block_norms.parquet").write_bytes(b"no parquet")
    assert collect(copy) == 1
    shutil.copy(copy / "kept.parquet", directory / "block_norms.parquet")
    (directory / "samples.npy").write_bytes(b"no array")
    assert draw(copy) == 1
    write_images(directory / "samples.npy", np.zeros((2, 8, 1, 8, 8), np.uint8))
    assert draw(copy) == 1
    (directory / "samples.npy").unlink()
    assert draw(copy) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    wanted = ["make it with snakemake", "its config_hash is", "block_norms.parquet"]
    wanted += ["samples.npy", "3 temperatures"]
    assert len(errors) == 6
    for error, text in zip(errors, [*wanted, "samples.npy is missing"], strict=True):
        assert error.startswith("study: ")
        assert text in error


def test_figures_are_the_same_bytes_again(copy: Path) -> None:
    assert draw(copy) == 0
    before = {path.name: path.read_bytes() for path in (copy / "figures").iterdir()}
    figures, endings = ("instability", "samples", "block_norms", "learnt"), ("pdf", "png", "svg")
    names = [f"{figure}.{ending}" for figure in figures for ending in endings]
    assert sorted(before) == sorted(names)
    assert draw(copy) == 0
    assert {p.name: p.read_bytes() for p in (copy / "figures").iterdir()} == before


def lines(figure: Figure, panel: int) -> dict[str, list[float]]:
    return {
        str(line.get_gid()): list(np.asarray(line.get_ydata()))
        for line in figure.axes[panel].lines
        if line.get_gid()
    }


def test_norms_figure_draws_the_table(copy: Path) -> None:
    blocks = table(copy, "block_norms")
    both = [write_ablation(copy, {"digits": [variant]}, variant) for variant in ("r3", "x1")]
    ablations = [Ablation.load(path) for path in both]
    figure = block_norms.draw(ablations, baseline_results(copy, ablations))
    of_run = blocks[blocks["variant"] == "r3"]
    up, down = (of_run[of_run["tower"] == tower] for tower in ("bottom-up", "top-down"))
    assert lines(figure, 0) == {"norm": list(up["norm"]), "initial": [up["norm_in"].iloc[0]]}
    assert lines(figure, 1) == {"norm": list(down["norm"]), "initial": [down["norm_in"].iloc[0]]}
    assert lines(figure, 2) == {"backward_error_prior": list(down["backward_error_prior"])}
    assert [text.get_text() for text in figure.axes[0].texts] == ["8", "4", "1"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["1", "4", "8"]
    shaded = [patch for patch in figure.axes[1].patches if patch.get_gid() == "resolution"]
    assert [(p.get_x(), p.get_width()) for p in shaded] == [(3.5, 4)]  # blocks 4 to 7 are 4x4
    assert figure.axes[3].get_ylabel().startswith("digits (x1)")
    assert "300 test images" in figure.get_supxlabel()


def test_masked_steps_are_named_in_the_figure(copy: Path) -> None:
    assert "Not counted" not in drawn(block_norms, copy, "x1").get_supxlabel()
    blocks = table(copy, "block_norms")
    first = (blocks["tower"] == "top-down") & (blocks["block"] == 0)
    blocks.loc[first, ["num_masked", "norm_in", "backward_error_prior"]] = [300, 0.0, np.nan]
    figure = drawn(block_norms, copy, "x1", block_norms=blocks)
    assert "Not counted: 300 steps" in " ".join(figure.get_supxlabel().split())
    assert "initial" not in lines(figure, 1)  # 0 has no place on a logarithmic axis


def test_instability_figure_draws_the_table(copy: Path) -> None:
    rows = table(copy, "instability")
    figure = drawn(instability, copy, "r3")
    of_run = rows[rows["variant"] == "r3"]
    for container in figure.axes[0].containers:
        at = of_run[of_run["resolution"] == int(container.get_label())]
        ratio = at["energy_samples"] / at["energy_test"]
        np.testing.assert_allclose(container.lines[0].get_ydata().astype(float), ratio)
    assert [c.get_label() for c in figure.axes[0].containers] == ["1", "2", "4", "8"]
    dotted = [line for line in figure.axes[1].lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [nearest_temperature(of_run)]


def test_samples_figure_has_a_column_per_temperature(copy: Path) -> None:
    rows = table(copy, "instability")
    figure = drawn(samples, copy, "x1")
    assert [ax.get_title() for ax in figure.axes] == ["T = 0.25", "T = 0.5", "T = 1"]
    bold = [ax.get_title() for ax in figure.axes if ax.title.get_fontweight() == "bold"]
    assert bold == [f"T = {nearest_temperature(rows[rows['variant'] == 'x1']):g}"]
    kept = np.load(copy / "runs/digits/x1/seed0/samples.npy")
    shown = np.asarray(figure.axes[2].images[0].get_array())
    np.testing.assert_array_equal(shown[:64:8, :64:8], kept[2, 0, 0])  # pixels are 8 wide


def test_learnt_figure_draws_the_table_and_the_images(copy: Path) -> None:
    rows = table(copy, "learnt").query("variant == 'x1'")
    figure = drawn(learnt, copy, "x1")
    energies, coherences = lines(figure, 0), lines(figure, 1)
    assert set(energies) == {f"energy-{name}" for name in ("1", "4", "8", "test", "samples")}
    for up_to in (1, 4, 8):
        of = rows[rows["posterior_up_to"] == up_to]
        assert energies[f"energy-{up_to}"] == list(of["energy"])
        np.testing.assert_array_equal(coherences[f"coherence-{up_to}"], of["coherence"])
    assert energies["energy-test"] == list(rows[rows["images"] == "test"]["energy"])
    labels = [label.get_text() for label in figure.axes[2].get_xticklabels()]
    assert labels == ["test", "1", "4", "8"]
    kept = np.load(copy / "runs/digits/x1/seed0/learnt.npy")
    assert kept.shape == (4, 8, 1, 8, 8)
    assert set(np.unique(kept[0])) == {0, 255}
    shown = np.asarray(figure.axes[2].images[0].get_array())
    np.testing.assert_array_equal(shown[:64:8, 68:132:8], kept[1, 0, 0])  # pixels are 8 wide


def test_images_of_other_resolutions_are_one_line(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / "runs/digits/r3/seed0/learnt.npy"
    write_images(path, np.zeros((3, 8, 1, 8, 8), np.uint8))
    assert draw(copy) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "learnt.npy of digits/r3" in error
    assert "3 resolutions of learnt.parquet" in error


def test_a_model_without_resolutions_is_left_out(copy: Path) -> None:
    figure = drawn(learnt, copy, "x1", learnt=table(copy, "learnt").iloc[:0])
    assert figure.axes == []
    assert "No model has latents" in figure.get_supxlabel()
