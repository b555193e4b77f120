"""How a study's datasets of a user's own images are made: their options, and the models' size."""

from model.data.images_config import ImagesConfig, OwnImages
from model.data.published import EMBEDDED, PUBLISHED
from model.validation import ConfigError
from study.planning.study import Run, Study


def own_images(study: Study) -> dict[str, OwnImages]:
    """The study's datasets that are neither published nor embedded.

    Raises ConfigError if its models want one dataset in several sizes.
    """
    own: dict[str, OwnImages] = {}
    for dataset, variant in study.pairs:
        if dataset in EMBEDDED or dataset in PUBLISHED:
            continue
        model = study.run_config(Run(dataset, variant, 0)).model
        made = OwnImages(
            config=study.file.datasets[dataset].images or ImagesConfig(),
            image_size=model.image_size,
            image_channels=model.image_channels,
        )
        if own.setdefault(dataset, made) != made:
            raise ConfigError(
                f"{model.image_size}x{model.image_size}x{model.image_channels} for variant "
                f"{variant} is another size than for others; images are made in one size: give "
                "the other one its own dataset",
                place=f"datasets.{dataset}.model.image_size",
            )
    return own
