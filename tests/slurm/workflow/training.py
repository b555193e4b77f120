"""A miniature training: ten steps a second, saved on signals, resumed by the same command.

The result is a chain of hashes, which shows whether a step was skipped or done twice.
"""

import argparse
import hashlib
import os
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("state", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--seconds", type=float)
parser.add_argument("--save-every", type=float, default=5.0)
options = parser.parse_args()

stop: list[int] = []
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
    signal.signal(number, lambda n, frame: stop.append(n))

options.state.mkdir(parents=True, exist_ok=True)
state_file = options.state / "state"
step, value = 0, ""
if state_file.exists():
    step_text, value = state_file.read_text().split()
    step = int(step_text)


def record(event: str) -> None:
    """Write what happened, and when, for the tests to read."""
    with (options.state / "events").open("a") as file:
        file.write(f"{time.time():.2f} {event} {step} {os.environ.get('SLURM_JOB_ID')}\n")


def save() -> None:
    """Write the state atomically."""
    new = state_file.with_suffix(".new")
    new.write_text(f"{step} {value}")
    new.replace(state_file)


record("start")
saved = time.monotonic()
while step < 10 * options.seconds and not stop:
    time.sleep(0.1)
    value = hashlib.sha256(f"{step} {value}".encode()).hexdigest()
    step += 1
    if time.monotonic() - saved > options.save_every:
        save()
        saved = time.monotonic()
save()
if stop:
    record("stop")
    sys.exit(128 + stop[0])
record("end")
print(f"finished at step {step}")
options.output.write_text(f"{step} {value}\n")
