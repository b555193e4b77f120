"""Which of SLURM's reasons time does not mend, what helps, and how often it is said."""

import pytest

from snakemake_executor_plugin_submitit.slurm_answers import QueuedState
from snakemake_executor_plugin_submitit.waiting import StuckJobs, joined, remedy, trouble


@pytest.mark.parametrize(
    ("reason", "help_"),
    [
        ("JobHeldUser", "scontrol release {ids}"),
        ("JobHeldAdmin", "an administrator"),
        ("job requeued in held state", "scontrol release {ids}"),
        ("launch failed requeued held", "scontrol release {ids}"),
        ("PartitionDown", "Partition=NAME"),
        ("PartitionInactive", "Partition=NAME"),
        ("PartitionTimeLimit", "TimeLimit=MINUTES"),
        ("QOSMaxWallDurationPerJobLimit", "TimeLimit=MINUTES"),
        ("AssocMaxWallDurationPerJobLimit", "TimeLimit=MINUTES"),
        ("QOSMaxGRESPerJob", "ask for less"),
        ("QOSMaxGRESMinutesPerJob", "ask for less"),
        ("AssocMaxCpuPerJobLimit", "ask for less"),
        ("QOSMinGRES", "ask for more"),
        ("AssocGrpCPUMinutesLimit", "budget"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "sinfo --list-reasons"),
        ("ReqNodeNotAvail, Reserved for maintenance", "a shorter runtime may fit"),
        ("BadConstraints", "constraint"),
    ],
)
def test_what_helps(reason: str, help_: str) -> None:
    assert trouble(QueuedState("PENDING", reason)) == reason
    assert help_ in (remedy(reason) or "")


@pytest.mark.parametrize(
    "reason",
    [
        *("None", "", "Priority", "Resources", "BeginTime", "Dependency", "JobArrayTaskLimit"),
        *("Licenses", "Reservation", "QOSMaxJobsPerUserLimit", "QOSMaxGRESPerUser"),
        *("QOSGrpCpuLimit", "AssocGrpCPURunMinutesLimit", "AssocMaxJobsLimit"),
        "ReqNodeNotAvail, May be reserved for other job",
        # Instead of `Resources`, wherever one node of a partition is down.
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority "
        "partitions",
        "A reason of the future",
    ],
)
def test_what_passes_by_itself(reason: str) -> None:
    assert trouble(QueuedState("PENDING", reason)) is None


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("(launch failed requeued held)", "launch failed requeued held"),
        ("job_requeued_in_held_state", "job requeued in held state"),
    ],
)
def test_versions_print_reasons_differently(printed: str, reason: str) -> None:
    assert trouble(QueuedState("PENDING", printed)) == reason


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (["7"], "7"),
        (["12_3"], "12_3"),
        (["12_10", "12_2", "12_1", "12_3", "7"], "7,12_[1-3,10]"),
        (["12_0", "13_0", "13_1"], "12_0,13_[0-1]"),
    ],
)
def test_ids_as_the_commands_take_them(ids: list[str], text: str) -> None:
    assert joined(ids) == text


def test_jobs_of_one_reason_are_one_line_with_the_command() -> None:
    stuck = StuckJobs()
    for task in range(3):
        stuck.note(f"12_{task}", "train", "JobHeldUser")
    stuck.note("7", "evaluate", "PartitionDown")
    assert list(stuck.messages()) == [
        "3 jobs (12_[0-2]) of train cannot start: JobHeldUser: "
        "let it run: scontrol release 12_[0-2]",
        "1 job (7) of evaluate cannot start: PartitionDown: it starts when the site opens the "
        "partition again; or move it: scontrol update JobId=7 Partition=NAME",
    ]


def test_a_reason_is_told_once_and_again_when_it_changes_or_comes_back() -> None:
    stuck = StuckJobs()

    def told(reason: str) -> int:
        stuck.note("7", "train", reason)
        return len(list(stuck.messages()))

    assert told("ReqNodeNotAvail, UnavailableNodes:n1") == 1
    assert told("ReqNodeNotAvail, UnavailableNodes:n1") == 0
    assert told("ReqNodeNotAvail, UnavailableNodes:n[1-2]") == 0  # nodes come and go
    assert told("JobHeldUser") == 1
    stuck.forget("7")
    assert told("JobHeldUser") == 1
