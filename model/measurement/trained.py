"""A trained run: what every measurement starts from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from model.config import EvaluateConfig, ProbeConfig, RefineConfig
from model.data.batches import held_out_images
from model.data.dataset_info import DatasetInfo, load_info
from model.data.sources import DataError
from model.measurement.samples import sample_images
from model.measurement.theory.bottleneck import NUM_IMAGES, reconstructions
from model.measurement.weights import read_weights
from model.network.families import build_model
from model.network.generative_model import GenerativeModel
from model.network.hvae import HVAE
from model.run_config import RunConfig
from model.table import ResultError


@dataclass(frozen=True)
class TrainedRun:
    """The settings that a run was trained with, and its model with the averaged weights."""

    config: RunConfig
    model: GenerativeModel
    data_dir: Path
    config_hash: str
    dataset_sha256: str  # of the data that it was trained on

    @classmethod
    def load(cls, run_dir: Path, data_dir: Path, device: torch.device) -> "TrainedRun":
        """Read model.safetensors with its settings; raises ConfigError or ResultError, one line.

        One is raised if a file is damaged, or the weights are not those of config.yaml.
        """
        config_hash = RunConfig.load(run_dir / "config.yaml").hash
        weights = read_weights(run_dir)
        about = weights.provenance
        if about["config_hash"] != config_hash:
            raise ResultError(
                f"{weights.path}: its config_hash is {about['config_hash']}, that of config.yaml "
                f"{config_hash}; train this run again"
            )
        config = RunConfig.of_settings(about["settings"])
        model = build_model(config.model)
        model.load_state_dict(weights.tensors)
        model = model.to(device).eval()
        return cls(config, model, data_dir, config_hash, about["dataset_sha256"])

    @cached_property
    def dataset(self) -> DatasetInfo:
        """The dataset that is measured on; raises DataError if the run was trained on another."""
        info = load_info(self.data_dir, self.config.dataset)
        if info.dataset_sha256 != self.dataset_sha256:
            raise DataError(
                f"{self.data_dir / info.name}: the run was trained on other data of this name; "
                "train it again, or name the folder of that data (data_dir)"
            )
        return info

    @cached_property
    def test_images(self) -> Tensor:
        """The whole test set, uint8 [N, C, H, W]; raises DataError or ConfigError."""
        _ = self.dataset  # raises if it is another one
        return held_out_images(self.data_dir, self.config, "test")

    @property
    def provenance(self) -> dict[str, str]:
        """What the metadata of every table says about the run and its dataset."""
        return {
            "config_hash": self.config_hash,
            "dataset_sha256": self.dataset.dataset_sha256,
            "dataset_version": self.dataset.version,
        }


@dataclass(frozen=True)
class Evaluation:
    """A trained run and how it is evaluated."""

    run: TrainedRun
    config: EvaluateConfig
    show_progress: bool = False


@dataclass(frozen=True)
class Refinement:
    """A trained run and the steps at which it is evaluated."""

    run: TrainedRun
    config: RefineConfig
    repeats: tuple[int, ...]  # of its plain blocks, beside those that it was trained with
    batch_size: int
    show_progress: bool = False


@dataclass(frozen=True)
class Probe:
    """A trained run and the samples that are drawn from it."""

    run: TrainedRun
    config: ProbeConfig

    @cached_property
    def samples(self) -> Tensor:
        """Samples uint8 [temperatures, num_samples, C, H, W]."""
        temperatures, num_samples = self.config.temperatures, self.config.num_samples
        return sample_images(self.run.model, temperatures, num_samples, self.run.config.seed)

    @cached_property
    def reconstructed(self) -> Tensor:
        """The test images that `reconstructions` are of, uint8 [N, C, H, W]."""
        return self.run.test_images[:NUM_IMAGES]

    @cached_property
    def reconstructions(self) -> dict[int, Tensor]:
        """Of the latents up to each resolution, ascending, uint8 [N, C, H, W] (bottleneck.py).

        There are none of a model without resolutions.
        """
        model = self.run.model
        if not isinstance(model, HVAE):
            return {}
        resolutions = model.top_down.resolutions
        return reconstructions(model, self.reconstructed, self.run.config.seed, resolutions)
