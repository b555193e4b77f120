"""Jobs that a killed head left running: they are ended before the next head starts them again."""

import os
from pathlib import Path

import psutil

MARK = "STUDY_HEAD"  # the environment variable that a head's local jobs inherit
PATIENCE_S = 120


def mark_children(lock: Path) -> None:
    """Have all processes that this one starts carry the path of its lock."""
    os.environ[MARK] = str(lock)


def find_orphans(lock: Path) -> list[psutil.Process]:
    """The processes with this mark, but for this one and those that started it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(MARK) == str(lock) and process.pid not in own
    ]


def end_orphans(lock: Path) -> tuple[int, list[int]]:
    """Ask those with this mark to save and end; how many, and the numbers of those that did not.

    Only while the lock is held and before a job is started: any process with its mark is an orphan.
    """
    orphans = find_orphans(lock)
    for process in orphans:
        try:
            process.terminate()
            process.resume()  # of a head that was suspended before it was killed
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(orphans, timeout=PATIENCE_S)
    return len(orphans), [process.pid for process in alive]
