"""Jobs that are processes of this machine: `--submitit-cluster local`."""

import contextlib
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

from snakemake_executor_plugin_submitit import internals
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState


def running_states(job_ids: Iterable[str]) -> dict[str, QueuedState]:
    """Those of the jobs that run, as a queue would show them."""
    return {
        job_id: QueuedState("RUNNING", submission=_submission(controller))
        for job_id in job_ids
        if (controller := _controller(job_id))
    }


def cancel(job_ids: Iterable[str]) -> None:
    """Cancel jobs, which save their state first."""
    for process in filter(None, map(_controller, job_ids)):
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)


def _submission(controller: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error, IndexError):
        return Path(controller.cmdline()[-1]).name
    return ""


def _controller(job_id: str) -> psutil.Process | None:
    """The process of submitit that controls a job; None if it is gone."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(job_id))
        if process.status() != psutil.STATUS_ZOMBIE and any(
            internals.LOCAL_CONTROLLER in word for word in process.cmdline()
        ):
            return process
    return None
