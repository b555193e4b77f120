"""How far each run is, by what trainings, jobs and heads leave on the disk."""

import contextlib
import dataclasses
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from trainings import Process, run_dir
from written_results import write_run

from model.training.progress_file import ProgressFile
from study.__main__ import main
from study.planning.study import Run, Study
from study.status import RunStatus, StudyStatus, study_status
from study.status_text import print_status

ROOT = Path(__file__).parents[2]
X1 = Run("digits", "x1", 0)
DATA = "d1" * 32  # the digest that write_run gives


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two variants with two seeds each."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "seeds": 2}
    content["studies"]["tiny"]["ablations"] = ["resolutions"]
    content["data_dir"] = str(tmp_path / "data")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return Study.load(tmp_path / "config.yaml", "tiny")


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def folder(tmp_path: Path, run: Run = X1) -> Path:
    return tmp_path / "results/tiny/runs" / run.dataset / run.variant / f"seed{run.seed}"


def tell(tmp_path: Path, study: Study, run: Run = X1, **differences: Any) -> ProgressFile:
    """What a training of a run says of itself; by default it is this process."""
    config = study.run_config(run)
    process = psutil.Process()
    said = {
        **dataclasses.asdict(run),
        "identity": config.identity(DATA),
        "dataset_sha256": DATA,
        "status": "running",
        "reason": None,
        "step": 5,
        "iterations": config.train.iterations,
        "seconds_per_iteration": 2.0,
        "eta_seconds": 20.0,
        "nll": 81.234,
        "valid_nll": None,
        "unit": "nats",
        "skipped_updates": 0,
        "started": "2026-11-25T17:00:00+00:00",
        "updated": "2026-11-25T17:10:00+00:00",
        "host": socket.gethostname(),
        "device": "CPU",
        "pid": process.pid,
        "process_started": process.create_time(),
        "job_id": None,
        "requeues": 0,
        "resumes": 0,
    }
    progress = ProgressFile(**{**said, **differences})
    progress.write(folder(tmp_path, run) / "state")
    return progress


def write_log(tmp_path: Path, text: str, name: str = "train/digits-x1-seed0.log") -> Path:
    path = tmp_path / "results/tiny/logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def status_of(tmp_path: Path, study: Study) -> RunStatus:
    found = study_status(study, tmp_path / "results")
    return next(run for run in found.runs if run.run == "digits/x1/seed0")


def test_before_anything_all_runs_wait(tmp_path: Path, study: Study) -> None:
    found = study_status(study, tmp_path / "results")
    assert found.totals == {"waiting": 4}
    assert found.head is found.training_seconds_left is found.seconds_to_end is None
    assert not (tmp_path / "results").exists()  # it only reads


def test_a_training_that_lives(tmp_path: Path, study: Study) -> None:
    tell(tmp_path, study, job_id="71_4", requeues=2)
    found = status_of(tmp_path, study)
    assert (found.state, found.step, found.iterations) == ("running", 5, 15)
    assert (found.nll, found.unit, found.job_id, found.requeues) == (81.234, "nats", "71_4", 2)


def test_a_process_of_this_machine_that_is_gone(
    tmp_path: Path, study: Study, dead_pid: int
) -> None:
    """Also where another process has its number now."""
    progress = tell(tmp_path, study, pid=dead_pid)
    states = folder(tmp_path) / "state" / progress.identity
    states.mkdir()
    (states / "step000000003-0123456789abcdef.pt").touch()
    found = status_of(tmp_path, study)
    assert found.state == "stopped"
    assert f"process {dead_pid} has ended without a word" in found.reason
    assert "at step 5; saved at step 3" in found.reason
    assert found.step == 3  # what is after it must be trained again
    tell(tmp_path, study, process_started=psutil.Process().create_time() - 100)
    assert status_of(tmp_path, study).state == "stopped"


@pytest.mark.parametrize(
    ("pace", "silent_s", "state"),
    [(2.0, 200, "running"), (2.0, 400, "stopped"), (60.0, 900, "running"), (None, 400, "stopped")],
)
def test_another_machine_lives_while_it_writes(
    tmp_path: Path, study: Study, pace: float | None, silent_s: int, state: str
) -> None:
    tell(tmp_path, study, host="node7", pid=1, seconds_per_iteration=pace)
    path = folder(tmp_path) / "state/progress.json"
    written = path.stat().st_mtime - silent_s
    os.utime(path, (written, written))
    found = status_of(tmp_path, study)
    assert found.state == state
    assert ("no sign of life from node7 for 7 min" in found.reason) == (state == "stopped")


