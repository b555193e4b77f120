"""Checking config.yaml, so that a mistake stops the dry run with one line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from pydantic import TypeAdapter

from model.config import (
    ConfigError,
    EvaluateConfig,
    ModelConfig,
    ProbeConfig,
    TrainConfig,
    nearest,
)

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, with the fields of the config dataclasses filled in."""
    content: dict[str, Any] = yaml.safe_load(SCHEMA.read_text())
    sections = {
        "model": ModelConfig,
        "train": TrainConfig,
        "evaluate": EvaluateConfig,
        "probe": ProbeConfig,
    }
    for name, section in sections.items():
        fields = TypeAdapter(section).json_schema()["properties"]
        content["$defs"][name] = {
            "type": "object",
            "additionalProperties": False,
            "properties": fields,  # none is required: each place of config.yaml holds some of them
        }
    return content


def check(config: Mapping[str, Any]) -> None:
    """Raise ConfigError, one line, at the first thing that the schema does not allow."""
    errors = sorted(Draft202012Validator(schema()).iter_errors(config), key=lambda e: list(e.path))
    if errors:
        raise ConfigError(_one_line(errors[0]))


def check_name(kind: str, name: str, known: Iterable[str], place: str) -> None:
    """Raise ConfigError unless a name that the config refers to is defined."""
    if name not in known:
        raise ConfigError(f"{place}: unknown {kind} {name!r}{nearest(name, known)}")


def _one_line(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path) or "config.yaml"
    if error.validator == "additionalProperties":
        assert isinstance(error.schema, Mapping)
        assert isinstance(error.instance, Mapping)
        known = error.schema["properties"]
        unknown = next(key for key in error.instance if key not in known)
        return f"{place}: unknown key {unknown!r}{nearest(str(unknown), known)}"
    if error.validator == "oneOf" and error.context:
        # Explain the alternative that was meant: the one whose type the value has.
        meant = [inner for inner in error.context if inner.validator != "type" or inner.path]
        if meant:
            return _one_line(meant[0])
        return f"{place}: expected a list, or one list per dataset, found {error.instance!r}"
    hint = ""
    if error.validator == "type" and isinstance(error.instance, str) and _is_number(error.instance):
        hint = " (YAML reads 2e-3 as text; write 2.0e-3 or 0.002)"
    return f"{place}: {error.message}{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
