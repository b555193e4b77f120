"""What stops the command before anything is submitted; and the job that the head runs in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_common.exceptions import ApiError
from snakemake_job import InvalidResources, SnakemakeJob

from snakemake_executor_plugin_submitit import preflight, slurm
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submission import Answer

NO_DEFAULT = slurm.DefaultTimes()  # it is not asked: all jobs have a runtime


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The parameters that SLURM was asked about: it has no GPUs."""
    asked: list[dict[str, Any]] = []

    def ask(folder: Path, parameters: dict[str, Any]) -> Answer:
        asked.append(parameters)
        if "slurm_gres" in parameters:
            return Answer("no GPUs here", is_refusal=True)
        return Answer("to start at noon")

    monkeypatch.setattr(preflight, "ask", ask)
    return asked


def job(name: str, **resources: Any) -> SnakemakeJob:
    return SnakemakeJob(name=name, resources={"runtime": 60} | resources)


def problems(tmp_path: Path, jobs: list[SnakemakeJob], cluster: str = "slurm") -> list[str]:
    settings = ExecutorSettings(cluster=cluster)
    with pytest.raises(ApiError) as error:
        preflight.check_jobs(jobs, settings, tmp_path, NO_DEFAULT, pytest.fail)
    return str(error.value).splitlines()


def test_slurm_is_asked_once_for_all_jobs_of_equal_parameters(
    tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    jobs = [job("a"), job("a"), job("b"), job("c", runtime=5)]
    preflight.check_jobs(jobs, ExecutorSettings(), tmp_path, NO_DEFAULT, pytest.fail)
    assert [parameters["timeout_min"] for parameters in asked] == [60, 5]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("order", [1, -1])  # Snakemake's differs from time to time
def test_each_mistake_is_one_line_however_many_jobs_make_it(tmp_path: Path, order: int) -> None:
    jobs = [
        job("b", gpu=1),
        job("a", gpu=2),
        job("e", gpu=1),
        job("c", gpus=1),
        job("c", gpus=1),
        job("d", gpu=-1),
    ][::order]
    assert problems(tmp_path, jobs) == [
        "rule c: unknown resource gpus; did you mean gpu?",
        "rule d: gpu=-1 is not a whole number",
        # One answer, with what each rule asked for.
        "SLURM refuses rule a (gres=gpu:2, nodes=1, cpus=1, minutes=60); "
        "rule b, e (gres=gpu:1, nodes=1, cpus=1, minutes=60): no GPUs here",
    ]


NOT_AVAILABLE = "Requested node configuration is not available"


@pytest.mark.parametrize(
    ("answer", "nodes", "warnings", "refusals"),
    [
        (NOT_AVAILABLE, ["n2"], 1, 0),
        (NOT_AVAILABLE, [], 0, 1),  # all nodes are there: none will ever do
        ("Invalid account", ["n2"], 0, 1),
    ],
)
def test_a_maintenance_is_no_refusal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    nodes: list[str],
    warnings: int,
    refusals: int,
) -> None:
    asked: list[str | None] = []

    def out_of_service(names: str | None) -> list[str]:
        asked.append(names)
        return nodes

    refusal = Answer(answer, is_refusal=True)
    monkeypatch.setattr(preflight, "ask", lambda folder, parameters: refusal)
    monkeypatch.setattr(preflight.slurm, "out_of_service", out_of_service)
    warned: list[str] = []
    told: list[str] = []
    jobs = [job("a", slurm_partition="gpu"), job("b", slurm_partition="gpu")]
    try:
        preflight.check_jobs(jobs, ExecutorSettings(), tmp_path, NO_DEFAULT, warned.append)
    except ApiError as error:
        told = str(error).splitlines()
    assert (len(warned), len(told)) == (warnings, refusals)
    assert asked == ([] if answer != NOT_AVAILABLE else ["gpu"])
    for line in warned:
        assert "rule a, b (partition=gpu" in line
        assert "n2 is out of service" in line


