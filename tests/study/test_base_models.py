"""The datasets of config.yaml: each can be made, and its base model has the published size."""

from pathlib import Path

import pytest
import torch
import yaml

from model.data.datasets import DATASETS
from model.network.hvae import HVAE
from study.planning.study import Run, Study

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("dataset", "parameters", "depth"),
    [
        ("mnist", 106_689, 9),
        ("cifar10", 8_744_356, 9),
        ("imagenet32", 119_280_868, 78),
        ("imagenet64", 125_005_860, 75),
        ("celeba64", 125_005_860, 75),
    ],
)
def test_base_models_have_the_published_size(dataset: str, parameters: int, depth: int) -> None:
    scale = {"datasets": [dataset], "seeds": 1, "ablations": ["state-norm"]}
    scale["train"] = {"iterations": 1, "validation_images": 1, "validate_every": 1, "log_every": 1}
    study = Study.of_config({**CONFIG, "study": "one", "studies": {"one": scale}})
    config = study.run_config(Run(dataset, "x1", 0)).model
    with torch.device("meta"):
        model = HVAE(config)
    assert model.num_parameters == parameters
    assert config.stochastic_depth == depth


def test_every_dataset_of_the_config_can_be_made() -> None:
    assert set(CONFIG["datasets"]) <= set(DATASETS)
