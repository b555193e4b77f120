"""Tables of what has finished, while the rest trains."""

import dataclasses
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_results import write_run, write_tables

from model.table import ResultError
from study.__main__ import main
from study.collecting.run_result import RunResult
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]


def planned(tmp_path: Path) -> Study:
    """Two variants with two seeds each."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "seeds": 2}
    content["studies"]["tiny"]["ablations"] = ["resolutions"]
    content["data_dir"] = str(tmp_path / "data")
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
    said = capsys.readouterr().err
    assert "no run has been evaluated yet; 0 of 4 have finished training" in said
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


def test_runs_of_another_length_are_taken_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are of `snakemake --config iterations=7`, until one is of the planned length."""
    study = planned(tmp_path)
    for run in study.runs[:3]:
        write(tmp_path, study.of_length(7), run)
    assert partial(tmp_path) == 0
    said = capsys.readouterr().out
    note = "3 runs have another length than in config.yaml: 7 iterations (--config iterations=7?)"
    assert f"note: {note}" in said
    readme = (tmp_path / "tiny/partial/README.md").read_text()
    assert "3 of 4 runs" in readme
    assert note in readme
    write(tmp_path, study, study.runs[3])
    assert partial(tmp_path) == 0
    assert "would now have: 3 of the runs" in capsys.readouterr().out
    assert "1 of 4 runs" in (tmp_path / "tiny/partial/README.md").read_text()


def test_a_run_that_was_made_longer_is_not_evaluated_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its table of the earlier length is to be made again: nobody has to delete it."""
    study = planned(tmp_path)
    short, (run, *_) = study.of_length(7), study.runs
    directory = write(tmp_path, short, run)
    test, weights = (directory / "test.parquet"), (directory / "model.safetensors")
    of_earlier_length = test.read_bytes()
    shutil.rmtree(directory)
    write(tmp_path, study, run)
    test.write_bytes(of_earlier_length)
    weights.touch()
    os.utime(test, (0, 0))
    assert partial(tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("no run has been evaluated yet; 1 of 4 have finished training")
    with pytest.raises(ResultError, match="of an earlier training of this run; the same") as error:
        RunResult.read(directory).table("test")
    assert "delete" not in str(error.value)
    os.utime(weights, (0, 0))  # then snakemake would keep it
    assert partial(tmp_path) == 1
    assert "delete it and give the same" in capsys.readouterr().err


def test_runs_of_other_settings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = planned(tmp_path)
    config = study.run_config(study.runs[0])
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, width=12))
    write_run(tmp_path / "tiny", config.dataset, config.variant, config.seed, config=wider)
    assert partial(tmp_path) == 1
    assert "other settings or other data than they would now have: 1 of" in capsys.readouterr().err


def test_final_tables_of_data_that_have_changed_are_called_so(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an error about an image that was added to a finished study."""
    study = planned(tmp_path)
    for run in study.runs:
        write(tmp_path, study, run, dataset_sha256="ee" * 32)
    write_tables(tmp_path / "tiny", "tiny")
    command = ["partial", "--study", "tiny", "--config", str(tmp_path / "config.yaml")]
    assert main([*command, "--results", str(tmp_path), "--data-dir", str(data_dir)]) == 0
    said = capsys.readouterr().out
    assert "all runs have finished" not in said
    assert "note: 4 runs were trained on their data before those changed" in said
