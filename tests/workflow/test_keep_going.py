"""A failed run under --keep-going: what it costs, and what is there instead."""

import pytest
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


NOTIFY = """'echo "$STUDY_EVENT $STUDY_RUN $STUDY_MESSAGE" >> told'"""


def test_a_failed_run_costs_only_the_ablations_that_use_it(project: Project) -> None:
    """Two ablations that share a variant; the training of another one fails."""
    project.edit(
        "config.yaml",
        "  tiny: #",
        "  two:\n"
        "    datasets: [digits]\n"
        "    seeds: 1\n"
        "    ablations: [resolutions, fourier-features]\n"
        "    model: {width: 8}\n"
        "    train: {iterations: 4, warmup_iterations: 1, validation_images: 100,"
        " validate_every: 2, log_every: 2}\n"
        "    evaluate: {importance_samples: 2}\n"
        "    probe: {num_samples: 20, temperatures: [0.5, 1.0]}\n"
        "  tiny: #",
    )
    project.edit("config.yaml", "\nnotify: null\n", f"\nnotify: {NOTIFY}\n")
    broken = project.directory / "results/two/runs/digits/single-resolution/seed0"
    broken.mkdir(parents=True)
    (broken / "state").write_text("no folder")  # the training cannot keep its state
    result = project.snakemake("--keep-going", "--quiet", "rules", study="two")
    output = result.stdout + result.stderr
    assert result.returncode == 1, output
    results = project.directory / "results/two"
    tables = {path.name for path in (results / "tables").glob("*.md")}
    assert "fourier-features.md" in tables, output
    assert "resolutions.md" not in tables
    assert not (results / "tables/runs.parquet").exists()  # of the whole study
    assert (results / "figures/fourier-features.pdf").is_file()
    assert "what has finished are in results/two/partial" in output
    partial = results / "partial"
    assert "- digits/single-resolution/seed0" in (partial / "README.md").read_text()
    text = (partial / "resolutions.md").read_text()
    assert "… marks what has not finished" in text
    assert (partial / "runs.parquet").is_file()
    assert (partial / "resolutions.pdf").is_file()
    assert "digits/single-resolution/seed0</p>" in (partial / "index.html").read_text()
    assert (partial / "paper.pdf").is_file()

    told = (project.directory / "told").read_text().splitlines()
    assert told[0].startswith("failed digits/single-resolution/seed0 two: digits/single-")
    assert "state" in told[0]  # the reason: which file it could not write
    assert [line.split()[0] for line in told] == ["failed", "error"]
    assert "1 failed" in told[1]

    (broken / "state").unlink()
    result = project.snakemake("--quiet", "rules", study="two")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (results / "tables/resolutions.md").is_file()
    assert not partial.exists()
    told = (project.directory / "told").read_text().splitlines()
    assert [line.split()[0] for line in told] == ["failed", "error", "finished"]
    assert project.planned(study="two") == {}
