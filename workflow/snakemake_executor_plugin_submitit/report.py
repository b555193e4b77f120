"""Why a job failed, in words for the person who has to act."""

import re
from collections.abc import Iterable
from pathlib import Path

from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import Ending

# As slurmstepd says it; a rule may run out of a GPU's memory, which is another matter.
OUT_OF_MEMORY = re.compile(r"oom[-_ ]kill|exceeded (job|step) memory limit", re.I)
SETUP = "its setup failed"
SETUP_FAILED = re.compile(r"^setup failed, (exit code \d+: .*)$", re.M)  # as its shell says it
CANNOT_OPEN = "0:53"  # the code and signal of a job whose node cannot open its log
EXIT_CODE = re.compile(r"non-zero exit (?:status|code) (\d+)")
NOISE = ("submitit ", "srun:", "slurmstepd-")
TAIL_LINES = 20
TAIL_BYTES = 20_000


def reason(outcome: Outcome | None, ending: Ending, log_end: str) -> str:
    """What ended a job: what it says itself, what SLURM says, what the end of its log says."""
    if ending.state.startswith("OUT_OF_MEMORY") or OUT_OF_MEMORY.search(log_end):
        return "out of memory: raise its mem_mb"
    if outcome is None and (failures := SETUP_FAILED.findall(log_end)):
        return f"{SETUP}, {failures[-1]}"
    if outcome is not None:
        exit_codes = EXIT_CODE.findall(log_end)
        return outcome.detail or f"exit code {exit_codes[-1] if exit_codes else outcome.exit_code}"
    if ending.state == "TIMEOUT":
        return "time limit: raise its runtime (only a job that catches SIGUSR2 is resumed)"
    if ending.state == "GONE":
        return "its process ended without leaving a result"
    if ending.state == "UNKNOWN":
        return "it left no result, and SLURM does not remember it"
    code = f", exit code {ending.exit_code}" if ending.exit_code not in ("", "0:0") else ""
    at = f" on {ending.node}" if ending.node else ""
    if ending.exit_code == CANNOT_OPEN:
        return (
            f"it could not write to {Path.cwd()}{at}: put the project on a disk that the "
            "nodes share, with room on it (SLURM says exit code 0:53)"
        )
    return f"SLURM says {ending.state}{code}{at}"


def says_why(log_end: str) -> bool:
    """Whether the end of a log explains an end that SLURM cannot."""
    return bool(OUT_OF_MEMORY.search(log_end) or SETUP_FAILED.search(log_end))


def log_tail(rule_logs: Iterable[str], job_log: Path) -> list[str]:
    """The end of the rule's own log, or of all the job wrote if the rule has none."""
    for path in [*map(Path, rule_logs), job_log]:
        lines = [line for line in end_of(path).splitlines() if not line.startswith(NOISE)]
        if lines := lines[-TAIL_LINES:]:
            return [f"the end of {path}:", *(f"  {line}" for line in lines)]
    return []


def end_of(path: Path) -> str:
    """The last part of a file; empty if it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
