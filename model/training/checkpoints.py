"""Resume states of a training: atomic, verified, the one before kept, one writer at a time."""

import io
import logging
import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from model.files import remove_abandoned, write_bytes, write_text
from model.training.state_files import state_files, state_name

log = logging.getLogger(__name__)

State = dict[str, Any]


class OwnershipLost(Exception):
    """Another process has taken this run over; whoever sees this must write nothing more."""


class Checkpoints:
    """The folder `state/` of a run, with a folder for each identity that the run has had.

    A state is `step{step}-{digest}.pt`, and ends in `.end.pt` where a training ended.  Those stay;
    of the others the two newest do.  A changed run finds no state in its own folder and leaves the
    others alone; changed back, it finds its states again.
    """

    def __init__(self, directory: Path, identity: str) -> None:
        self.directory = directory
        self.states = directory / identity
        self._token = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4()}"

    def claim(self) -> None:
        """Take the run over: from now on, any earlier owner's save raises OwnershipLost.

        What killed processes left half written in the run's folder and in `state/` is removed.
        """
        write_text(self.directory / "owner", self._token)
        # What hides is a file that another process is writing: it goes at any moment.
        of_identities = [p for p in self.directory.glob("[!.]*") if p.is_dir()]
        for folder in (self.directory.parent, *of_identities):
            remove_abandoned(folder)

    def check_ownership(self) -> None:
        """Raise OwnershipLost if another process has claimed the run since."""
        owner = self.directory / "owner"
        holder = owner.read_text() if owner.exists() else "nobody"
        if holder != self._token:
            raise OwnershipLost(f"{self.directory} is now written by {holder}")

    def save(self, step: int, state: State, *, is_end: bool = False) -> None:
        """Write a state atomically and keep the one before; raises OwnershipLost."""
        self.check_ownership()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        write_bytes(self.states / state_name(step, content, is_end=is_end), content)
        # States beyond this step are of a longer training, and wait for it.
        for old in [file for file in state_files(self.states) if file.step <= step][2:]:
            if not old.is_end:
                old.path.unlink(missing_ok=True)

    def load(
        self, max_step: int, difference: Callable[[State], str | None] = lambda _: None
    ) -> State | None:
        """The newest state that a training of `max_step` steps passes, on the CPU, or None.

        A damaged state is renamed to `*.damaged`, one with a `difference` is left; a warning tells
        of either, and the one before is used.
        """
        for file in state_files(self.states):
            # One at the last step lacks what is done at the end, unless it was saved there.
            if file.step >= max_step + file.is_end:
                continue
            path = file.path
            if not file.is_whole:
                log.warning("%s is damaged (wrong digest): falling back to the one before", path)
                path.rename(path.with_suffix(".damaged"))
                continue
            state: State = torch.load(path, map_location="cpu", weights_only=True)
            if (reason := difference(state)) is None:
                return state
            log.warning("%s is of other settings (%s): kept, not used", path, reason)
        return None

    def holds_others(self) -> bool:
        """Whether there are states that `load` may have passed over."""
        return any(self.directory.glob("*/step*.pt"))
