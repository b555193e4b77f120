"""What a study consists of: its ablations, its runs, and each run's resolved config."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from model.config import EvaluateConfig, ModelConfig, ProbeConfig, RefineConfig, TrainConfig
from model.definitions import DEFINITIONS
from model.run_config import RunConfig
from model.validation import ConfigError, validated
from study.planning.ablation import Ablation
from study.planning.config_file import ConfigFile, Settings
from study.planning.layers import Layer, layers_of_dataset, layers_of_variant, resolved
from study.planning.unused import check_unused

MAX_RUNS = 100_000  # of a study


@dataclass(frozen=True, order=True)
class Run:
    """One training: it lives in results/{study}/runs/{dataset}/{variant}/seed{seed}/."""

    dataset: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """The path of its folder below `runs/`: digits/x1/seed0."""
        return f"{self.dataset}/{self.variant}/seed{self.seed}"


class Study:
    """A study of a config file."""

    def __init__(self, file: ConfigFile, name: str) -> None:
        self.file = file
        self.name = name
        self.entry = file.studies[name]
        self._configs: dict[tuple[str, str], tuple[ModelConfig, TrainConfig]] = {}

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "Study":
        """The study that a parsed config.yaml chooses.

        Raises ConfigError, one line, for anything in the file that cannot work, whether the chosen
        study uses it or not.
        """
        return cls._of_file(validated(ConfigFile, config))

    @classmethod
    def load(cls, path: Path, name: str | None = None) -> "Study":
        """A study of a config.yaml (None: the one that it names), all of which is checked.

        Raises ConfigError, one line.
        """
        try:
            return cls._of_file(ConfigFile.load(path, name))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    @classmethod
    def _of_file(cls, file: ConfigFile) -> "Study":
        studies = {name: cls(file, name) for name in file.studies}
        for study in studies.values():
            study.check()
        check_unused(file, {pair for study in studies.values() for pair in study.pairs})
        return studies[file.study]

    def of_length(self, iterations: int) -> "Study":
        """The study as `snakemake --config iterations=N` makes it; raises ConfigError."""
        if iterations < 1:
            raise ConfigError(f"must be at least 1, not {iterations}", place="iterations")
        return Study(replace(self.file, iterations=iterations), self.name)

    def check(self) -> None:
        """Raise ConfigError, one line, unless every config of the study can be built."""
        self._check_number()
        self._check_logs()
        for dataset in self.datasets:
            self.evaluate_config(dataset)
            self.probe_config(dataset)
            self.refine_config(dataset)
        for dataset, variant in self.pairs:
            self.run_config(Run(dataset, variant, seed=0))
        for ablation in self.ablations.values():
            if ablation.refinement:
                self._check_steps(ablation)

    def _check_steps(self, ablation: Ablation) -> None:
        for dataset, variants in ablation.variants.items():
            for variant in variants:
                model, _ = self.configs(dataset, variant)
                try:
                    model.require_steps()
                except ConfigError as error:
                    of = f"variant {variant} on {dataset} in study {self.name}"
                    place = f"ablations.{ablation.name}.refinement"
                    raise ConfigError(f"{of}: {error}", place=place) from None

    def _check_number(self) -> None:
        number = sum(len(self.seeds(dataset)) for dataset, _ in self.pairs)
        if number > MAX_RUNS:
            raise ConfigError(
                f"{number:,} runs; at most {MAX_RUNS:,} can be", place=f"studies.{self.name}"
            )

    def _check_logs(self) -> None:
        """The logs of a run are named DATASET-VARIANT-seedN.log."""
        others: dict[str, tuple[str, str]] = {}
        for dataset, variant in self.pairs:
            other = others.setdefault(f"{dataset}-{variant}".lower(), (dataset, variant))
            if other != (dataset, variant):
                raise ConfigError(
                    f"variant {other[1]} on {other[0]} and variant {variant} on {dataset} would "
                    "write the same logs; rename one",
                    place=f"studies.{self.name}",
                )

    @property
    def datasets(self) -> list[str]:
        return list(self.entry.datasets)

    def seeds(self, dataset: str) -> range:
        """The seeds of each variant's runs on a dataset."""
        return range(self.entry.on_dataset(dataset).seeds or self.entry.seeds)

    @cached_property
    def ablations(self) -> dict[str, Ablation]:
        """The study's ablations by name, each on those of the study's datasets that it names."""
        return {name: self._ablation(name) for name in self.entry.ablations}

    def _ablation(self, name: str) -> Ablation:
        entry = self.file.ablations[name]
        on_datasets = {dataset: entry.variants_on(dataset) for dataset in self.datasets}
        variants = {dataset: names for dataset, names in on_datasets.items() if names}
        return Ablation(
            study=self.name,
            name=name,
            title=entry.title,
            description=entry.description,
            variants=variants,
            seeds={dataset: len(self.seeds(dataset)) for dataset in variants},
            source=entry.source,
            refinement=entry.refinement,
        )

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Every dataset and variant once, however many ablations use them; sorted."""
        return sorted(
            {
                (dataset, variant)
                for ablation in self.ablations.values()
                for dataset, variants in ablation.variants.items()
                for variant in variants
            }
        )

    def variants(self, dataset: str) -> list[str]:
        """The variants of the runs on a dataset; sorted."""
        return [variant for name, variant in self.pairs if name == dataset]

    @cached_property
    def runs(self) -> list[Run]:
        """Every run once; sorted."""
        return [Run(*pair, seed) for pair in self.pairs for seed in self.seeds(pair[0])]

    def run_config(self, run: Run) -> RunConfig:
        """The run's fully resolved config; raises ConfigError, one line, if it cannot work."""
        model, train = self.configs(run.dataset, run.variant)
        try:
            return RunConfig(
                dataset=run.dataset,
                variant=run.variant,
                seed=run.seed,
                definitions=DEFINITIONS,
                model=model,
                train=train,
            )
        except ConfigError as error:
            of = f"variant {run.variant} on {run.dataset} in study {self.name}"
            raise ConfigError(f"{error} ({of})") from None

    def evaluate_config(self, dataset: str) -> EvaluateConfig:
        """How the runs on a dataset are evaluated."""
        layers = layers_of_dataset(self.file, self.name, dataset)
        return resolved(EvaluateConfig, "evaluate", layers, f"{dataset} in study {self.name}")

    def probe_config(self, dataset: str) -> ProbeConfig:
        """How the runs on a dataset are probed."""
        layers = layers_of_dataset(self.file, self.name, dataset)
        return resolved(ProbeConfig, "probe", layers, f"{dataset} in study {self.name}")

    def refine_config(self, dataset: str) -> RefineConfig:
        """How the runs on a dataset are evaluated at other step sizes."""
        layers = layers_of_dataset(self.file, self.name, dataset)
        return resolved(RefineConfig, "refine", layers, f"{dataset} in study {self.name}")

    def refinement(self, dataset: str, variant: str) -> list[int]:
        """The repeats with which a variant's runs are evaluated, too, by any ablation; sorted."""
        of_ablations = [
            ablation.refinement
            for ablation in self.ablations.values()
            if variant in ablation.variants.get(dataset, ())
        ]
        return sorted({repeats for repeats_of in of_ablations for repeats in repeats_of})

    def configs(self, dataset: str, variant: str) -> tuple[ModelConfig, TrainConfig]:
        """What all seeds share, resolved once."""
        pair = dataset, variant
        if pair not in self._configs:
            layers = [
                *layers_of_dataset(self.file, self.name, dataset),
                *layers_of_variant(self.file, dataset, variant),
            ]
            if self.file.iterations is not None:
                length = Settings(train={"iterations": self.file.iterations})
                layers.append(Layer("iterations", length))
            of = f"variant {variant} on {dataset} in study {self.name}"
            self._configs[pair] = (
                resolved(ModelConfig, "model", layers, of),
                resolved(TrainConfig, "train", layers, of),
            )
        return self._configs[pair]
