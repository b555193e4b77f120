"""How long an iteration takes, by what trainings under the same results have recorded."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from model.config import ModelConfig
from model.run_config import RunConfig

Key = str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """The speed of a model on a device."""

    seconds_per_iteration: float
    device: str
    gpus: int  # 0: on a CPU
    started: str  # in ISO 8601, UTC


def key_of(settings: Mapping[str, Any]) -> Key:
    """What the time of an iteration depends on, apart from the machine: model, batch and GPUs.

    Options at their default count as absent, as those that were added to the code later are.
    """
    fields = dataclasses.fields(ModelConfig)
    model = {
        field.name: settings["model"][field.name]
        for field in fields
        if not field.metadata.get("from_data")
        and settings["model"].get(field.name, field.default) != field.default
        and settings["model"].get(field.name) != _listed(field.default)
    }
    train = settings["train"]
    return json.dumps([model, train["batch_size"], train.get("gpus", 1)], sort_keys=True)


class Paces:
    """All that is recorded under a folder of results, of whatever study."""

    def __init__(self, results: Path) -> None:
        self._known: dict[Key, list[Pace]] = defaultdict(list)
        for path in results.glob("*/runs/*/*/seed*/train.json"):
            try:
                record = json.loads(path.read_bytes())
                self.add(key_of(record["settings"]), _of_record(record))
            except (OSError, ValueError, TypeError, LookupError, ArithmeticError):
                continue  # damaged, or not a step was taken

    def add(self, key: Key, pace: Pace) -> None:
        """Take a measurement into account."""
        self._known[key].append(pace)

    def of(self, config: RunConfig) -> Pace | None:
        """The speed of a run's model on the device that such a model ran on last; None: unknown."""
        known = self._known.get(key_of(config.settings))
        if not known:
            return None
        last = max(known, key=lambda pace: pace.started)
        same = [pace.seconds_per_iteration for pace in known if pace.device == last.device]
        return dataclasses.replace(last, seconds_per_iteration=fmean(same))


def _of_record(record: dict[str, Any]) -> Pace:
    segment = record["segments"][-1]
    return Pace(
        seconds_per_iteration=record["wall_seconds"] / record["step"],
        device=str(segment["device"]),
        gpus=int(segment["gpus"]),
        started=str(segment["started"]),
    )


def _listed(default: Any) -> Any:
    """A tuple as JSON has it."""
    return list(default) if isinstance(default, tuple) else default
