"""What SLURM's commands print, in samples of SLURM 22.05, and lines that are odd."""

import math

import pytest

from snakemake_executor_plugin_submitit.slurm_answers import (
    QUEUE_COLUMNS,
    Ending,
    QueuedState,
    accounted_ending,
    array_limit,
    configuration,
    default_partition,
    default_times,
    jobs_of_submissions,
    minutes,
    out_of_service,
    queued_states,
    remembered_ending,
    time_limits,
)

# --- squeue ---------------------------------------------------------------------------------------


def shown(
    job_id: str,
    state: str,
    reason: str = "None",
    restarts: int | str = 0,
    command: str = "(null)",
) -> str:
    """A line of squeue, whose columns have their widths."""
    values = (job_id, state, str(restarts), reason, command)
    widths = QUEUE_COLUMNS.values()
    return "".join(value[:width].ljust(width) for value, width in zip(values, widths, strict=True))


def test_the_queue_by_id_with_the_tasks_of_arrays() -> None:
    ours = "/home/me/a study/.snakemake/submitit/slurm/jobs/0f3a/.submission_file_7c.sh"
    answer = [
        shown("7", "RUNNING", restarts=3, command=ours),
        shown("12_0", "PENDING", "Resources"),
        shown("12_10", "COMPLETING", command="/home/me/train.sh"),
        shown("9", "FAILED", "NonZeroExitCode"),
    ]
    assert queued_states("\n".join(answer)) == {
        "7": QueuedState("RUNNING", "None", 3, "0f3a"),
        "12_0": QueuedState("PENDING", "Resources", 0),
        "12_10": QueuedState("COMPLETING", "None", 0),
        "9": QueuedState("FAILED", "NonZeroExitCode", 0),
    }


def test_a_script_whose_path_is_cut_off_is_nobody_s() -> None:
    path = f"/{'deep/' * 210}0f3a/.submission_file_7c.sh"
    assert len(path) > QUEUE_COLUMNS["Command"]
    assert queued_states(shown("7", "RUNNING", command=path))["7"].submission == ""


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        ("(launch failed requeued held)", "(launch failed requeued held)"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "ReqNodeNotAvail, UnavailableNodes:n[1-2]"),
        ("a|b", "a|b"),
        ("", ""),
        ("n" * 250, "n" * 200),
    ],
)
def test_a_reason_may_be_anything(reason: str, read: str) -> None:
    line = shown("7", "PENDING", reason, command="/x/0f3a/.submission_file_7c.sh")
    assert queued_states(line) == {"7": QueuedState("PENDING", read, 0, "0f3a")}


def test_an_empty_queue() -> None:
    assert queued_states("") == {}


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    """A job that is missing would be taken for one that has ended."""
    with pytest.raises(ValueError, match="invalid literal"):
        queued_states(f"{shown('7', 'RUNNING')}\n{shown('8', 'RUNNING')[:50]}")


@pytest.mark.parametrize(
    ("state", "is_alive"),
    [
        *((state, True) for state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")),
        *((state, True) for state in ("REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "SPECIAL_EXIT")),
        *((state, False) for state in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED")),
        *((state, False) for state in ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "OUT_OF_MEMORY")),
        *((state, False) for state in ("DEADLINE", "REVOKED")),
        ("A_STATE_OF_THE_FUTURE", True),
    ],
)
def test_which_jobs_are_alive(state: str, is_alive: bool) -> None:
    assert QueuedState(state).is_alive is is_alive


def test_jobs_by_the_submissions_that_they_are_of() -> None:
    answer = (
        "7|PENDING|/home/me/a b/1/.submission_file_x.sh\n"
        "12|PENDING|/home/me/2/.submission_file_x.sh\n"
        "12|RUNNING|/home/me/2/.submission_file_x.sh\n"
        "13|CANCELLED|/home/me/3/.submission_file_x.sh\n"
        "14|RUNNING|/home/me/4/.submission_file_x.sh\n"
        "15|RUNNING|(null)\n"
    )
    assert jobs_of_submissions(answer, {"1", "2", "3"}) == ["7", "12"]


# --- How a job ended ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sacct", "ending"),
    [
        ("FAILED|3:0|n1\n", Ending("FAILED", "3:0", "n1")),
        ("CANCELLED by 1000|0:15|n1\n", Ending("CANCELLED by 1000", "0:15", "n1")),
        ("TIMEOUT|0:0|n[1-4]\n", Ending("TIMEOUT", "0:0", "n[1-4]")),
        # Of several starts the last one is meant.
        ("NODE_FAIL|0:0|n1\nCOMPLETED|0:0|n2\n", Ending("COMPLETED", "0:0", "n2")),
        # The accounting is late: for some seconds it has no job yet, or an old state of it.
        ("", None),
        ("RUNNING|0:0|n1\n", None),
        ("REQUEUED|0:0|n1\n", None),
        ("FAILED|3:0\n", None),
        ("\n", None),
    ],
)
def test_how_a_job_ended_by_the_accounting(sacct: str, ending: Ending | None) -> None:
    assert accounted_ending(sacct) == ending


SHOW_JOB = (
    "JobId=14 ArrayJobId=12 ArrayTaskId=1 JobName=train UserId=me(1000) MCS_label=N/A Priority=1 "
    "Account=(null) QOS=normal JobState={state} Reason=NonZeroExitCode Dependency=(null) "
    "Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=3:0 DerivedExitCode=1:0 RunTime=00:00:01 "
    "TimeLimit=01:00:00 ReqNodeList=(null) ExcNodeList=(null) NodeList=n1 BatchHost=n1 NumNodes=1 "
    "Command=/home/me/a=b StdOut=/home/me/NodeList\n"
)


def test_how_a_job_ended_by_the_controller() -> None:
    assert remembered_ending(SHOW_JOB.format(state="FAILED")) == Ending("FAILED", "3:0", "n1")


@pytest.mark.parametrize(
    "scontrol",
    [
        SHOW_JOB.format(state="RUNNING"),
        SHOW_JOB.format(state="COMPLETING"),
        "",
        "slurm_load_jobs error: Invalid job id specified\n",
    ],
)
def test_the_controller_may_not_know_how_a_job_ended(scontrol: str) -> None:
    assert remembered_ending(scontrol) is None


def test_the_controller_may_know_only_the_state() -> None:
    assert remembered_ending("JobId=7 JobState=TIMEOUT") == Ending("TIMEOUT")


# --- Settings and partitions ----------------------------------------------------------------------


def test_the_configuration() -> None:
    answer = (
        "Configuration data as of 2024-05-06T07:08:09\n"
        "AccountingStorageTRES   = cpu,mem,gres/gpu\n"
        "LaunchParameters        = \n"
        "MaxArraySize            = 10001\n"
        "SlurmctldParameters     = preempt_send_user_signal,idle_on_node_suspend=1\n"
        "\n"
        "Slurmctld(primary) at host is UP\n"
    )
    settings = configuration(answer)
    assert settings["MaxArraySize"] == "10001"
    assert settings["LaunchParameters"] == ""
    assert settings["SlurmctldParameters"].endswith("suspend=1")


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"MaxArraySize": "10001"}, 10001),
        ({"MaxArraySize": "0"}, 1),  # no arrays
        ({"MaxArraySize": "1001", "SchedulerParameters": "defer,max_array_tasks=50"}, 50),
        ({"MaxArraySize": "1001", "SchedulerParameters": "defer"}, 1001),
        ({"MaxArraySize": "?"}, None),
        ({}, None),
    ],
)
def test_how_many_tasks_an_array_may_have(settings: dict[str, str], limit: int | None) -> None:
    assert array_limit(settings) == limit


