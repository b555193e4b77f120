"""Shows what a job writes, as it writes it.

    python -m snakemake_executor_plugin_submitit.follow [JOB]

in the folder where snakemake was started. JOB is an id, or a part of the job's name
(train/mnist/r5). Without it, lists the jobs.
"""

import os
import sys
from pathlib import Path

from snakemake_executor_plugin_submitit import table


def matching(rows: list[table.Row], wanted: str) -> list[table.Row]:
    """The jobs with this id or name; if there is none, those whose name has it as a part."""
    exact = [row for row in rows if wanted in (row.job, row.name)]
    return exact or [row for row in rows if wanted in row.name]


def listing(rows: list[table.Row]) -> str:
    """A line for each job, those that run first."""
    ordered = sorted(rows, key=lambda row: (row.state != "RUNNING", row.name))
    return "\n".join(f"{row.job:>12}  {row.state:<10}  {row.name}" for row in ordered)


def main() -> None:
    """The command."""
    rows = table.read(Path(".snakemake/submitit").glob("*"))
    if not rows:
        sys.exit("follow: no jobs here: run it where snakemake was started, while jobs run")
    if len(sys.argv) < 2:
        print(listing(rows))
        return
    found = matching(rows, sys.argv[1])
    if len(found) != 1:
        what = f"{len(found)} jobs are called" if found else "no job is called"
        sys.exit(f"follow: {what} {sys.argv[1]}; there are\n{listing(found or rows)}")
    files = [file for file in (found[0].log, found[0].output) if file]
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])


if __name__ == "__main__":
    main()
