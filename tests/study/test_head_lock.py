"""One head per study: who counts as alive, on this machine and on others."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study.head import lock as lock_module
from study.head import orphans
from study.head.guard import guard
from study.head.lock import HeadLives, HeadLock
from study.head.process import Machine, start_of, uptime_s

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'workflow'}"}
HOLDER = """
import sys, time, pathlib
from study.head.lock import HeadLock, HeadLives
try:
    HeadLock(pathlib.Path(sys.argv[1]), "tiny").take(on_loss=lambda: None)
except HeadLives:
    print("kept out", flush=True)
else:
    print("taken", flush=True)
    time.sleep(60)
"""


def start_holder(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, str(folder)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def take(folder: Path) -> HeadLock:
    lock = HeadLock(folder, "tiny")
    lock.take(on_loss=lambda: None)
    return lock


def left_behind(folder: Path, age_s: float = 0, **changes: Any) -> None:
    """A lock file that an earlier head left, `age_s` after its last heartbeat."""
    lock = take(folder)
    lock._ended.set()  # no more heartbeats
    fields = json.loads(lock.path.read_text())
    machine = {**fields["machine"], **changes.pop("machine", {})}
    lock.path.write_text(json.dumps({**fields, "machine": machine, **changes}))
    then = time.time() - age_s
    os.utime(lock.path, (then, then))


def test_a_living_head_keeps_a_second_out_and_a_killed_one_does_not(tmp_path: Path) -> None:
    with start_holder(tmp_path) as first:
        assert said(first) == "taken"
        with pytest.raises(HeadLives, match=f"process {first.pid}, since 20.*kill -INT") as error:
            take(tmp_path)
        assert "\n" not in str(error.value)
        HeadLock(tmp_path, "demo").take(on_loss=lambda: None)  # another study
        first.kill()
        while start_of(first.pid):
            time.sleep(0.01)
        lock = take(tmp_path)  # although nobody has waited for the dead process yet
    lock.release()
    assert not lock.path.exists()


def test_a_process_number_that_is_used_again_is_another_process(tmp_path: Path) -> None:
    left_behind(tmp_path, pid=os.getpid(), start="1")
    take(tmp_path).release()


def test_a_lock_from_before_the_last_boot_is_dead(tmp_path: Path) -> None:
    left_behind(tmp_path, age_s=uptime_s() + 60, machine={"boot": "another"})
    take(tmp_path).release()
    # A heartbeat since this machine has started: two machines have the same name.
    left_behind(tmp_path, machine={"boot": "another"})
    with pytest.raises(HeadLives):
        take(tmp_path)


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"namespace": "pid:[1]"}])
def test_another_machine_or_container_lives_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    monkeypatch.setattr("time.strftime", lambda *_: "then")
    left_behind(tmp_path, age_s=200, machine=other)
    with pytest.raises(HeadLives, match=r"\(last sign of life 200 s ago\).*5 minutes of silence"):
        take(tmp_path)
    left_behind_path = tmp_path / "tiny.json"
    left_behind_path.unlink()
    left_behind(tmp_path, age_s=301, machine=other)
    take(tmp_path).release()


def test_a_clock_that_is_wrong_here_kills_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, machine={"host": "elsewhere"})
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 3600)
    with pytest.raises(HeadLives):
        take(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"study": "tiny"}'])
def test_a_damaged_lock_counts_for_five_minutes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny.json"
    path.write_bytes(content)
    with pytest.raises(HeadLives, match="an unknown machine"):
        take(tmp_path)
    os.utime(path, (0, 0))
    take(tmp_path).release()


def test_of_several_that_find_a_dead_lock_one_takes_it(tmp_path: Path) -> None:
    left_behind(tmp_path, start="1")
    processes = [start_holder(tmp_path) for _ in range(6)]
    assert sorted(map(said, processes)) == ["kept out"] * 5 + ["taken"]
    for process in processes:
        process.kill()
        process.communicate()


def test_the_heartbeat_goes_on_and_notices_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.02)
    lost = threading.Event()
    lock = HeadLock(tmp_path, "tiny")
    lock.take(on_loss=lost.set)
    os.utime(lock.path, (0, 0))
    deadline = time.monotonic() + 10
    while lock.path.stat().st_mtime == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lock.path.unlink()  # somebody tidies up: it comes back
    while not lock.path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not lost.is_set()
    fields = json.loads(lock.path.read_text())
    lock.path.write_text(json.dumps({**fields, "token": "another's"}))
    assert lost.wait(10)
    lock.release()
    assert lock.path.exists()  # it is not ours any more


def test_others_are_the_heads_of_other_studies(tmp_path: Path) -> None:
    left_behind(tmp_path, start="1")
    here = HeadLock(tmp_path, "demo")
    here.take(on_loss=lambda: None)
    third = HeadLock(tmp_path, "mnist")
    third.take(on_loss=lambda: None)
    assert {name: lives for name, (_, lives) in third.others().items()} == {
        "tiny": False,
        "demo": True,
    }


def test_orphans_of_this_lock_are_ended_and_nobody_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print('on', flush=True); time.sleep(60)"]
    paths = [tmp_path / "tiny.json", tmp_path / "demo.json"]
    ours, others = (
        subprocess.Popen(
            command, env={**os.environ, orphans.MARK: str(path)}, stdout=subprocess.PIPE, text=True
        )
        for path in paths
    )
    with ours, others:
        assert said(ours) == said(others) == "on"
        ours.send_signal(signal.SIGSTOP)  # suspended, as its head was
        assert orphans.end_orphans(paths[0]) == (1, [])
        assert start_of(ours.pid) == ""
        assert others.poll() is None
        others.kill()


def test_an_unknown_snakemake_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    workflow = SimpleNamespace(exec_mode=SimpleNamespace(name="DEFAULT"))
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        guard(workflow, "tiny", SimpleNamespace(), SimpleNamespace(), str, ())  # type: ignore[arg-type]
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "type `snakemake --unlock` and then the same command" in capsys.readouterr().err


def test_machine_is_the_same_each_time() -> None:
    assert Machine.this() == Machine.this()
