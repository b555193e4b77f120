"""The folder that the head and the nodes share: what submitit puts there for each job."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from snakemake_executor_plugin_submitit import internals
from snakemake_executor_plugin_submitit.runner import Outcome, saves_file


class Results:
    """The results of jobs, by their ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def ids(self) -> set[str]:
        """The jobs that left a result; one listing for all."""
        with contextlib.suppress(OSError):
            # NFS reads a folder anew only after a change to it.
            self.folder.chmod(self.folder.stat().st_mode)
        names = os.listdir(self.folder)
        suffix = internals.RESULT
        return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}

    def get(self, job_id: str) -> Outcome | None:
        """What a job left; None if it left no result, or has not finished writing it."""
        try:
            kind, value = internals.read_result(self._paths(job_id).result_pickle)
        except (OSError, EOFError):
            return None
        except Exception as error:  # of another version, or torn
            return Outcome("failed", f"unreadable result: {error}")
        if kind == "success" and isinstance(value, Outcome):
            return value
        return Outcome("failed", str(value).strip().splitlines()[-1])

    def time(self, job_id: str) -> float:
        """When a job left its result, in seconds since the epoch."""
        return self._paths(job_id).result_pickle.stat().st_mtime

    def can_resume(self, job_id: str) -> bool:
        """Whether something in the job saves its state on SIGUSR2."""
        return saves_file(self.folder, job_id).exists()

    def log(self, job_id: str) -> Path:
        """All that a job printed."""
        return self._paths(job_id).stdout

    def inputs(self, key: str) -> Path:
        """A list of the input files of the job that makes the outputs named by `key`."""
        return self.folder / f"{key}.inputs"

    def remove(self, job_id: str, key: str, others: Iterable[str]) -> None:
        """Remove a job's files; its array's only if none of the `others` is in the same array."""
        paths = self._paths(job_id)
        files = [
            paths.submitted_pickle,
            paths.result_pickle,
            paths.stdout,
            saves_file(self.folder, job_id),
            self.inputs(key),
        ]
        if array_id(job_id) not in map(array_id, others):
            files.append(paths.submission_file)
        for file in files:
            file.unlink(missing_ok=True)

    def _paths(self, job_id: str) -> internals.JobPaths:
        return internals.job_paths(self.folder, job_id)


def array_id(job_id: str) -> str:
    """`12` of `12_3`, and of `12`."""
    return job_id.partition("_")[0]
