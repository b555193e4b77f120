"""Heads that are killed, stopped, or started twice, each by what a user does."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = [f"results/tiny/runs/digits/{variant}/seed0" for variant in ("x1", "x2")]
CRASH = ("Error", "Traceback", "error:", "KeyboardInterrupt", "IncompleteFiles", "--unlock")


class Head:
    """`snakemake --cores 2` for the trainings of two runs, in a process group of its own."""

    def __init__(
        self, project: Project, iterations: int, *targets: str, study: str = "tiny"
    ) -> None:
        self.directory = project.directory
        self.log = self.directory / f"head-{time.time_ns()}.log"
        targets = targets or tuple(f"{run}/model.safetensors" for run in RUNS)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "snakemake", "--cores", "2"),
                    *("--config", f"study={study}", f"iterations={iterations}", "--", *targets),
                ],
                cwd=self.directory,
                env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def snakemakes_log(self) -> str:
        """What Snakemake says of each job, in the file that the terminal names."""
        named = re.search(r"^What each job does: (\S+)", self.output, re.MULTILINE)
        return (self.directory / named[1]).read_text() if named else ""

    def is_training(self, run: str) -> bool:
        """Whether a training of this head, not of an earlier one, has taken steps."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        log = training_log(self.directory, run)
        return " step " in (log.read_text() if log.exists() else "") and any(
            process in children and run in process.info["cmdline"]
            for process in trainings(self.directory)
        )

    def wait_for_training(self) -> None:
        """Until both trainings have taken steps."""
        deadline = time.monotonic() + 200
        for run in RUNS:
            while not self.is_training(run):
                assert self.process.poll() is None, self.output
                assert time.monotonic() < deadline, self.output
                time.sleep(0.1)

    def stop(self, number: int, *, group: bool) -> tuple[int, float]:
        """Send a signal and wait; the exit code and the seconds that it took."""
        start = time.monotonic()
        (os.killpg if group else os.kill)(self.process.pid, number)
        return self.process.wait(timeout=90), time.monotonic() - start


def training_log(directory: Path, run: str) -> Path:
    study, _, dataset, variant, seed = run.removeprefix("results/").split("/")
    return directory / f"results/{study}/logs/train/{dataset}-{variant}-{seed}.log"


