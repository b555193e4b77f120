"""One head per study and working directory: a file that names its process, and a heartbeat.

A file, not a lock of the operating system alone: the second head may be on another machine, and
should say who the first one is.
"""

import contextlib
import fcntl
import json
import os
import shlex
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from model.files import write_text
from study.head.process import Machine, start_of, uptime_s

HEARTBEAT_S = 20
SILENT_S = 300  # a head on another machine that gave no sign of life for so long is dead


class HeadLives(Exception):
    """Another head makes this study; the message is one line for the user."""


@dataclass(frozen=True)
class Head:
    """What a lock file says about its head; a file that cannot be read is of nobody known."""

    study: str
    token: str = ""
    machine: Machine = Machine("an unknown machine", "", "")  # noqa: RUF009 - it is frozen
    pid: int = 0
    start: str = ""
    since: str = "an unknown time"
    command: str = ""  # as it was typed
    snakemake_locks: dict[str, int] = field(default_factory=dict)  # path: time of change in ns

    @classmethod
    def read(cls, path: Path) -> "Head | None":
        """The head of a lock file; None if there is no such file."""
        try:
            fields = json.loads(path.read_bytes())
            return cls(**{**fields, "machine": Machine(**fields["machine"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            return cls(study=path.stem)

    @property
    def process(self) -> str:
        """Its machine and number, as the executor's ledger has them."""
        return f"{self.machine.host}.{self.pid}"

    def lives(self, silent_s: float) -> bool:
        """Whether it still runs, or may run: `silent_s` is the time since its last heartbeat."""
        here = Machine.this()
        if self.machine == here:
            return self.start != "" and start_of(self.pid) == self.start
        is_same_host = self.machine.host == here.host and self.machine.boot != here.boot
        # A heartbeat since this machine started is of another machine with the same name.
        if is_same_host and silent_s > uptime_s():
            return False
        return silent_s < SILENT_S

    def told(self, silent_s: float) -> str:
        """Who it is, in words."""
        return (
            f"study {self.study} is made by the snakemake on {self.machine.host}, process "
            f"{self.pid}, since {self.since} (last sign of life {max(0, silent_s):.0f} s ago)"
        )


class HeadLock:
    """The lock of this process on a study, in the folder of all heads of a working directory."""

    def __init__(self, folder: Path, study: str) -> None:
        self.path = folder / f"{study}.json"
        self.head = Head(
            study=study,
            token=uuid.uuid4().hex,
            machine=Machine.this(),
            pid=os.getpid(),
            start=start_of(os.getpid()),
            since=time.strftime("%F %T"),
            command=shlex.join(["snakemake", *sys.argv[1:]]),
        )
        self._ended = threading.Event()

    def take(self, on_loss: Callable[[], None]) -> Head | None:
        """Take the lock and keep it alive; returns the dead head that held it, if any.

        `on_loss` is called in a thread when another machine's head has taken the lock over, because
        this one was suspended. Raises HeadLives if another head holds the lock.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            before = Head.read(self.path)
            if before is not None:
                self._raise_if_alive(before)
            self._write()
        if not self._is_ours():  # on a file system without flock
            raise HeadLives("another snakemake took this study at the same moment; try again")
        threading.Thread(target=self._beat, args=[on_loss], daemon=True, name="heartbeat").start()
        return before

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        self._ended.set()
        with contextlib.suppress(OSError), self._alone():
            if self._is_ours():
                self.path.unlink()

    def others(self) -> dict[str, tuple[Head, bool]]:
        """The heads of other studies in this working directory, and whether each lives."""
        found = {}
        for path in self.path.parent.glob("*.json"):
            head = Head.read(path)
            if path != self.path and head is not None:
                found[head.study] = (head, head.lives(self._silent_s(path)))
        return found

    def note_snakemake_locks(self, paths: list[str]) -> None:
        """Remember which of Snakemake's lock files are this head's."""
        times = {path: os.stat(path).st_mtime_ns for path in paths if os.path.exists(path)}
        self.head = replace(self.head, snakemake_locks=times)
        with self._alone():
            if self._is_ours():
                self._write()

    def _raise_if_alive(self, head: Head) -> None:
        silent_s = self._silent_s(self.path)
        if not head.lives(silent_s):
            return
        if head.machine == Machine.this():
            todo = f"wait for it, or stop it with `kill -INT {head.pid}` (its trainings save)"
        else:
            todo = (
                f"wait for it, or stop it there with `kill -INT {head.pid}`; if that machine is "
                f"gone, it counts as dead after {SILENT_S / 60:.0f} minutes of silence"
            )
        raise HeadLives(f"{head.told(silent_s)}: {todo}, then type the same command again")

    def _silent_s(self, path: Path) -> float:
        """Seconds since a file's heartbeat, both times by the clock of the file server."""
        probe = self.path.parent / f"{self.head.token}.now"
        probe.touch()
        try:
            return probe.stat().st_mtime - path.stat().st_mtime
        except FileNotFoundError:
            return float("inf")  # it has just ended
        finally:
            probe.unlink(missing_ok=True)

    def _write(self) -> None:
        write_text(self.path, json.dumps(asdict(self.head), indent=1))

    def _is_ours(self) -> bool:
        head = Head.read(self.path)
        return head is not None and head.token == self.head.token

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other head reads and writes the lock meanwhile, where the file system can do that."""
        with (self.path.parent / "guard").open("w") as guard:
            with contextlib.suppress(OSError):
                fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _beat(self, on_loss: Callable[[], None]) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):  # a file server that is away: later
                if not self.path.exists():  # somebody has tidied up
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._write()
                elif not self._is_ours():
                    on_loss()
                    return
                os.utime(self.path)