def test_between_two_jobs_and_until_somebody_goes_on(tmp_path: Path, study: Study) -> None:
    """The executor's ledger says whether the job is still to go on."""
    tell(tmp_path, study, status="stopped", job_id="12", requeues=1)
    assert status_of(tmp_path, study).state == "stopped"
    ledger = tmp_path / ".snakemake/submitit/slurm/ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    entry = json.dumps({"key": "a", "job_id": "12", "fingerprint": "f"})
    ledger.write_text(f'{entry}\n{{"key": "b", "jo')  # and a line that is being written
    found = status_of(tmp_path, study)
    assert (found.state, found.step) == ("waiting", 5)
    assert found.reason == "job 12 goes on from there, requeued 2 times so far"
    ledger.write_text(f'{entry}\n{{"key": "a"}}\n')  # the head has seen its end
    assert status_of(tmp_path, study).state == "stopped"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("10:00 opening\nerror: data/digits: no such file\n", "data/digits: no such file"),
        (
            "Traceback (most recent call last):\n  File x\nMemoryError: 2 GiB\n",
            "MemoryError: 2 GiB",
        ),
        ("Traceback (most recent call last):\n  File x\nKeyboardInterrupt\n", ""),  # Ctrl-C
        ("10:00 step 5/15 train raw\n", ""),
        ("", ""),
    ],
)
def test_a_failure_is_the_last_word_of_the_log(
    tmp_path: Path, study: Study, log: str, reason: str
) -> None:
    path = write_log(tmp_path, log)
    found = status_of(tmp_path, study)
    assert (found.state, found.reason) == ("failed" if reason else "waiting", reason)
    assert found.log == (str(path) if reason else None)
    tell(tmp_path, study)  # it has been started again
    assert status_of(tmp_path, study).state == "running"


def test_a_training_that_had_ended_and_is_made_longer(tmp_path: Path, study: Study) -> None:
    """Its outputs are gone: Snakemake has removed them before the job that was killed."""
    tell(tmp_path, study, status="finished", step=15)
    assert "its results are written by the next job" in status_of(tmp_path, study).reason
    longer = study.of_length(30)
    found = status_of(tmp_path, longer)
    assert (found.state, found.step, found.iterations) == ("waiting", 15, 30)
    assert found.reason == "goes on from step 15, where it had ended"


def test_a_training_that_says_why_it_failed(tmp_path: Path, study: Study) -> None:
    tell(tmp_path, study, status="failed", reason="RuntimeError: CUDA out of memory")
    found = status_of(tmp_path, study)
    assert (found.state, found.reason) == ("failed", "RuntimeError: CUDA out of memory")


@pytest.mark.parametrize(("result", "state"), [("finished", "done"), ("diverged", "diverged")])
def test_results(tmp_path: Path, study: Study, result: str, state: str) -> None:
    results = tmp_path / "results/tiny"
    directory = write_run(results, "digits", "x1", 0, config=study.run_config(X1), status=result)
    tell(tmp_path, study, status=result, nll=80.0)
    found = status_of(tmp_path, study)
    assert (found.state, found.nll, found.resumes) == (state, 80.0, 1)
    (directory / "model.safetensors").touch()  # of a training after the evaluation
    assert "not evaluated yet" in status_of(tmp_path, study).reason
    (directory / "test.parquet").unlink()
    assert "not evaluated yet" in status_of(tmp_path, study).reason
    write_log(tmp_path, "error: no GPU\n", "evaluate/digits-x1-seed0.log")
    found = status_of(tmp_path, study)
    assert (found.state, found.reason) == ("failed", "no GPU")
    (directory / "train.json").write_text('{"segments": []}')
    assert "damaged" in status_of(tmp_path, study).reason


