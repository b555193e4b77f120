"""Whether a SLURM cluster is configured on this machine: its programs alone do not mean that."""

import shutil
import subprocess

ASK_S = 60
_SAYS_SO = "Could not establish a configuration source"


def says_no_cluster(answer: str) -> bool:
    """Whether a program of SLURM ended because it knows of no cluster."""
    return _SAYS_SO in answer


def has_cluster() -> bool:
    """Whether jobs can be submitted here, to a controller that answers or not."""
    if shutil.which("sbatch") is None or shutil.which("scontrol") is None:
        return False
    try:
        ping = ["scontrol", "ping"]
        asked = subprocess.run(ping, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return not says_no_cluster(asked.stderr)
