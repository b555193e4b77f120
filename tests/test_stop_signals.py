"""A command that is told to stop ends without a traceback, from its first line on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.stop_signals import STOP_SIGNALS, ending_quietly

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
    (tmp_path / "sitecustomize.py").write_text(
        SITE.format(module=COMMANDS[command], number=int(number))
    )
    path = os.pathsep.join(map(str, [tmp_path, ROOT, ROOT / "workflow"]))
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr


def test_a_block_is_unwound_and_the_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    unwound = []

    def stopped(number: signal.Signals) -> None:
        with ending_quietly():
            try:
                signal.raise_signal(number)
            finally:
                unwound.append(number)

    for number in STOP_SIGNALS:
        with pytest.raises(SystemExit) as end:
            stopped(number)
        assert end.value.code == 128 + number
    assert tuple(unwound) == STOP_SIGNALS
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
