"""A command that is told to stop ends without a traceback, from its first line on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.stop_signals import END_SIGNALS, STOP_SIGNALS, ending_quietly

ROOT = Path(__file__).parents[1]
# Raises the signal when the module is asked for: in the middle of the imports, as Ctrl-C may come.
SITE = """\
import signal, sys

class AtImport:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal({number})

sys.meta_path.insert(0, AtImport())
"""
COMMANDS = {
    "model.train": "torch",
    "model.measure": "torch",
    "model.evaluate": "torch",
    "model.probe": "torch",
    "model.sample": "torch",
    "model.refine": "torch",
    "model.data": "numpy",
    "study status": "study.status",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", COMMANDS)
def test_while_it_imports(command: str, number: signal.Signals, tmp_path: Path) -> None:
    done = signalled(command, number, tmp_path)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_but_a_training_catches_what_asks_to_save(command: str, tmp_path: Path) -> None:
    """The executor would start such a job again at each time limit, for nothing."""
    assert signalled(command, signal.SIGUSR2, tmp_path).returncode == -signal.SIGUSR2
    before = signal.getsignal(signal.SIGUSR2)
    with ending_quietly():
        assert signal.getsignal(signal.SIGUSR2) == before


def signalled(
    command: str, number: signal.Signals, tmp_path: Path
) -> "subprocess.CompletedProcess[str]":
    """What a command does that gets a signal in the middle of its imports."""
    (tmp_path / "sitecustomize.py").write_text(
        SITE.format(module=COMMANDS[command], number=int(number))
    )
    path = os.pathsep.join(map(str, [tmp_path, ROOT, ROOT / "workflow"]))
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_block_is_unwound_and_the_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    unwound = []

    def stopped(number: signal.Signals) -> None:
        with ending_quietly():
            try:
                signal.raise_signal(number)
            finally:
                unwound.append(number)

    for number in END_SIGNALS:
        with pytest.raises(SystemExit) as end:
            stopped(number)
        assert end.value.code == 128 + number
    assert tuple(unwound) == END_SIGNALS
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
