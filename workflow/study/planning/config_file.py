"""config.yaml as dataclasses: what may stand in it, and which names must be defined."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from model.config import EvaluateConfig, ModelConfig, ProbeConfig, RefineConfig, TrainConfig
from model.data.images_config import ImagesConfig
from model.data.published import EMBEDDED, PUBLISHED
from model.training.curve_writers import WriterName
from model.validation import (
    LIST,
    LIST_OR_MAPPING,
    MAPPING,
    NO_OTHER_KEYS,
    ConfigError,
    Part,
    require_name,
    shown,
    validated,
)
from model.yaml_file import load_yaml
from study.planning.names import check_names
from study.registry import owner_of

T = TypeVar("T")

MAX_SEEDS = 10_000
MAX_LINEAGE = 20  # variants of which each extends the next


def _without_repetition(entries: tuple[T, ...]) -> tuple[T, ...]:
    repeated = [entry for entry, count in Counter(entries).items() if count > 1]
    if repeated:
        raise ConfigError(f"{shown(repeated[0])} stands in the list twice")
    return entries


def _truth(value: Any) -> Any:
    """`--config retrain=yes`: Snakemake takes yes for text, unlike YAML."""
    return {"yes": True, "no": False}[value] if value in ("yes", "no") else value


Truth = Annotated[bool, BeforeValidator(_truth)]
Repeats = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1000)], ...], AfterValidator(_without_repetition)
]
Names = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_without_repetition)]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Some fields of each config: what one layer of config.yaml sets."""

    __pydantic_config__ = NO_OTHER_KEYS

    model: Annotated[dict[str, Any], Part(ModelConfig)] = field(default_factory=dict)
    train: Annotated[dict[str, Any], Part(TrainConfig)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScaleSettings(Settings):
    """The settings of a layer that also says how runs are evaluated, probed and refined."""

    evaluate: Annotated[dict[str, Any], Part(EvaluateConfig)] = field(default_factory=dict)
    probe: Annotated[dict[str, Any], Part(ProbeConfig)] = field(default_factory=dict)
    refine: Annotated[dict[str, Any], Part(RefineConfig)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(ScaleSettings):
    """A dataset: its model and training and, of a user's own images, how they are made."""

    images: ImagesConfig | None = None


@dataclass(frozen=True, kw_only=True)
class VariantEntry(Settings):
    """A variant: differences from its dataset's model, and further ones on some datasets."""

    extends: str | None = None  # the variant whose differences come before these
    datasets: dict[str, Settings] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """The fields that the variant sets on any dataset."""
        settings = [self, *self.datasets.values()]
        return list(dict.fromkeys(f for s in settings for f in (*s.model, *s.train)))

    def is_defined_on(self, dataset: str) -> bool:
        """Whether the variant says anything of a dataset: with `datasets` alone, of those only."""
        is_of_datasets_only = self.datasets and not (self.extends or self.model or self.train)
        return dataset in self.datasets or not is_of_datasets_only


@dataclass(frozen=True, kw_only=True)
class AblationEntry:
    """An ablation: one list of variants for all datasets, or one for each that it is made on."""

    __pydantic_config__ = NO_OTHER_KEYS

    title: str
    description: str = ""
    source: Literal["table1", "table2", "table3", "figure4"] | None = None
    variants: Annotated[
        Annotated[Names, LIST]
        | Annotated[Annotated[dict[str, Names], Field(min_length=1)], MAPPING],
        LIST_OR_MAPPING,
    ]
    # its finished runs are evaluated with their plain blocks applied so often, too
    refinement: Repeats = ()

    @property
    def datasets(self) -> tuple[str, ...] | None:
        """The datasets that the ablation names; None: it is made on any."""
        return tuple(self.variants) if isinstance(self.variants, dict) else None

    @property
    def all_variants(self) -> tuple[str, ...]:
        """The variants of all lists, in the order of the file; some may stand there twice."""
        if isinstance(self.variants, dict):
            return tuple(name for names in self.variants.values() for name in names)
        return self.variants

    def variants_on(self, dataset: str) -> tuple[str, ...]:
        """The variants that are compared on a dataset, the baseline first; none if not named."""
        if isinstance(self.variants, dict):
            return self.variants.get(dataset, ())
        return self.variants


@dataclass(frozen=True, kw_only=True)
class StudyOnDataset(ScaleSettings):
    """What a study changes on one dataset."""

    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)] | None = None


