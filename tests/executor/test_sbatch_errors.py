"""What sbatch's error messages mean: try again, wait, or give up."""

import pytest

from snakemake_executor_plugin_submitit.sbatch_errors import (
    ArrayRefused,
    LimitReached,
    Refused,
    SubmissionError,
    Unavailable,
    is_answer_lost,
    meaning,
)

BATCH = "sbatch: error: Batch job submission failed: "
POLICY = "Job violates accounting/QOS policy"
LIMITS = f"{POLICY} (job submit limit, user's size and/or time limits)"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        # Nothing but another request would change these.
        (BATCH + "Invalid account or account/partition combination specified", Refused),
        ("sbatch: error: invalid partition specified: a\n" + BATCH + "Invalid partition", Refused),
        (BATCH + "Requested node configuration is not available", Refused),
        (BATCH + "Requested time limit is invalid (missing or exceeds some limit)", Refused),
        (BATCH + "More processors requested than permitted", Refused),
        (BATCH + f"{POLICY} (user's size and/or time limits)", Refused),
        (BATCH + "Access denied, reservation=x", Refused),
        ("sbatch: unrecognized option\nTry \"sbatch --help\" for more information", Refused),
        ("allocation failure: Unable to allocate resources: Invalid qos specification", Refused),
        (BATCH + "Invalid job array specification", ArrayRefused),
        # A submit plugin, to `--test-only` and to a submission; alone, these words say nothing.
        ("sbatch: error: give an account\nallocation failure: Unspecified error", Refused),
        ("sbatch: error: give an account\n" + BATCH + "Unspecified error", Refused),
        (BATCH + "Unspecified error", SubmissionError),
        # A QOS with DenyOnLimit: the sentence is that of a full queue, the line before it is not.
        ("sbatch: error: QOSMaxWallDurationPerJobLimit\n" + BATCH + LIMITS, Refused),
        ("sbatch: error: AssocMaxWallDurationPerJobLimit\n" + BATCH + LIMITS, Refused),
        ("sbatch: error: QOSMaxGRESPerJob\n" + BATCH + LIMITS, Refused),
        ("sbatch: error: QOSMinGRES\n" + BATCH + LIMITS, Refused),
        ("sbatch: error: QOSMaxGRESPerUser\n" + BATCH + LIMITS, LimitReached),
        ("sbatch: error: AssocGrpCPUMinutesLimit\n" + BATCH + LIMITS, LimitReached),
        # Jobs that end make room.
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit\n" + BATCH + POLICY, LimitReached),
        (BATCH + LIMITS, LimitReached),
        (BATCH + "Slurm temporarily unable to accept job, sleeping and retrying", LimitReached),
        (BATCH + "Resource temporarily unavailable", LimitReached),
        ("sbatch: error: AssocMaxSubmitJobLimit\n" + BATCH + POLICY, LimitReached),
        # The controller comes back some day.
        (BATCH + "Unable to contact slurm controller (connect failure)", Unavailable),
        (BATCH + "Socket timed out on send/recv operation", Unavailable),
        (BATCH + "Zero Bytes were transmitted or received", Unavailable),
        (BATCH + "Transport endpoint is not connected", Unavailable),
        (BATCH + "Slurm backup controller in standby mode", Unavailable),
        (BATCH + "Controller is in standby mode, try a different controller", Unavailable),
        (BATCH + "Unable to create job record, try again", Unavailable),
        (BATCH + "Message send failure", Unavailable),
        (BATCH + "Communication connection failure", Unavailable),
        (BATCH + "Invalid authentication credential", Unavailable),
        (BATCH + "Protocol authentication error", Unavailable),
        (BATCH + "Error generating job credential", Unavailable),
        (BATCH + "Incompatible versions of client and server code", Unavailable),
        (BATCH + "I/O error writing script/environment to file", Unavailable),
        (BATCH + "Slurm internal error, contact system administrator", Unavailable),
        ("sbatch: fatal: Could not establish a configuration source", Unavailable),
        # A maintenance ends some day.
        (BATCH + "System submissions disabled", Unavailable),
        (BATCH + "Required partition not available (inactive or drain)", Unavailable),
        (BATCH + "Required node not available (down, drained or reserved)", Unavailable),
        (BATCH + "Requested reservation not usable now", Unavailable),
        (BATCH + "Requested reservation is invalid", Refused),
        # Nobody knows: a few more tries.
        (BATCH + "Unexpected message received", SubmissionError),
        ("[Errno 28] No space left on device", SubmissionError),
        ("", SubmissionError),
    ],
)  # fmt: skip
def test_the_meaning_of_a_message(message: str, kind: type[SubmissionError]) -> None:
    assert type(meaning(message)) is kind


def test_a_message_is_one_line_without_repetition_or_rulers() -> None:
    message = (
        "sbatch: error: --------------------\n"
        "sbatch: error: no account given\n"
        "\n"
        "sbatch: error: no account given\n"
        "sbatch: error: Batch job submission failed: Unspecified error\n"
    )
    assert (
        str(meaning(message)) == "no account given; Batch job submission failed: Unspecified error"
    )


@pytest.mark.parametrize(
    ("limit", "change"),
    [
        ("QOSMaxWallDurationPerJobLimit", "set a shorter runtime"),
        ("QOSMaxCpuPerJobLimit", "ask for less"),
        ("QOSMinCpuNotSatisfied", "ask for more"),
    ],
)
def test_a_limit_of_one_job_says_what_to_change(limit: str, change: str) -> None:
    assert f"({change})" in str(meaning(f"sbatch: error: {limit}\n{BATCH}{LIMITS}"))


def test_a_limit_without_a_name_may_be_another_than_the_queues() -> None:
    assert "the runtime or the size may be too large" in str(meaning(BATCH + LIMITS))
    assert "may be" not in str(meaning(f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{LIMITS}"))


@pytest.mark.parametrize(
    ("message", "is_lost"),
    [
        (BATCH + "Socket timed out on send/recv operation", True),
        (BATCH + "Unable to contact slurm controller (receive failure)", True),
        (BATCH + "Zero Bytes were transmitted or received", True),
        ('Could not make sense of sbatch output "welcome"', True),
        (BATCH + "Unexpected message received", True),
        ("", True),  # sbatch was killed
        (BATCH + "Unable to contact slurm controller (connect failure)", False),
        (BATCH + "Slurm backup controller in standby mode", False),
        (BATCH + "Required partition not available (inactive or drain)", False),
        (BATCH + "Invalid qos specification", False),
        (BATCH + LIMITS, False),
    ],
)
def test_after_which_messages_the_jobs_may_be_in_the_queue(message: str, is_lost: bool) -> None:
    assert is_answer_lost(meaning(message)) is is_lost
