"""How much of `snakemake` a user reads: of a run, a failure, a dry run."""

import re

import pytest
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

JOBS = 68  # of tiny
EACH_JOB = re.compile(r"^(local)?rule \w+:$", re.MULTILINE)


def log_of(project: Project, terminal: str) -> str:
    (path,) = re.findall(r"^What each job does: (\S+)", terminal, re.MULTILINE)
    return (project.directory / path).read_text()


def test_a_study_is_a_line_for_each_training(finished: Project) -> None:
    terminal = (finished.directory / "terminal.txt").read_text()
    trained = re.findall(r": (\S+) finished after 15 steps, valid NLL ", terminal)
    assert len(set(trained)) == len(trained) == 17
    assert "digits/x1/seed0" in trained
    assert not EACH_JOB.search(terminal)
    by_minute = re.findall(r"^.*: running .*$", terminal, re.MULTILINE)
    assert len(terminal.splitlines()) - len(by_minute) < 50, terminal
    assert terminal.splitlines()[-3:] == [
        f"{JOBS} of {JOBS} steps (100%) done",
        "The study to look at: results/tiny/index.html",
        "The study to look at: results/tiny/paper.pdf",
    ]
    assert len(EACH_JOB.findall(log_of(finished, terminal))) == JOBS


def test_a_dry_run_ends_with_the_jobs_by_rule(project: Project) -> None:
    result = project.snakemake("--dry-run")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.rstrip().splitlines()
    assert lines[-1].split() == ["total", f"{JOBS}"]
    assert len(lines) + len(result.stderr.splitlines()) < 25
    shown = project.snakemake("--dry-run", "-p")
    assert len(EACH_JOB.findall(shown.stdout + shown.stderr)) == JOBS


def test_a_failure_is_told_in_full_and_the_others_in_a_line(project: Project) -> None:
    runs = [f"results/tiny/runs/digits/{variant}/seed0" for variant in ("x1", "x2")]
    broken = project.directory / runs[0]
    broken.mkdir(parents=True)
    (broken / "state").write_text("no folder")  # the training cannot keep its state
    targets = [f"{run}/model.safetensors" for run in runs]
    result = project.snakemake("--keep-going", "--", *targets)
    terminal = result.stdout + result.stderr
    assert result.returncode == 1
    assert terminal.count("Error in rule train:") == 1
    end = terminal.index("The end of results/tiny/logs/train/digits-x1-seed0.log:")
    assert re.match(r".*\n(.*\n)?error: .*state", terminal[end:])
    assert "digits/x2/seed0 finished after 15 steps" in terminal
    assert not EACH_JOB.search(terminal)
    assert "rule train:" in log_of(project, terminal)
