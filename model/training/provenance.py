"""Where a result comes from: code, versions, device."""

import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy
import torch


def describe(device: torch.device) -> dict[str, Any]:
    """Git commit, versions, host and device, as `train.json` records them."""
    is_cuda = device.type == "cuda"
    return {
        **git_state(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "cuda": torch.version.cuda if is_cuda else None,
        },
        "device": torch.cuda.get_device_name(device) if is_cuda else _cpu_name(),
        "host": socket.gethostname(),
        "threads": torch.get_num_threads(),
    }


def git_state() -> dict[str, Any]:
    """The commit of the checkout this file lies in, and whether tracked files differ from it."""

    def git(*arguments: str) -> str | None:
        try:
            return subprocess.run(
                ["git", "-C", str(Path(__file__).parent), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {
        "git_commit": git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory so far: allocated on the GPU, or resident of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not ru_maxrss: that begins with the memory of whoever started this process.
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "CPU")
