"""The command `study`: that it is installed, and what it says of itself."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOR_USERS = ("plan", "status", "show", "compare", "doctor", "clean", "partial", "retrain")
FOR_RULES = ("collect", "ablation", "figures", "document")


def study(*arguments: str) -> int:
    """What the installed command calls; its exit code."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    entry = EntryPoint(name="study", value=scripts["study"], group="console_scripts")
    try:
        return int(entry.load()(list(arguments)))
    except SystemExit as end:  # of argparse
        return int(end.code or 0)


def test_alone_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert study() == 0
    alone = capsys.readouterr().out
    assert study("--help") == 0
    assert capsys.readouterr().out == alone
    listed = [line.split()[0] for line in alone.splitlines() if line.startswith("    ")]
    assert listed == list(FOR_USERS)
    assert all(name in alone.partition("The workflow itself")[2] for name in FOR_RULES)


@pytest.mark.parametrize("command", [*FOR_USERS, *FOR_RULES])
def test_each_command_says_what_it_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert study(command, "--help") == 0
    text = capsys.readouterr().out
    description = text.split("\n\n")[1]
    assert not description.startswith(("positional", "options"))


def test_an_unknown_command_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert study("stauts") == 2
    assert "invalid choice: 'stauts'" in capsys.readouterr().err
