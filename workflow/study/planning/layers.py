"""A config as it is resolved: layers of config.yaml, of which the later ones win field by field."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from model.validation import ConfigError
from study.planning.config_file import ConfigFile, Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Layer:
    """Settings, and the path of keys at which they stand in config.yaml."""

    place: str
    settings: Settings

    def fields(self, section: str) -> Mapping[str, Any]:
        """What the layer sets of `model`, `train`, `evaluate` or `probe`."""
        fields: Mapping[str, Any] = getattr(self.settings, section, {})
        return fields


def layers_of_dataset(file: ConfigFile, study: str | None, dataset: str) -> list[Layer]:
    """What holds for all variants on a dataset, with or without a study's scale."""
    layers = [Layer("base", file.base), Layer(f"datasets.{dataset}", file.datasets[dataset])]
    if study is not None:
        place, entry = f"studies.{study}", file.studies[study]
        layers.append(Layer(place, entry))
        layers.append(Layer(f"{place}.datasets.{dataset}", entry.on_dataset(dataset)))
    return layers


def layers_of_variant(file: ConfigFile, dataset: str, variant: str) -> list[Layer]:
    """What a variant, after those that it extends, changes on a dataset."""
    layers = []
    for name in file.lineage(variant):
        place, entry = f"variants.{name}", file.variants[name]
        layers.append(Layer(place, entry))
        if dataset in entry.datasets:
            layers.append(Layer(f"{place}.datasets.{dataset}", entry.datasets[dataset]))
    return layers


def merged(layers: Sequence[Layer], section: str) -> dict[str, Any]:
    """One section of several layers."""
    fields: dict[str, Any] = {}
    for layer in layers:
        fields |= layer.fields(section)
    return fields


def missing(cls: type, fields: Mapping[str, Any]) -> str | None:
    """The first field of a config dataclass that must be given, and is not."""
    return next((name for name in _required(cls) if name not in fields), None)


def resolved(cls: type[T], section: str, layers: Sequence[Layer], of: str) -> T:
    """The config that layers give; `of` says in an error message what it belongs to.

    A ConfigError names the layer that made the mistake: the last one that sets a wrong field.
    """
    fields = merged(layers, section)
    name = missing(cls, fields)
    if name is not None:
        places = ", ".join(layer.place for layer in layers)
        raise ConfigError(f"{section}.{name} is missing for {of}: none of {places} sets it")
    try:
        built: T = _built(cls, tuple(sorted(fields.items())))  # type: ignore[arg-type]
        return built
    except ConfigError as error:
        raise _of_layer(error, section, layers, of) from None


def _of_layer(error: ConfigError, section: str, layers: Sequence[Layer], of: str) -> ConfigError:
    for layer in reversed(layers):
        for field in error.fields:
            if field in layer.fields(section):
                about = "" if field == error.fields[0] else f"{error.fields[0]}: "
                place = f"{layer.place}.{section}.{field}"
                return ConfigError(f"{about}{error.reason} ({of})", place=place)
    return ConfigError(f"{error} ({of})", place=section)


@cache
def _required(cls: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING)


@cache
def _built(cls: Any, fields: tuple[tuple[str, Any], ...]) -> Any:
    """Many runs, of all studies, share a model: it is built and checked once.

    The types of the fields have been checked where they stand in config.yaml.
    """
    return cls(**dict(fields))
