"""Staging folders: what a killed writer leaves is removed, what a living one has is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.files import remove_abandoned, write_text

WRITER = """
import sys, time
from model.files import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def start_writing(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file."""
    command = [sys.executable, "-c", WRITER, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as out:
        assert out.readline() == "writing\n"
    return process


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*"))


def test_the_next_writer_removes_what_killed_ones_left(tmp_path: Path) -> None:
    living = start_writing(tmp_path / "living.txt")
    try:
        for name in ("a.txt", "b@c.txt"):
            killed = start_writing(tmp_path / name)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        assert len(hidden(tmp_path)) == 2  # the first one went when the second was written
        write_text(tmp_path / "d.txt", "whole")
        (left,) = hidden(tmp_path)
        assert left.startswith(".living.txt@")
    finally:
        living.terminate()
        living.wait()
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["d.txt"]


@pytest.mark.parametrize(("folder_age", "file_age", "stays"), [(0, 0, 1), (25, 23, 1), (25, 25, 0)])
def test_another_machines_staging_stays_for_a_day(
    tmp_path: Path, folder_age: int, file_age: int, stays: int
) -> None:
    staging = tmp_path / f".a.txt@elsewhere@{2**22 + 1}@abcdefgh"
    staging.mkdir()
    (staging / "a.txt").write_text("half")
    now = staging.stat().st_mtime
    for path, age in ((staging / "a.txt", file_age), (staging, folder_age)):
        os.utime(path, (now - 3600 * age, now - 3600 * age))
    remove_abandoned(tmp_path)
    assert len(hidden(tmp_path)) == stays


def test_a_users_hidden_folders_are_no_staging(tmp_path: Path) -> None:
    for name in (".snakemake", ".mine@home@today@x", ".a.txt@home"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    write_text(tmp_path / "a.txt", "whole")
    assert hidden(tmp_path) == [".a.txt@home", ".mine@home@today@x", ".snakemake"]
