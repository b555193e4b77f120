"""What a profile of Snakemake, such as slurm/config.yaml, asks of a cluster."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.validation import ConfigError
from model.yaml_file import load_yaml

_SECONDS = {"": 60, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SIGNAL_DELAY_S = 120  # the executor's default


@dataclass(frozen=True)
class Profile:
    """A profile's file, as far as it is about resources."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def load(cls, directory: Path) -> "Profile":
        """Read the profile in a folder; raises ConfigError, one line."""
        path = directory / "config.yaml"
        if not path.is_file():
            raise ConfigError(f"{path}: no such profile")
        try:
            content = load_yaml(path)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected a mapping")
        return cls(path, content)

    def resource(self, rule: str, name: str) -> Any:
        """What a job of a rule asks for; None: the profile does not say."""
        of_rules = _mapping(self.content.get("set-resources"), ":")
        own = of_rules.get(rule) or {}
        if name in own:
            return own[name]
        return _mapping(self.content.get("default-resources"), "=").get(name)

    def seconds_of(self, rule: str) -> float | None:
        """The time limit of a rule's jobs; None: not said."""
        runtime = self.resource(rule, "runtime")
        return None if runtime is None else _seconds(runtime)

    def seconds_per_job(self, rule: str) -> float | None:
        """How long one job of a rule works before it is told to save; None: not said."""
        if not (seconds := self.seconds_of(rule)):
            return None
        delay = self.content.get("submitit-signal-delay", SIGNAL_DELAY_S)
        return seconds - min(float(delay), seconds / 3)


def _seconds(runtime: Any) -> float | None:
    """A runtime as Snakemake reads it: minutes, or 30m, 4h, 1d; None: something else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)[a-z]*", str(runtime).strip())
    return float(found[1]) * _SECONDS[found[2]] if found else None


def _mapping(value: Any, separator: str) -> dict[str, Any]:
    """Resources, which may be a mapping or a list: [runtime=60] or [train:runtime=60]."""
    if isinstance(value, Mapping):
        return dict(value)
    found: dict[str, Any] = {}
    for entry in value if isinstance(value, list) else []:
        key, _, rest = str(entry).partition(separator)
        if separator == ":":
            name, _, content = rest.partition("=")
            found.setdefault(key, {})[name] = content
        else:
            found[key] = rest
    return found
