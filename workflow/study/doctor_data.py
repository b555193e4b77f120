"""Data of a study that are missing or damaged."""

from collections.abc import Iterator
from pathlib import Path

from model.data import sources
from model.data.arrays import load_images
from model.data.dataset_info import SPLITS, load_info
from model.data.published import EMBEDDED, PUBLISHED
from model.data.sources import DataError
from model.validation import ConfigError
from study.doctor_findings import Finding
from study.planning.content import StudyData
from study.planning.data import check_data
from study.planning.study import Study


def broken_data(study: Study, data: StudyData) -> Iterator[Finding]:
    """What keeps the study's datasets from being read; arrays are compared with their digests.

    A version of an array that was verified before is not read again.
    """
    for dataset in study.datasets:
        folder = Path(data.data_dir) / dataset
        again = f"python -m model.data preprocess {dataset} --data-dir {data.data_dir}"
        if not (folder / "dataset.json").is_file():
            yield from _missing(dataset, data.data_dir)
            continue
        try:
            load_info(data.data_dir, dataset)
            for split in SPLITS:
                load_images(data.data_dir, dataset, split)
        except (DataError, OSError) as error:
            yield Finding(_without_hint(error), again)
    try:
        check_data(study, data)
    except ConfigError as error:
        # Damage has been told; what is left is absent, or not what the models are for.
        if "is damaged" not in str(error):
            yield Finding(str(error), "$EDITOR config.yaml")


def _missing(dataset: str, data_dir: str) -> Iterator[Finding]:
    """What snakemake cannot fetch by itself: what no network has, or what is there and wrong."""
    source = PUBLISHED.get(dataset)
    if dataset in EMBEDDED or source is None:  # of a user's own, check_data says
        return
    raw = sources.raw_dir(data_dir, dataset)
    if not source.mirrors or any((raw / file.name).exists() for file in source.files):
        try:
            sources.verify(source, data_dir)
        except DataError as error:
            fetch = f"python -m model.data fetch {dataset} --data-dir {data_dir}"
            mirror = "" if source.mirrors else " --mirror DIR"  # there is no direct link
            yield Finding(_without_hint(error), f"{fetch}{mirror}")


def _without_hint(error: Exception) -> str:
    return str(error).partition("; run `")[0]
