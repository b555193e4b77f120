"""The digest of a user's own files: of names and contents, not of places and times."""

import os
from pathlib import Path

import pytest

from model.data.images_config import OwnImages
from model.data.raw_digest import own_files_sha256


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw/cats"
    for name in ("train/a.png", "train/b.png", "test/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def digest(raw: Path) -> str | None:
    return own_files_sha256(raw.parents[1], raw.name, OwnImages())


def test_a_change_of_content_or_name_is_another_digest(raw: Path) -> None:
    found = {digest(raw)}
    (raw / "train/b.png").write_bytes(b"other")
    found.add(digest(raw))
    (raw / "train/b.png").rename(raw / "train/c.png")
    found.add(digest(raw))
    (raw / "train/c.png").rename(raw / "test/c.png")
    found.add(digest(raw))
    (raw / "test/c.png").unlink()
    found.add(digest(raw))
    assert len(found) == 5


def test_a_change_that_keeps_the_size_is_seen_by_its_time(raw: Path) -> None:
    before = digest(raw)
    (raw / "train/b.png").write_bytes(b"TRAIN/b.png")
    os.utime(raw / "train/b.png", (1, 1))
    assert digest(raw) != before


def test_times_places_and_hidden_files_say_nothing(raw: Path, tmp_path: Path) -> None:
    before = digest(raw)
    os.utime(raw / "train/a.png", (1, 1))
    (raw / ".DS_Store").write_bytes(b"x")
    (raw / ".git").mkdir()
    (raw / ".git/HEAD").write_bytes(b"x")
    assert digest(raw) == before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/raw").symlink_to(raw.parent)
    assert own_files_sha256(tmp_path / "elsewhere", "cats", OwnImages()) == before


def test_links_are_followed_without_loops(raw: Path, tmp_path: Path) -> None:
    before = digest(raw)
    (tmp_path / "more").mkdir()
    (raw / "train/more").symlink_to(tmp_path / "more")
    (raw / "train/loop").symlink_to(raw)
    assert digest(raw) == before
    (tmp_path / "more/d.png").write_bytes(b"d")
    assert digest(raw) != before


def test_contents_are_read_once(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(raw)

    def read(_: Path) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr("model.data.raw_digest.sha256_of", read)
    assert digest(raw) == before
    (raw / "train/b.png").write_bytes(b"longer than before")
    with pytest.raises(AssertionError, match="read again"):
        digest(raw)


@pytest.mark.parametrize("record", [b"", b"\xff", b"[]", b"{}", b'{"listing": 1}'])
def test_a_damaged_record_is_made_again(raw: Path, record: bytes) -> None:
    before = digest(raw)
    (raw.parents[1] / "cats/raw_digest.json").write_bytes(record)
    assert digest(raw) == before


def test_no_files_no_digest(tmp_path: Path) -> None:
    assert own_files_sha256(tmp_path, "cats", OwnImages()) is None
    (tmp_path / "raw/cats").mkdir(parents=True)
    assert own_files_sha256(tmp_path, "cats", OwnImages()) is None
