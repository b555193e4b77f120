"""Building config dataclasses from parsed YAML, and one line of plain words for each mistake.

Types are checked as pydantic checks JSON in strict mode: a list stands for a tuple, a mapping for a
dataclass and an integer for a number; nothing else is converted.  This file imports no torch.
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import (
    ConfigDict,
    Discriminator,
    GetCoreSchemaHandler,
    Tag,
    TypeAdapter,
    ValidationError,
)

T = TypeVar("T")

# Far more than any configuration needs; beyond them, reading one would take longer than a second.
MAX_DEPTH = 30
MAX_VALUES = 100_000
MAX_LENGTH = 10_000  # characters of a text

# The `__pydantic_config__` of every config dataclass: an unknown key is a mistake.
NO_OTHER_KEYS = ConfigDict(extra="forbid")


class ConfigError(ValueError):
    """A mistake of the user's in the configuration; its text is one line.

    `place` is the path of keys to it, as far as known.  `fields` are the fields of one dataclass
    that contradict each other or are wrong; the reason is written about the first one.
    """

    def __init__(self, reason: str, *fields: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fields = fields
        self.place = place

    def __str__(self) -> str:
        where = ".".join([*filter(None, [self.place]), *self.fields[:1]])
        return f"{where}: {self.reason}" if where else self.reason


@dataclass(frozen=True)
class Part:
    """Annotates a mapping that holds some of a dataclass's fields, each of its type there."""

    of: type

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> dict[str, Any]:
        fields = {
            name: {
                "type": "typed-dict-field",
                "schema": handler.generate_schema(hint),
                "required": False,
            }
            for name, hint in get_type_hints(self.of, include_extras=True).items()
        }
        return {"type": "typed-dict", "fields": fields, "extra_behavior": "forbid"}


# For `Annotated[Annotated[..., LIST] | Annotated[..., MAPPING], LIST_OR_MAPPING]`: the mistake is
# then reported for the alternative that was meant.
LIST, MAPPING = Tag("<list>"), Tag("<mapping>")
LIST_OR_MAPPING = Discriminator(
    lambda value: LIST.tag if isinstance(value, list | tuple) else MAPPING.tag
)


def validated(cls: type[T], mapping: Any) -> T:
    """Build a config dataclass from parsed YAML; raises ConfigError at the first mistake."""
    check_plain(mapping)
    text = json.dumps(mapping)
    adapter: TypeAdapter[T] = _adapter(cls)  # type: ignore[arg-type] # mypy: types are hashable
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    raise _config_error(cls, mistakes) from None


def check_plain(value: Any) -> None:
    """Raise ConfigError unless parsed YAML is lists, mappings with text as keys, and plain values.

    Numbers are finite and of at most 64 bits; nothing is larger than the limits above.
    """
    remaining = MAX_VALUES

    def check(value: Any, place: tuple[str, ...]) -> None:
        nonlocal remaining
        remaining -= 1
        if len(place) > MAX_DEPTH:
            raise ConfigError(f"nested more than {MAX_DEPTH} deep", place=_joined(place[:3]))
        if remaining < 0:
            raise ConfigError(f"more than {MAX_VALUES:,} values", place=_joined(place))
        if isinstance(value, Mapping):
            for key, content in value.items():
                _check_key(key, place)
                check(content, (*place, key))
        elif isinstance(value, list | tuple):
            for content in value:
                check(content, (*place, ""))
        elif reason := _not_plain(value):
            raise ConfigError(reason, place=_joined(place))

    check(value, ())


def _check_key(key: Any, place: tuple[str, ...]) -> None:
    if not isinstance(key, str):
        reason = f"the key {_as_in_yaml(key)} is {_kind(key)}; write it in quotes, as text"
        raise ConfigError(reason, place=_joined(place))
    if not key.isprintable():
        raise ConfigError(f"unprintable characters in the key {shown(key)}", place=_joined(place))


def _not_plain(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > MAX_LENGTH:
            return f"text of {len(value):,} characters; at most {MAX_LENGTH:,} are read"
        return None if _is_unicode(value) else f"half a character in {shown(value)}"
    if isinstance(value, int):
        return "a number of more than 64 bits" if value.bit_length() > 63 else None
    if isinstance(value, float):
        return None if isfinite(value) else f"must be finite, not {_as_in_yaml(value)}"
    return f"{shown(str(value))} is {_kind(value)}; write it in quotes, as text"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_in_yaml(value: Any) -> str:
    if isinstance(value, float) and not isfinite(value):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(value)]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 63:
        return "of more than 64 bits"
    return str(value) if isinstance(value, int | float) else shown(str(value))


def _kind(value: Any) -> str:
    """What YAML makes of an unquoted text."""
    if value is None:
        return "nothing to YAML"
    if isinstance(value, bool):
        return "a truth value to YAML, as are yes, no, on and off"
    if isinstance(value, int | float):
        return "a number to YAML"
    return "a date to YAML" if isinstance(value, date) else "of a kind that is not read"