@dataclass(frozen=True, kw_only=True)
class StudyEntry(ScaleSettings):
    """A study: datasets, ablations, and the scale of their runs."""

    datasets: Annotated[
        Annotated[Names, LIST]
        | Annotated[Annotated[dict[str, StudyOnDataset], Field(min_length=1)], MAPPING],
        LIST_OR_MAPPING,
    ]
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    ablations: Names

    def on_dataset(self, dataset: str) -> StudyOnDataset:
        """What the study changes on a dataset."""
        return self.datasets[dataset] if isinstance(self.datasets, dict) else StudyOnDataset()


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """All of config.yaml, with every name that it refers to defined."""

    __pydantic_config__ = NO_OTHER_KEYS

    study: str
    data_dir: Annotated[str, Field(min_length=1)]
    data_mirror: str | None
    iterations: Annotated[int, Field(ge=1, le=1_000_000_000)] | None
    base: ScaleSettings
    datasets: dict[str, DatasetEntry]
    variants: dict[str, VariantEntry]
    ablations: dict[str, AblationEntry]
    studies: dict[str, StudyEntry]
    notify: Annotated[str, Field(min_length=1)] | None = None
    report_to: Annotated[tuple[WriterName, ...], AfterValidator(_without_repetition)] = ()
    retrain: Truth = False  # finished runs are trained again: said on the command line
    retrain_limit_hours: Annotated[float, Field(ge=0)] = 1.0

    @classmethod
    def load(cls, path: Path, study: str | None = None) -> "ConfigFile":
        """Read a config.yaml for one of its studies (None: the one that it names).

        Raises ConfigError, one line.
        """
        content = load_yaml(path)
        if study is not None and isinstance(content, dict):
            content = content | {"study": study}
        return validated(cls, content)

    def __post_init__(self) -> None:
        for section in ("datasets", "variants", "ablations", "studies"):
            check_names(section, getattr(self, section))
        for setting in ("data_dir", "data_mirror"):
            _check_path(setting, getattr(self, setting))
        for name, dataset in self.datasets.items():
            if dataset.images is not None and (name in EMBEDDED or name in PUBLISHED):
                reason = f"{name} is made as published; this is for images of your own"
                raise ConfigError(reason, place=f"datasets.{name}.images")
        for name, variant in self.variants.items():
            self.lineage(name)
            self._require_datasets(variant.datasets, f"variants.{name}.datasets")
        for name, ablation in self.ablations.items():
            self._check_ablation(name, ablation)
        for name, study in self.studies.items():
            self._require_datasets(study.datasets, f"studies.{name}.datasets")
            self._check_ablations(name, study)
        require_name("study", self.study, self.studies, "study")

    def lineage(self, variant: str) -> list[str]:
        """A variant after those that it extends, the most basic one first."""
        names = [variant]
        while (parent := self.variants[names[0]].extends) is not None:
            place = f"variants.{names[0]}.extends"
            require_name("variant", parent, self.variants, place)
            if parent in names:
                raise ConfigError(f"{parent} extends {names[0]} in turn", place=place)
            names.insert(0, parent)
            if len(names) > MAX_LINEAGE:
                raise ConfigError(f"more than {MAX_LINEAGE} variants in a row", place=place)
        return names

    def _check_ablation(self, name: str, ablation: AblationEntry) -> None:
        if owner := owner_of(name.lower(), [other.lower() for other in self.ablations]):
            raise ConfigError(
                f"{owner} has this name; choose another one", place=f"ablations.{name}"
            )
        place = f"ablations.{name}.variants"
        self._require_datasets(ablation.datasets or (), place)
        for variant in ablation.all_variants:
            require_name("variant", variant, self.variants, place)
        for dataset in ablation.datasets or ():
            for variant in ablation.variants_on(dataset):
                self._require_defined(variant, dataset, f"{place}.{dataset}")

    def _check_ablations(self, study_name: str, study: StudyEntry) -> None:
        place = f"studies.{study_name}.ablations"
        for name in study.ablations:
            require_name("ablation", name, self.ablations, place)
            ablation = self.ablations[name]
            if not any(ablation.variants_on(dataset) for dataset in study.datasets):
                raise ConfigError(
                    f"ablation {name!r} names none of the study's datasets "
                    f"({', '.join(study.datasets)}); it names {', '.join(ablation.datasets or ())}",
                    place=place,
                )
            for dataset in study.datasets:
                for variant in ablation.variants_on(dataset):
                    of = f" of study {study_name}"
                    self._require_defined(variant, dataset, f"ablations.{name}.variants", of)

    def _require_defined(self, variant: str, dataset: str, place: str, of: str = "") -> None:
        for name in self.lineage(variant):
            entry = self.variants[name]
            if not entry.is_defined_on(dataset):
                raise ConfigError(
                    f"variant {name!r} is defined for {', '.join(entry.datasets)} only, "
                    f"not for {dataset}{of}",
                    place=place,
                )

    def _require_datasets(self, names: Iterable[str], place: str) -> None:
        for name in names:
            require_name("dataset", name, self.datasets, place)


def _check_path(setting: str, path: str | None) -> None:
    """Raise ConfigError for characters that have a meaning in the paths of Snakemake's rules."""
    if path is not None and (not path.isprintable() or set("{}<>") & set(path)):
        reason = f"{shown(path)}: neither of {{ }} < > nor unprintable characters can be in a path"
        raise ConfigError(reason, place=setting)
