"""The folder that the head and the nodes share: what submitit and the jobs put there."""

import contextlib
import json
import os
import pwd
import shutil
import stat
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from snakemake_interface_common.exceptions import ApiError

from snakemake_executor_plugin_submitit import incarnation, internals
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.runner import Outcome

RECORD = ".json"
OF_NO_JOB = {".sh", ".save_tmp", incarnation.UNFINISHED}  # in the folder of a submission
SWEPT_AFTER_S = 3600.0  # where locks do not tell whether a head is about to record it


class Results:
    """The files of jobs. Each submission has a folder of its own, with a name that stays its own.

    Nodes run what lies there, and the head believes it: raises ApiError if others can write to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        for private in (folder.parent, folder):
            private.mkdir(mode=0o700, exist_ok=True)
            check_private(private)
        self._listed: dict[tuple[str, str], int] = {}
        self.look()

    def look(self) -> None:
        """Find the records that jobs have left; one listing for all. Raises ApiError, OSError."""
        check_private(self.folder)
        with contextlib.suppress(OSError):
            # NFS reads a folder anew only after a change to it.
            self.folder.chmod(stat.S_IMODE(self.folder.stat().st_mode))
        listed: dict[tuple[str, str], int] = {}
        for name in os.listdir(self.folder):
            if name.endswith(RECORD):
                submission, job_id, restarts, _ = name.split(".")
                job = submission, job_id
                listed[job] = max(int(restarts), listed.get(job, 0))
        self._listed = listed

    def get(self, entry: Entry) -> Outcome | None:
        """What a job's newest start left, as of the last look; None if it has left nothing yet."""
        if (file := self._record(entry)) is None:
            return None
        try:
            newest = incarnation.newest(self.folder, entry.submission, entry.job_id)
            if newest is not None and newest > self._listed[entry.submission, entry.job_id]:
                return None
            return Outcome(**json.loads(file.read_bytes()))
        except OSError:
            return None
        except (ValueError, TypeError) as error:  # of another version, or damaged
            return Outcome("failed", f"unreadable record {file}: {error}")

    def time(self, entry: Entry) -> float:
        """When a job left its record, in seconds since the epoch."""
        file = self._record(entry)
        return file.stat().st_mtime if file else 0.0

    def can_resume(self, entry: Entry) -> bool:
        """Whether something in the job saves its state on SIGUSR2."""
        return incarnation.saves_file(self.folder, entry.submission, entry.job_id).exists()

    def log(self, entry: Entry) -> Path:
        """All that a job printed."""
        return self._paths(entry).stdout

    def list_inputs(self, key: str, files: Iterable[str]) -> str:
        """Write down the input files of the job that makes the outputs named by `key`; where."""
        listing = self._inputs(key)
        listing.write_text("".join(f"{file}\n" for file in files))
        return str(listing)

    def _inputs(self, key: str) -> Path:
        return self.folder / f"{key}.inputs"

    def remove(self, entry: Entry, others: Collection[str]) -> None:
        """Remove a job's files; its submission's if it is none of the `others` and nothing is left.

        What a node that was cut off writes later finds no folder.
        """
        paths = self._paths(entry)
        last = self._listed.get((entry.submission, entry.job_id), -1)
        files = [
            *(self._record_file(entry, restarts) for restarts in range(last + 1)),
            incarnation.owner_file(self.folder, entry.submission, entry.job_id),
            incarnation.saves_file(self.folder, entry.submission, entry.job_id),
            paths.submitted_pickle,
            paths.result_pickle,
            paths.stdout,
            self._inputs(entry.key),
        ]
        for file in files:
            file.unlink(missing_ok=True)
        if entry.submission in others:
            return
        if not entry.submission:  # of a version that had one folder for all
            paths.submission_file.unlink(missing_ok=True)
        elif all(file.suffix in OF_NO_JOB for file in _listing(paths.folder)):
            shutil.rmtree(paths.folder, ignore_errors=True)

    def sweep(self, submissions: Collection[str], *, even_new: bool) -> set[str]:
        """Remove what heads left that were killed before they recorded a submission; which.

        What is new stays, unless no head can be about to record it.
        """
        swept = set()
        for path in _listing(self.folder):
            submission = path.name.partition(".")[0]
            if submission in submissions or not (path.is_dir() or path.suffix == RECORD):
                continue
            with contextlib.suppress(OSError):
                if even_new or time.time() - path.stat().st_mtime > SWEPT_AFTER_S:
                    _remove(path)
                    swept.add(submission)
        return swept

    def _record(self, entry: Entry) -> Path | None:
        restarts = self._listed.get((entry.submission, entry.job_id))
        return None if restarts is None else self._record_file(entry, restarts)

    def _record_file(self, entry: Entry, restarts: int) -> Path:
        return incarnation.record_file(self.folder, entry.submission, entry.job_id, restarts)

    def _paths(self, entry: Entry) -> internals.JobPaths:
        return internals.job_paths(self.folder / entry.submission, entry.job_id)


def check_private(folder: Path) -> None:
    """Raise ApiError if anybody but this user and root can write to a folder."""
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise ApiError(
            f"{folder} belongs to {_name(status.st_uid)}, whose files are not to be trusted: "
            "work in a folder of your own, or move that one away"
        )
    if stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise ApiError(
            f"others can write to {folder}, and what lies there is run: if nobody has, "
            f"type `chmod go-w {folder}` and the same command again"
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _remove(path: Path) -> None:
    if path.is_dir():
        # Out of the way first: a job that nobody knows may be putting files there.
        path = path.rename(path.with_name(f"{path.name}.{os.getpid()}{incarnation.UNFINISHED}"))
        shutil.rmtree(path)
    else:
        path.unlink()


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
