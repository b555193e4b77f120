"""Runs that are set aside to be trained from scratch: what they have is kept, and not found."""

from pathlib import Path

import pytest

from study.__main__ import main


@pytest.fixture
def study_dir(tmp_path: Path) -> Path:
    for run in ("digits/x1/seed0", "digits/x1/seed1", "digits/r5/seed0"):
        (tmp_path / "demo/runs" / run / "state").mkdir(parents=True)
        (tmp_path / "demo/runs" / run / "train.json").write_text(run)
    return tmp_path / "demo"


def retrain(study_dir: Path, *names: str) -> int:
    return main(["retrain", "--results", str(study_dir.parent), "--study", "demo", *names])


def runs_of(study_dir: Path) -> set[str]:
    return {str(p.parent.relative_to(study_dir / "runs")) for p in study_dir.rglob("train.json")}


def test_all_seeds_of_a_variant_or_one_are_set_aside(study_dir: Path) -> None:
    assert retrain(study_dir, "digits/x1") == 0
    aside = {"digits/x1/seed0-before-1", "digits/x1/seed1-before-1"}
    assert runs_of(study_dir) == {*aside, "digits/r5/seed0"}
    assert (study_dir / "runs/digits/x1/seed0-before-1/state").is_dir()
    assert retrain(study_dir, "digits/r5/seed0") == 0
    assert runs_of(study_dir) == {*aside, "digits/r5/seed0-before-1"}


def test_what_was_set_aside_before_stays(study_dir: Path) -> None:
    assert retrain(study_dir, "digits/r5") == 0
    (study_dir / "runs/digits/r5/seed0").mkdir()
    (study_dir / "runs/digits/r5/seed0/train.json").write_text("again")
    assert retrain(study_dir, "digits/r5") == 0
    folder = study_dir / "runs/digits/r5"
    assert (folder / "seed0-before-1/train.json").read_text() == "digits/r5/seed0"
    assert (folder / "seed0-before-2/train.json").read_text() == "again"


def test_a_misspelt_run_moves_nothing(study_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = runs_of(study_dir)
    assert retrain(study_dir, "digits/x1", "digits/x9") == 1
    assert runs_of(study_dir) == before
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no run digits/x9; there are digits/r5, digits/x1" in line
