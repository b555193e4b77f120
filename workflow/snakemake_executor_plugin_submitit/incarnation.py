"""One start of a submitted job, and whether it is still the one that counts.

SLURM requeues a job under its id while processes of an earlier start may live on, on a node that
was cut off. Whatever a start writes bears its number, which SLURM and the head know, too; the
number of the newest stands in a file that each start looks at before it changes anything.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from submitit import JobEnvironment

from snakemake_executor_plugin_submitit import internals
from snakemake_executor_plugin_submitit.ledger import Entry, recorded

T = TypeVar("T")

VARIABLE = "SNAKEMAKE_SUBMITIT_INCARNATION"  # what the Snakemake on the node is a part of
LOOK_AGAIN_S = (1.0, 3.0)
UNFINISHED = ".new"
EXIT_CODE = 75  # of a Snakemake that finds itself superseded; any but 0 will do


@dataclass(frozen=True, kw_only=True)
class Incarnation:
    """A start of a job: the one after so many restarts."""

    folder: str  # of all jobs' files
    submission: str
    job_id: str
    restarts: int
    key: str  # of the outputs it makes
    ledger: str

    @classmethod
    def of_this_process(cls, ledger: Path, key: str) -> Self:
        """The start that this process of submitit is."""
        environment = JobEnvironment()
        folder = environment.paths.folder
        if environment.cluster == "slurm":
            restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        else:
            last = newest(folder.parent, folder.name, environment.job_id)
            restarts = 0 if last is None else last + 1
        return cls(
            folder=str(folder.parent),
            submission=folder.name,
            job_id=environment.job_id,
            restarts=restarts,
            key=key,
            ledger=str(ledger),
        )

    def claim(self) -> None:
        """Make this the start that counts, unless a newer one does; raises OSError."""
        last = self._newest()
        if last is None or last < self.restarts:
            owner = owner_file(Path(self.folder), self.submission, self.job_id)
            _write(owner, str(self.restarts), owner.parent)

    def is_superseded(self) -> bool:
        """Whether a newer start of this job, another job or nobody makes the outputs now.

        Raises OSError if the disk does not let it know.
        """
        last = _surely(self._newest)
        entry = _surely(self.recorded)
        if last is None or entry is None:  # the head has removed it: nobody waits for this
            return True
        if last > self.restarts or entry.job_id != self.job_id:
            return True
        if entry.submission != self.submission:
            return True
        if last < self.restarts:  # an older one, frozen as it was about to write its number
            with contextlib.suppress(OSError):
                self.claim()
        return False

    def _newest(self) -> int | None:
        return newest(Path(self.folder), self.submission, self.job_id)

    def is_overtaken(self) -> bool:
        """The same, by a look at one small file, which does not tell of another job."""
        return self._newest() != self.restarts and self.is_superseded()

    def recorded(self) -> Entry | None:
        """The job that the ledger has for the outputs."""
        return recorded(Path(self.ledger), self.key)

    def write_record(self, content: dict[str, Any]) -> None:
        """Leave for the head what it is to know of this start; raises OSError."""
        file = record_file(Path(self.folder), self.submission, self.job_id, self.restarts)
        # What a killed process leaves half written goes with the folder of the submission.
        _write(file, json.dumps(content), Path(self.folder) / self.submission)

    def in_environment(self) -> dict[str, str]:
        """The environment of the Snakemake that this start runs."""
        return {**os.environ, VARIABLE: json.dumps(asdict(self))}


def guard_this_process() -> None:
    """Have the Snakemake on a node change no file once its job's start is superseded.

    It may thaw, after its successor has ended, before its runner does: then it would delete what
    the successor has made.
    """
    if text := os.environ.get(VARIABLE):
        incarnation = Incarnation(**json.loads(text))
        internals.before_outputs_change(_exits_if(incarnation.is_superseded))


def _exits_if(is_superseded: Callable[[], bool]) -> Callable[[], None]:
    def check() -> None:
        if is_superseded():
            print("A newer start of this job makes its outputs: this one ends.", file=sys.stderr)
            sys.stderr.flush()
            os._exit(EXIT_CODE)

    return check


# --- Files ----------------------------------------------------------------------------------------


def record_file(folder: Path, submission: str, job_id: str, restarts: int) -> Path:
    """What a start says of itself when it ends; one listing of the folder shows all of them."""
    return folder / f"{submission}.{job_id}.{restarts}.json"


def owner_file(folder: Path, submission: str, job_id: str) -> Path:
    """The number of a job's newest start."""
    return folder / submission / f"{job_id}_owner"


def saves_file(folder: Path, submission: str, job_id: str) -> Path:
    """A file that exists if something in the job saves its state on SIGUSR2.

    No start has one of its own: one that was stopped early can save as the one before it could.
    """
    return folder / submission / f"{job_id}_saves"


def newest(folder: Path, submission: str, job_id: str) -> int | None:
    """The number of a job's newest start; raises OSError.

    None if none has begun, or the head is done with the job.
    """
    try:
        return int(owner_file(folder, submission, job_id).read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OSError(f"damaged: {error}") from error


def _surely(look: Callable[[], T | None]) -> T | None:
    """What is there; a file system that has just lost a file gets another chance."""
    for pause_s in LOOK_AGAIN_S:
        with contextlib.suppress(OSError):
            if (found := look()) is not None:
                return found
        time.sleep(pause_s)
    return look()


def _write(path: Path, text: str, by_way_of: Path) -> None:
    new = by_way_of / f"{path.name}.{os.getpid()}{UNFINISHED}"
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
