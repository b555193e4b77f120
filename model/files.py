"""Writing files so that a reader finds the whole new content or the whole old one."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ABANDONED_AFTER = 24 * 3600.0  # seconds without a write, for writers on other machines
# What the user does about a damaged result: trained weights come back from the state.
AGAIN = "delete it and give the same snakemake command again"
# Where snakemake notices by itself that a result is not of the latest training.
NOT_YET = "is of an earlier training of this run; the same snakemake command makes it again"


def is_older(path: Path, than: Path) -> bool:
    """Whether a file was written before the one that it is made of; False if one is missing."""
    try:
        return path.stat().st_mtime_ns < than.stat().st_mtime_ns
    except OSError:
        return False


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path of the same file name, renamed to `path` once the block ends well.

    The content is on the disk before the rename, so that a crash leaves the old file or the new.
    If the block raises, the temporary file is removed and `path` stays as it was; what a killed
    process left is removed by the next one that writes into the folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder instead of a temporary file: the file inside gets the permissions of the umask, so
    # that colleagues can read a shared folder (temporary files are created with mode 0600).
    with _staging(path.parent, path.name) as staging:
        _remove_abandoned(path.parent, staging.stat().st_mtime)
        temporary = staging / path.name
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            # "No space left on device" does not say where.
            if error.errno is not None and error.filename is None:
                error.filename = os.fspath(path)
            raise
        temporary.replace(path)


def remove_abandoned(folder: Path) -> None:
    """Delete what killed processes left in a folder, unless it may be another machine's work.

    A staging folder of this machine goes once its process is dead, another's after a day.
    """
    with _staging(folder, "cleaning") as staging:
        _remove_abandoned(folder, staging.stat().st_mtime)


@contextmanager
def _staging(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder whose name says who writes there: `.{name}@{host}@{pid}@{random}`."""
    prefix = f".{name}@{socket.gethostname()}@{os.getpid()}@"
    with TemporaryDirectory(dir=folder, prefix=prefix) as staging:
        yield Path(staging)


def _remove_abandoned(folder: Path, now: float) -> None:
    """Delete abandoned staging folders; `now` is by the file system's clock, as their ages are."""
    for staging in folder.glob(".*@*@*@*"):
        _, host, pid, _ = staging.name.rsplit("@", 3)
        if not pid.isdecimal():
            continue
        if host == socket.gethostname():
            is_abandoned = not _is_alive(int(pid))
        else:
            is_abandoned = now - _last_write(staging) > ABANDONED_AFTER
        if is_abandoned:
            shutil.rmtree(staging, ignore_errors=True)  # another process may be at it too


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is another user's
    return True


def _last_write(staging: Path) -> float:
    """When something in a staging folder was last written; now, if it has gone meanwhile."""
    try:
        return max(path.stat().st_mtime for path in (staging, *staging.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        return float("inf")


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole binary file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
