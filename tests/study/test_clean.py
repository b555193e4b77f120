"""What `study clean` offers to delete, and that it deletes nothing else."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from test_status import tell
from written_results import write_run

from study.__main__ import main
from study.head.lock import HeadLock
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]
X1 = Run("digits", "x1", 0)
DATA = "d1" * 32  # the digest that write_run gives


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two variants with two seeds each; x1 is done, and its states are there."""
    study = write_config(tmp_path)
    config = study.run_config(X1)
    run = write_run(tmp_path / "results/tiny", "digits", "x1", 0, config=config)
    for name in ("model.safetensors", "block_norms.parquet", "instability.parquet"):
        (run / name).touch()
    write_state(run, config.identity(DATA))
    return study


def write_config(tmp_path: Path, **tiny: Any) -> Study:
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    entry = content["studies"]["tiny"] | {"datasets": ["digits"], "seeds": 2} | tiny
    content["studies"] = {"tiny": entry | {"ablations": ["resolutions"]}}
    content |= {"data_dir": str(tmp_path / "data"), "study": "tiny"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return Study.load(tmp_path / "config.yaml", "tiny")


def write_state(
    run: Path, identity: str, name: str = "step000000015-0123456789abcdef.end.pt"
) -> Path:
    path = run / "state" / identity / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    return path


def clean(tmp_path: Path, *options: str) -> int:
    paths = ["--config", f"{tmp_path}/config.yaml", "--results", f"{tmp_path}/results"]
    return main(["clean", "tiny", *paths, *options])


def offered(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert clean(tmp_path, "--json", *options) == 0
    entries = json.loads(capsys.readouterr().out)
    return {str(Path(entry["path"]).relative_to(tmp_path)): entry for entry in entries}


def files(tmp_path: Path) -> set[str]:
    return {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} - {
        ".snakemake/heads/guard"
    }


RUNS = "results/tiny/runs/digits"


def test_nothing_that_belongs_to_the_study(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(tmp_path, capsys) == {}
    assert clean(tmp_path) == 0
    assert "nothing to delete" in capsys.readouterr().out


def test_states_of_other_settings(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / RUNS / "x1/seed0"
    write_state(run, "0123456789abcdef")
    write_state(run, study.run_config(X1).identity(DATA), "step000000010-0123456789abcdef.damaged")
    found = offered(tmp_path, capsys)
    assert [path.rpartition("/state/")[2] for path in found] == [
        "0123456789abcdef",
        f"{study.run_config(X1).identity(DATA)}/step000000010-0123456789abcdef.damaged",
    ]
    assert {entry["size_bytes"] for entry in found.values()} == {1000}
    before = files(tmp_path)
    assert clean(tmp_path, "--yes") == 0
    gone = before - files(tmp_path)
    assert len(gone) == 2
    assert all("0123456789abcdef/" in path or path.endswith(".damaged") for path in gone)


def test_a_result_of_other_settings_keeps_its_states(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table that is there shows it, and the change may be taken back."""
    write_config(tmp_path, model={"width": 9})
    assert offered(tmp_path, capsys) == {}


def test_runs_that_the_study_does_not_have(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results/tiny"
    write_run(results, "digits", "x1", 5)
    write_run(results, "digits", "r5", 0)
    (results / "runs/digits/x1/seed0-before-1").mkdir()
    (results / "runs/digits/x1/seed0-before-1/train.json").write_text("{")
    (results / "runs/digits/x1/seed-notes").mkdir()
    found = offered(tmp_path, capsys)
    assert set(found) == {f"{RUNS}/r5/seed0", f"{RUNS}/x1/seed0-before-1", f"{RUNS}/x1/seed5"}
    assert found[f"{RUNS}/r5/seed0"]["hours"] == pytest.approx(12.5 / 3600)
    assert found[f"{RUNS}/x1/seed0-before-1"]["reason"] == "set aside by study retrain"
    assert offered(tmp_path, capsys, "--only", "states", "data") == {}


def test_what_is_being_trained_stays(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "results/tiny", "digits", "x1", 5)
    write_state(tmp_path / RUNS / "x1/seed0", "0123456789abcdef")
    tell(tmp_path, study, Run("digits", "x1", 5))  # this process
    assert list(offered(tmp_path, capsys)) == [f"{RUNS}/x1/seed0/state/0123456789abcdef"]
    tell(tmp_path, study)
    assert offered(tmp_path, capsys) == {}


def test_data_that_no_study_uses(
    tmp_path: Path, study: Study, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for dataset in ("digits", "patches", "mnist", "mine", "yours"):
        shutil.copytree(data_dir / "digits", tmp_path / "data" / dataset)
    for raw in ("mnist", "mine", "celeba64"):
        (tmp_path / "data/raw" / raw).mkdir(parents=True)
    # Of the user's own, the images stay, and so do arrays without images.
    expected = {"data/patches", "data/mnist", "data/mine", "data/raw/mnist"}
    assert set(offered(tmp_path, capsys, "--only", "data")) == expected
    shared = tmp_path / "elsewhere/results"
    shared.mkdir(parents=True)
    options = ["--config", f"{tmp_path}/config.yaml", "--results", str(shared)]
    assert main(["clean", "tiny", *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []  # outside of that project


@pytest.fixture
def head(tmp_path: Path) -> Iterator[HeadLock]:
    lock = HeadLock(tmp_path / ".snakemake/heads", "tiny")
    lock.take(on_loss=lambda: None)
    yield lock
    lock.release()


def test_not_while_a_snakemake_works(
    tmp_path: Path, study: Study, head: HeadLock, capsys: pytest.CaptureFixture[str]
) -> None:
    write_state(tmp_path / RUNS / "x1/seed0", "0123456789abcdef")
    before = files(tmp_path)
    assert clean(tmp_path, "--yes") == 1
    assert f"process {psutil.Process().pid}" in capsys.readouterr().err
    assert files(tmp_path) == before


def test_it_asks(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = write_state(tmp_path / RUNS / "x1/seed0", "0123456789abcdef")
    assert clean(tmp_path) == 0  # not from a terminal
    assert "--yes does, without asking" in capsys.readouterr().out
    leader, follower = os.openpty()
    with os.fdopen(follower) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        for answer, stays in (("", True), ("n", True), ("y", False)):
            os.write(leader, f"{answer}\n".encode())
            assert clean(tmp_path) == 0
            assert path.exists() == stays
    os.close(leader)
    assert "deleted: 1 thing, 1 kB" in capsys.readouterr().err