def trainings(directory: Path) -> list[psutil.Process]:
    """Living trainings, of whatever head, in this directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd", "status"])
        if process.info["cwd"] == str(directory)
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and "model.train" in (process.info["cmdline"] or [])
    ]


def newest_step(directory: Path, run: str) -> int:
    states = (directory / run / "state").rglob("step*.pt")
    newest = max(states, key=lambda path: path.stat().st_mtime)
    return int(newest.name.removeprefix("step")[:9])


@pytest.fixture
def quiet(project: Project) -> Iterator[Project]:
    """A project whose processes are gone after the test, even if it fails."""
    yield project
    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"] == str(project.directory):
            process.kill()
            process.wait()


def test_after_kill_9_the_same_command_goes_on(quiet: Project) -> None:
    directory = quiet.directory
    first = Head(quiet, 100000)
    first.wait_for_training()
    assert first.stop(signal.SIGKILL, group=False)[0] == -signal.SIGKILL
    orphans = trainings(directory)
    assert len(orphans) == 2
    # What is to be typed is what was typed.
    doctor = quiet.study("doctor", "tiny").stdout
    assert "\n    snakemake --cores 2 --config study=tiny iterations=100000 -- results/" in doctor

    # The orphans save, end, and are trained on from there.
    second = Head(quiet, 100000)
    second.wait_for_training()
    assert "4 processes of a killed snakemake have saved and ended" in second.output
    assert not any(process.is_running() for process in orphans)
    assert len(trainings(directory)) == 2

    # A third is kept out with one line, a dry run and another study are not.
    third = quiet.snakemake("iterations=100000")
    assert third.returncode == 1
    last_line = third.stderr.splitlines()[-1]
    assert last_line.startswith("error: study tiny is made by the snakemake on")
    assert f"process {second.process.pid}," in last_line
    assert sum(word in third.stdout + third.stderr for word in CRASH) == 1
    assert quiet.planned("iterations=100000")
    config = "results/demo/runs/digits/x1/seed0/config.yaml"
    other = quiet.snakemake("--", config, study="demo")
    assert other.returncode == 0, other.stderr
    assert second.process.poll() is None

    # Everything killed at once: nothing can be told to save.
    second.stop(signal.SIGKILL, group=True)
    for process in trainings(directory):
        process.kill()
    assert quiet.planned("iterations=100000")
    last = Head(quiet, 100000, f"{RUNS[0]}/config.yaml")
    assert last.process.wait(timeout=60) == 0, last.output
    for head in (second, last):
        assert not [word for word in CRASH if word in head.output], head.output


@pytest.mark.parametrize(
    ("number", "group", "blocked"),
    [
        (signal.SIGINT, False, [signal.SIGINT]),  # by whoever started the head
        (signal.SIGINT, True, []),
        (signal.SIGTERM, False, []),
    ],
)
def test_a_head_that_is_stopped_ends_once_its_trainings_have_saved(
    quiet: Project, number: signal.Signals, group: bool, blocked: list[signal.Signals]
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        head = Head(quiet, 100000)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    head.wait_for_training()
    exit_code, seconds = head.stop(number, group=group)
    assert exit_code == 128 + number
    assert seconds < 60
    assert trainings(quiet.directory) == []
    assert not [word for word in CRASH if word in head.output], head.output
    told = head.output.splitlines()[-1]
    assert told.startswith(f"stopped by {number.name}: digits/x1/seed0 saved at step ")
    for run in RUNS:
        step = newest_step(quiet.directory, run)
        assert f"saved at step {step};" in training_log(quiet.directory, run).read_text()
        assert f"{run.removeprefix('results/tiny/runs/')} saved at step {step}" in told
    assert told.endswith("; the same command goes on from there")


def test_a_second_signal_ends_at_once_what_does_not_save(quiet: Project) -> None:
    head = Head(quiet, 100000)
    head.wait_for_training()
    for process in trainings(quiet.directory):
        process.suspend()
    os.kill(head.process.pid, signal.SIGINT)
    time.sleep(3)
    assert head.process.poll() is None
    assert head.stop(signal.SIGINT, group=False)[0] == 130
    assert head.output.splitlines()[-1].startswith("SIGINT: ended at once")
    assert trainings(quiet.directory) == []
    # Nothing is in the way of the next one.
    last = Head(quiet, 100000, f"{RUNS[0]}/config.yaml")
    assert last.process.wait(timeout=60) == 0, last.output


def test_a_stopped_study_ends_as_if_it_had_not_been(quiet: Project) -> None:
    head = Head(quiet, 120)
    head.wait_for_training()
    exit_code, _ = head.stop(signal.SIGINT, group=True)
    assert exit_code == 130
    again = Head(quiet, 120)
    assert again.process.wait(timeout=300) == 0, again.output
    assert all((quiet.directory / run / "model.safetensors").exists() for run in RUNS)


def test_a_killed_head_is_taken_up_beside_the_living_one_of_another_study(quiet: Project) -> None:
    model = "runs/digits/x1/seed0/model.safetensors"
    locks = quiet.directory / ".snakemake/locks"

    def start(study: str) -> Head:
        return Head(quiet, 100000, f"results/{study}/{model}", study=study)

    def wait_for_job(head: Head) -> None:
        deadline = time.monotonic() + 60
        while "localrule train:" not in head.snakemakes_log:
            assert head.process.poll() is None, head.output
            assert time.monotonic() < deadline
            time.sleep(0.1)

    first = start("demo")
    wait_for_job(first)
    # It has made the dataset, so its locks keep out who needs the same one made.
    result = quiet.snakemake("--", f"results/tiny/{model}")
    assert result.returncode == 1
    assert "error: study tiny has files in common with" in result.stderr.splitlines()[-1]
    first.stop(signal.SIGTERM, group=False)

    demo = start("demo")
    wait_for_job(demo)
    killed = start("tiny")
    wait_for_job(killed)
    killed.stop(signal.SIGKILL, group=False)
    again = start("tiny")
    wait_for_job(again)
    # The living head's locks are as they were, and so are the new one's.
    text = "".join(path.read_text() for path in locks.glob("*.output.lock"))
    assert text.count(f"results/tiny/{model}") == text.count(f"results/demo/{model}") == 1
    for head in (demo, again):
        assert head.stop(signal.SIGTERM, group=False)[0] == 128 + signal.SIGTERM
        assert not [word for word in CRASH if word in head.output], head.output
