"""Why a job failed, in words for the one who has to act."""

import re
from collections.abc import Iterable
from pathlib import Path

from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.status import Death

# As slurmstepd says it; a rule may run out of a GPU's memory, which is another matter.
OUT_OF_MEMORY = re.compile(r"oom[-_ ]kill|exceeded (job|step) memory limit", re.I)
EXIT_CODE = re.compile(r"non-zero exit (?:status|code) (\d+)")
NOISE = ("submitit ", "srun:", "slurmstepd-")
TAIL_LINES = 20


def reason(outcome: Outcome | None, death: Death, job_log: Path) -> str:
    """What ended a job: what it says itself, what SLURM says, what its log says."""
    text = _end_of(job_log)
    if death.state.startswith("OUT_OF_MEMORY") or OUT_OF_MEMORY.search(text):
        return "out of memory: raise its mem_mb"
    if outcome is not None:
        exit_codes = EXIT_CODE.findall(text)
        return outcome.detail or f"exit code {exit_codes[-1] if exit_codes else outcome.exit_code}"
    if death.state == "TIMEOUT":
        return "time limit: raise its runtime (only a job that catches SIGUSR2 is resumed)"
    at = f" on {death.node}" if death.node else ""
    if death.state == "UNKNOWN":
        return "it left no result, and SLURM does not remember it"
    code = f", exit code {death.exit_code}" if death.exit_code not in ("", "0:0") else ""
    return f"SLURM says {death.state}{code}{at}"


def log_tail(rule_logs: Iterable[str], job_log: Path) -> list[str]:
    """The end of the rule's own log, or of all the job wrote if the rule has none."""
    for path in [*map(Path, rule_logs), job_log]:
        lines = [line for line in _end_of(path).splitlines() if not line.startswith(NOISE)]
        if lines := lines[-TAIL_LINES:]:
            return [f"the end of {path}:", *(f"  {line}" for line in lines)]
    return []


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
