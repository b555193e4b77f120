"""The names of datasets, variants, ablations and studies: parts of the paths of what is made."""

import re
from collections.abc import Iterable

from model.validation import ConfigError, shown

MAX_NAMES = 1000  # of each kind: more would take longer to check than a second
_PATTERN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|(?<=[0-9])\.(?=[0-9])){0,59}")
_ALLOWED = (
    "a name is 1 to 60 letters (a to z), digits, - and _, with a dot between digits only, "
    "and begins with a letter or digit: lr-0.1"
)
# Folders of data_dir beside those of the datasets.
_FOLDERS_OF_DATA = ("raw", "logs")


def check_names(section: str, names: Iterable[str]) -> None:
    """Raise ConfigError for a name in a section of config.yaml that cannot be one."""
    names = list(names)
    if len(names) > MAX_NAMES:
        raise ConfigError(f"{len(names):,} of them; at most {MAX_NAMES:,} can be", place=section)
    others: dict[str, str] = {}  # by what a file system makes of them that ignores the case
    for name in names:
        if not _PATTERN.fullmatch(name):
            raise ConfigError(f"{shown(name)} cannot be a name; {_ALLOWED}", place=section)
        folded = name.lower()
        if folded in others:
            raise ConfigError(
                f"{others[folded]} and {name} differ in upper and lower case only, which some "
                "file systems take for the same; rename one",
                place=section,
            )
        others[folded] = name
        if section == "datasets" and folded in _FOLDERS_OF_DATA:
            raise ConfigError(
                "a folder of data_dir has this name; choose another one", place=f"datasets.{name}"
            )
