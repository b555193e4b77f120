"""A round: a study is killed as a seed says, and its command typed again until it is done."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster import SlurmCluster
from comparison import differences, leftovers
from faulted_study import Executor, FaultedStudy
from head import Head
from kills import Shooter, plan

SHOWN = 8  # faults of a kind


@dataclass
class Round:
    """What a round was and what came of it; `faults` is empty if all promises were kept."""

    seed: int
    executor: str
    kills: list[str] = field(default_factory=list)
    commands: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        outcome = "ok" if not self.faults else f"{len(self.faults)} FAULTS"
        return (
            f"seed {self.seed} {self.executor}: {outcome}, {self.commands} commands, "
            f"{self.seconds:.0f} s; kills: {', '.join(self.kills) or 'none'}"
        )


class Rounds:
    """Rounds in folders of their own in `directory`, compared with one undisturbed study.

    The folders of rounds with faults stay there.
    """

    def __init__(self, directory: Path, cluster: SlurmCluster | None = None) -> None:
        self.directory = directory
        self.cluster = cluster
        self._undisturbed: FaultedStudy | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the shell in which commands are typed."""
        return self.cluster.environment if self.cluster else os.environ

    def undisturbed(self, executor: Executor) -> FaultedStudy:
        """The study that nothing is compared with but this one; made once."""
        if self._undisturbed is None:
            study = FaultedStudy(self.directory / "undisturbed", executor, self.environment)
            with study.type() as head:
                head.succeed(timeout=executor.command_s)
            left = [*leftovers(study), *study.orphans()]
            assert not left, f"even an undisturbed study leaves {left}"
            self._undisturbed = study
        return self._undisturbed

    def play(self, seed: int, executor: Executor) -> Round:
        """One round from its seed."""
        undisturbed = self.undisturbed(executor)
        folder = self.directory / f"{executor.name}-{seed}"
        study = FaultedStudy(folder, executor, self.environment)
        result = Round(seed, executor.name)
        started = time.monotonic()
        try:
            self._until_done(study, result)
            result.seconds = time.monotonic() - started
            self._examine(study, undisturbed, result)
        finally:
            self._end(study)
        if not result.faults:
            shutil.rmtree(folder)
        return result

    def _until_done(self, study: FaultedStudy, result: Round) -> None:
        """Type the command until it ends with 0; one that was left in peace has to.

        A cluster's job that was hit may live on without its head: it is the next command, which
        finds it again, that tells of its failure.
        """
        shooter = Shooter(study, self.cluster)
        kills = plan(result.seed, study.executor)
        was_job_hit = False
        while True:
            result.commands += 1
            was_hit, was_job_hit = was_job_hit and self.cluster is not None, False
            with study.type() as head:
                while kills and shooter.shoot(kills[0], head):
                    was_hit = True
                    was_job_hit |= kills[0].target != "head"
                    result.kills.append(f"{kills.pop(0)}@{result.commands}")
                try:
                    code = head.wait(study.executor.command_s)
                except subprocess.TimeoutExpired:
                    seconds = study.executor.command_s
                    result.faults.append(f"command {result.commands} hangs for {seconds} s")
                    return
            if code == 0:
                result.kills += [f"{kill} (too late)" for kill in kills]
                return
            if not was_hit:
                what = f"command {result.commands}, left in peace, ends with {code}"
                result.faults.append(f"{what}: {_last_words(head)}")
                return

    def _examine(self, study: FaultedStudy, undisturbed: FaultedStudy, result: Round) -> None:
        if result.faults:
            return
        for kind, found in (
            ("orphan", study.orphans()),
            ("difference", differences(study, undisturbed)),
            ("leftover", leftovers(study)),
        ):
            result.faults += [f"{kind}: {text}" for text in found[:SHOWN]]
            if len(found) > SHOWN:
                result.faults.append(f"{kind}: and {len(found) - SHOWN} more")
        with study.type("--dry-run") as head:
            code = head.wait(study.executor.command_s)
        if code != 0 or "Nothing to be done" not in head.output:
            result.faults.append(f"a dry run of the finished study: {_last_words(head)}")

    def _end(self, study: FaultedStudy) -> None:
        if self.cluster is not None and (jobs := list(self.cluster.jobs())):
            self.cluster.run("scancel", *jobs)
        study.kill_all()


def _last_words(head: Head) -> str:
    lines = [line.strip() for line in head.output.splitlines() if line.strip()]
    return " | ".join(lines[-4:])[-600:]
