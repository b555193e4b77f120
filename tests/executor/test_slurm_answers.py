"""What SLURM's commands print, in samples of SLURM 22.05, and lines that are odd."""

import math

import pytest

from snakemake_executor_plugin_submitit.slurm_answers import (
    Ending,
    QueuedState,
    accounted_ending,
    array_limit,
    configuration,
    default_times,
    jobs_of_scripts,
    minutes,
    queued_states,
    remembered_ending,
    restarts,
    time_limits,
)

# --- squeue ---------------------------------------------------------------------------------------


def test_the_queue_by_id_with_the_tasks_of_arrays() -> None:
    answer = (
        "7|RUNNING|None\n12_0|PENDING|Resources\n12_10|COMPLETING|None\n9|FAILED|NonZeroExitCode\n"
    )
    assert queued_states(answer) == {
        "7": QueuedState("RUNNING", "None"),
        "12_0": QueuedState("PENDING", "Resources"),
        "12_10": QueuedState("COMPLETING", "None"),
        "9": QueuedState("FAILED", "NonZeroExitCode"),
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7|PENDING|(launch failed requeued held)", "(launch failed requeued held)"),
        (
            "7|PENDING|ReqNodeNotAvail, UnavailableNodes:n[1-2]",
            "ReqNodeNotAvail, UnavailableNodes:n[1-2]",
        ),
        ("7|PENDING|a|b", "a|b"),
        ("  7 |PENDING|", ""),
    ],
)
def test_a_reason_may_be_anything(line: str, reason: str) -> None:
    assert queued_states(line) == {"7": QueuedState("PENDING", reason)}


def test_an_empty_queue() -> None:
    assert queued_states("") == {}


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    """A job that is missing would be taken for one that has ended."""
    with pytest.raises(ValueError, match="not enough values"):
        queued_states("7|RUNNING|None\n8|RUN")


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


def test_jobs_by_the_scripts_that_they_were_submitted_with() -> None:
    answer = (
        "7|PENDING|/home/me/a b/.submission_file_1.sh\n"
        "12|PENDING|/home/me/.submission_file_2.sh\n"
        "12|RUNNING|/home/me/.submission_file_2.sh\n"
        "13|CANCELLED|/home/me/.submission_file_3.sh\n"
        "14|RUNNING|/home/me/.submission_file_4.sh\n"
        "15|RUNNING|(null)\n"
    )
    scripts = {f".submission_file_{number}.sh" for number in (1, 2, 3)}
    assert jobs_of_scripts(answer, scripts) == ["7", "12"]


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


def test_there_may_be_no_default_partition() -> None:
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


def test_requeues_are_counted_by_id() -> None:
    squeue = (
        "12_3                  0                   \n33                    16                  \n"
    )
    assert restarts(squeue) == {"12_3": 0, "33": 16}
    with pytest.raises(ValueError, match="unpack"):
        restarts("12_3")  # cut off
