"""When to try again."""

import time


class Backoff:
    """Spaces out attempts that fail or take long; pauses double from one second to `longest_s`."""

    def __init__(self, longest_s: float = 60.0) -> None:
        self.failures = 0
        self._longest_s = longest_s
        self._due = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time to try."""
        return time.monotonic() >= self._due

    def failed(self) -> None:
        """Wait twice as long as after the last failure."""
        self.failures += 1
        self._due = time.monotonic() + min(self._longest_s, 2.0 ** (self.failures - 1))

    def succeeded(self, took_s: float = 0.0) -> None:
        """Wait ten times as long as it took: a slow controller is a busy one."""
        self.failures = 0
        self._due = time.monotonic() + min(self._longest_s, 10 * took_s)
