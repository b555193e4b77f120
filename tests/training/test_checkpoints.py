"""Resume state under damage, crashes and two owners."""

import logging
from pathlib import Path

import pytest
import torch

from model.training.checkpoints import Checkpoints, OwnershipLost


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "state")
    checkpoints.claim()
    return checkpoints


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": {"w": torch.full((3,), float(step))}}


def loaded_step(checkpoints: Checkpoints) -> int | None:
    loaded = checkpoints.load()
    return None if loaded is None else loaded["step"]


def test_the_two_newest_states_are_kept(checkpoints: Checkpoints) -> None:
    assert checkpoints.load() is None
    for step in (5, 10, 100):
        checkpoints.save(step, state(step))
    assert [p.name[:13] for p in sorted(checkpoints.directory.glob("*.pt"))] == [
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
    path = max(checkpoints.directory.glob("*.pt"))
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
    assert len(list(checkpoints.directory.glob("step*.pt"))) == 2
    assert len(list(checkpoints.directory.glob("*.damaged"))) == 1


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
    assert {p.suffix or p.name for p in checkpoints.directory.iterdir()} == {".pt", "owner"}


def test_the_last_to_claim_a_run_is_its_only_writer(checkpoints: Checkpoints) -> None:
    checkpoints.save(5, state(5))
    successor = Checkpoints(checkpoints.directory)
    successor.claim()
    with pytest.raises(OwnershipLost):
        checkpoints.save(6, state(6))
    assert loaded_step(successor) == 5
    successor.save(7, state(7))


def test_states_set_aside_are_kept(checkpoints: Checkpoints) -> None:
    for _ in range(2):
        checkpoints.save(5, state(5))
        assert loaded_step(checkpoints) == 5
        checkpoints.set_aside("old")
        assert checkpoints.load() is None
    parent = checkpoints.directory.parent
    assert (
        len(list(parent.glob("state-old/*.pt"))) == len(list(parent.glob("state-old-2/*.pt"))) == 1
    )
