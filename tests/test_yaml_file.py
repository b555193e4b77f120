"""Mistakes in a YAML file: one line in plain words, with line and column, within a second."""

import re
import time
from pathlib import Path

import pytest

from model.validation import ConfigError
from model.yaml_file import load_yaml

ALIASES = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # Equal keys: PyYAML keeps the last.
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' stands there twice, first in line 1"),
        ("a:\n  b: {c: 1, c: 2}\n", "line 2, column 13: the key 'c' of a.b stands there twice"),
        ("a:\n- {b: 1}\n- {b: 1, 'b': 2}", "line 3, column 10: the key 'b' of a stands there"),
        ("a: {<<: {x: 1}, <<: {y: 1}}", "line 1, column 17: the key '<<' of a stands there twice"),
        ("\ud7ff:\n  b: 1\n  b: 2\n", "line 3, column 3: the key 'b' of \\ud7ff stands there"),
        ("? [1]\n: 2\n", "line 1, column 3: a list, a mapping or an alias as a key; write text"),
        # Syntax.
        ("a:\n\tb: 1\n", "line 2, column 1: a tab; YAML wants spaces"),
        ("a:\t1\n", "line 1, column 3: a tab; YAML wants spaces"),  # Snakemake's loader refuses it
        ("a: [\n", "line 2, column 1: a bracket or brace is not closed"),
        ("a:\n  b: [1, 2\nc: 3\n", "line 3, column 2: a bracket or brace of line 2 is not closed"),
        ("x: {m: {b: 2}\ny: {}\n", "line 2, column 1: a bracket or brace of line 1 is not closed"),
        ("a: {b: 1}}\n", "line 1, column 10: this does not fit the lines above it"),
        ("a:\n  - 1\n c: 2\n", "line 3, column 2: this does not fit the lines above it"),
        ("a: 1\n b: 2\n", "line 2, column 3: a colon where none can be"),
        ("a: x\nb\nc: 2\n", "line 2, column 1: a key without a colon"),
        ("a: 'x\nb: 2\n", "line 1, column 4: a quote is opened and not closed"),
        ("a: @x\n", "line 1, column 4: text that begins with '@' must stand in quotes"),
        ("a: 1\nb: *y\n", "line 2, column 4: nothing before it has the anchor"),
        ("a: !!python/object:os.x 1\n", "line 1, column 4: a tag (!)"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: expected a single document"),
        ("b: 1\na: 2024-13-01\n", "line 2, column 4: '2024-13-01' is neither a date nor a number"),
        ("a: " + "1" * 5000, "line 1, column 4: '1111"),
        # What takes for ever, or ends the process.
        ("a: " + "[" * 100_000, "line 1, column 33: nested more than 30 deep"),
        ("a: " + "{a: " * 100_000, "line 1, column "),
        ("a: &x [1, *x]\n", "line 1, column 11: *x stands inside of what it stands for"),
        (ALIASES, "line 5, column 35: more than 100,000 values"),
        # Characters.
        ("a: 1\nb: \x01\n", "line 2, column 4: an unprintable character, '\\x01'; remove it"),
        (b"a: 1\nb: caf\xe9\n", "line 2: not UTF-8 (byte 0xe9); save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "line 1: not UTF-8 (byte 0xff); save the file as UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    start = time.monotonic()
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}") as caught:
        load_yaml(path)
    assert time.monotonic() - start < 1
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", None),
        (b"# nothing\n", None),
        (b"\xef\xbb\xbfa: 1\n", {"a": 1}),
        (b"a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        (b"a: {b: 1}\nc: {b: 1}\n", {"a": {"b": 1}, "c": {"b": 1}}),
        (
            b"a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\n",
            {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}},
        ),
        (b"a: &x [1, 2]\nb: *x\nc: *x\n", {"a": [1, 2], "b": [1, 2], "c": [1, 2]}),
        ("a: é\n".encode(), {"a": "é"}),
    ],
)
def test_what_is_well_formed_is_read(tmp_path: Path, content: bytes, value: object) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert load_yaml(path) == value


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot be read: no such file or directory$"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"^cannot be read: is a directory$"):
        load_yaml(tmp_path)
