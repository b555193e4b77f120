"""Whom a head that is stopped tells to end."""

import logging
import shutil
import signal
import subprocess
from pathlib import Path

from study.head.stop import Stop


def test_what_a_training_writes_to_while_it_saves_is_left_to_it(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    shutil.copy(sleep, tmp_path / "wandb-core")
    training = subprocess.Popen([sleep, "60"])
    writer = subprocess.Popen([tmp_path / "wandb-core", "60"])
    try:
        Stop(logging.getLogger("test_stop"))._tell_children()
        assert training.wait(timeout=20) == -signal.SIGINT
        assert writer.poll() is None
    finally:
        for process in (training, writer):
            process.kill()
            process.wait()
