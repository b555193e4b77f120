"""An ablation that asks for a refinement: its table, and what a change of its steps costs."""

import pytest
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_finished_runs_are_evaluated_at_other_steps_without_training_again(
    project: Project,
) -> None:
    project.edit("config.yaml", "variants: [r5, r2, x1, x4]", "variants: [r2, x1]")
    project.edit("config.yaml", "refinement: [1, 2, 5, 10, 20]", "refinement: [1, 4]")
    project.edit(
        "config.yaml",
        "ablations: [weight-sharing, state-norm, resolutions, fourier-features]\n    model",
        "ablations: [step-size]\n    refine: {num_images: 20, num_noises: 2}\n    model",
    )
    table = "results/tiny/tables/step-size-refinement.md"
    result = project.snakemake("--", table)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (project.directory / table).read_text().splitlines()
        if line.startswith(("| digits", "| patches"))
    ]
    assert [row[:4] for row in rows if row[0] == "digits"] == [
        ["digits", "r2", "2", "1"],
        ["digits", "r2", "1", "2"],
        ["digits", "r2", "4", "0.5"],
        ["digits", "x1", "1", "1"],
        ["digits", "x1", "4", "0.25"],
    ]
    shown = project.study("show", "step-size-refinement", "--study", "tiny")
    assert shown.returncode == 0, shown.stderr

    project.edit("config.yaml", "refinement: [1, 4]", "refinement: [1, 8]")
    assert set(project.planned("--", table)) == {"describe_ablation", "refine", "refinement"}
    # A variant that has no steps is refused before anything begins.
    project.edit("config.yaml", "variants: [r2, x1]\n", "variants: [r2, x1, normalised]\n")
    refused = project.snakemake("--dry-run")
    assert refused.returncode == 1
    assert "variant normalised on digits in study" in refused.stderr
    assert "state_norm: l2 leaves no step whose size could change" in refused.stderr
