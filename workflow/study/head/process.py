"""Which process a head is, so that another one can tell whether it still lives."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")


@dataclass(frozen=True)
class Machine:
    """Where process numbers mean the same: a host, from one boot to the next, in one container."""

    host: str
    boot: str
    namespace: str

    @classmethod
    def this(cls) -> "Machine":
        """The machine of this process."""
        boot = _PROC / "sys/kernel/random/boot_id"
        namespace = _PROC / "self/ns/pid"
        return cls(
            host=socket.gethostname(),
            boot=boot.read_text().strip() if boot.exists() else str(psutil.boot_time()),
            namespace=os.readlink(namespace) if namespace.is_symlink() else "",
        )


def start_of(pid: int) -> str:
    """When the process of this number started, as text that only it has; empty if none lives.

    Numbers are used again after a while.  A zombie, whose parent has not waited for it, is dead.
    """
    if not (_PROC / "self/stat").exists():
        try:
            process = psutil.Process(pid)
            is_dead = process.status() == psutil.STATUS_ZOMBIE
            return "" if is_dead else str(process.create_time())
        except psutil.Error:
            return ""
    try:
        # The name, in parentheses, may hold spaces and parentheses itself.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def uptime_s() -> float:
    """Seconds since this machine started; by its own clock, so only for durations."""
    return time.time() - psutil.boot_time()
