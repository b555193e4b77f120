"""Resume state of a training: atomic, verified, the one before kept, one writer at a time."""

import hashlib
import io
import logging
import os
import socket
import uuid
from pathlib import Path
from typing import Any

import torch

from model.files import remove_abandoned, write_bytes, write_text

log = logging.getLogger(__name__)


class OwnershipLost(Exception):
    """Another process has taken this run over; whoever sees this must write nothing more."""


class Checkpoints:
    """The folder `state/` of a run: the two newest states, each with its digest in its name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._token = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4()}"

    def claim(self) -> None:
        """Take the run over: from now on, any earlier owner's save raises OwnershipLost.

        What killed processes left half written in the run's folder and in `state/` is removed.
        """
        write_text(self.directory / "owner", self._token)
        remove_abandoned(self.directory.parent)

    def check_ownership(self) -> None:
        """Raise OwnershipLost if another process has claimed the run since."""
        owner = self.directory / "owner"
        holder = owner.read_text() if owner.exists() else "nobody"
        if holder != self._token:
            raise OwnershipLost(f"{self.directory} is now written by {holder}")

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a state atomically and keep the one before; raises OwnershipLost."""
        self.check_ownership()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        path = self.directory / f"step{step:09d}-{_digest(content)}.pt"
        write_bytes(path, content)
        for old in [p for p in self._newest_first() if p != path][1:]:
            old.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest state that is whole, on the CPU; None if there is none.

        A damaged state is renamed to `*.damaged`, and the one before is used, with a warning.
        """
        for path in self._newest_first():
            content = path.read_bytes()
            if path.stem.endswith(f"-{_digest(content)}"):
                state: dict[str, Any] = torch.load(
                    io.BytesIO(content), map_location="cpu", weights_only=True
                )
                return state
            log.warning("%s is damaged (wrong digest): falling back to the state before", path)
            path.rename(path.with_suffix(".damaged"))
        return None

    def set_aside(self, name: str) -> Path:
        """Move all states into a folder of their own beside `state/`, and return that folder."""
        aside = self.directory.with_name(f"{self.directory.name}-{name}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.directory.with_name(f"{self.directory.name}-{name}-{number}")
        aside.mkdir(parents=True)
        for path in self._newest_first():
            path.rename(aside / path.name)
        return aside

    def _newest_first(self) -> list[Path]:
        return sorted(self.directory.glob("step*.pt"), reverse=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
