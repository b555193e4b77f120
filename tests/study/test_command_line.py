"""What Snakemake makes of `--config KEY=VALUE`, and what is then said of it."""

import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config

from model.validation import ConfigError, validated
from study.planning.command_line import check_command_line
from study.planning.config_file import ConfigFile

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "study=2024_10",
            "study: Snakemake makes the number 202410 of 2024_10, and strips quotes; "
            "type 'study=!!str 2024_10', or choose a name such as 2024-10",
        ),
        ("study='1e3'", "study: Snakemake makes the number 1000.0 of 1e3, and strips quotes"),
        ('study="2024"', "study: Snakemake makes the number 2024 of 2024, and strips quotes"),
        ("study=nan", "study: Snakemake makes the number nan of nan, and strips quotes"),
        ("study=True", "study: Snakemake makes the truth value True of True, and strips quotes"),
        (
            "data_mirror=123",
            "data_mirror: Snakemake makes the number 123 of 123, and strips quotes; "
            "type 'data_mirror=!!str 123', or write data_mirror=./123",
        ),
        ("notify=3", "notify: Snakemake makes the number 3 of 3, and strips quotes"),
        ("data_dir=[a]", "data_dir: expected text, found '[a]'"),
        ("data_dir={a: b}", "data_dir: expected text, found '{a: b}'"),
        (
            "iterations=1e3",
            "iterations: Snakemake makes the number 1000.0 of 1e3; write iterations=1000",
        ),
        ("itertions=3", "unknown key 'itertions'; did you mean 'iterations'?"),
        ("base={train: {log_every: 3}}", "base: a section cannot be given on the command line"),
        ("studies=3", "studies: a section cannot be given on the command line"),
    ],
)
def test_a_setting_that_is_not_what_it_looks_like(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        check_command_line([setting], parse_config([setting]))


@pytest.mark.parametrize(
    ("typed", "may"), [("yes", True), ("True", True), ("no", False), ("False", False)]
)
def test_leave_to_retrain_is_read_as_it_is_typed(typed: str, may: bool) -> None:
    values = parse_config([f"retrain={typed}", "retrain_limit_hours=2"])
    check_command_line([f"retrain={typed}"], values)
    content = yaml.safe_load((ROOT / "config.yaml").read_text()) | values
    file = validated(ConfigFile, content)
    assert (file.retrain, file.retrain_limit_hours) == (may, 2)
    for wrong in ({"retrain": "maybe"}, {"retrain": [1]}, {"retrain_limit_hours": -1}):
        with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}: "):
            validated(ConfigFile, content | wrong)


def test_what_is_meant_is_accepted() -> None:
    settings = ["study=!!str 2024_10", "data_mirror=./123", "data_dir=a b=c", "iterations=500"]
    values = parse_config(settings)
    check_command_line(settings, values)
    assert values["study"] == "2024_10"
    assert values["data_dir"] == "a b=c"
    check_command_line([], {})
    check_command_line(["data_mirror="], parse_config(["data_mirror="]))
