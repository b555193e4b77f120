"""`snakemake --config KEY=VALUE`: what Snakemake makes of a value is not always what was meant."""

from collections.abc import Iterable, Mapping
from typing import Any

from model.validation import ConfigError, nearest, shown

# What config.yaml has at its top and one value can say.
_TEXTS = ("study", "data_dir", "data_mirror", "notify")
_KEYS = (*_TEXTS, "iterations", "report_to", "retrain", "retrain_limit_hours")
_SECTIONS = ("base", "datasets", "variants", "ablations", "studies")


def check_command_line(arguments: Iterable[str], values: Mapping[str, Any]) -> None:
    """Raise ConfigError for a setting on the command line that is none, or not what it looks like.

    `arguments` are KEY=VALUE as typed, and `values` what Snakemake has read from them.
    """
    typed = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    for key, value in values.items():
        written = typed.get(key, str(value)).strip("'\"")  # which Snakemake strips, too
        if key in _SECTIONS:
            raise ConfigError(
                f"{key}: a section cannot be given on the command line, where numbers inside are "
                "read as text; write it into a file and add --configfile FILE"
            )
        if key not in _KEYS:
            raise ConfigError(f"unknown key {shown(key)}{nearest(key, _KEYS)}")
        if key in _TEXTS and not isinstance(value, str) and value is not None:
            if not isinstance(value, int | float):
                raise ConfigError(f"{key}: expected text, found {shown(written)}")
            kind = "truth value" if isinstance(value, bool) else "number"
            raise ConfigError(
                f"{key}: Snakemake makes the {kind} {value} of {written[:60]}, and strips quotes; "
                f"type '{key}=!!str {written[:60]}', or {_other(key, written[:60])}"
            )
        if key == "iterations" and isinstance(value, float) and value.is_integer():
            raise ConfigError(
                f"iterations: Snakemake makes the number {value} of {written[:60]}; "
                f"write iterations={value:.0f}"
            )


def _other(key: str, written: str) -> str:
    return "choose a name such as 2024-10" if key == "study" else f"write {key}=./{written}"
