"""Writing files so that a reader finds the whole new content or the whole old one."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# What the user does about a damaged result: trained weights come back from the state.
AGAIN = "delete it and give the same snakemake command again"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path of the same file name, renamed to `path` once the block ends well.

    The content is on the disk before the rename, so that a crash leaves the old file or the new.
    If the block raises, the temporary file is removed and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder instead of a temporary file: the file inside gets the permissions of the umask, so
    # that colleagues can read a shared folder (temporary files are created with mode 0600).
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as staging:
        temporary = Path(staging) / path.name
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


def remove_unfinished(path: str | Path) -> None:
    """Delete what a killed process left of `path`: `replacing` could not tidy up after SIGKILL.

    A process that is still writing `path` fails at its rename, so call this only for a file with
    one writer at a time.
    """
    path = Path(path)
    for staging in path.parent.glob(f".{glob.escape(path.name)}.*"):
        shutil.rmtree(staging)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole binary file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
