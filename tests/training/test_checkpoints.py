"""Resume state under damage, crashes and two owners."""

import logging
from pathlib import Path

import pytest
import torch

from model.training.checkpoints import Checkpoints, OwnershipLost


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "state", "identity")
    checkpoints.claim()
    return checkpoints


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": {"w": torch.full((3,), float(step))}}


def loaded_step(checkpoints: Checkpoints, max_step: int = 1000) -> int | None:
    loaded = checkpoints.load(max_step)
    return None if loaded is None else loaded["step"]


def test_the_two_newest_states_are_kept(checkpoints: Checkpoints) -> None:
    assert loaded_step(checkpoints) is None
    for step in (5, 10, 100):
        checkpoints.save(step, state(step))
    assert [p.name[:13] for p in sorted(checkpoints.states.glob("*.pt"))] == [
        "step000000010",
        "step000000100",
    ]
    assert loaded_step(checkpoints) == 100


@pytest.mark.parametrize("damage", ["truncated", "one byte", "empty"])
def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(
    checkpoints: Checkpoints, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.save(5, state(5))
    checkpoints.save(10, state(10))
    path = max(checkpoints.states.glob("*.pt"))
    content = bytearray(path.read_bytes())
    if damage == "one byte":
        content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": content[:-7], "empty": b""}.get(damage, content))
    with caplog.at_level(logging.WARNING):
        assert loaded_step(checkpoints) == 5
    assert path.name in caplog.text
    assert "damaged" in caplog.text
    # The good state survives the next save, and the damaged one is kept for who wants to look.
    checkpoints.save(7, state(7))
    assert loaded_step(checkpoints) == 7
    assert len(list(checkpoints.states.glob("step*.pt"))) == 2
    assert len(list(checkpoints.states.glob("*.damaged"))) == 1


def test_a_failed_write_leaves_the_state_before(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(5, state(5))

    def disk_full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(10, state(10))
    assert loaded_step(checkpoints) == 5
    assert [p.suffix for p in checkpoints.states.iterdir()] == [".pt"]


def test_the_last_to_claim_a_run_is_its_only_writer(checkpoints: Checkpoints) -> None:
    checkpoints.save(5, state(5))
    successor = Checkpoints(checkpoints.directory, "identity")
    successor.claim()
    with pytest.raises(OwnershipLost):
        checkpoints.save(6, state(6))
    assert loaded_step(successor) == 5
    successor.save(7, state(7))


def test_the_states_of_another_identity_wait_where_they_are(checkpoints: Checkpoints) -> None:
    checkpoints.save(5, state(5))
    changed = Checkpoints(checkpoints.directory, "changed")
    changed.claim()
    assert loaded_step(changed) is None
    for step in (10, 20, 30):
        changed.save(step, state(step))
    back = Checkpoints(checkpoints.directory, "identity")
    assert loaded_step(back) == 5


def test_an_end_is_kept_for_who_comes_back_to_that_length(checkpoints: Checkpoints) -> None:
    checkpoints.save(10, state(10))
    checkpoints.save(20, state(20), is_end=True)
    for step in (30, 40, 50):
        checkpoints.save(step, state(step))
    assert loaded_step(checkpoints) == 50
    assert loaded_step(checkpoints, max_step=20) == 20
    # One that only passed the last step lacks the validation at the end.
    assert loaded_step(checkpoints, max_step=50) == 40
    assert loaded_step(checkpoints, max_step=15) is None


def test_a_shorter_training_leaves_the_states_of_a_longer_one(checkpoints: Checkpoints) -> None:
    for step in (90, 100):
        checkpoints.save(step, state(step))
    for step in (10, 20, 30):
        checkpoints.save(step, state(step))
    checkpoints.save(40, state(40), is_end=True)
    assert loaded_step(checkpoints) == 100
    assert loaded_step(checkpoints, max_step=40) == 40
    assert sorted(int(p.name[4:13]) for p in checkpoints.states.glob("*.pt")) == [30, 40, 90, 100]


def test_a_state_of_other_settings_is_left_and_told(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a default that was changed in the code, which no hash has in it."""
    checkpoints.save(5, state(5))
    checkpoints.save(10, state(10))
    found = checkpoints.load(1000, lambda s: "skip was last" if s["step"] == 10 else None)
    assert found is not None
    assert found["step"] == 5
    assert "skip was last" in caplog.text
    assert len(list(checkpoints.states.glob("*.pt"))) == 2
