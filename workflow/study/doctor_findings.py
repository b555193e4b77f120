"""What `study doctor` finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and the command that mends it."""

    what: str
    mend: str


class NotChecked(Exception):
    """Something that could not be looked at, in a line."""