def test_rules_that_run_in_the_head_are_asked_of_nobody(
    tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    local = SnakemakeJob(is_local=True, resources={"gpu": 1})
    preflight.check_jobs([local], ExecutorSettings(), tmp_path, NO_DEFAULT, pytest.fail)
    assert asked == []
    invalid = SnakemakeJob(name="here", is_local=True, resources=InvalidResources("Resource 'x'"))
    assert problems(tmp_path, [invalid]) == ["rule here: Resource 'x'"]


def test_without_slurm_nobody_is_asked(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    settings = ExecutorSettings(cluster="local")
    preflight.check_jobs([job("a", gpu=1)], settings, tmp_path, NO_DEFAULT, pytest.fail)
    assert asked == []


def test_a_missing_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ApiError, match=r"sbatch is not on PATH: .* --submitit-cluster local"):
        preflight.check_slurm()
    for command in slurm.COMMANDS:
        (tmp_path / command).touch(mode=0o755)
    preflight.check_slurm()


OUTER_JOB = {
    "SLURM_JOB_ID": "7",
    "SLURM_MEM_PER_NODE": "100",
    "SRUN_DEBUG": "3",
    "SUBMITIT_EXECUTOR": "slurm",
    "CUDA_VISIBLE_DEVICES": "0",
    "PMI_FD": "5",
}
OF_THE_CLUSTER = {"SLURM_CONF": "/etc/slurm.conf", "SLURM_JWT": "token", "SLURM_CLUSTERS": "a"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment of its own in place of the test's."""
    environment = {**OF_THE_CLUSTER, "HOME": "/home/me", "SUBMITIT_PREEMPT_SIGNAL": "USR1"}
    monkeypatch.setattr(preflight, "os", SimpleNamespace(environ=environment))
    return environment


def test_the_job_that_the_head_runs_in_is_forgotten(environment: dict[str, str]) -> None:
    environment |= OUTER_JOB
    preflight.leave_outer_job()
    assert environment == {**OF_THE_CLUSTER, "HOME": "/home/me"}


def test_on_a_login_node_variables_are_the_users(environment: dict[str, str]) -> None:
    environment |= {"CUDA_VISIBLE_DEVICES": "0", "SLURM_TIME_FORMAT": "relative"}
    preflight.leave_outer_job()
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment["SLURM_TIME_FORMAT"] == "relative"


@pytest.mark.usefixtures("asked")
def test_who_only_asks_sees_each_answer_and_nothing_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ExecutorSettings(test_only=True)
    jobs = [job("a"), job("b"), job("a"), job("a", runtime=5)]
    with pytest.raises(SystemExit) as end:
        preflight.check_jobs(jobs, settings, tmp_path, NO_DEFAULT, pytest.fail)
    assert end.value.code is None
    accepted = [
        "1 x a (nodes=1, cpus=1, minutes=5): to start at noon",
        "2 x a, 1 x b (nodes=1, cpus=1, minutes=60): to start at noon",
    ]
    assert capsys.readouterr().out.splitlines() == accepted
    jobs.append(job("c", gpu=1))
    with pytest.raises(ApiError, match=r"SLURM refuses rule c .*no GPUs here"):
        preflight.check_jobs(jobs, settings, tmp_path, NO_DEFAULT, pytest.fail)
    refused = "1 x c (gres=gpu:1, nodes=1, cpus=1, minutes=60): refused: no GPUs here"
    assert capsys.readouterr().out.splitlines() == [*accepted, refused]


def test_a_cluster_that_is_away_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    away = Answer("Unable to contact slurm controller", is_given=False)
    monkeypatch.setattr(preflight, "ask", lambda folder, parameters: away)
    jobs, settings = [job("a"), job("b", runtime=5)], ExecutorSettings(test_only=True)
    with pytest.raises(SystemExit):
        preflight.check_jobs(jobs, settings, tmp_path, NO_DEFAULT, pytest.fail)
    told = "SLURM does not answer: Unable to contact slurm controller\n"
    assert capsys.readouterr().out == told


def test_without_slurm_there_is_nobody_to_ask(tmp_path: Path) -> None:
    settings = ExecutorSettings(cluster="local", test_only=True)
    with pytest.raises(ApiError, match="--submitit-test-only asks SLURM"):
        preflight.check_jobs([job("a")], settings, tmp_path, NO_DEFAULT, pytest.fail)
