"""What the data of a run hold: another content makes it again, another place or time does not."""

import json
from contextlib import suppress
from functools import cache
from pathlib import Path

from model.data.dataset_info import load_info
from model.data.published import EMBEDDED, PUBLISHED
from model.data.raw_digest import own_files_sha256
from model.data.sources import DataError


def content_of(data_dir: str, dataset: str, run_dir: Path) -> str | None:
    """A text that differs from that of a run's last training if its data do; None: not known yet.

    It is the digest of the arrays, as `dataset.json` has it, or the run's own record where the data
    have been removed since.  Own files that have changed are another content from now on.
    """
    own = own_content(data_dir, dataset)
    try:
        info = load_info(data_dir, dataset)
    except DataError:
        return f"of {own}" if own else _trained_on(run_dir)
    if own not in (None, info.raw_sha256):
        return f"of {own}"  # once preprocessed, it is the digest of what came of them
    return info.dataset_sha256


@cache
def own_content(data_dir: str, dataset: str) -> str | None:
    """The digest of the files that a user's own dataset is made of, or was if they are gone."""
    if dataset in EMBEDDED or dataset in PUBLISHED:
        return None
    found = own_files_sha256(data_dir, dataset)
    with suppress(DataError):
        return found or load_info(data_dir, dataset).raw_sha256
    return found


def _trained_on(run_dir: Path) -> str | None:
    try:
        return str(json.loads((run_dir / "train.json").read_bytes())["dataset_sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
