"""The executor's ledger: which jobs it has in a cluster, as its file says."""

import json
from pathlib import Path


def ledger_jobs(ledger: Path) -> dict[str, str]:
    """The ids of the jobs that a ledger of the executor has, and the head of each: `host.pid`.

    Of each, the last line counts; "" is a head that is not known.
    """
    jobs: dict[str, tuple[str, str] | None] = {}
    for line in ledger.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            is_there = "job_id" in entry and not entry.get("cancelled")
            job = (str(entry["job_id"]), str(entry.get("head", ""))) if is_there else None
            jobs[entry["key"]] = job
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # the line that is being written
    return dict(job for job in jobs.values() if job is not None)
