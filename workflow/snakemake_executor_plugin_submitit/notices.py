"""Warnings that would otherwise come with each poll."""

import contextlib
from collections.abc import Callable, Iterator


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
