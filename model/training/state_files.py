"""The names of resume states: `state/{identity}/step{step}-{digest}.pt`; imports no torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class StateFile:
    """A resume state on the disk; ordered by step."""

    step: int
    is_end: bool  # saved where a training ended: it stays, and ends in `.end.pt`
    path: Path

    @property
    def is_whole(self) -> bool:
        """Whether its content has the digest that is in its name."""
        return f"-{_digest(self.path.read_bytes())}." in self.path.name


def state_name(step: int, content: bytes, *, is_end: bool) -> str:
    """The file name of a state."""
    return f"step{step:09d}-{_digest(content)}{'.end' if is_end else ''}.pt"


def state_files(folder: Path) -> list[StateFile]:
    """The states in a folder, the newest first."""
    found = [
        StateFile(int(path.name[4:13]), path.name.endswith(".end.pt"), path)
        for path in folder.glob("step*.pt")
    ]
    return sorted(found, reverse=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
