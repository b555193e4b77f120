"""Where a result comes from: code, versions, device."""

import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch

from model.code_digest import code_digest


def new_segment(first_step: int, num_ranks: int, device: torch.device) -> dict[str, Any]:
    """What `train.json` records of one process that trains, from a step on; `measure` ends it."""
    is_cuda = device.type == "cuda"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if is_cuda else _cpu_name(),
        "ranks": num_ranks,
        "gpus": num_ranks if is_cuda else 0,
        "threads": torch.get_num_threads(),
        **git_state(),
        "code_digest": code_digest("model.training.loop", "model.network.families"),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),  # a class of its own, which no state may hold
            "numpy": numpy.__version__,
            "cuda": torch.version.cuda if is_cuda else None,
        },
        "first_step": first_step,
        "last_step": first_step,
        "seconds": 0.0,
        "peak_memory_bytes": 0,
    }


def totals(segments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the segments of a training add up to."""
    return {
        "started": segments[0]["started"],
        "resumes": len(segments) - 1,
        "wall_seconds": sum(segment["seconds"] for segment in segments),
        "gpu_hours": sum(segment["gpus"] * segment["seconds"] for segment in segments) / 3600,
        "peak_memory_bytes": max(segment["peak_memory_bytes"] for segment in segments),
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
