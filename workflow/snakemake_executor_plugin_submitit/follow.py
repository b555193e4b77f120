"""Shows what a job writes, as it writes it.

    python -m snakemake_executor_plugin_submitit.follow [JOB]

in the folder where snakemake was started. JOB is an id, or a part of the job's name
(train/mnist/r5). Without it, lists the jobs, with their states as the cluster has them now; if it
does not answer, as a head saw them last, and when that was.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from snakemake_executor_plugin_submitit import local_jobs, slurm, table


def matching(rows: list[table.Row], wanted: str) -> list[table.Row]:
    """The jobs with this id or name; if there is none, those whose name has it as a part."""
    exact = [row for row in rows if wanted in (row.job, row.name)]
    return exact or [row for row in rows if wanted in row.name]


def listing(rows: list[table.Row]) -> str:
    """A line for each job, those that run first."""
    ordered = sorted(rows, key=lambda row: (row.state != "RUNNING", row.name))
    return "\n".join(f"{row.job:>12}  {row.state:<10}  {row.name}" for row in ordered)


def present(folder: Path, rows: list[table.Row]) -> list[table.Row]:
    """Jobs of the cluster with this folder, as they are now; raises QueryError."""
    if folder.name == "slurm":
        states = slurm.queued_states()
    else:
        states = local_jobs.running_states([row.job for row in rows])
    # What the queue does not have any more has ended, which its head is about to notice.
    now = {job: state.state for job, state in states.items()}
    return [replace(row, state=now.get(row.job, "ENDED")) for row in rows]


def main() -> None:
    """The command."""
    folders = list(Path(".snakemake/submitit").glob("*"))
    rows = [row for folder in folders for row, _ in table.read(folder)]
    if not rows:
        sys.exit("follow: no jobs here: run it where snakemake was started, while jobs run")
    if len(sys.argv) < 2:
        print(_list(folders, rows))
        return
    found = matching(rows, sys.argv[1])
    if len(found) != 1:
        what = f"{len(found)} jobs are called" if found else "no job is called"
        sys.exit(f"follow: {what} {sys.argv[1]}; there are\n{_list(folders, found or rows)}")
    files = [file for file in (found[0].log, found[0].output) if file]
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])


def _list(folders: list[Path], wanted: list[table.Row]) -> str:
    """A listing of those jobs; where a cluster does not say how they are, how old that is."""
    shown, notes = [], []
    for folder in folders:
        seen = [(row, when) for row, when in table.read(folder) if row in wanted]
        rows = [row for row, _ in seen]
        if not rows:
            continue
        try:
            shown += present(folder, rows)
        except slurm.QueryError as error:
            shown += rows
            age = max(0.0, time.time() - min(when for _, when in seen))
            reason = " ".join(str(error).split())
            notes.append(f"as their heads saw them up to {age:.0f} s ago, since: {reason}")
    return "\n".join([listing(shown), *notes])


if __name__ == "__main__":
    main()
