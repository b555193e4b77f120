"""What is wrong with a study or with where it is made, and the command that mends it."""

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from model.validation import ConfigError
from study.doctor_cluster import jobs_of, lost_jobs, misfits
from study.doctor_data import broken_data
from study.doctor_findings import Finding, NotChecked
from study.head.lock import Head
from study.head.orphans import find_orphans
from study.place import data_of
from study.plan import DATA_CHANGED, plan_runs
from study.planning.content import StudyData
from study.planning.study import Study

SHOWN = 3  # of many of a kind


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that was looked at."""

    name: str
    findings: Sequence[Finding]
    note: str = ""  # what was not looked at, and why


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study is made: a checkout, and the study in it."""

    project: Path
    config: Path
    study: str | None
    results: Path
    data_dir: str | None  # in place of config.yaml's
    profile: Path | None  # None: slurm, if it is there and SLURM is

    def check(self) -> list[Check]:
        """Look at everything."""
        checks = [
            _checked("environment", _environment(self.project / "requirements.lock")),
            _checked("snakemake", _heads(self.project)),
            _checked("jobs", _jobs(self.project)),
            _checked("profile", misfits(self.profile, self.project / "slurm")),
        ]
        try:
            study = Study.load(self.config, self.study)
            data = data_of(study, self.data_dir, self.results)
        except ConfigError as error:
            mistake = Finding(str(error), f"$EDITOR {self.config}")
            return [Check(name="configuration", findings=[mistake]), *checks]
        return [
            Check(name="configuration", findings=[]),
            *checks,
            _checked("data", chain(broken_data(study, data), _changed(study, data, self.results))),
            _checked("results", _damaged(study, data, self.results)),
        ]


def _checked(name: str, findings: Iterator[Finding]) -> Check:
    found: list[Finding] = []
    try:
        found.extend(findings)
    except NotChecked as reason:
        return Check(name=name, findings=found, note=str(reason))
    return Check(name=name, findings=found)


def _environment(lock: Path) -> Iterator[Finding]:
    """Packages of another version than the lock file has, or absent."""
    if not lock.is_file():
        raise NotChecked(f"there is no {lock}")
    differing, absent = [], []
    lines = (line.partition("#")[0].strip() for line in lock.read_text().splitlines())
    for name, _, version in (line.partition("==") for line in lines if "==" in line):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
            continue
        if found.partition("+")[0] != version:  # 2.13.0+cpu is 2.13.0
            differing.append(f"{name} {found} instead of {version}")
    if differing:
        yield Finding(f"other versions than in {lock.name}: {_some(differing)}", "make install")
    if absent:
        yield Finding(f"in {lock.name}, but not installed: {_some(absent)}", "make install")


def _jobs(project: Path) -> Iterator[Finding]:
    """Jobs that the executor has lost, but for those of living heads, which are about to notice."""
    heads = _known_heads(project)
    living = {head.process for _, head, lives in heads if lives}
    commands = {head.process: _again(head) for _, head, lives in heads if not lives}
    yield from lost_jobs(project, living, commands)


def _known_heads(project: Path) -> list[tuple[Path, Head, bool]]:
    """Each lock with its head, and whether that lives."""
    locks = sorted((project / ".snakemake/heads").glob("*.json"))
    heads = [(lock, head) for lock in locks if (head := Head.read(lock)) is not None]
    return [(lock, head, head.lives(_silent_s(lock))) for lock, head in heads]


def _heads(project: Path) -> Iterator[Finding]:
    """What killed heads left: locks, processes that still train, jobs that nobody looks after."""
    heads = _known_heads(project)
    for lock, head, lives in heads:
        if lives:
            continue
        told = f"{head.machine.host}, process {head.pid}, since {head.since}"
        what = f"the lock of a dead snakemake on study {head.study} ({told}): {lock}"
        if numbers := [str(process.pid) for process in find_orphans(lock.resolve())]:
            what += f"; its processes still run, and the same command ends them: {_some(numbers)}"
        if jobs := jobs_of(project, head.process):
            what += f"; nobody looks after its jobs until the same command does: {_some(jobs)}"
        yield Finding(what, _again(head))
    if not heads and any((project / ".snakemake/locks").glob("*")):
        where = project / ".snakemake/locks"
        yield Finding(f"snakemake's locks, of no known head: {where}", "snakemake --unlock")


def _again(head: Head) -> str:
    """The same command that a head was started with."""
    return head.command or f"snakemake --cores 2 --config study={head.study}"


def _silent_s(lock: Path) -> float:
    try:
        return max(0.0, time.time() - lock.stat().st_mtime)
    except OSError:
        return float("inf")  # it has just ended


def _changed(study: Study, data: StudyData, results: Path) -> Iterator[Finding]:
    """Runs that were trained on other data than there are now."""
    plans = plan_runs(study, data, results)
    if runs := [plan.run.name for plan in plans if DATA_CHANGED in plan.reason]:
        again = f"snakemake --cores 2 --config study={study.name}"
        yield Finding(f"changed since these were trained on them: {_some(runs)}", again)


def _damaged(study: Study, data: StudyData, results: Path) -> Iterator[Finding]:
    """Trained runs whose record cannot be read."""
    for plan in plan_runs(study, data, results):
        if plan.action == "damaged":
            path = results / study.name / "runs" / plan.run.name / "train.json"
            again = f"snakemake --cores 2 --config study={study.name}"
            yield Finding(f"{path} is damaged", f"rm {path}; {again}")


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
