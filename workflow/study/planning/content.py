"""What the data of runs hold: another content makes a run again, another place or time does not."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from model.data.dataset_info import DatasetInfo, load_info
from model.data.images_config import OwnImages
from model.data.published import EMBEDDED, PUBLISHED
from model.data.raw_digest import own_files_sha256
from model.data.sources import DataError


@dataclass(frozen=True)
class StudyData:
    """The datasets of a study, and what its runs recorded of them."""

    data_dir: str
    runs: Path  # results/{study}/runs
    own_images: Mapping[str, OwnImages] = field(default_factory=dict)  # of the user's own datasets

    def content(self, dataset: str, variant: str, seed: int) -> str | None:
        """A text that differs from that of a run's last training if its data do; None: not known.

        It is the digest of the arrays, as `dataset.json` has it, or the run's own record where the
        arrays have been removed since.  Changed files of the user's are another content.
        """
        info, own = self._info(dataset), self.own_files(dataset)
        if info is not None and own in (None, info.raw_sha256):
            return info.dataset_sha256
        if info is None:
            recorded = record_of(self.runs / dataset / variant / f"seed{seed}") or {}
            if recorded.get("raw_sha256") == own:
                return recorded.get("dataset_sha256")
        return f"of {own}"  # once preprocessed, they have a digest of what came of them

    def is_outdated(self, dataset: str) -> bool:
        """Whether the arrays of a user's own dataset are of other files than are there now."""
        info = self._info(dataset)
        return info is not None and self.own_files(dataset) not in (None, info.raw_sha256)

    def own_files(self, dataset: str) -> str | None:
        """The digest of what a user's own dataset is made of, or was if that is gone."""
        if not is_own(dataset):
            return None
        own = self.own_images.get(dataset, OwnImages())
        if found := _own_files_sha256(self.data_dir, dataset, own):
            return found
        if info := self._info(dataset):
            return info.raw_sha256
        records = map(record_of, self.runs.glob(f"{dataset}/*/seed*"))
        known = (record["raw_sha256"] for record in records if record and "raw_sha256" in record)
        return next(known, None)

    def _info(self, dataset: str) -> DatasetInfo | None:
        try:
            stat = os.stat(os.path.join(self.data_dir, dataset, "dataset.json"))
        except OSError:
            return None
        # Asked for each run, and made anew while Snakemake runs: read once per version of the file.
        return _info_of(self.data_dir, dataset, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@cache
def _info_of(data_dir: str, dataset: str, version: tuple[int, ...]) -> DatasetInfo | None:
    try:
        return load_info(data_dir, dataset)
    except DataError:
        return None


def is_own(dataset: str) -> bool:
    """Whether a dataset is made of a user's own images."""
    return dataset not in EMBEDDED and dataset not in PUBLISHED


_own_files_sha256 = cache(own_files_sha256)  # asked for each run


def record_of(run_dir: Path) -> dict[str, Any] | None:
    """What a run recorded of its training, nothing if that is damaged; None: it has not ended."""
    try:
        found = json.loads((run_dir / "train.json").read_bytes())
    except OSError:
        return None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
