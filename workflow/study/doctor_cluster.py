"""What does not fit between a checkout and its cluster: jobs, and the profile."""

import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from model.validation import nearest
from study.doctor_findings import Finding, NotChecked
from study.ledger import ledger_jobs
from study.profile import Profile
from study.slurm_client import ASK_S, says_no_cluster

ON_SLURM = "snakemake --profile slurm"
ON_THIS_MACHINE = "snakemake --executor submitit --submitit-cluster local --cores 2 --jobs 2"
RULES = ("train", "evaluate", "measure")  # those whose jobs take time


@dataclass(frozen=True)
class Partition:
    """A partition as sinfo shows it."""

    name: str
    seconds: float | None  # the longest time limit; None: unlimited
    has_gpus: bool
    is_default: bool


def lost_jobs(
    project: Path, living: Collection[str], commands: Mapping[str, str]
) -> Iterator[Finding]:
    """Jobs that the executor's ledgers think alive, and that are not; raises NotChecked.

    But for those of `living` heads, which are about to notice. `commands` has what the others
    were started with, as far as that is known.
    """
    has_others = False
    for ledger in sorted((project / ".snakemake/submitit").glob("*/ledger.jsonl")):
        jobs = ledger_jobs(ledger)
        # A job of nobody known may be that of any head that lives.
        left = {job: h for job, h in jobs.items() if h not in living and (h or not living)}
        has_others |= len(left) < len(jobs)
        if not left:
            continue
        is_slurm = ledger.parent.name == "slurm"
        alive = _queued() if is_slurm else _processes()
        for head in sorted({head for job, head in left.items() if job not in alive}):
            gone = sorted(job for job, its in left.items() if its == head and job not in alive)
            more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
            yield Finding(
                f"{ledger} has jobs that are not there any more: {', '.join(gone[:5])}{more}",
                commands.get(head) or (ON_SLURM if is_slurm else ON_THIS_MACHINE),
            )
    if has_others:
        raise NotChecked("a snakemake is looking after the other jobs")


def jobs_of(project: Path, head: str) -> list[str]:
    """The jobs that the ledgers have of a head."""
    ledgers = sorted((project / ".snakemake/submitit").glob("*/ledger.jsonl"))
    return [job for ledger in ledgers for job, its in ledger_jobs(ledger).items() if its == head]


def misfits(profile: Path | None, default: Path) -> Iterator[Finding]:
    """What a profile asks for that the cluster's partitions do not have; raises NotChecked."""
    directory = profile or default
    if profile is None and not (default / "config.yaml").is_file():
        raise NotChecked(f"there is no profile {default}")
    loaded = Profile.load(directory)
    partitions = _partitions()
    for rule in RULES:
        asked = loaded.resource(rule, "slurm_partition") or loaded.content.get("submitit-partition")
        names = (
            str(asked).split(",") if asked else [p for p, x in partitions.items() if x.is_default]
        )
        yield from _misfits(loaded, rule, names, partitions)


def _misfits(
    profile: Profile, rule: str, names: list[str], partitions: Mapping[str, Partition]
) -> Iterator[Finding]:
    known, edit = ", ".join(partitions), f"$EDITOR {profile.path}"
    if not names:
        yield Finding(
            f"{profile.path}: no submitit-partition, and the cluster has no default one; there "
            f"are {known}",
            edit,
        )
        return
    for name in names:
        if name not in partitions:
            hint = nearest(name, partitions)
            yield Finding(f"{profile.path}: no partition {name!r}{hint}; there are {known}", edit)
            continue
        partition, seconds = partitions[name], profile.seconds_of(rule)
        if seconds and partition.seconds is not None and seconds > partition.seconds:
            yield Finding(
                f"{profile.path}: the runtime of {rule}, {seconds / 60:,.0f} minutes, is longer "
                f"than partition {name} allows: {partition.seconds / 60:,.0f}",
                edit,
            )
        # A training asks for its GPUs by itself.
        wants_gpus = rule == "train" or bool(profile.resource(rule, "gpu"))
        if wants_gpus and not partition.has_gpus:
            yield Finding(
                f"{profile.path}: {rule} needs a GPU, and partition {name} has none", edit
            )


def _partitions() -> dict[str, Partition]:
    """The cluster's partitions by name; raises NotChecked."""
    found: dict[str, Partition] = {}
    for line in _ask("sinfo", "--noheader", "--format=%P|%l|%G").splitlines():
        marked, limit, gres = (part.strip() for part in line.split("|", 2))
        name = marked.removesuffix("*")
        before = found.get(name)
        has_gpus = "gpu" in gres or (before is not None and before.has_gpus)  # a line per gres
        found[name] = Partition(name, _seconds(limit), has_gpus, marked.endswith("*"))
    return found


def _seconds(limit: str) -> float | None:
    """Seconds of SLURM's days-hours:minutes:seconds, or minutes:seconds; None: no limit."""
    days, _, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdecimal() for part in parts):  # infinite, n/a
        return None
    hours, minutes, seconds = [0, 0, 0, *map(int, parts)][-3:]
    return 86400 * int(days or 0) + 3600 * hours + 60 * minutes + seconds


def _queued() -> set[str]:
    """The ids of this user's jobs that wait, run or end; raises NotChecked."""
    answer = _ask("squeue", "--me", "--array", "--noheader", "--format=%i")
    return {line.strip() for line in answer.splitlines()}


def _processes() -> set[str]:
    """The jobs of `--submitit-cluster local`, which are processes of this machine."""
    return set(map(str, psutil.pids()))


def _ask(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise NotChecked(f"{command[0]} is not on PATH: run this on a node of the cluster")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotChecked(f"{command[0]}: {error}") from None
    if answer.returncode and says_no_cluster(answer.stderr):
        raise NotChecked("no SLURM is configured on this machine")
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
        raise NotChecked(f"SLURM does not answer: {said[0]}")
    return answer.stdout
