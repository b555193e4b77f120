"""What no study uses yet must work too: it is checked by itself, as far as it is complete."""

from model.config import ModelConfig, TrainConfig
from model.validation import ConfigError
from study.planning.config_file import ConfigFile
from study.planning.layers import layers_of_dataset, layers_of_variant, merged, missing, resolved


def check_unused(file: ConfigFile, used: set[tuple[str, str]]) -> None:
    """Raise ConfigError for a dataset, an ablation or a variant that cannot work.

    `used` are the datasets and variants of all studies, which have been checked with the scale of
    their study.  A variant that no ablation names must work on one dataset at least.
    """
    for dataset in file.datasets.keys() - {dataset for dataset, _ in used}:
        _check(file, dataset, None)
    named = {
        (dataset, variant)
        for ablation in file.ablations.values()
        for dataset in ablation.datasets or ()
        for variant in ablation.variants_on(dataset)
    }
    for dataset, variant in sorted(named - used):
        _check(file, dataset, variant)
    for variant in file.variants.keys() - {variant for _, variant in named | used}:
        _check_somewhere(file, variant)


def _check_somewhere(file: ConfigFile, variant: str) -> None:
    lineage = [file.variants[name] for name in file.lineage(variant)]
    mistake = None
    for dataset in file.datasets:
        if all(entry.is_defined_on(dataset) for entry in lineage):
            try:
                return _check(file, dataset, variant)
            except ConfigError as error:
                mistake = mistake or error
    if mistake is not None:
        raise mistake


def _check(file: ConfigFile, dataset: str, variant: str | None) -> None:
    layers = layers_of_dataset(file, None, dataset)
    of = dataset
    if variant is not None:
        layers += layers_of_variant(file, dataset, variant)
        of = f"variant {variant} on {dataset}"
    # What is missing, a study may add.
    if missing(ModelConfig, merged(layers, "model")) is None:
        resolved(ModelConfig, "model", layers, of)
    if missing(TrainConfig, merged(layers, "train")) is None:
        resolved(TrainConfig, "train", layers, of)
