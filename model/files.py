"""Writing files so that a reader finds the whole new content or the whole old one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
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
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole binary file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