def _joined(place: Iterable[str]) -> str:
    """A path of keys for an error message."""
    return ".".join(key if len(key) <= 60 else f"{key[:57]}..." for key in place if key)


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """Built once per process: that takes a hundred times as long as using it."""
    return TypeAdapter(cls)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known name nearest to a misspelt one, or all of them."""
    known = sorted(known)
    match = _similar(name, known)
    if match:
        return f"; did you mean {match!r}?"
    listed = known if len(known) <= 40 else [*known[:40], "..."]
    return f"; known are {', '.join(listed)}" if listed else "; there is none"


def _similar(name: str, known: Sequence[str]) -> str | None:
    if len(name) > 200:  # comparing takes long
        return None
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)


def require_name(kind: str, name: str, known: Iterable[str], place: str) -> None:
    """Raise ConfigError unless a name that the config refers to is defined."""
    if name not in known:
        raise ConfigError(f"unknown {kind} {shown(name)}{nearest(name, known)}", place=place)


def shown(value: Any) -> str:
    """A wrong value for an error message: on one line, and shortened."""
    if value is None:
        return "nothing"
    is_scalar = isinstance(value, str | float | int) and not isinstance(value, bool)
    text = repr(value) if is_scalar else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- words for pydantic's errors -------------------------------------------------------------

_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
}


def _config_error(cls: Any, mistakes: Sequence[Any]) -> ConfigError:
    # An unknown key first, and a missing one last: a misspelt key is both.
    first = min(mistakes, key=lambda m: (m["type"] not in _UNKNOWN, _is_missing_key(m)))
    # Neither places in lists nor the tags of alternatives are keys.
    keys = [p for p in first["loc"] if isinstance(p, str) and p not in (LIST.tag, MAPPING.tag)]
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, ConfigError):  # by a __post_init__ of ours
        place = ".".join(filter(None, [_joined(keys), raised.place]))
        return ConfigError(raised.reason, *raised.fields, place=place)
    if first["type"] in _UNKNOWN:
        *keys, key = keys
        reason = f"unknown key {shown(key)}{nearest(key, _known_keys(cls, keys))}"
    elif _is_missing_key(first):
        *keys, key = keys
        reason = f"{key} is missing"
    else:
        reason = _reason(first)
    return ConfigError(reason, place=_joined(keys))


def _is_missing_key(mistake: Any) -> bool:
    """Whether a key is missing, not a value of a list."""
    return mistake["type"] in _MISSING and isinstance(mistake["loc"][-1], str)


def _reason(mistake: Any) -> str:
    kind, value, details = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind == "literal_error":
        allowed = re.findall(r"'(.*?)'", details["expected"])
        if not isinstance(value, str):
            return f"expected one of {', '.join(allowed)}, found {shown(value)}"
        match = _similar(value, allowed)
        hint = f"; did you mean {match!r}?" if match else ""
        return f"{value!r} is none of {', '.join(allowed)}{hint}"
    if kind in _EXPECTED:
        expected = _EXPECTED[kind]
        if mistake["loc"] and mistake["loc"][-1] == MAPPING.tag:
            expected = "a list or a mapping"
        hint = _number_hint(expected, value)
        if expected == "text" and isinstance(value, int | float):
            hint = "; to be text, it must stand in quotes"
        return f"expected {expected}, found {shown(value)}{hint}"
    if kind in _MISSING:
        return f"expected more values, found {shown(value)}"
    if kind in ("too_long", "too_short"):
        bound = "at most" if kind == "too_long" else "at least"
        number = details["max_length" if kind == "too_long" else "min_length"]
        values = "value" if number == 1 else "values"
        return f"expected {bound} {number} {values}, found {shown(value)}"
    if kind == "greater_than_equal":
        return f"expected at least {details['ge']}, found {shown(value)}"
    if kind == "less_than_equal":
        return f"expected at most {details['le']:,}, found {shown(value)}"
    if kind == "string_too_long":
        return f"expected at most {details['max_length']} characters, found {shown(value)}"
    if kind == "string_too_short":
        return f"expected some text, found {shown(value)}"
    return f"{mistake['msg'].removeprefix('Value error, ')}, found {shown(value)}"


def _number_hint(expected: str, value: Any) -> str:
    """How to write what was meant for a number; YAML reads 2e-3 as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    if expected == "an integer" and number.is_integer() and not isinstance(value, bool):
        return f" (write {number:.0f})"
    if expected == "a number" and "e" in str(value).lower():
        return " (YAML reads 2e-3 as text; write 2.0e-3 or 0.002)"
    return ""


def _known_keys(hint: Any, keys: Sequence[str]) -> list[str]:
    """The keys of the mapping at a path of keys inside a type."""
    if get_origin(hint) is Annotated:
        parts = [annotation.of for annotation in get_args(hint) if isinstance(annotation, Part)]
        return _known_keys(parts[0] if parts else get_args(hint)[0], keys)
    if get_origin(hint) in (Union, UnionType):
        (*_, mapping) = (option for option in get_args(hint) if option is not NoneType)
        return _known_keys(mapping, keys)
    if get_origin(hint) is not None and issubclass(get_origin(hint), Mapping):
        return _known_keys(get_args(hint)[1], keys[1:])
    if keys:
        return _known_keys(get_type_hints(hint, include_extras=True)[keys[0]], keys[1:])
    return [field.name for field in dataclasses.fields(hint)]
