"""The table of jobs, and the command that follows what one of them writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit import slurm_answers
from snakemake_executor_plugin_submitit.follow import main, matching
from snakemake_executor_plugin_submitit.table import Row, Table, read


def row(job: str, name: str, state: str = "RUNNING", log: str = "") -> Row:
    return Row(job, state, name, log, f"{job}.out")


ROWS = [
    row("7_1", "train/mnist/r5/0"),
    row("7_11", "train/mnist/r5"),
    row("8", "probe/a", "PENDING"),
]


@pytest.mark.parametrize(
    ("wanted", "jobs"),
    [
        ("7_1", ["7_1"]),  # not 7_11
        ("train/mnist/r5", ["7_11"]),  # not those that have it as a part
        ("r5", ["7_1", "7_11"]),
        ("probe", ["8"]),
        ("nothing", []),
    ],
)
def test_a_job_is_found_by_its_id_or_its_name(wanted: str, jobs: list[str]) -> None:
    assert [found.job for found in matching(ROWS, wanted)] == jobs


def rows_in(folder: Path) -> list[Row]:
    return [found for found, _ in read(folder)]


def test_the_table_is_read_as_written_and_only_written_anew(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.write(ROWS)
    assert rows_in(tmp_path) == ROWS
    (path,) = tmp_path.iterdir()
    path.unlink()
    table.write(ROWS)
    assert not path.exists()
    table.write(ROWS[1:])
    assert rows_in(tmp_path) == ROWS[1:]
    (path,) = tmp_path.iterdir()
    os.utime(path, (1, 1))
    table.write(ROWS[1:])
    assert all(when > 1 for _, when in read(tmp_path))  # that they still are so is news
    assert read(tmp_path / "none") == []


def test_heads_do_not_overwrite_each_other_s_tables_and_none_stays_without_a_job(
    tmp_path: Path,
) -> None:
    killed = tmp_path / "jobs.elsewhere.1.tsv"
    Table(tmp_path).write([row("7_1", "train/mnist/r5/0", "PENDING"), row("3", "train/other")])
    (own,) = tmp_path.iterdir()
    own.rename(killed)
    os.utime(killed, (1, 1))
    table = Table(tmp_path)
    table.write(ROWS)
    assert sorted(rows_in(tmp_path), key=lambda found: found.job) == [
        row("3", "train/other"),
        *ROWS,
    ]
    table.close({"3"})
    assert list(tmp_path.iterdir()) == [killed]
    (tmp_path / "jobs.elsewhere.1.new").touch()
    table.close(set())
    assert not list(tmp_path.iterdir())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where snakemake was started."""
    home = tmp_path / ".snakemake/submitit/slurm"
    home.mkdir(parents=True)
    Table(home).write([*ROWS, row("9", "log/1", log="rule.log")])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_rules_log_and_the_jobs_output_are_followed(here: Path) -> None:
    (here / "rule.log").write_text("step 1\n")
    (here / "9.out").write_text("it runs\n")
    command = [sys.executable, "-m", "snakemake_executor_plugin_submitit.follow", "log/1"]
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as follow:
        shown = [follow.stdout.readline() for _ in range(5)]
        with (here / "rule.log").open("a") as log:
            log.write("step 2\n")
        shown += [follow.stdout.readline() for _ in range(3)]
        follow.kill()
    assert shown.index("step 1\n") < shown.index("it runs\n") < shown.index("step 2\n")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("nothing", "follow: no job is called nothing; there are\n"),
        ("mnist", "follow: 2 jobs are called mnist; there are\n"),
    ],
)
def test_what_is_not_one_job_lists_those_that_it_may_be(
    here: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["follow", wanted])
    with pytest.raises(SystemExit) as end:
        main()
    assert str(end.value).startswith(message)
    assert "train/mnist/r5" in str(end.value)


def test_where_no_jobs_are_the_message_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["follow"])
    with pytest.raises(SystemExit, match="run it where snakemake was started"):
        main()


def listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["follow"])
    main()
    return capsys.readouterr().out


def test_the_list_asks_the_cluster(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its head may have died, or is about to ask again: one job has started, others have ended."""
    columns = (("8", "RUNNING"), ("9", "COMPLETED"))
    widths = slurm_answers.QUEUE_COLUMNS.values()
    lines = [
        "".join(f"{text:<{width}}" for text, width in zip((*row, "0", "", ""), widths, strict=True))
        for row in columns
    ]
    squeue = here / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\ncat <<'END'\n{chr(10).join(lines)}\nEND\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}{os.pathsep}{os.environ['PATH']}")
    said = [line.split() for line in listed(monkeypatch, capsys).splitlines()]
    assert said == [
        ["8", "RUNNING", "probe/a"],
        ["9", "COMPLETED", "log/1"],
        ["7_11", "ENDED", "train/mnist/r5"],
        ["7_1", "ENDED", "train/mnist/r5/0"],
    ]


def test_a_list_without_an_answer_says_how_old_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (here / ".snakemake/submitit/slurm").glob("jobs.*.tsv")
    old = path.stat().st_mtime - 300
    os.utime(path, (old, old))
    monkeypatch.setenv("PATH", str(here))  # without squeue
    *jobs, note = listed(monkeypatch, capsys).splitlines()
    assert len(jobs) == 4
    assert re.match(r"as their heads saw them up to 30\d s ago, since: .*squeue", note)
