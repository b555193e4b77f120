"""What `study doctor` finds: faults that are really there."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from written_results import write_run

from study.__main__ import main
from study.head.lock import Head
from study.head.orphans import MARK
from study.head.process import Machine, start_of
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, data_dir: Path) -> Path:
    """A checkout with the digits, in which nothing is wrong."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "ablations": ["resolutions"]}
    content["data_dir"] = str(tmp_path / "data")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    shutil.copytree(data_dir, tmp_path / "data")
    return tmp_path


def doctor(project: Path, capsys: pytest.CaptureFixture[str], code: int = 1) -> dict[str, Any]:
    """The findings by check, as (what, mend); the exit code must be as given."""
    paths = ["--config", str(project / "config.yaml"), "--results", str(project / "results")]
    assert main(["doctor", "tiny", "--json", *paths]) == code
    checks = json.loads(capsys.readouterr().out)
    assert main(["doctor", "tiny", *paths]) == code
    text = capsys.readouterr().out
    found = {}
    for check in checks:
        for finding in check["findings"]:
            assert finding["what"] in text
            assert f"    {finding['mend']}" in text
            assert "\n" not in finding["what"]
            found[check["name"]] = (finding["what"], finding["mend"])
    return found


def write_lock(project: Path, pid: int, start: str, command: str = "", study: str = "tiny") -> Path:
    folder = project / ".snakemake/heads"
    folder.mkdir(parents=True, exist_ok=True)
    head = Head(
        study=study, token="t", machine=Machine.this(), pid=pid, start=start, command=command
    )
    (folder / f"{study}.json").write_text(json.dumps(dataclasses.asdict(head)))
    return (folder / f"{study}.json").resolve()


def test_nothing_is_wrong(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(project, capsys, code=0) == {}


def test_a_killed_head_and_what_it_left_running(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "snakemake --profile slurm --config study=tiny 'notify=mail me'"
    lock = write_lock(project, pid=1, start="another process", command=command)
    assert doctor(project, capsys)["snakemake"][1] == command
    lock = write_lock(project, pid=1, start="another process")  # of an older version
    what, mend = doctor(project, capsys)["snakemake"]
    assert "the lock of a dead snakemake on study tiny" in what
    assert mend == "snakemake --cores 2 --config study=tiny"
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    orphan = subprocess.Popen(sleep, env={**os.environ, MARK: str(lock)})
    try:
        what, mend = doctor(project, capsys)["snakemake"]
        assert what.endswith(
            f"; its processes still run, and the same command ends them: {orphan.pid}"
        )
        assert mend == "snakemake --cores 2 --config study=tiny"
    finally:
        orphan.kill()
        orphan.wait()


def test_locks_of_nobody_known(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".snakemake/locks").mkdir(parents=True)
    (project / ".snakemake/locks/0.input.lock").touch()
    assert doctor(project, capsys)["snakemake"][1] == "snakemake --unlock"


def test_jobs_that_the_ledger_thinks_alive(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ledger = project / ".snakemake/submitit/local/ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    lines = [
        {"key": "a", "job_id": str(gone.pid), "fingerprint": "f"},
        {"key": "b", "job_id": str(os.getpid()), "fingerprint": "f"},
        {"key": "c", "job_id": str(gone.pid + 1), "fingerprint": "f"},
        {"key": "c"},
    ]
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"key": "d", ')
    what, _ = doctor(project, capsys)["jobs"]
    assert what.endswith(f"jobs that are not there any more: {gone.pid}")


def test_jobs_of_a_dead_head_beside_a_living_one(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that lives makes another study: it does not look after them."""
    write_lock(project, os.getpid(), start_of(os.getpid()), study="demo")
    write_lock(project, 1, "another process", "snakemake --executor submitit", "tiny")
    host, (gone, lost) = socket.gethostname(), dead_pids(2)
    ledger = project / ".snakemake/submitit/local/ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    jobs = {gone: f"{host}.1", os.getpid(): f"{host}.1", lost: f"{host}.{os.getpid()}"}
    lines = [{"key": str(job), "job_id": str(job), "head": head} for job, head in jobs.items()]
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = doctor(project, capsys)
    assert found["snakemake"][0].endswith(
        f"; nobody looks after its jobs until the same command does: {gone}, {os.getpid()}"
    )
    what, mend = found["jobs"]
    assert what.endswith(f"not there any more: {gone}")  # the other one's head is about to notice
    assert mend == "snakemake --executor submitit"


def dead_pids(number: int) -> list[int]:
    processes = [subprocess.Popen([sys.executable, "-c", ""]) for _ in range(number)]
    for process in processes:
        process.wait()
    return [process.pid for process in processes]


def test_damaged_arrays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "data/digits/test.npy"
    images = np.load(path)
    images[3, 4, 5] ^= 1
    np.save(path, images)
    what, mend = doctor(project, capsys)["data"]
    assert what == f"{path}: not the bytes whose sha256 is in dataset.json"
    assert mend == f"python -m model.data preprocess digits --data-dir {project / 'data'}"
    assert subprocess.run(mend.split(), cwd=ROOT, check=False).returncode == 0
    doctor(project, capsys, code=0)
    (project / "data/digits/dataset.json").write_text("{")
    assert doctor(project, capsys)["data"][1] == mend


def test_data_that_have_changed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Study.load(project / "config.yaml", "tiny").run_config(Run("digits", "x1", 0))
    write_run(project / "results/tiny", "digits", "x1", 0, config=config)
    assert doctor(project, capsys)["data"] == (
        "changed since these were trained on them: digits/x1/seed0",
        "snakemake --cores 2 --config study=tiny",
    )


def test_data_that_are_nowhere(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = yaml.safe_load((project / "config.yaml").read_text())
    content["datasets"]["mine"] = content["datasets"]["digits"]
    content["datasets"]["celeba64"]["train"]["iterations"] = 1
    content["studies"]["tiny"]["datasets"] = ["mine"]
    (project / "config.yaml").write_text(yaml.safe_dump(content))
    assert "neither a folder" in doctor(project, capsys)["data"][0]
    content["studies"]["tiny"] |= {"datasets": ["celeba64"], "ablations": ["table-1"]}
    (project / "config.yaml").write_text(yaml.safe_dump(content))
    what, mend = doctor(project, capsys)["data"]
    assert "no such file" in what
    assert mend.endswith("--mirror DIR")


def test_a_damaged_record_and_a_mistake_in_the_config(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Study.load(project / "config.yaml", "tiny").run_config(Run("digits", "x1", 0))
    run = write_run(project / "results/tiny", "digits", "x1", 0, config=config)
    (run / "train.json").write_text('{"step"')
    assert doctor(project, capsys)["results"][1].startswith(f"rm {run / 'train.json'}; snakemake")
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(text.replace("repeats: 5", "repets: 5"))
    found = doctor(project, capsys)
    assert "did you mean 'repeats'?" in found["configuration"][0]


def test_another_environment(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    version = next(line for line in lock.splitlines() if line.startswith("numpy=="))
    (project / "requirements.lock").write_text("# a comment\nnumpy==1.0.0  # via x\n")
    what, mend = doctor(project, capsys)["environment"]
    found = version.partition("==")[2].split()[0]
    assert what == f"other versions than in requirements.lock: numpy {found} instead of 1.0.0"
    assert mend == "make install"
    (project / "requirements.lock").write_text("no-such-package==1.0\n")
    assert "not installed: no-such-package" in doctor(project, capsys)["environment"][0]
