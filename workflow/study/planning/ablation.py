"""An ablation of a study, as config.yaml plans it and as the commands for tables read it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from model.validation import NO_OTHER_KEYS, ConfigError, validated
from study.planning.config_file import Names


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A comparison of variants: `results/{study}/ablations/{name}.yaml`."""

    __pydantic_config__ = NO_OTHER_KEYS

    study: str
    name: str
    title: str
    description: str
    # per dataset, in the order of display, the baseline first
    variants: Annotated[dict[str, Names], Field(min_length=1)]
    source: str | None = None  # the paper's table or figure whose values stand beside ours

    @classmethod
    def load(cls, path: Path) -> "Ablation":
        """Read an ablation's file; raises ConfigError, one line."""
        if not path.is_file():
            raise ConfigError(
                f"{path} is missing: snakemake writes it for each ablation of a study"
            )
        try:
            return validated(cls, yaml.safe_load(path.read_text()))
        except (ConfigError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None

    def dump(self) -> str:
        """The YAML text that `load` reads."""
        content = dataclasses.asdict(self)
        content["variants"] = {dataset: list(names) for dataset, names in self.variants.items()}
        return yaml.safe_dump(content, sort_keys=False)
