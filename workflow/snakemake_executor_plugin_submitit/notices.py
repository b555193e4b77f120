"""Warnings that would otherwise come with each poll."""

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO


class Notices:
    """Passes a warning on once, and once more when the matter has come to an end and comes back."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._said: dict[str, set[str]] = {}  # by matter

    def warn(self, matter: str, message: str) -> None:
        """Warn, unless this was said since the matter was last settled."""
        said = self._said.setdefault(matter, set())
        if message not in said:
            said.add(message)
            self._log(f"submitit: {message}")

    def settled(self, matter: str) -> None:
        """The matter has come to an end."""
        self._said.pop(matter, None)

    @contextlib.contextmanager
    def surviving(self, what: str) -> Iterator[None]:
        """Go on after an exception, with a warning; the poll after this one tries it again."""
        try:
            yield
        except Exception as error:
            self.warn(what, f"{what} failed, trying again: {type(error).__name__}: {error}")
        else:
            self.settled(what)


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Drop what this thread prints to stderr: submitit prints the errors that it raises, too."""
    with contextlib.redirect_stderr(_OfOtherThreads(sys.stderr)):
        yield


class _OfOtherThreads(io.TextIOBase):
    """Passes on what other threads print, to which sys.stderr belongs as well."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
