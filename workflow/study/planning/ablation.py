"""An ablation of a study, as config.yaml plans it and as the commands for tables read it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from model.files import AGAIN
from model.validation import NO_OTHER_KEYS, ConfigError, validated
from model.yaml_file import load_yaml
from study.planning.config_file import Names, Repeats


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
    seeds: dict[str, Annotated[int, Field(ge=1)]]  # per dataset: how many runs each variant has
    source: str | None = None  # the paper's table or figure whose values stand beside ours
    refinement: Repeats = ()  # of plain blocks, with which its finished runs are evaluated, too

    @classmethod
    def load(cls, path: Path) -> "Ablation":
        """Read an ablation's file; raises ConfigError, one line."""
        if not path.exists():
            raise ConfigError(
                f"{path} is missing: snakemake writes it for each ablation of a study"
            )
        try:
            return validated(cls, load_yaml(path))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}; {AGAIN}") from None

    @property
    def about(self) -> str:
        """Title, study and description, with which captions begin."""
        sentences = [f"{self.title.rstrip('.')} (study {self.study})."]
        if self.description:
            sentences.append(f"{self.description.rstrip('.')}.")
        return " ".join(sentences)

    def run_dirs(self, study_dir: Path) -> list[Path]:
        """The folders of all its runs."""
        return [
            study_dir / "runs" / dataset / variant / f"seed{seed}"
            for dataset, variants in self.variants.items()
            for variant in variants
            for seed in range(self.seeds[dataset])
        ]

    def probed_dirs(self, study_dir: Path) -> list[Path]:
        """The folders of the first seed of each variant: what is probed."""
        return [
            study_dir / "runs" / dataset / variant / "seed0"
            for dataset, variants in self.variants.items()
            for variant in variants
        ]

    def baseline_dirs(self, study_dir: Path) -> list[Path]:
        """The folders of the first seed of each dataset's baseline."""
        return [
            study_dir / "runs" / dataset / variants[0] / "seed0"
            for dataset, variants in self.variants.items()
        ]

    def dump(self) -> str:
        """The YAML text that `load` reads."""
        content = dataclasses.asdict(self)
        content["variants"] = {dataset: list(names) for dataset, names in self.variants.items()}
        if self.refinement:
            content["refinement"] = list(self.refinement)
        else:  # as before there was any: nothing is made again
            del content["refinement"]
        return yaml.safe_dump(content, sort_keys=False)
