"""How far each run of a study is, by its files alone: on any node, whoever trains it.

This file imports neither torch nor pandas: a thousand runs take less than a second.
"""

import json
import re
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import psutil

from model.files import is_older
from model.run_config import RunConfig
from model.training.progress_file import FILE, ProgressFile, duration
from model.training.state_files import state_files
from model.validation import ConfigError, validated
from model.wording import counted
from model.yaml_file import load_yaml
from study.head.lock import Head
from study.ledger import ledger_jobs
from study.log_end import log_end
from study.place import data_of
from study.planning.study import Run, Study
from study.stale_data import StaleData

State = Literal["running", "failed", "stopped", "outdated", "diverged", "waiting", "done"]
STATES: tuple[State, ...] = (
    *("running", "failed", "stopped", "outdated", "diverged", "waiting", "done"),
)
UNFINISHED = ("running", "failed", "stopped", "outdated", "waiting")
SILENT_S = 300.0  # a training on another machine that wrote nothing for so long has ended
SILENT_ITERATIONS = 20  # or for so many iterations, where they take long
_LENGTH = re.compile(rb"^  iterations: ([1-9]\d{0,9})$", re.MULTILINE)  # of a run's config.yaml


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One run: what it is doing, how far and how fast it is, and where."""

    run: str  # digits/x1/seed0
    state: State
    iterations: int  # as snakemake was last told, by `--config iterations=N` maybe
    planned_iterations: int  # by config.yaml
    step: int = 0
    seconds_per_iteration: float | None = None
    eta_seconds: float | None = None  # of a running one
    nll: float | None = None  # of the last training batches, in `unit`
    valid_nll: float | None = None  # of the last validation of the averaged weights
    unit: str = ""
    host: str | None = None
    job_id: str | None = None  # of SLURM
    requeues: int = 0
    resumes: int = 0
    trained: tuple[float, float] | None = None  # by the last process: seconds since 1970
    reason: str = ""  # why it is in this state, where that needs a word
    log: str | None = None  # where to look for more


@dataclass(frozen=True)
class StudyStatus:
    """All runs of a study, and the snakemake that makes it."""

    study: str
    head: str | None  # who makes it now, in words; None: nobody
    runs: Sequence[RunStatus]
    head_since: float | None = None  # seconds since 1970
    unread_data: Sequence[str] = ()  # datasets of which only `study plan` knows if they changed

    @property
    def totals(self) -> dict[State, int]:
        """How many runs are in each state that occurs."""
        counts = Counter(run.state for run in self.runs)
        return {state: counts[state] for state in STATES if counts[state]}

    @cached_property
    def training_seconds_left(self) -> float | None:
        """Of all runs together, at the speed of those like them; None if none has a speed yet."""
        paces: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for run in self.runs:
            if run.seconds_per_iteration is not None:
                for key in _kinds(run):
                    paces[key].append(run.seconds_per_iteration)
        left = 0.0
        for run in self.runs:
            if run.state not in UNFINISHED:
                continue
            known = next((fmean(paces[key]) for key in _kinds(run) if key in paces), None)
            if known is None:
                return None
            done = 0 if run.state == "outdated" else run.step
            pace = run.seconds_per_iteration or known
            left += run.eta_seconds or pace * max(0, run.iterations - done)
        return left

    @cached_property
    def at_a_time(self) -> int:
        """How many train now, or trained at once at most since the snakemake that lives began.

        Between two jobs of it, fewer train than it has room for.
        """
        running = sum(run.state == "running" for run in self.runs)
        if self.head is None or self.head_since is None:
            return running
        spans = [run.trained for run in self.runs if run.trained is not None]
        since = [(start, end) for start, end in spans if end > max(start, self.head_since)]
        # In the order of time, where one ends before another begins.
        changes = sorted([(end, -1) for _, end in since] + [(start, 1) for start, _ in since])
        return max([running, *accumulate(change for _, change in changes)])

    @property
    def seconds_to_end(self) -> float | None:
        """Until all are trained, with `at_a_time`; None if that is not known."""
        left = self.training_seconds_left
        running = [run.eta_seconds or 0.0 for run in self.runs if run.state == "running"]
        if left is None or (left > 0 and not self.at_a_time):
            return None
        return max([left / max(1, self.at_a_time), *running])


def studies_of(config: Path, results: Path, name: str | None) -> list[Study]:
    """The study of this name, or all that have runs, or else the one that config.yaml names."""
    if name is not None:
        return [Study.load(config, name)]
    content = load_yaml(config)
    content = content if isinstance(content, dict) else {}  # Study.load says what is wrong
    known = map(str, content.get("studies") or ())
    there = [name for name in known if (results / name / "runs").is_dir()]
    return [Study.load(config, name) for name in there or [str(content.get("study"))]]


def study_status(study: Study, results: Path, data_dir: str | None = None) -> StudyStatus:
    """Read what there is of a study's runs under `results`; files are all that is asked.

    `data_dir` is in place of that of config.yaml.
    """
    study_dir, project = results / study.name, results.absolute().parent
    lock = project / ".snakemake/heads" / f"{study.name}.json"
    jobs = _cluster_jobs(project)
    data = StaleData(data_of(study, data_dir, results))
    runs = [_status(study_dir, run, study.run_config(run), jobs, data) for run in study.runs]
    if (head := _living_head(lock)) is None:
        return StudyStatus(study.name, None, runs, unread_data=data.unread)
    told = f"the snakemake on {head.machine.host}, process {head.pid}, since {head.since}"
    return StudyStatus(study.name, told, runs, _seconds_of(head.since), data.unread)


def _kinds(run: RunStatus) -> list[tuple[str, ...]]:
    """Whose speed says something of a run's: its variant's, its dataset's, anyone's."""
    dataset, variant, _ = run.run.split("/")
    return [(dataset, variant), (dataset,), ()]


def _status(
    study_dir: Path, run: Run, config: RunConfig, jobs: set[str], data: StaleData
) -> RunStatus:
    name = run.name
    directory = study_dir / "runs" / name
    log = study_dir / "logs/train" / f"{name.replace('/', '-')}.log"
    planned = config.train.iterations
    if (length := _configured_length(directory) or planned) != planned:
        config = replace(config, train=replace(config.train, iterations=length))
    status = RunStatus(
        run=name,
        state="waiting",
        iterations=length,
        planned_iterations=planned,
        unit=config.model.unit,
    )
    progress, silent_s = _progress(directory / "state" / FILE, config)
    if progress is not None:
        status = _with_progress(status, progress)
        if progress.status == "running" and _is_alive(progress, silent_s):
            return replace(
                status,
                state="running",
                iterations=progress.iterations,
                eta_seconds=progress.eta_seconds,
                log=str(log),
            )
    if (record := _json(directory / "train.json")) is not None:
        return _trained(status, record, config, directory, study_dir, data)
    if reason := _failure(log):
        return replace(status, state="failed", reason=reason, log=str(log))
    if progress is None:
        return status
    if progress.status == "failed":
        return replace(status, state="failed", reason=progress.reason or "", log=str(log))
    if progress.status == "finished" and progress.step < length:  # it was made longer
        return replace(status, reason=f"goes on from step {progress.step}, where it had ended")
    if progress.status in ("finished", "diverged"):
        return replace(status, reason="trained; its results are written by the next job")
    return _stopped(status, progress, silent_s, directory, jobs, log)


def _configured_length(directory: Path) -> int | None:
    """The length for which snakemake configured a run; it writes one value a line."""
    try:
        found = _LENGTH.search((directory / "config.yaml").read_bytes())
    except OSError:
        return None
    return int(found[1]) if found else None


def _with_progress(status: RunStatus, progress: ProgressFile) -> RunStatus:
    return replace(
        status,
        step=progress.step,
        seconds_per_iteration=progress.seconds_per_iteration,
        nll=progress.nll,
        valid_nll=progress.valid_nll,
        host=progress.host,
        job_id=progress.job_id,
        requeues=progress.requeues,
        resumes=progress.resumes,
        trained=_span(progress.started, progress.updated),
    )


def _trained(
    status: RunStatus,
    record: dict[str, Any],
    config: RunConfig,
    directory: Path,
    study_dir: Path,
    data: StaleData,
) -> RunStatus:
    """A run that has a result: that of its settings and data, or of others."""
    try:
        segment, step = record["segments"][-1], int(record["step"])
        start = _seconds_of(segment["started"])
        status = replace(
            status,
            step=step,
            seconds_per_iteration=record["wall_seconds"] / step if step else None,
            host=segment["host"],
            resumes=record["resumes"],
            trained=None if start is None else (start, start + float(segment["seconds"])),
        )
        if record["config_hash"] != config.hash:
            return replace(status, state="outdated", reason=_difference(record, config))
        if data.is_of_others(config.dataset, record):
            return replace(status, state="outdated", reason="its data have changed")
        if record["status"] == "diverged":
            status = replace(status, state="diverged", reason=f"after {counted(step, 'step')}")
        else:
            status = replace(status, state="done")
    except (KeyError, TypeError, ValueError, LookupError):
        reason = "its train.json is damaged: delete it and give the same snakemake command again"
        return replace(status, state="failed", reason=reason, log=str(directory / "train.json"))
    test = directory / "test.parquet"
    if test.exists() and not is_older(test, directory / "model.safetensors"):
        return status
    name = f"{status.run.replace('/', '-')}.log"
    for log in sorted((study_dir / "logs").glob(f"*/{name}")):
        if reason := _failure(log):
            return replace(status, state="failed", reason=reason, log=str(log))
    return replace(status, reason="; ".join(filter(None, [status.reason, "not evaluated yet"])))


def _span(started: str, updated: str) -> tuple[float, float] | None:
    """When a process trained."""
    first, last = _seconds_of(started), _seconds_of(updated)
    return None if first is None or last is None else (first, last)


def _seconds_of(text: str) -> float | None:
    """A time in ISO 8601, of this machine's zone if it names none, in seconds since 1970."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:  # "an unknown time"
        return None


