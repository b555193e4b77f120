"""Where a study is, as commands are told: config.yaml, its data and its results."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from model.validation import ConfigError
from model.yaml_file import load_yaml
from study.planning.content import StudyData
from study.planning.own_images import own_images
from study.planning.study import Study


def add_place(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a study and its files."""
    parser.add_argument("study", nargs="?", help="default: the one that config.yaml names")
    parser.add_argument("--data-dir", metavar="DIR", help="as in snakemake --config data_dir=DIR")
    add_config(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="%(default)s"
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """The argument for the file that names the study to take of several."""
    parser.add_argument(
        "--config", type=Path, default=Path("config.yaml"), metavar="FILE", help="%(default)s"
    )


def default_study(found: Sequence[str], config: Path) -> str | None:
    """Of studies, the only one or the one that config.yaml names; None if that is not clear."""
    if len(found) == 1:
        return found[0]
    try:
        content = load_yaml(config)
    except (ConfigError, OSError):
        return None
    named = content.get("study") if isinstance(content, dict) else None
    return named if named in found else None


def data_of(study: Study, data_dir: str | None, results: Path) -> StudyData:
    """A study's data, in place of config.yaml's `data_dir` in this one if it is given."""
    place = os.path.normpath(os.path.expanduser(data_dir or study.file.data_dir))
    return StudyData(place, results / study.name / "runs", own_images(study))
