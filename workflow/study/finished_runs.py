"""Which runs of a study are trained and evaluated, of one length and of the same data."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.config import ConfigError
from model.files import is_older
from model.run_config import RunConfig
from model.table import ResultError
from model.wording import counted
from study.collecting.training_record import TrainingRecord
from study.planning.content import StudyData
from study.planning.study import Run, Study
from study.registry import EVALUATED


@dataclass(frozen=True)
class Kind:
    """How finished runs differ from what is planned."""

    length: int | None = None  # another than in config.yaml, as by `--config iterations=N`
    is_of_old_data: bool = False


_OTHER = "other settings"  # no kind: what they are is no run of this study


@dataclass(frozen=True, kw_only=True)
class FinishedRuns:
    """The runs that may stand in one table, and how many others there are."""

    runs: Sequence[Run]
    kind: Kind
    left_out: int  # finished, but of another length, of other settings or of other data
    trained: int  # but not evaluated

    @classmethod
    def find(cls, study: Study, study_dir: Path, data: StudyData) -> "FinishedRuns":
        """Those that are as planned; if there is none, the largest number of one kind."""
        by_kind: dict[Kind, list[Run]] = defaultdict(list)
        damaged, trained, of_others = [], 0, 0
        for run in study.runs:
            directory = study_dir / "runs" / run.name
            try:
                found = _kind(study.run_config(run), run, directory, data)
            except (ConfigError, ResultError):
                if _is_evaluated(directory):
                    damaged.append(run)  # collecting it says what is wrong
                continue
            if found == _OTHER:
                of_others += 1
            elif isinstance(found, Kind) and _is_evaluated(directory):
                by_kind[found].append(run)
            elif found is not None:
                trained += 1
        sizes = Counter({kind: len(runs) for kind, runs in by_kind.items()})
        kind = Kind()
        if kind not in by_kind and sizes:
            kind = sizes.most_common(1)[0][0]
        chosen = {*by_kind[kind], *damaged}
        return cls(
            runs=[run for run in study.runs if run in chosen],
            kind=kind,
            left_out=sizes.total() - sizes[kind] + of_others,
            trained=trained,
        )

    @property
    def notes(self) -> list[str]:
        """How these runs, and those that are left out, differ from what is planned: lines."""
        notes, number = [], len(self.runs)
        runs, is_one = counted(number, "run"), number == 1
        if self.kind.length is not None:
            notes.append(
                f"{runs} {'has' if is_one else 'have'} another length than in config.yaml: "
                f"{self.kind.length} iterations (--config iterations={self.kind.length}?)"
            )
        if self.kind.is_of_old_data:
            were = "was" if is_one else "were"
            notes.append(f"{runs} {were} trained on their data before those changed")
        if self.left_out:
            notes.append(
                "left out, for another length, other settings or other data than they would now "
                f"have: {self.left_out} of the runs"
            )
        return notes


def _kind(planned: RunConfig, run: Run, directory: Path, data: StudyData) -> Kind | str | None:
    """How a run's training differs from the planned one; None: it has not ended.

    Raises ConfigError or ResultError if its files are damaged.
    """
    if not (directory / "train.json").exists() or not (directory / "config.yaml").exists():
        return None
    configured = RunConfig.load(directory / "config.yaml")
    record = TrainingRecord.read(directory / "train.json")
    length = configured.train.iterations
    of_length = replace(planned, train=replace(planned.train, iterations=length))
    if configured.hash != record.config_hash:
        return None  # it is about to be made again
    if configured.hash != of_length.hash:
        return _OTHER
    content = data.content(run.dataset, run.variant, run.seed)
    return Kind(
        length=length if length != planned.train.iterations else None,
        is_of_old_data=content not in (None, record.dataset_sha256),
    )


def _is_evaluated(directory: Path) -> bool:
    """Whether all files are there, and the evaluation is of the present weights."""
    if not all((directory / name).exists() for name in EVALUATED):
        return False
    return not is_older(directory / "test.parquet", directory / "model.safetensors")
