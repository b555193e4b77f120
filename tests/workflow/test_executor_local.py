"""The executor without SLURM: `--submitit-cluster local`, and `debug`."""

import hashlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from head import Head, assert_result, events, starts, unlock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

LOCAL = ["--submitit-cluster", "local"]


def wait_for_start(directory: Path) -> None:
    """Until the training has taken its first steps."""
    deadline = time.monotonic() + 60
    while not starts(directory):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)


def test_jobs_run_and_one_that_fails_says_why(tmp_path: Path) -> None:
    with Head(
        tmp_path, os.environ, *LOCAL, "--keep-going", "out/fail.txt", "out/second.txt"
    ) as head:
        assert head.wait(timeout=100) == 1
    assert "message: exit code 3" in head.output
    assert "about to fail" in head.output
    assert (tmp_path / "out/second.txt").read_text() == "first\nsecond\n"


def test_a_failed_jobs_files_stay_until_it_is_submitted_again(tmp_path: Path) -> None:
    jobs = tmp_path / ".snakemake/submitit/local/jobs"
    kept = []
    for _ in range(2):
        with Head(tmp_path, os.environ, *LOCAL, "out/fail.txt") as head:
            assert head.wait(timeout=100) == 1
        kept.append({path.name for path in jobs.iterdir()})
    assert [len({name.split(".")[0] for name in names}) for names in kept] == [1, 1], kept
    assert kept[0].isdisjoint(kept[1])


def test_files_of_a_job_that_was_killed_at_its_very_end_go(tmp_path: Path) -> None:
    """Its outputs were there, so nothing makes them again; those of another study's job stay."""
    home = tmp_path / ".snakemake/submitit/local"
    with Head(tmp_path, os.environ, *LOCAL, "out/trivial0.txt") as head:
        head.succeed(timeout=100)
    here = socket.gethostname()
    dead = subprocess.Popen(["true"])
    dead.wait()
    # Of a rule that is left out because its output is there, nothing tells but who submitted it.
    for job_id, output, submitter in (
        ("999998", "out/trivial0.txt", ""),
        ("999999", "of/another/study.txt", ""),
        ("999996", "of/another/study/2.txt", f"{here}.{os.getpid()}"),
        ("999995", "of/another/study/3.txt", f"{here}-2.{dead.pid}"),
        ("999997", "left/out.txt", f"{here}.{dead.pid}"),
    ):
        key = hashlib.sha1(output.encode()).hexdigest()
        entry = {"key": key, "job_id": job_id, "fingerprint": "of that time", "head": submitter}
        with (home / "ledger.jsonl").open("a") as ledger:
            ledger.write(json.dumps(entry) + "\n")
        (home / f"jobs/{job_id}_submitted.pkl").touch()
        (home / f"jobs/{job_id}_0_log.out").touch()
    with Head(tmp_path, os.environ, *LOCAL, "out/trivial0.txt", "out/trivial1.txt") as head:
        head.succeed(timeout=100)
    left = {path.name for path in (home / "jobs").iterdir()}
    assert {name.split("_")[0] for name in left} == {"999999", "999996", "999995"}
    assert len(left) == 6


def test_debug_runs_in_the_head(tmp_path: Path) -> None:
    with Head(tmp_path, os.environ, "--submitit-cluster", "debug", "out/trivial0.txt") as head:
        head.succeed(timeout=100)
    assert "localrule trivial" in head.output  # what the job's own Snakemake prints


def test_a_killed_heads_job_is_found_again(tmp_path: Path) -> None:
    settings = [*LOCAL, "--config", "trainings=1", "seconds=8"]
    with Head(tmp_path, os.environ, *settings) as first:
        wait_for_start(tmp_path)
        first.kill()
    unlock(tmp_path)
    with Head(tmp_path, os.environ, *settings) as second:
        second.succeed(timeout=60)
    assert_result(tmp_path, seconds=8)
    assert [event.kind for event in events(tmp_path)] == ["start", "end"]


def test_ctrl_c_saves(tmp_path: Path) -> None:
    with Head(tmp_path, os.environ, *LOCAL, "--config", "trainings=1", "seconds=500") as head:
        wait_for_start(tmp_path)
        head.interrupt()
        assert head.wait(timeout=10) != 0
    deadline = time.monotonic() + 5
    while events(tmp_path)[-1].kind != "stop":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_time_limit_is_outlived(tmp_path: Path) -> None:
    settings = [*LOCAL, "--config", "trainings=1", "seconds=35", "runtime=1"]
    with Head(tmp_path, os.environ, *settings) as head:
        head.succeed(timeout=150)
    assert_result(tmp_path, seconds=35)
    assert [event.kind for event in events(tmp_path)] == ["start", "stop", "start", "end"]


# --- What Snakemake can do with the jobs of any executor ------------------------------------------

FEATURES = """
rule grow:
    output: "grown.txt"
    resources: mem_mb=50
    shell: "[[ {resources.mem_mb} -ge 300 ]] && echo {resources.mem_mb} > {output}"
rule part:
    output: "part{i}.txt"
    shell: "echo $SUBMITIT_LOCAL_JOB_ID > {output}"
"""


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A folder with the workflow above."""
    (tmp_path / "Snakefile").write_text(FEATURES)
    return tmp_path


def test_a_retry_gets_the_resources_of_its_attempt(features: Path) -> None:
    """Not with `retries:` in the rule: the Snakemake on the node then tries again by itself."""
    more = ["--retries=2", "--set-resources=grow:mem_mb=100*attempt"]
    with Head(features, os.environ, *LOCAL, *more, "--", "grown.txt") as head:
        head.succeed(timeout=100)
    assert (features / "grown.txt").read_text() == "300\n"
    assert head.output.count("Trying to restart job") == 2


def test_jobs_of_a_group_run_in_as_many_jobs_as_it_has_components(features: Path) -> None:
    parts = [f"part{i}.txt" for i in range(4)]
    groups = ["--groups", "part=all", "--group-components", "all=2"]
    with Head(features, os.environ, *LOCAL, *groups, "--", *parts) as head:
        head.succeed(timeout=100)
    ids = [(features / part).read_text() for part in parts]
    assert sorted(ids.count(job_id) for job_id in set(ids)) == [2, 2]


def test_touch_runs_nothing(features: Path) -> None:
    output = features / "part0.txt"
    output.write_text("by hand\n")
    os.utime(output, (0, 0))
    with Head(features, os.environ, *LOCAL, "--touch", "--forceall", "part0.txt") as head:
        head.succeed(timeout=100)
    assert output.read_text() == "by hand\n"
    assert output.stat().st_mtime > time.time() - 100
