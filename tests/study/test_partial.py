"""Tables of what has finished, while the rest trains."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_results import write_run, write_tables

from study.__main__ import main
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]


def planned(tmp_path: Path) -> Study:
    """Two variants with two seeds each."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "seeds": 2}
    content["studies"]["tiny"]["ablations"] = ["resolutions"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return Study.load(tmp_path / "config.yaml", "tiny")


def partial(tmp_path: Path) -> int:
    command = ["partial", "--study", "tiny", "--config", str(tmp_path / "config.yaml")]
    return main([*command, "--results", str(tmp_path)])


def write(tmp_path: Path, study: Study, run: Run, **differences: Any) -> Path:
    config = study.run_config(run)
    return write_run(
        tmp_path / "tiny", run.dataset, run.variant, run.seed, config=config, **differences
    )


def test_partial_tables_mark_what_has_not_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of four runs: a table that says so, and none where Snakemake writes."""
    study = planned(tmp_path)
    assert partial(tmp_path) == 1
    assert "no run has finished yet" in capsys.readouterr().err
    for seed, nll in enumerate([80.0, 81.0]):
        write(tmp_path, study, Run("digits", "x1", seed), nll=nll)
    assert partial(tmp_path) == 0
    directory = tmp_path / "tiny" / "partial"
    markdown = (directory / "resolutions.md").read_text()
    (x1, single) = (line for line in markdown.splitlines() if line.startswith("| digits"))
    assert "80.5 ± 6.4" in x1
    assert single.count("…") >= 6
    assert "… marks what has not finished" in markdown
    assert not (tmp_path / "tiny" / "tables").exists()
    assert (directory / "resolutions.pdf").is_file()
    readme = (directory / "README.md").read_text()
    assert "2 of 4 runs" in readme
    assert "- digits/single-resolution/seed1" in readme
    assert "- digits/x1/seed0" not in readme
    page = (directory / "index.html").read_text()
    assert "2 of 4 runs are there" in page
    assert "Not finished: single-resolution." in page
    assert (directory / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_final_tables_take_the_place_of_partial_ones(tmp_path: Path) -> None:
    """And of nothing else: a folder of this name that we did not write stays."""
    study = planned(tmp_path)
    for run in study.runs:
        write(tmp_path, study, run)
    assert partial(tmp_path) == 0
    assert (tmp_path / "tiny/partial/resolutions.csv").is_file()
    write_tables(tmp_path / "tiny", "tiny")
    assert not (tmp_path / "tiny/partial").exists()
    own = tmp_path / "tiny/partial/README.md"
    own.parent.mkdir()
    own.write_text("my notes")
    write_tables(tmp_path / "tiny", "tiny")
    assert own.read_text() == "my notes"


def test_nothing_is_partial_beside_final_tables_of_all_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of an ablation may fail after them; what were written now would stay."""
    study = planned(tmp_path)
    for run in study.runs:
        write(tmp_path, study, run)
    write_tables(tmp_path / "tiny", "tiny")
    assert partial(tmp_path) == 0
    assert "all runs have finished: the final tables are in" in capsys.readouterr().out
    assert not (tmp_path / "tiny/partial").exists()
    # Of a run that was evaluated again since, the tables are not.
    later = time.time() + 1
    os.utime(tmp_path / "tiny/runs/digits/x1/seed0/test.parquet", (later, later))
    assert partial(tmp_path) == 0
    assert (tmp_path / "tiny/partial/runs.parquet").is_file()


def test_what_cannot_be_compared_is_skipped_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One variant is trained again on other images, the other not yet."""
    study = planned(tmp_path)
    write(tmp_path, study, Run("digits", "x1", 0), dataset_sha256="ee" * 32)
    write(tmp_path, study, Run("digits", "single-resolution", 0))
    assert partial(tmp_path) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "study: skipped resolutions: digits: variants of different dataset_sha256"
    )
    assert (tmp_path / "tiny/partial/runs.parquet").is_file()
