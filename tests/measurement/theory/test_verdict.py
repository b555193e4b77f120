"""What brackets decide."""

from math import inf, nan

import pytest

from model.measurement.theory.verdict import (
    Bracket,
    Verdict,
    at_most,
    discarded,
    every_step,
    identity,
)


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        (Bracket(0, 1), Bracket(1, 2), "consistent"),
        (Bracket(3, 4), Bracket(1, 2), "violated"),
        (Bracket(0, 1.5), Bracket(1, 2), "inconclusive"),
        (Bracket(1.5, 9), Bracket(1, 2), "inconclusive"),
        (Bracket(2, 2), Bracket(1, 2), "inconclusive"),
        (Bracket(0, inf), Bracket(1, 2), "inconclusive"),
        (Bracket(nan, nan), Bracket(1, 2), "inconclusive"),
        (Bracket(0, 1), Bracket(nan, nan), "inconclusive"),
    ],
)
def test_an_inequality_is_decided_only_outside_of_the_overlap(
    left: Bracket, right: Bracket, verdict: Verdict
) -> None:
    assert at_most(left, right) == verdict


def test_a_term_is_bracketed_by_the_constants() -> None:
    assert discarded(3.0, Bracket(2.0, 10.0)) == Bracket(3 / 100, 3 / 4)
    assert discarded(3.0, Bracket(0.0, inf)) == Bracket(0.0, inf)
    assert discarded(0.0, Bracket(0.0, 1.0)) == Bracket(0.0, 0.0)  # nothing to discard
    assert Bracket(1, 2) + Bracket(3, 5) == Bracket(4, 7)


@pytest.mark.parametrize(
    ("error", "verdict"), [(1e-15, "holds"), (1.0, "violated"), (nan, "violated")]
)
def test_an_identity_holds_up_to_rounding(error: float, verdict: Verdict) -> None:
    assert identity(error, 1e-14) == verdict


def test_steps_are_consistent_if_all_are() -> None:
    found = [every_step(n, of) for n, of in [(3, 3), (1, 3), (0, 3), (0, 0)]]
    assert found == ["consistent", "inconclusive", "violated", "inconclusive"]
