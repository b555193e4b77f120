"""What numbers say of a statement of the paper: it holds, is consistent, violated, or undecided.

`holds` is kept for identities and for what is provable.  Everything else is known in brackets only.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

Verdict = Literal["holds", "consistent", "violated", "inconclusive"]


@dataclass(frozen=True)
class Bracket:
    """What a quantity lies between, ends included."""

    lower: float
    upper: float

    def __add__(self, other: "Bracket") -> "Bracket":
        """The bracket of the sum."""
        return Bracket(self.lower + other.lower, self.upper + other.upper)


def at_most(left: Bracket, right: Bracket) -> Verdict:
    """Whether left <= right: decided only where the brackets do not overlap.

    Brackets that are not numbers decide nothing.
    """
    if left.upper <= right.lower:
        return "consistent"
    return "violated" if left.lower > right.upper else "inconclusive"


def discarded(detail_energy: float, lipschitz: Bracket) -> Bracket:
    """A term of the left side of Theorem 3: the energy that is discarded / Lipschitz constant^2."""
    if detail_energy == 0:
        return Bracket(0.0, 0.0)
    smallest, largest = (constant * constant for constant in (lipschitz.lower, lipschitz.upper))
    return Bracket(detail_energy / largest, detail_energy / smallest if smallest else inf)


def identity(error: float, tolerance: float) -> Verdict:
    """Whether an identity holds up to rounding; an error that is no number violates it."""
    return "holds" if error <= tolerance else "violated"


def every_step(num_true: int, num_steps: int) -> Verdict:
    """Whether something is so at every step: mixed steps, and none at all, decide nothing."""
    if num_true == num_steps > 0:
        return "consistent"
    return "violated" if num_steps > num_true == 0 else "inconclusive"
