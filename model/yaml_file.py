"""Reading a YAML file; what is wrong in it is one line that names line and column.

PyYAML takes the last of two equal keys in silence, follows aliases into billions of values, and
ends the process where lists are nested too deep: a pass over the parser's events comes first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from model.validation import MAX_DEPTH, MAX_VALUES, ConfigError, shown

# The C loader gives the same as yaml.SafeLoader, ten times as fast; not every PyYAML has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: Path) -> Any:
    """What a YAML file holds, in UTF-8; raises ConfigError, whose text does not name the file."""
    text = _text_of(path)
    # With tabs, the C loader is laxer than the one by which Snakemake reads config.yaml.
    loader = yaml.SafeLoader if "\t" in text else _Loader
    try:
        _check_events(yaml.parse(text, Loader=loader))
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        raise _in_words(error, text) from None
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise _unreadable_scalar(text) or ConfigError(_one_line(error)) from None
    except yaml.YAMLError as error:
        raise ConfigError(_one_line(error)) from None


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start]
        raise ConfigError(
            f"line {line}: not UTF-8 (byte 0x{found:02x}); save the file as UTF-8"
        ) from None
    # The parser's own message names neither line nor column.
    if unprintable := yaml.reader.Reader.NON_PRINTABLE.search(text):
        before = text[: unprintable.start()]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        raise ConfigError(
            f"line {line}, column {column}: an unprintable character, "
            f"{shown(unprintable.group())}; remove it"
        )
    return text


def _mistake(reason: str, mark: Any) -> ConfigError:
    return ConfigError(f"line {mark.line + 1}, column {mark.column + 1}: {reason}")


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _in_words(error: yaml.MarkedYAMLError, text: str) -> ConfigError:
    """The parser's error in the words of someone who does not know its grammar."""
    context, problem = error.context or "", error.problem or "this is no YAML"
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ConfigError(_one_line(error))
    line = (text.splitlines() or [""])[mark.line : mark.line + 1]
    found = line[0][mark.column : mark.column + 1] if line else ""
    if found == "\t":
        reason = "a tab; YAML wants spaces"
    elif "cannot start any token" in problem:
        reason = f"text that begins with {shown(found)} must stand in quotes"
    elif "mapping values are not allowed" in problem:
        reason = "a colon where none can be: the line is indented too far, or its text needs quotes"
    elif "could not find expected ':'" in problem:
        mark, reason = error.context_mark or mark, "a key without a colon and a space behind it"
    elif "undefined alias" in problem:
        reason = "nothing before it has the anchor (&) that this alias (*) names"
    elif "flow" in context:
        of = f" of line {error.context_mark.line + 1}" if error.context_mark else ""
        of = "" if context.endswith("node") else of
        reason = f"a bracket or brace{of} is not closed, or a comma is missing"
    elif "quoted scalar" in context and "unexpected" in problem:
        mark, reason = error.context_mark or mark, "a quote is opened and not closed"
    elif "block" in context:
        reason = "this does not fit the lines above it: its indentation, or a bracket too many"
    elif "constructor for the tag" in problem:
        reason = "a tag (!): only text, numbers, lists and mappings are read"
    else:
        reason = _one_line(f"{context} {problem}")
    return _mistake(reason, mark)


def _unreadable_scalar(text: str) -> ConfigError | None:
    """The first value that looks like a date or number and is none, such as 2024-13-01."""
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            try:
                yaml.load(event.value, Loader=_Loader)
            except ValueError:
                reason = f"{shown(event.value)} is neither a date nor a number; put it in quotes"
                return _mistake(reason, event.start_mark)
            except yaml.YAMLError:
                continue
    return None


# --- the pass over the events ------------------------------------------------------------------


@dataclass
class _Collection:
    """A list or mapping that is being read."""

    anchor: str | None
    place: str  # the path of keys to it
    keys: dict[str, int] | None  # of a mapping, with the line where each stands; None: a list
    key: str | None = None  # whose value comes next
    size: int = field(default=1)  # values inside, aliases as often as they are used

    def place_of_value(self) -> str:
        return ".".join(filter(None, [self.place, self.key]))


def _check_events(events: Iterable[Any]) -> None:
    opened: list[_Collection] = []
    sizes: dict[str, int] = {}  # by anchor
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            closed = opened.pop()
            _add(opened, sizes, closed.anchor, closed.size, event)
        elif isinstance(event, yaml.NodeEvent):
            _check_key(opened, event)
            if isinstance(event, yaml.CollectionStartEvent):
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                place = opened[-1].place_of_value() if opened else ""
                opened.append(_Collection(event.anchor, place, {} if is_mapping else None))
                if len(opened) > MAX_DEPTH:
                    raise _mistake(f"nested more than {MAX_DEPTH} deep", event.start_mark)
            elif isinstance(event, yaml.AliasEvent):
                if any(event.anchor == collection.anchor for collection in opened):
                    reason = f"*{shown(event.anchor)[1:-1]} stands inside of what it stands for"
                    raise _mistake(reason, event.start_mark)
                _add(opened, sizes, None, sizes.get(str(event.anchor), 1), event)
            else:
                _add(opened, sizes, event.anchor, 1, event)


def _check_key(opened: list[_Collection], event: Any) -> None:
    """Raise ConfigError if a node is a key that its mapping has already."""
    mapping = opened[-1] if opened else None
    if mapping is None or mapping.keys is None or mapping.key is not None:
        return
    if not isinstance(event, yaml.ScalarEvent):
        raise _mistake("a list, a mapping or an alias as a key; write text", event.start_mark)
    mark: Any = event.start_mark
    if (first := mapping.keys.get(event.value)) is not None:
        where = f" of {shown(mapping.place)[1:-1]}" if mapping.place else ""
        raise _mistake(
            f"the key {shown(event.value)}{where} stands there twice, first in line {first}; "
            "remove one of them",
            mark,
        )
    mapping.keys[event.value] = mark.line + 1


def _add(
    opened: list[_Collection], sizes: dict[str, int], anchor: str | None, size: int, event: Any
) -> None:
    """Count a finished node in the collection that it stands in."""
    if anchor is not None:
        sizes[anchor] = size
    if not opened:
        return
    parent = opened[-1]
    parent.size += size
    if parent.size > MAX_VALUES:
        raise _mistake(f"more than {MAX_VALUES:,} values", event.start_mark)
    if parent.keys is not None:
        if parent.key is None:
            parent.key = event.value
        else:
            parent.key = None
