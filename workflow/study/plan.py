"""What a study consists of: its ablations, its runs, and each run's resolved config."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from model.config import (
    ConfigError,
    EvaluateConfig,
    ModelConfig,
    ProbeConfig,
    RunConfig,
    TrainConfig,
    from_mapping,
)
from study.config import check, check_name

# Tables and figures that an ablation's would overwrite.
OTHER_FILES = {"runs", "timings", "rates", "history", "probe", "norms", "instability", "samples"}


@dataclass(frozen=True, order=True)
class Run:
    """One training: it lives in results/{study}/runs/{dataset}/{variant}/seed{seed}/."""

    dataset: str
    variant: str
    seed: int


@dataclass(frozen=True)
class Ablation:
    """A comparison of variants on each dataset; the first variant is the baseline."""

    name: str
    title: str
    description: str
    variants: dict[str, tuple[str, ...]]  # per dataset, in the order of display
    source: str | None  # the paper's table or figure that it repeats


class Study:
    """A study of config.yaml, checked as a whole: every run's config has been built once."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Raises ConfigError, one line, for anything in the config that cannot work."""
        check(config)
        self.config = config
        self.name: str = config["study"]
        check_name("study", self.name, config["studies"], "study")
        self.scale = config["studies"][self.name]
        for name in config["ablations"]:
            self._check_ablation(name)
        for variant in config["variants"]:
            self._lineage(variant)
            for dataset in config["variants"][variant].get("datasets", {}):
                check_name("dataset", dataset, config["datasets"], f"variants.{variant}.datasets")
        for dataset in self.datasets:
            check_name("dataset", dataset, config["datasets"], f"studies.{self.name}.datasets")
        self.ablations = {name: self._ablation(name) for name in self.scale["ablations"]}
        for run in self.runs:
            self.run_config(run)
        for dataset in self.datasets:
            self.evaluate_config(dataset)
            self.probe_config(dataset)

    @classmethod
    def load(cls, path: Path, name: str) -> "Study":
        """A study of a config file; raises ConfigError, one line."""
        try:
            return cls({**yaml.safe_load(path.read_text()), "study": name})
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {error}") from None

    @property
    def datasets(self) -> list[str]:
        return list(self.scale["datasets"])

    def seeds(self, dataset: str) -> range:
        """The seeds of each variant's runs on a dataset."""
        return range(self._on_dataset(dataset).get("seeds", self.scale["seeds"]))

    @cached_property
    def runs(self) -> list[Run]:
        """Every run once, however many ablations use it; sorted."""
        pairs = {
            (dataset, variant)
            for ablation in self.ablations.values()
            for dataset, variants in ablation.variants.items()
            for variant in variants
        }
        return sorted(Run(*pair, seed) for pair in pairs for seed in self.seeds(pair[0]))

    def run_config(self, run: Run) -> RunConfig:
        """The run's fully resolved config; raises ConfigError, one line, if it cannot work."""
        layers = self._layers(run.dataset)
        for name in self._lineage(run.variant):
            variant = self.config["variants"][name]
            of_datasets = variant.get("datasets", {})
            if set(variant) == {"datasets"} and run.dataset not in of_datasets:
                raise ConfigError(
                    f"variant {name!r} is defined for {', '.join(of_datasets)} only, "
                    f"not for {run.dataset}"
                )
            layers += [variant, of_datasets.get(run.dataset, {})]
        if self.config["iterations"] is not None:
            layers.append({"train": {"iterations": self.config["iterations"]}})
        try:
            return RunConfig(
                dataset=run.dataset,
                variant=run.variant,
                seed=run.seed,
                model=from_mapping(ModelConfig, _merged(layers, "model")),
                train=from_mapping(TrainConfig, _merged(layers, "train")),
            )
        except ConfigError as error:
            raise ConfigError(f"variant {run.variant!r} on {run.dataset}: {error}") from None

    def evaluate_config(self, dataset: str) -> EvaluateConfig:
        """How the runs on a dataset are evaluated."""
        try:
            return from_mapping(EvaluateConfig, _merged(self._layers(dataset), "evaluate"))
        except ConfigError as error:
            raise ConfigError(f"evaluate on {dataset}: {error}") from None

    def probe_config(self, dataset: str) -> ProbeConfig:
        """How the runs on a dataset are probed."""
        try:
            return from_mapping(ProbeConfig, _merged(self._layers(dataset), "probe"))
        except ConfigError as error:
            raise ConfigError(f"probe on {dataset}: {error}") from None

    def ablation_text(self, name: str) -> str:
        """The YAML text of an ablation, as the commands for tables and figures read it."""
        ablation = self.ablations[name]
        content = {
            "study": self.name,
            "ablation": ablation.name,
            "title": ablation.title,
            "description": ablation.description,
            "variants": {dataset: list(names) for dataset, names in ablation.variants.items()},
            "source": ablation.source,
        }
        return yaml.safe_dump(content, sort_keys=False)

    def _layers(self, dataset: str) -> list[Mapping[str, Any]]:
        of_dataset = self.config["datasets"][dataset]
        return [self.config["base"], of_dataset, self.scale, self._on_dataset(dataset)]

    def _on_dataset(self, dataset: str) -> Mapping[str, Any]:
        """What the study changes on one dataset."""
        in_study = self.scale["datasets"]
        return in_study[dataset] if isinstance(in_study, Mapping) else {}

    def _lineage(self, variant: str) -> list[str]:
        """A variant after those that it extends, the most basic one first."""
        names = [variant]
        while (parent := self.config["variants"][names[0]].get("extends")) is not None:
            place = f"variants.{names[0]}.extends"
            check_name("variant", parent, self.config["variants"], place)
            if parent in names:
                raise ConfigError(f"{place}: {parent} extends {names[0]} in turn")
            names.insert(0, parent)
        return names

    def _check_ablation(self, name: str) -> None:
        """Raise ConfigError for a variant or dataset that is not defined, used here or not."""
        if name in OTHER_FILES:
            raise ConfigError(
                f"ablations.{name}: another table or figure has this name; choose one"
            )
        place = f"ablations.{name}.variants"
        variants = self.config["ablations"][name]["variants"]
        lists = variants.values() if isinstance(variants, Mapping) else [variants]
        for variant in (variant for names in lists for variant in names):
            check_name("variant", variant, self.config["variants"], place)
        if isinstance(variants, Mapping):
            for dataset in variants:
                check_name("dataset", dataset, self.config["datasets"], place)

    def _ablation(self, name: str) -> Ablation:
        check_name("ablation", name, self.config["ablations"], f"studies.{self.name}.ablations")
        entry = self.config["ablations"][name]
        per_dataset = entry["variants"]
        if not isinstance(per_dataset, Mapping):
            per_dataset = dict.fromkeys(self.datasets, per_dataset)
        variants = {d: tuple(per_dataset[d]) for d in self.datasets if d in per_dataset}
        if not variants:
            raise ConfigError(
                f"studies.{self.name}: ablation {name!r} names none of its datasets "
                f"({', '.join(self.datasets)})"
            )
        source = entry.get("source")
        return Ablation(name, entry["title"], entry.get("description", ""), variants, source)


def _merged(layers: list[Mapping[str, Any]], section: str) -> dict[str, Any]:
    """One section of several layers of the config, later layers winning field by field."""
    return {field: value for layer in layers for field, value in layer.get(section, {}).items()}
