"""What Snakemake and submitit do not promise is there in the installed versions."""

import inspect
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake.api
import snakemake.persistence
from snakemake.dag import DAG
from snakemake.io import _IOFile
from snakemake.jobs import Job, Reason
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import OutputSettings
from snakemake.workflow import Workflow
from submitit import AutoExecutor
from submitit.core import core, utils
from submitit.local import local

from snakemake_executor_plugin_submitit import internals

# The class of `Workflow.persistence`, whose name has changed.
PERSISTENCE: type = getattr(
    snakemake.persistence, "PersistenceBase", getattr(snakemake.persistence, "Persistence", None)
)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (DAG, "needrun_jobs"),
        (DAG, "jobs"),
        (DAG, "reason"),
        (Job, "non_derived_params"),
        (Job, "wildcards"),
        (Job, "prepare"),
        (Job, "postprocess"),
        (Job, "cleanup"),
        (_IOFile, "remove"),
        (PERSISTENCE, "finished"),
        (Workflow, "async_run"),
        (OutputSettings, "show_failed_logs"),
        (OutputSettings, "verbose"),
    ],
)
def test_snakemake_has_it(owner: type, name: str) -> None:
    assert hasattr(owner, name)


def test_snakemake_notes_sigterm_where_it_is_looked_for() -> None:
    scheduler = JobScheduler.__new__(JobScheduler)
    scheduler._lock, scheduler._open_jobs = threading.Lock(), threading.Semaphore(0)
    scheduler._user_kill = None
    workflow = SimpleNamespace(scheduler=scheduler)
    assert not internals.is_told_to_stop(workflow)
    scheduler.exit_gracefully()
    assert internals.is_told_to_stop(workflow)
    assert not internals.is_told_to_stop(SimpleNamespace(scheduler=None))


def test_snakemake_knows_what_the_user_wants_made_again() -> None:
    assert not Reason().forced


def test_the_arguments_on_the_node_name_the_job_and_its_threads() -> None:
    target = SimpleNamespace(rulename="train", wildcards_dict={})
    job: Any = SimpleNamespace(
        threads=3,
        rules=["train"],
        is_updated=False,
        is_group=lambda: False,
        attempt=1,
        jobid=7,
        get_target_spec=lambda: [target],
    )
    dag = SimpleNamespace(get_unneeded_temp_files=lambda job: [])
    executor: Any = SimpleNamespace(
        workflow=SimpleNamespace(dag=dag),
        cores="all",
        get_resource_declarations=lambda job: "",  # up to snakemake-interface-executor-plugins 9.3
    )
    arguments = internals.node_arguments(executor, job)
    assert "--cores 3" in arguments
    assert internals.is_snakemake_of_job(["bash", "-c", f"python -m snakemake {arguments}"])
    assert not internals.is_snakemake_of_job(["python", "training.py"])


def test_the_script_of_a_job_can_be_had_without_submitting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *arguments, **options: "/usr/bin/sbatch")
    executor = AutoExecutor(tmp_path, cluster="slurm")
    executor.update_parameters(timeout_min=5, slurm_partition="gpu")
    script = internals.submission_script(executor, "echo it runs")
    assert "#SBATCH --partition=gpu\n" in script
    assert "#SBATCH --time=5\n" in script
    assert script.rstrip().endswith("echo it runs")


def test_files_of_a_job_are_where_submitit_puts_them(tmp_path: Path) -> None:
    paths = internals.job_paths(tmp_path, "12_3")
    with utils.temporary_save_path(paths.result_pickle) as torn:
        torn.touch()
        assert torn in internals.torn_pickles(paths)


def test_what_a_submission_leaves_behind_is_found(tmp_path: Path) -> None:
    leftover = f".submission_file_{'0' * 32}.sh"
    for name in (leftover, "7_submitted.pkl", "7_submission.sh"):
        (tmp_path / name).touch()
    assert [path.name for path in internals.submission_leftovers(tmp_path)] == [leftover]
    assert internals.submission_of(str(tmp_path / leftover)) == tmp_path.name
    assert internals.submission_of("/home/me/train.sh") == ""
    assert '".submission_file_{tmp_uuid}.sh"' in inspect.getsource(core)


def test_a_local_job_is_recognised_and_signalled_in_time() -> None:
    source = inspect.getsource(local.start_controller)
    assert internals.LOCAL_CONTROLLER in source
    delay = inspect.signature(local.start_controller).parameters["signal_delay_s"].default
    assert delay == internals.LOCAL_SIGNAL_DELAY_S


def test_the_handler_is_that_of_the_process() -> None:
    assert internals.requeue_handler() == signal.getsignal(signal.SIGUSR2)


def test_an_error_of_a_resource_is_the_line_that_says_it() -> None:
    page = "WorkflowError in rule train:\n  Resource 'runtime' was given value 'soon'\n  Context"
    assert internals.resource_error(ValueError(page)) == "Resource 'runtime' was given value 'soon'"
    assert internals.resource_error(ValueError("something\n else")) == "something else"
