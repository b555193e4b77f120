"""The head's lock and its way of stopping, attached to Snakemake: all private API is used here.

Snakemake takes its lock in a command that writes, and in nothing else: there ours is taken too.

| of Snakemake, from 9.15 to 9.27.1 | is used to |
|---|---|
| `persistence.PersistenceBase` (`Persistence` in older versions) | be called when it locks |
| its `lock`, `lock_warn_only` (of a dry run) | take our lock, or look only |
| its `locked`, `cleanup_locks` | clear what a killed head left |
| its `path`, of its marks of incomplete files | remove those of what is not made again |
| its `_lockfile`, if there | know which of its lock files are whose |
| `Workflow.exec_mode`, `local_exec`, `touch` | tell a head from a job, and where its jobs run |
| `Workflow.executor_settings` | know whether the executor only asks (`--submitit-test-only`) |
| `Workflow.dag.needrun_jobs`, their `rule.name` and `wildcards` | know what is about to be made |
| `Workflow.output_settings`: `verbose`, `printshellcmds`, `debug_dag`, `quiet` | be as brief |
| the name of the coroutine in `input.size_mb` | drop a warning about it, which is of no use |
| `show_failed_logs` of its formatter, and what terminal.py reads of log records | be brief |
"""

import base64
import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from study.head import orphans
from study.head.lock import Head, HeadLives, HeadLock
from study.head.stop import Stop
from study.head.terminal import Job, Terminal

USED = ("lock", "lock_warn_only", "locked", "cleanup_locks")
_ORIGINALS: dict[str, Any] = {}  # a Snakefile may be read twice in a process


def guard(
    workflow: Any,
    study: str,
    persistence: ModuleType,
    logger: logging.Logger,
    objection: Callable[[list[Job]], str | None],
    left_out: Collection[str],
) -> Stop:
    """Have this Snakemake hold a lock on the study while it works, unless it runs a job of it.

    `objection` gets the jobs to come and gives a line if they should not: it ends the command, and
    is a note in a dry run. `left_out` are files that are there, so that what makes them is left
    out: marks of a killed head that made them are removed.
    """
    stop = Stop(logger)
    if workflow.exec_mode.name != "DEFAULT":
        return stop
    stop.arm()
    without_warning_of_sizes()
    older: Any = getattr(persistence, "Persistence", None)
    persistence_class: Any = getattr(persistence, "PersistenceBase", older)
    if any(not hasattr(persistence_class, name) for name in USED):
        print(
            "warning: this Snakemake is unknown, so nothing keeps a second one out of the same "
            "study; after a killed one, type `snakemake --unlock` and then the same command",
            file=sys.stderr,
        )
        return stop
    terminal = Terminal(logger, Path("results", study), workflow.output_settings)
    terminal.watch()
    snakemakes_lock = _ORIGINALS.setdefault("lock", persistence_class.lock)

    @contextlib.contextmanager
    def lock(self: Any) -> Iterator[None]:
        if getattr(workflow.executor_settings, "test_only", False):
            yield  # the executor asks SLURM and ends: it may, beside whoever works
            return
        if not workflow.touch and (reason := objection(_jobs_to_come(workflow))):
            sys.exit(f"error: {reason}")
        if not workflow.touch:
            jobs = _jobs_to_come(workflow)
            terminal.jobs_come(jobs, is_dry_run=False, is_local=workflow.local_exec)
        mine = HeadLock(Path(".snakemake/heads").resolve(), study)
        try:
            before = mine.take(on_loss=_stop_loser)
        except HeadLives as error:
            sys.exit(f"error: {error}")
        stop.before_exit(mine.release)
        try:
            if workflow.local_exec:
                _end_orphans(mine)
                orphans.mark_children(mine.path)
            _clear(self, mine, before)
            _unmark(self, mine, left_out)
            with snakemakes_lock(self):
                mine.note_snakemake_locks(list(getattr(self, "_lockfile", {}).values()))
                yield
        finally:
            mine.release()

    @contextlib.contextmanager
    def lock_warn_only(self: Any) -> Iterator[None]:
        if reason := objection(_jobs_to_come(workflow)):
            print(f"note: {reason}", file=sys.stderr)
        terminal.jobs_come(_jobs_to_come(workflow), is_dry_run=True, is_local=False)
        yield  # a dry run reads only, beside whoever works

    persistence_class.lock = lock
    persistence_class.lock_warn_only = lock_warn_only
    return stop


def without_warning_of_sizes() -> None:
    """Keep off the terminal that Snakemake never awaited the sizes of a job's inputs.

    Where a resource such as its default `disk_mb` asks for them from within its event loop, it
    makes the coroutine, catches its own NestedCoroutineError and asks again later; Python warns.
    """
    what = r"coroutine 'InputFiles\._predicated_size_files"
    warnings.filterwarnings("ignore", what, RuntimeWarning)


def _jobs_to_come(workflow: Any) -> list[Job]:
    jobs = workflow.dag.needrun_jobs()
    return [(job.rule.name, dict(job.wildcards.items())) for job in jobs]


def _clear(persistence: Any, mine: HeadLock, before: Head | None) -> None:
    """Remove the locks of Snakemake that dead heads left; exits if a living one needs the files."""
    if not persistence.locked:
        return
    others = mine.others()
    living = [head for head, lives in others.values() if lives]
    if not living:
        persistence.cleanup_locks()
        (Path(persistence.path) / "locks").mkdir(exist_ok=True)
        return
    dead = [head for head, lives in others.values() if not lives]
    for head in [*dead, *([before] if before else [])]:
        for path, changed_ns in head.snakemake_locks.items():
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_mtime_ns == changed_ns:  # not a later head's of that name
                    os.unlink(path)
    if persistence.locked:
        told = ", ".join(f"{h.study} ({h.machine.host}, process {h.pid})" for h in living)
        sys.exit(
            f"error: study {mine.head.study} has files in common with what is being made now: "
            f"{told}; type the same command again when that has ended"
        )


def _unmark(persistence: Any, mine: HeadLock, left_out: Collection[str]) -> None:
    """Remove Snakemake's marks of incomplete files from what will not be made again."""
    if any(lives for _, lives in mine.others().values()):
        return  # one may be making it
    for mark in (Path(persistence.path) / "incomplete").glob("*"):
        with contextlib.suppress(ValueError, OSError):  # some are folders, of long names
            if base64.urlsafe_b64decode(mark.name).decode() in left_out:
                mark.unlink()


def _end_orphans(mine: HeadLock) -> None:
    number, left = orphans.end_orphans(mine.path)
    if left:
        numbers = " ".join(map(str, left))
        sys.exit(
            f"error: processes of a killed snakemake do not end: {numbers}; end them with "
            f"`kill -9 {numbers}`, then type the same command again"
        )
    if number:
        print(f"{number} processes of a killed snakemake have saved and ended", file=sys.stderr)


def _stop_loser() -> None:
    print("error: a snakemake on another machine has taken this study over", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
