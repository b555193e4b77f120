"""The end of a log: where it says why it ended."""

from pathlib import Path

TAIL_BYTES = 4000


def log_end(path: Path) -> str:
    """The last part of a log; "" if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
