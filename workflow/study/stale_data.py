"""Whether runs were trained on other data than there are now, without reading an image."""

from pathlib import Path
from typing import Any

from model.data.dataset_info import DatasetInfo, load_info
from model.data.images_config import OwnImages
from model.data.raw_digest import NotRead, own_files_sha256
from model.data.sources import DataError
from study.planning.content import StudyData, is_own


class StaleData:
    """The data of a study at one moment, by what was read of them last."""

    def __init__(self, data: StudyData) -> None:
        self._data = data
        self._found: dict[str, tuple[DatasetInfo | None, str | None]] = {}
        self.unread: list[str] = []  # datasets whose files are not those that were read last

    def is_of_others(self, dataset: str, record: dict[str, Any]) -> bool:
        """Whether a training, by its train.json, was on another content than is known now.

        As `study plan` says it, but for the datasets in `unread`, of which only that can know.
        """
        if dataset not in self._found:
            self._found[dataset] = self._look(dataset)
        info, own = self._found[dataset]
        if info is None:
            return own is not None and record.get("raw_sha256") != own
        return own not in (None, info.raw_sha256) or record["dataset_sha256"] != info.dataset_sha256

    def _look(self, dataset: str) -> tuple[DatasetInfo | None, str | None]:
        data_dir = self._data.data_dir
        try:
            info = load_info(Path(data_dir), dataset)
        except (DataError, OSError):
            info = None
        if not is_own(dataset):
            return info, None
        own = self._data.own_images.get(dataset, OwnImages())
        try:
            return info, own_files_sha256(data_dir, dataset, own, may_read=False)
        except NotRead:
            self.unread.append(dataset)
        except OSError:  # which plan and snakemake say
            pass
        return info, None
