"""What a user reads of a job that failed."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit import report
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import Ending

FAILED = Outcome("failed", exit_code=1)


@pytest.mark.parametrize(
    ("outcome", "ending", "log_end", "reason"),
    [
        (FAILED, Ending("FAILED", "1:0"), "", "exit code 1"),
        (FAILED, Ending(), "returned non-zero exit status 2.\nnon-zero exit code 5", "exit code 5"),
        (Outcome("failed", "says why"), Ending(), "non-zero exit code 5", "says why"),
        (None, Ending("OUT_OF_MEMORY", "0:125"), "", "out of memory: raise its mem_mb"),
        (None, Ending("FAILED"), "Exceeded step memory limit", "out of memory: raise its mem_mb"),
        # Not the memory that mem_mb is about.
        (FAILED, Ending(), "torch.OutOfMemoryError: CUDA out of memory", "exit code 1"),
        (None, Ending(), "", "it left no result, and SLURM does not remember it"),
        (None, Ending("FAILED", "0:11", "n1"), "", "SLURM says FAILED, exit code 0:11 on n1"),
        (None, Ending("CANCELLED by 0", "0:0"), "", "SLURM says CANCELLED by 0"),
    ],
)  # fmt: skip
def test_the_reason(outcome: Outcome | None, ending: Ending, log_end: str, reason: str) -> None:
    assert report.reason(outcome, ending, log_end) == reason


def test_a_project_on_a_disk_that_the_node_does_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reason = report.reason(None, Ending("FAILED", "0:53", "n1"), "")
    assert reason.startswith(f"it could not write to {tmp_path} on n1: put the project on a disk")


def test_the_rules_own_log_is_shown_rather_than_all_that_was_printed(tmp_path: Path) -> None:
    rule_log, job_log = tmp_path / "rule.log", tmp_path / "7_0_log.out"
    rule_log.write_text("".join(f"line {i}\n" for i in range(100)))
    job_log.write_text("what Snakemake prints\n")
    title, *lines = report.log_tail([str(rule_log)], job_log)
    assert title == f"the end of {rule_log}:"
    assert lines == [f"  line {i}" for i in range(80, 100)]


@pytest.mark.parametrize("rule_log", ["missing.log", "empty.log", None])
def test_without_a_log_of_the_rule_all_that_was_printed_is_shown(
    tmp_path: Path, rule_log: str | None
) -> None:
    (tmp_path / "empty.log").write_text("")
    job_log = tmp_path / "7_0_log.out"
    job_log.write_text(
        "submitit INFO (2024-05-06 07:08:09) - Starting with JobEnvironment(...)\n"
        "Error in rule train\n"
        "srun: error: n1: task 0: Exited with exit code 1\n"
        "slurmstepd-n1: error: something\n"
    )
    rule_logs = [] if rule_log is None else [str(tmp_path / rule_log)]
    assert report.log_tail(rule_logs, job_log) == [
        f"the end of {job_log}:",
        "  Error in rule train",
    ]


def test_a_job_may_have_printed_nothing(tmp_path: Path) -> None:
    assert report.log_tail([], tmp_path / "missing") == []


def test_only_the_end_of_a_long_log_is_read_and_any_bytes_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"start\n" + b"\xff" * 30_000 + b"\nend\n")
    text = report.end_of(log)
    assert "start" not in text
    assert text.endswith("\ufffd\nend\n")
