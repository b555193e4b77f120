"""Which cluster job makes which outputs: what the next head needs to know if this one dies."""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

GUARD = "guard"  # the file of the lock, which is never removed


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A submitted job."""

    key: str  # of the outputs it makes
    job_id: str
    submission: str = ""  # a name that no other job has, not even a later one of the same id
    fingerprint: str  # of its parameters and inputs
    restarts: int = 0  # submissions before this one
    unexplained: int = 0  # of these, the last ones that ended and nobody knew why
    cancelled: bool = False  # or failed: its outputs are not to be used
    head: str = ""  # who looks after it

    @property
    def is_abandoned(self) -> bool:
        """Whether its head has ended, as far as this machine can tell."""
        host, _, pid = self.head.rpartition(".")
        return host == socket.gethostname() and not psutil.pid_exists(int(pid))


def this_head() -> str:
    """The machine and the number of this process, as a part of a file's name."""
    return f"{socket.gethostname()}.{os.getpid()}"


class Ledger:
    """A journal of one JSON object per line; the last line of a key is the valid one.

    Only heads write, of which there may be one per study: whole lines, which are on the disk before
    they go on. Jobs only read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._entries = _read(path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Read the journal anew and make it short; False if another head may be submitting."""
        with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB) as is_alone:
            self._entries = _read(self.path)
            if is_alone:
                compact = self.path.with_name(self.path.name + ".new")
                compact.write_text("".join(_line(entry) for entry in self._entries.values()))
                compact.replace(self.path)
            yield is_alone

    @contextlib.contextmanager
    def submitting(self) -> Iterator[None]:
        """What is submitted will be recorded before this ends, unless the head is killed."""
        with self._lock(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Iterator[bool]:
        """Hold a lock that ends with this process; False if it is not to be had."""
        with self.path.with_name(GUARD).open("w") as guard:
            try:
                fcntl.flock(guard, kind)
            except OSError:  # another's, or a file system without locks
                is_held = False
            else:
                is_held = True
            yield is_held

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: str) -> Entry | None:
        """The job last submitted for these outputs; None if there is none, or it was dropped."""
        return self._entries.get(key)

    def put(self, entries: Iterable[Entry]) -> None:
        """Record jobs, each in place of an earlier one for the same outputs."""
        entries = list(entries)
        self._append("".join(_line(entry) for entry in entries))
        self._entries |= {entry.key: entry for entry in entries}

    def drop(self, keys: Iterable[str]) -> None:
        """Forget jobs that have ended."""
        known = [key for key in keys if key in self._entries]
        self._append("".join(json.dumps({"key": key}) + "\n" for key in known))
        for key in known:
            del self._entries[key]

    def _append(self, lines: str) -> None:
        if lines:
            # The journal is not replaced meanwhile.
            with self._lock(fcntl.LOCK_SH), self.path.open("ab+") as file:
                if file.tell() and _last_byte(file) != b"\n":  # of a head that was killed
                    file.write(b"\n")
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())


def recorded_jobs(path: Path) -> set[str]:
    """The ids of all jobs that are recorded, of whichever head."""
    return {entry.job_id for entry in _read(path).values()}


def recorded(path: Path, key: str) -> Entry | None:
    """The job last submitted for these outputs; None if there is none, or it was dropped."""
    return _read(path).get(key)


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"


def _read(path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            record = json.loads(line)
            if "job_id" in record:
                entries[record["key"]] = Entry(**record)
            else:
                entries.pop(record["key"], None)
        except (ValueError, TypeError, KeyError):
            continue  # the line that a head was writing when it was killed
    return entries
