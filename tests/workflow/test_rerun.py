"""The whole pipeline from nothing, and what a second command does and does not do again."""

import os
from base64 import b64encode

import numpy as np
import pandas as pd
import pytest
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_tables_and_figures_are_all_there(finished: Project) -> None:
    results = finished.directory / "results/tiny"
    runs = pd.read_parquet(results / "tables/runs.parquet")
    assert len(runs) == 17
    assert set(runs.status) == {"finished"}
    assert set(runs[runs.dataset == "patches"].unit) == {"bits/dim"}
    assert np.isfinite(runs.nll_nats).all()
    for ablation in ("weight-sharing", "state-norm", "resolutions", "fourier-features"):
        table = pd.read_parquet(results / f"tables/{ablation}.parquet")
        for row in table.itertuples():
            run = runs[(runs.dataset == row.dataset) & (runs.variant == row.variant)]
            name = "nll_nats" if row.unit == "nats" else "nll_bits_per_dim"
            assert row.nll_mean == pytest.approx(run[name].mean())
        for ending in ("csv", "md", "tex"):
            assert (results / f"tables/{ablation}.{ending}").stat().st_size > 300
        for ending in ("pdf", "svg", "png"):
            assert (results / f"figures/{ablation}.{ending}").stat().st_size > 5000
    for figure in ("block_norms", "instability", "samples", "learnt", "increments"):
        for ending in ("pdf", "svg", "png"):
            assert (results / f"figures/{figure}.{ending}").stat().st_size > 5000
    assert (results / "runs/patches/x1/seed0/samples.png").stat().st_size > 1000
    assert "17 runs of 15 iterations, 17 finished" in (results / "index.html").read_text()
    assert (results / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_every_variant_is_probed(finished: Project) -> None:
    tables = finished.directory / "results/tiny/tables"
    runs = pd.read_parquet(tables / "runs.parquet")
    depth = runs.set_index(["dataset", "variant"])["stochastic_depth"]
    blocks = pd.read_parquet(tables / "block_norms.parquet").query("tower == 'top-down'")
    assert blocks.groupby(["dataset", "variant"]).size().to_dict() == depth.to_dict()
    # A normalised state has the norm 1 after every block, of unit RMS that of its size.
    normalised = blocks[blocks["variant"] == "normalised"]
    np.testing.assert_allclose(normalised["norm"], 1, rtol=1e-3)
    rms = blocks[blocks["variant"] == "normalised-rms"]
    np.testing.assert_allclose(rms["norm"], rms["resolution"] * 8**0.5, rtol=1e-3)  # width: 8
    samples = pd.read_parquet(tables / "instability.parquet")
    assert set(samples["num_samples"]) == {20}
    assert samples.groupby(["dataset", "variant"]).ngroups == 17


def test_a_number_in_a_table_comes_from_the_test_images(finished: Project) -> None:
    """From per-image nats to the table's bits per dimension, by hand."""
    results = finished.directory / "results/tiny"
    images = pd.read_parquet(results / "runs/patches/r2/seed0/test.parquet")
    assert len(images) == 1144
    table = pd.read_csv(results / "tables/weight-sharing.csv")
    row = table[(table.dataset == "patches") & (table.variant == "r2")].iloc[0]
    expected = images.nll_nats.mean() / (16 * 16 * 3) / np.log(2)
    assert row.nll_mean == pytest.approx(expected, rel=1e-9)


def test_the_same_command_again_has_nothing_to_do(finished: Project) -> None:
    assert finished.planned() == {}


def test_data_that_a_killed_head_left_marked_hide_nothing_that_is_to_be_done(
    finished: Project,
) -> None:
    """Killed between a dataset and Snakemake's record of it: the same command did that alone."""
    marker = b64encode(b"data/digits/dataset.json").decode()
    incomplete = finished.directory / ".snakemake/incomplete" / marker
    table = finished.directory / "results/tiny/tables/weight-sharing.md"
    table.unlink()
    incomplete.touch()
    assert finished.planned() == {"comparison": 1, "page": 1, "paper": 1}
    result = finished.snakemake()
    assert result.returncode == 0, result.stderr
    assert table.exists()
    assert not incomplete.exists()
    assert finished.planned() == {}


def test_changing_one_variant_reruns_its_runs_and_what_depends_on_them(finished: Project) -> None:
    old, new = "r5: {model: {repeats: 5}}", "r5: {model: {repeats: 4}}"
    with finished.edited("config.yaml", old, new):
        assert finished.planned() == {
            "configure": 2,
            "train": 2,
            "runs": 1,
            "comparison": 1,  # the other ablations do without this variant, as their figures do
            "measure": 2,
            "probes": 1,
            "probed_figures": 1,
            "page": 1,
            "paper": 1,
        }
    assert finished.planned() == {}


def test_a_removed_ablation_leaves_the_figures_of_the_study(finished: Project) -> None:
    """No input is newer then: which ablations there are is a parameter."""
    old = "ablations: [weight-sharing, state-norm, resolutions, fourier-features]\n    model: {wid"
    with finished.edited("config.yaml", old, old.replace(", fourier-features", "")):
        planned = finished.planned()
        assert planned["figures"] == planned["page"] == planned["paper"] == 1
        assert "train" not in planned
    assert finished.planned() == {}


@pytest.mark.parametrize(
    ("path", "old"),
    [
        ("model/train.py", "import argparse\n"),
        ("model/network/hvae.py", "import torch\n"),
        ("workflow/study/outputs.py", "from pathlib import Path\n"),
        ("workflow/rules/train.smk", "rule train:\n"),
        ("Snakefile", "rule all:\n"),
        ("config.yaml", "data_mirror: null"),
    ],
)
def test_a_comment_retrains_nothing(finished: Project, path: str, old: str) -> None:
    with finished.edited(path, old, f"# a comment\n{old}"):
        assert finished.planned() == {}


def test_touching_an_array_retrains_nothing(finished: Project) -> None:
    (finished.directory / "data/digits/train.npy").touch()
    (finished.directory / "data/digits/dataset.json").touch()  # its content is the same
    assert finished.planned() == {}


def test_another_study_overwrites_nothing(finished: Project) -> None:
    planned = finished.planned(study="demo")
    assert planned["train"] == 24
    assert "preprocess" not in planned  # the data are shared
    output = finished.snakemake("--dry-run", "--quiet", "rules", study="demo")
    assert "results/tiny" not in output.stdout + output.stderr


def test_a_deleted_table_comes_back_without_training(finished: Project) -> None:
    table = finished.directory / "results/tiny/tables/resolutions.md"
    before = table.read_bytes()
    table.unlink()
    assert finished.planned() == {"comparison": 1, "page": 1, "paper": 1}
    assert finished.snakemake().returncode == 0
    assert table.read_bytes() == before


def test_deleted_weights_come_back_from_the_state_without_a_step(finished: Project) -> None:
    """Weeks of training are not repeated because an output was lost."""
    run = finished.directory / "results/tiny/runs/digits/x1/seed0"
    weights = run / "model.safetensors"
    before, times = weights.read_bytes(), weights.stat()
    weights.unlink()
    target = "results/tiny/runs/digits/x1/seed0/model.safetensors"
    result = finished.snakemake("--", target)
    assert result.returncode == 0, result.stderr
    assert weights.read_bytes() == before
    log = (finished.directory / "results/tiny/logs/train/digits-x1-seed0.log").read_text()
    assert "resumed at step 15" in log
    assert "step 5/15" not in log
    result = finished.snakemake()  # what depends on the weights follows, to the same numbers
    assert result.returncode == 0, result.stderr
    # `study plan` goes by time where Snakemake may go by content: it would announce an evaluation.
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_the_html_report_shows_figures_under_their_captions(finished: Project) -> None:
    result = finished.snakemake("--report", "report.html")
    assert result.returncode == 0, result.stderr
    report = (finished.directory / "report.html").read_text()
    for text in (
        "x1 and x2 have one and two parameterised blocks",  # the description of an ablation
        "figures/weight-sharing.png",
        "figures/block_norms.png",
        "tables/temperatures.md",
        "results/README.md",  # in the caption of runs.parquet
    ):
        assert text in report, text


def test_a_command_runs_by_hand_as_its_rule_runs_it(finished: Project) -> None:
    """`study show` on the finished study, as a user inspects the results."""
    import subprocess
    import sys

    result = subprocess.run(
        [sys.executable, "-m", "study", "show", "weight-sharing"],
        cwd=finished.directory,
        env={**os.environ, "PYTHONPATH": "workflow:."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bits/dim" in result.stdout
