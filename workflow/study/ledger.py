"""The executor's ledger: which jobs it has in a cluster, as its file says."""

import json
from pathlib import Path


def ledger_jobs(ledger: Path) -> set[str]:
    """The ids of the jobs that a ledger of the executor has: of each, the last line counts."""
    jobs: dict[str, str | None] = {}
    for line in ledger.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            is_there = "job_id" in entry and not entry.get("cancelled")
            jobs[entry["key"]] = str(entry["job_id"]) if is_there else None
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # the line that is being written
    return {job for job in jobs.values() if job is not None}