def _difference(record: dict[str, Any], config: RunConfig) -> str:
    """Why a result is none of the planned run's, in words."""
    settings = record["settings"]
    was, now = settings["train"]["iterations"], config.train.iterations
    if (difference := config.difference(settings)) is not None:
        return difference
    return f"train.iterations was {was} and is {now}" if was != now else "other definitions"


def _stopped(
    status: RunStatus,
    progress: ProgressFile,
    silent_s: float,
    directory: Path,
    jobs: set[str],
    log: Path,
) -> RunStatus:
    """A training that has begun and is at rest: between two jobs, or until somebody goes on."""
    if progress.job_id in jobs:
        times = f", requeued {progress.requeues + 1} times so far" if progress.requeues else ""
        return replace(status, reason=f"job {progress.job_id} goes on from there{times}")
    if progress.status == "stopped":
        return replace(status, state="stopped", reason="saved; the same snakemake command goes on")
    states = state_files(directory / "state" / progress.identity)
    saved = max((file.step for file in states), default=0)
    if progress.host == socket.gethostname():
        how = f"process {progress.pid} has ended without a word (killed? out of memory?)"
    else:
        how = f"no sign of life from {progress.host} for {duration(silent_s)}"
    reason = f"{how} at step {progress.step}; saved at step {saved}"
    return replace(status, state="stopped", step=saved, reason=reason, log=str(log))


