"""What a cluster says to the jobs to come, which it is only shown."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def slurm_answers(profile: Path, config_file: Path, settings: Sequence[str]) -> list[str]:
    """A line for each distinct request: its jobs, what they ask for, and what SLURM says.

    `settings` are those of Snakemake's `--config`. One line says why if SLURM was not asked.
    """
    command = [
        *("snakemake", "--profile", str(profile), "--submitit-test-only"),
        *("--configfile", str(config_file), "--config", *settings),
    ]
    # Nothing is started: that finished work would be trained again need not be meant.
    asked = subprocess.run(
        [sys.executable, "-m", *command, "retrain=yes"], capture_output=True, text=True, check=False
    )
    if lines := asked.stdout.splitlines():
        return lines
    words = [line.strip() for line in asked.stderr.splitlines() if line.strip()]
    return [f"not asked: `{' '.join(command)}` ends with: {words[-1] if words else 'nothing'}"]
