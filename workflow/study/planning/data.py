"""Whether a study's models fit its data, as far as these are there when it is planned."""

from pathlib import Path

from model.data.dataset_info import load_info
from model.data.published import EMBEDDED, PUBLISHED
from model.data.sources import DataError
from model.validation import ConfigError
from study.planning.content import StudyData
from study.planning.study import Study


def check_data(study: Study, data: StudyData) -> None:
    """Raise ConfigError for data that are absent, or that a model of the study is not for."""
    for dataset in study.datasets:
        path = Path(data.data_dir) / dataset / "dataset.json"
        if not path.is_file():
            _check_presence(study, dataset, data)
        elif not data.is_outdated(dataset):  # of other images than there will be
            _check_fit(study, dataset, data.data_dir)


def _check_presence(study: Study, dataset: str, data: StudyData) -> None:
    raw = Path(data.data_dir) / "raw" / dataset
    if dataset in EMBEDDED or dataset in PUBLISHED or raw.is_dir() or _archive(raw).is_file():
        return
    # What has been trained stays a result when its data are removed.
    if not all(
        (data.runs / run.name / "train.json").is_file()
        for run in study.runs
        if run.dataset == dataset
    ):
        raise ConfigError(
            f"none of the known datasets ({', '.join(sorted(EMBEDDED | set(PUBLISHED)))}), "
            f"and no images of your own: there is neither a folder {raw} nor {_archive(raw)}",
            place=f"datasets.{dataset}",
        )


def _archive(raw: Path) -> Path:
    return raw.parent / f"{raw.name}.zip"


def _check_fit(study: Study, dataset: str, data_dir: str) -> None:
    path = Path(data_dir) / dataset / "dataset.json"
    try:
        info = load_info(data_dir, dataset)
    except DataError:
        raise ConfigError(f"{path} is damaged; delete it, and snakemake makes it again") from None
    size, channels = info.image_size, info.image_channels
    num_train = info.num_images["train"]
    for variant in study.variants(dataset):
        model, train = study.configs(dataset, variant)
        of = f"variant {variant} of study {study.name}"
        if (size, channels) != (model.image_size, model.image_channels):
            raise ConfigError(
                f"its images are {size}x{size} with {channels} channels ({path}), but {of} has "
                f"image_size {model.image_size} and image_channels {model.image_channels}",
                place=f"datasets.{dataset}",
            )
        if num_train < train.batch_size:
            raise ConfigError(
                f"batch_size {train.batch_size} of {of} exceeds its {num_train} training images "
                f"({path})",
                place=f"datasets.{dataset}",
            )