def _progress(path: Path, config: RunConfig) -> tuple[ProgressFile | None, float]:
    """What a training of this run, of any length, said last, and how long ago in seconds."""
    content = _json(path)
    if content is None:
        return None, 0.0
    try:
        found = validated(ProgressFile, content)
        silent_s = time.time() - path.stat().st_mtime
    except (ConfigError, OSError):
        return None, 0.0
    is_this = found.identity == config.identity(found.dataset_sha256)
    return (found if is_this else None), max(0.0, silent_s)


def is_training(directory: Path) -> bool:
    """Whether a process trains in a run's folder now, of whatever settings."""
    content = _json(directory / "state" / FILE)
    try:
        found = validated(ProgressFile, content)
        silent_s = max(0.0, time.time() - (directory / "state" / FILE).stat().st_mtime)
    except (ConfigError, OSError):
        return False
    return found.status == "running" and _is_alive(found, silent_s)


def _is_alive(progress: ProgressFile, silent_s: float) -> bool:
    """Whether the process that said so still trains."""
    if progress.host == socket.gethostname():
        try:
            process = psutil.Process(progress.pid)
            is_it = abs(process.create_time() - progress.process_started) < 2
            return is_it and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
    pace = progress.seconds_per_iteration or 0.0
    return silent_s < max(SILENT_S, SILENT_ITERATIONS * pace)


def _failure(log: Path) -> str:
    """The error in which a log ends, in one line; "" if it does not."""
    tail = log_end(log)
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    has_ended_badly = lines and (lines[-1].startswith("error:") or "Traceback (most" in tail)
    if has_ended_badly and lines[-1] == "KeyboardInterrupt":  # it was told to end
        return ""
    return lines[-1].removeprefix("error: ") if has_ended_badly else ""


def _living_head(lock: Path) -> Head | None:
    head = Head.read(lock)
    try:
        silent_s = max(0.0, time.time() - lock.stat().st_mtime)
    except OSError:
        return None
    if head is None or not head.lives(silent_s):
        return None
    return head


def _cluster_jobs(project: Path) -> set[str]:
    """The jobs that the executor has in its clusters."""
    ledgers = project.glob(".snakemake/submitit/*/ledger.jsonl")
    return {job for ledger in ledgers for job in ledger_jobs(ledger)}


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON file's mapping, empty if it is damaged; None if there is none."""
    try:
        content = json.loads(path.read_bytes())
    except OSError:
        return None
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
