"""One run, fully resolved: its settings, and what identifies its result.

A result's identity is its settings, without what cannot change it, its seed, the version of the
definitions and the content of its dataset.  An option at its default is no part of it: adding an
option to the code never retrains a finished run.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from model.config import ModelConfig, TrainConfig
from model.definitions import DEFINITIONS
from model.validation import NO_OTHER_KEYS, ConfigError, validated
from model.yaml_file import load_yaml

# The C dumper gives the same text as yaml.SafeDumper, ten times as fast; not every PyYAML has it.
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, fully resolved: what `results/{study}/runs/{run}/config.yaml` holds."""

    __pydantic_config__ = NO_OTHER_KEYS

    dataset: str
    variant: str
    seed: int
    definitions: int  # the version of what its numbers mean (definitions.py)
    model: ModelConfig
    train: TrainConfig

    def __post_init__(self) -> None:
        if self.definitions != DEFINITIONS:
            raise ConfigError(
                f"the run is of version {self.definitions}, and this code computes version "
                f"{DEFINITIONS} (model/definitions.py); snakemake makes it again",
                "definitions",
            )
        if self.train.cuda_graph and self.model.gradient_checkpointing:
            raise ConfigError(  # it reads the states of the GPU's generators, which waits
                "gradient_checkpointing cannot be recorded: leave one of them out",
                "cuda_graph",
                place="train",
            )

    @classmethod
    def load(cls, path: Path) -> "RunConfig":
        """Read a run's config.yaml; raises ConfigError, one line, for unknown or missing keys."""
        try:
            return validated(cls, load_yaml(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    @classmethod
    def of_settings(cls, settings: Any) -> "RunConfig":
        """What `settings` gave when the run was trained; raises ConfigError."""
        return validated(cls, settings)

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting, those at their default too: what a result records and is believed for."""
        return _plain(self, with_defaults=True)

    def dump(self) -> str:
        """The YAML text of this run, without the options that are at their default.

        So an option that is added to the code changes no file of a run that does not use it, and
        no job of such a run starts again.
        """
        plain = {
            "dataset": self.dataset,
            "variant": self.variant,
            "seed": self.seed,
            "definitions": self.definitions,
        }
        return _text(plain) + _text_of_configs(self.model, self.train)

    @property
    def hash(self) -> str:
        """Identifies the result: equal hash, equal weights."""
        return self._digest(without=())

    def identity(self, dataset_sha256: str) -> str:
        """Identifies the trajectory on a dataset's content: a longer `iterations` continues it."""
        content = f"{self._digest(without=('iterations',))} {dataset_sha256}"
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def difference(self, settings: Mapping[str, Any]) -> str | None:
        """The first of `differences`; None if it is the same trajectory."""
        return next(iter(self.differences(settings)), None)

    def differences(self, settings: Mapping[str, Any]) -> list[str]:
        """The settings by which a trajectory with `settings` is another one, each in words.

        A setting that was not there yet counts as today's default: options are added so that their
        default is what the code did before.  What is left to the data is no setting.
        """
        found = []
        for section, now in (("model", self.settings["model"]), ("train", self.settings["train"])):
            config, recorded = getattr(self, section), settings[section]
            for field in dataclasses.fields(config):
                name = field.name
                if name == "iterations" or not field.metadata.get("affects_result", True):
                    continue
                is_of_data = now[name] is None or name not in recorded
                if is_of_data and field.metadata.get("from_data"):
                    continue
                was = recorded.get(name, _plain(field.default, with_defaults=True))
                if was is not dataclasses.MISSING and was != now[name]:
                    found.append(f"{section}.{name} was {was} and is {now[name]}")
        return found

    def _digest(self, without: tuple[str, ...]) -> str:
        content = {
            "dataset": self.dataset,
            "seed": self.seed,
            "definitions": self.definitions,
            "model": _hashed_fields(self.model),
            "train": {k: v for k, v in _hashed_fields(self.train).items() if k not in without},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _text(mapping: Mapping[str, Any]) -> str:
    text: str = yaml.dump(mapping, Dumper=_Dumper, sort_keys=False)
    return text


@cache
def _text_of_configs(model: ModelConfig, train: TrainConfig) -> str:
    """The same for all seeds, of which a dry run dumps thousands."""
    configs = {"model": model, "train": train}
    return _text({name: _plain(config, with_defaults=False) for name, config in configs.items()})


def _hashed_fields(config: Any) -> dict[str, Any]:
    """The fields that can change a result and are not at their default."""
    return {
        f.name: getattr(config, f.name)
        for f in dataclasses.fields(config)
        if f.metadata.get("affects_result", True) and getattr(config, f.name) != f.default
    }


def _plain(value: Any, *, with_defaults: bool) -> Any:
    """Dataclasses and tuples as the dicts and lists that YAML and JSON know."""
    if dataclasses.is_dataclass(value):
        fields = [(f, getattr(value, f.name)) for f in dataclasses.fields(value)]
        return {
            f.name: _plain(content, with_defaults=with_defaults)
            for f, content in fields
            if with_defaults or content != f.default
        }
    return list(value) if isinstance(value, tuple) else value