PARTITIONS = (
    "PartitionName=main Default=YES QoS=N/A DefaultTime=01:00:00 MaxTime=1-00:00:00 Nodes=n[1-3]\n"
    "PartitionName=gpu Default=NO QoS=N/A DefaultTime=NONE MaxTime=UNLIMITED Nodes=n4\n"
    "PartitionName=short Default=NO QoS=N/A DefaultTime=NONE MaxTime=00:30:30 Nodes=n5\n"
)


@pytest.mark.parametrize(
    ("names", "limits"),
    [
        (None, [1440.0]),
        ("short", [30.5]),
        ("gpu", [math.inf]),
        ("short,main", [1440.0, 30.5]),
        ("sho", []),  # sbatch says what is wrong with that
    ],
)
def test_time_limits_of_partitions(names: str | None, limits: list[float]) -> None:
    assert time_limits(PARTITIONS, names) == limits


@pytest.mark.parametrize(
    ("names", "times"),
    [
        (None, [60.0]),
        ("gpu", [math.inf]),
        ("short,main", [60.0, 30.5]),
        ("nope", []),
    ],
)
def test_default_times_of_partitions(names: str | None, times: list[float]) -> None:
    assert default_times(PARTITIONS, names) == times


# Of SLURM 22.05, and what else it may say.
NODES = (
    "NodeName=n1 Arch=x86_64 State=IDLE Partitions=main,low Reason=\n"
    "NodeName=n2 Arch=x86_64 State=IDLE+DRAIN Partitions=main,low Reason=disk [root@2026]\n"
    "NodeName=n3 Arch=x86_64 State=DOWN* Partitions=main\n"
    "NodeName=n4 State=MIXED+MAINT+RESERVED Partitions=gpu\n"
    "NodeName=n5 State=IDLE+CLOUD+POWERED_DOWN Partitions=gpu\n"
    "NodeName=n6 State=ALLOCATED# Partitions=gpu\n"
)


@pytest.mark.parametrize(
    ("names", "nodes"),
    [
        (None, ["n2", "n3"]),
        ("low", ["n2"]),
        ("gpu", ["n4"]),
        ("low,gpu", ["n2", "n4"]),
        ("lo", []),
    ],
)
def test_which_nodes_take_no_jobs(names: str | None, nodes: list[str]) -> None:
    assert default_partition(PARTITIONS) == "main"
    assert out_of_service(NODES, names, "main") == nodes


def test_there_may_be_no_default_partition() -> None:
    assert out_of_service(NODES, None, None) == []
    assert time_limits(PARTITIONS.replace("YES", "NO"), None) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:00", 0.0),
        ("00:01:30", 1.5),
        ("12:00:00", 720.0),
        ("1-00:00:00", 1440.0),
        ("21-06:30:00", 21 * 1440 + 390.0),
        ("UNLIMITED", math.inf),
    ],
)
def test_minutes(text: str, expected: float) -> None:
    assert minutes(text) == expected