def test_a_result_of_other_settings_says_which(tmp_path: Path, study: Study) -> None:
    config = study.run_config(X1)
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, width=12))
    longer = dataclasses.replace(config.train, iterations=99)
    results = tmp_path / "results/tiny"
    directory = write_run(results, "digits", "x1", 0, config=wider)
    tell(tmp_path, study, identity=wider.identity(DATA), status="finished")
    found = status_of(tmp_path, study)
    assert found.state == "outdated"
    assert found.reason == f"model.width was 12 and is {config.model.width}"
    assert found.nll is None  # which is none of this run
    for path in directory.glob("*.*"):
        path.unlink()
    (directory / "state/progress.json").unlink()
    (directory / "state").rmdir()
    directory.rmdir()
    write_run(results, "digits", "x1", 0, config=dataclasses.replace(config, train=longer))
    found = status_of(tmp_path, study)  # `--config iterations=99` is no change of config.yaml
    assert (found.state, found.iterations, found.planned_iterations) == ("done", 99, 15)
    (directory / "config.yaml").write_text(config.dump())  # which snakemake has been told again
    assert status_of(tmp_path, study).reason == "train.iterations was 99 and is 15"


def test_data_that_have_changed(
    tmp_path: Path, study: Study, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what dataset.json says; of a user's own images that nobody has read, there is a line."""
    write_run(tmp_path / "results/tiny", "digits", "x1", 0, config=study.run_config(X1))
    assert status_of(tmp_path, study).state == "done"
    assert command(tmp_path, "tiny", "--data-dir", str(data_dir)) == 0
    shown = capsys.readouterr().out
    assert "digits/x1/seed0 outdated: its data have changed" in shown
    unread = dataclasses.replace(study_status(study, tmp_path / "results"), unread_data=["cats"])
    print_status([unread], show_all=False)
    assert "the files of cats are not as they were read last: `study plan tiny`" in (
        capsys.readouterr().out
    )


def test_strange_files_are_no_traceback(tmp_path: Path, study: Study) -> None:
    state = folder(tmp_path) / "state"
    state.mkdir(parents=True)
    for content in (b"\xff", b"{", b"[]", b"{}", b'{"step": "x"}'):
        (state / "progress.json").write_bytes(content)
        assert status_of(tmp_path, study).state == "waiting"
        (folder(tmp_path) / "train.json").write_bytes(content)
        assert status_of(tmp_path, study).state == "failed"
        (folder(tmp_path) / "train.json").unlink()


def test_time_left() -> None:
    """A run is as fast as those of its variant, else as those of its dataset."""

    def run(name: str, state: Any, step: int = 0, **more: Any) -> RunStatus:
        return RunStatus(
            run=name, state=state, step=step, iterations=100, planned_iterations=100, **more
        )

    done = run("digits/x1/seed0", "done", 100, seconds_per_iteration=1.0)
    runs = [
        done,
        run("digits/x2/seed0", "running", 90, seconds_per_iteration=3.0, eta_seconds=30.0),
        run("digits/x1/seed1", "waiting"),  # 100 s
        run("digits/x2/seed1", "stopped", 50),  # 150 s
        run("digits/x4/seed0", "failed"),  # 2 s/iteration: 200 s
    ]
    status = StudyStatus("s", None, runs)
    assert status.training_seconds_left == pytest.approx(480)
    assert status.seconds_to_end == pytest.approx(480)
    twice = StudyStatus("s", None, [*runs, dataclasses.replace(runs[1], run="digits/x2/seed2")])
    assert twice.seconds_to_end == pytest.approx((100 + 150 + 700 / 3 + 2 * 30) / 2)
    assert StudyStatus("s", None, [done]).seconds_to_end == 0
    assert StudyStatus("s", None, [done, runs[2]]).seconds_to_end is None  # nobody is at it


def test_a_head_that_lives(tmp_path: Path, study: Study) -> None:
    from study.head.lock import HeadLock

    lock = HeadLock(tmp_path / ".snakemake/heads", "tiny")
    lock.take(on_loss=lambda: None)
    told = study_status(study, tmp_path / "results").head
    assert told is not None
    assert f"process {os.getpid()}" in told
    lock.release()
    assert study_status(study, tmp_path / "results").head is None


def command(tmp_path: Path, *arguments: str) -> int:
    files = ["--config", str(tmp_path / "config.yaml"), "--results", str(tmp_path / "results")]
    return main(["status", *arguments, *files])


def test_piped_it_is_plain_lines(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(tmp_path, study, job_id="71_4")
    write_run(tmp_path / "results/tiny", "digits", "x1", 1, config=study.run_config(study.runs[3]))
    assert command(tmp_path, "tiny") == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert "tiny: 4 runs: 1 running, 2 waiting, 1 done; " in output
    line = next(line for line in output.splitlines() if line.startswith("digits/x1/seed0"))
    assert line.split()[1:6] == ["running", "5/15", "2", "20", "s"]
    assert "71_4" in line
    assert command(tmp_path) == 0  # the only study that has runs
    assert capsys.readouterr().out == output


def test_json_and_mistakes(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(tmp_path, study)
    assert command(tmp_path, "tiny", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["totals"] == {"running": 1, "waiting": 3}
    assert found["runs"][2]["seconds_per_iteration"] == 2.0
    (tmp_path / "results/demo/runs").mkdir(parents=True)
    assert command(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["demo", "tiny", "the runs of one of them"]
    assert command(tmp_path, "tinny") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean 'tiny'?" in line


def test_watching_ends_with_ctrl_c(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal; in a pipe nobody would ever see its end."""
    assert command(tmp_path, "tiny", "--watch") == 1
    assert "--watch is for a terminal" in capsys.readouterr().err
    controller, terminal = os.openpty()
    words = ["status", "tiny", "--watch", "--config", str(tmp_path / "config.yaml")]
    process = subprocess.Popen(
        [sys.executable, "-m", "study", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'workflow'}", "TERM": "xterm"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while b"4 waiting" not in shown:
        shown += os.read(controller, 65536)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # which is how Linux reports the closed terminal
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)
    assert process.wait() == 128 + signal.SIGINT
    assert b"Traceback" not in shown


@pytest.mark.parametrize("width", [70, 80, 160])
def test_no_line_of_a_terminal_is_broken(
    tmp_path: Path, study: Study, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the name of a run gives way before its state and its time."""
    from rich.console import Console

    from study import status_text

    host = "node-with-a-very-long-name.cluster.example"
    tell(tmp_path, study, host=host, job_id="48211_12", step=1_000_000, iterations=2_500_000)
    console = Console(width=width, force_terminal=True, color_system=None, record=True)
    monkeypatch.setattr(status_text, "Console", lambda: console)
    status_text.print_status([study_status(study, tmp_path / "results")], show_all=False)
    lines = console.export_text().splitlines()
    (line,) = [line for line in lines if "1000000/2500000" in line]
    assert len(line) <= width
    for text in ("digits", "seed0", "running", "20 s", "81.23", "nats"):
        assert text in line
    assert ("48211_12" in line) == (width == 160)
    assert "digits/single-resolution/seed1" in "\n".join(lines) or width < 160


@pytest.mark.parametrize(("height", "notes"), [(10, 0), (24, 30), (24, 1), (40, 2), (200, 30)])
def test_running_runs_and_what_is_cut_fit_on_a_watched_screen(height: int, notes: int) -> None:
    """Running ones stand last here, where a screen that is too low would cut them off."""
    from rich.console import Console

    from study import status_text

    runs = [
        RunStatus(
            run=f"digits/x1/seed{seed}",
            state="running" if seed >= 27 else "waiting",
            iterations=100,
            planned_iterations=100,
            eta_seconds=60.0 if seed >= 27 else None,
            reason="a word that this run needs" if seed < notes else "",
        )
        for seed in range(30)
    ]
    console = Console(width=80, height=height, force_terminal=True, color_system=None, record=True)
    shown = StudyStatus("s", None, runs)
    console.print(status_text._on_terminal([shown], console, show_all=False, height=height - 1))
    lines = console.export_text().splitlines()
    assert len(lines) < height
    rows = [line for line in lines if line.startswith("digits/") and "needs" not in line]
    assert sum("running" in line for line in rows) == 3
    cut = 30 - len(rows)
    assert any(f"… {cut} more ({cut} waiting): without --watch" in x for x in lines) == bool(cut)
    told = sum("a word" in line for line in lines)
    assert told == notes or any(f"… {notes - told} more note" in x for x in lines) or height == 10
    assert cut == 0 or height < 200


def test_columns_that_nobody_has_are_left_out(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(tmp_path, study)
    assert command(tmp_path, "tiny") == 0
    heading = capsys.readouterr().out.splitlines()[2].split()
    assert {"step", "left", "host"} < {*heading}
    assert not {"job", "requeues"} & {*heading}
    tell(tmp_path, study, job_id="71_4", requeues=1)
    assert command(tmp_path, "tiny") == 0
    assert {"job", "requeues"} < {*capsys.readouterr().out.splitlines()[2].split()}


def test_a_study_that_has_not_begun_says_so(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path, "tiny") == 0
    text = capsys.readouterr().out
    assert "it has not begun: snakemake --cores N --config study=tiny begins it" in text
    tell(tmp_path, study, status="stopped")
    assert command(tmp_path, "tiny") == 0
    assert "the same snakemake command goes on" in capsys.readouterr().out


def test_as_many_at_a_time_as_were_at_once(tmp_path: Path, study: Study) -> None:
    """Between two jobs of two, one trains; what another snakemake did before says nothing."""
    spans = [(0.0, 50.0), (0.0, 50.0), (0.0, 50.0), (100.0, 150.0), (101.0, 160.0), (150.0, 170.0)]
    done = [
        RunStatus(
            run=f"digits/x1/seed{seed}",
            state="done",
            iterations=10,
            planned_iterations=10,
            step=10,
            seconds_per_iteration=5.0,
            trained=span,
        )
        for seed, span in enumerate(spans)
    ]
    left = RunStatus(run="digits/x1/seed9", state="waiting", iterations=10, planned_iterations=10)
    assert StudyStatus("s", "a snakemake", [*done, left], 90.0).at_a_time == 2
    assert StudyStatus("s", "a snakemake", [*done, left, left], 90.0).seconds_to_end == 50
    assert StudyStatus("s", "a snakemake", [*done, left], 0.0).at_a_time == 3
    assert StudyStatus("s", None, [*done, left]).seconds_to_end is None
    config = study.run_config(X1)
    write_run(tmp_path / "results/tiny", "digits", "x1", 0, config=config, training_code=("c0de",))
    trained = status_of(tmp_path, study).trained
    assert trained is not None
    assert trained[1] - trained[0] == 12.5


@pytest.fixture
def living(tmp_path: Path, data_dir: Path, study: Study) -> Iterator[Process]:
    """A training of one of the study's runs that would take hours."""
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    content["studies"]["tiny"].setdefault("train", {})["iterations"] = 10**7
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    config = Study.load(tmp_path / "config.yaml", "tiny").run_config(X1)
    folder(tmp_path).parent.mkdir(parents=True)
    process = Process(run_dir(folder(tmp_path).parent, config, "seed0"), data_dir)
    yield process
    process.send_signal(9)
    process.end()


def test_a_real_training_is_seen(tmp_path: Path, living: Process) -> None:
    config = tmp_path / "config.yaml"
    length = Study.load(config, "tiny").run_config(X1).train.log_every
    living.wait_for_step(length)
    found = status_of(tmp_path, Study.load(config, "tiny"))
    assert (found.state, found.iterations) == ("running", 10**7)
    living.send_signal(9)
    psutil.wait_procs([psutil.Process(living.pid)], timeout=0)
    living.end()
    assert status_of(tmp_path, Study.load(config, "tiny")).state == "stopped"


@pytest.mark.slow
def test_a_thousand_runs_take_less_than_two_seconds(tmp_path: Path, study: Study) -> None:
    """Of CPU time, with the start of Python: half of them done, half of them running."""
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    content["studies"]["tiny"]["seeds"] = 500
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    many = Study.load(tmp_path / "config.yaml", "tiny")
    written = write_run(tmp_path / "one", config=many.run_config(X1))
    record = json.loads((written / "train.json").read_text())
    for run in many.runs:
        directory, config = folder(tmp_path, run), many.run_config(run)
        tell(tmp_path, many, run, status="finished" if run.seed % 2 else "running")
        (directory / "config.yaml").write_text(config.dump())
        if run.seed % 2:
            own = {"config_hash": config.hash, "settings": config.settings}
            (directory / "train.json").write_text(json.dumps(record | own))
            (directory / "test.parquet").touch()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(
        [sys.executable, "-m", "study", "status", "tiny"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'workflow'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.stdout.startswith("tiny: 1,000 runs: 500 running, 500 done; ")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
