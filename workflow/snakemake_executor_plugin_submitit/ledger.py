"""Which cluster job makes which outputs: what a head that died leaves to the next one."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

LARGE_FILE_BYTES = 1_000_000  # above, size and time stand for the content, as in Snakemake


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A submitted job."""

    key: str  # of the outputs it makes
    job_id: str
    fingerprint: str  # of its parameters and inputs
    restarts: int = 0  # submissions before this one
    cancelled: bool = False


class Ledger:
    """A journal of one JSON object per line, the last one of a key being valid.

    Only the head writes, whole lines and to the disk before it goes on; jobs read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries = _read(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        compact = path.with_name(path.name + ".new")
        compact.write_text("".join(_line(entry) for entry in self._entries.values()))
        compact.replace(path)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: str) -> Entry | None:
        """The job that was submitted last for these outputs and is not done with."""
        return self._entries.get(key)

    def put(self, entries: Iterable[Entry]) -> None:
        """Record jobs, each in place of an earlier one for the same outputs."""
        entries = list(entries)
        self._append("".join(_line(entry) for entry in entries))
        self._entries |= {entry.key: entry for entry in entries}

    def drop(self, keys: Iterable[str]) -> None:
        """Forget jobs that are done with."""
        known = [key for key in keys if key in self._entries]
        self._append("".join(json.dumps({"key": key}) + "\n" for key in known))
        for key in known:
            del self._entries[key]

    def _append(self, lines: str) -> None:
        if lines:
            with self.path.open("a") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())


def holder(path: Path, key: str) -> str | None:
    """The id of the job that may make these outputs; None if no job is recorded."""
    entry = _read(path).get(key)
    return entry.job_id if entry else None


def job_key(job: JobExecutorInterface) -> str:
    """A name for what a job makes: equal for the same outputs in every run of Snakemake."""
    targets = sorted(map(str, job.output)) or sorted(map(str, job.get_target_spec()))
    return _digest(targets)


def job_fingerprint(job: JobExecutorInterface) -> str:
    """A digest of a job's parameters and inputs: equal if running it again would do the same."""
    members = job.jobs if job.is_group() else [job]
    # The address in the representation of an object says nothing about it.
    params = sorted(
        re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        for member in members
        for value in member.non_derived_params
    )
    inputs = sorted({str(path) for path in job.get_wait_for_files()})
    return _digest([*params, *(f"{path} {_content(Path(path))}" for path in inputs)])


def _content(path: Path) -> str:
    try:
        stat = path.stat()
        if path.is_file() and stat.st_size <= LARGE_FILE_BYTES:
            return hashlib.sha1(path.read_bytes()).hexdigest()
        return f"{stat.st_size} {stat.st_mtime_ns}"
    except OSError:
        return "missing"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()


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
            continue  # the last line of a head that was killed while it wrote
    return entries
