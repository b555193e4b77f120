"""A trained run: what every measurement starts from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from model.config import EvaluateConfig, ProbeConfig, RunConfig
from model.data.arrays import DatasetInfo, load_info
from model.data.batches import held_out_images
from model.measurement.samples import sample_images
from model.network.families import build_model
from model.network.generative_model import GenerativeModel


@dataclass(frozen=True)
class TrainedRun:
    """A run's config, and its model with the averaged weights."""

    config: RunConfig
    model: GenerativeModel
    data_dir: Path

    @classmethod
    def load(cls, run_dir: Path, data_dir: Path, device: torch.device) -> "TrainedRun":
        """Read config.yaml and model.safetensors; raises ConfigError or OSError."""
        config = RunConfig.load(run_dir / "config.yaml")
        model = build_model(config.model)
        model.load_state_dict(load_file(run_dir / "model.safetensors"))
        return cls(config, model.to(device).eval(), data_dir)

    @cached_property
    def dataset(self) -> DatasetInfo:
        """The dataset that is measured on; raises DataError."""
        return load_info(self.data_dir, self.config.dataset)

    @cached_property
    def test_images(self) -> Tensor:
        """The whole test set, uint8 [N, C, H, W]; raises DataError or ConfigError."""
        return held_out_images(self.data_dir, self.config, "test")

    @property
    def provenance(self) -> dict[str, str]:
        """What the metadata of every table says about the run and its dataset."""
        return {"config_hash": self.config.hash, "dataset_version": self.dataset.version}


@dataclass(frozen=True)
class Evaluation:
    """A trained run and how it is evaluated."""

    run: TrainedRun
    config: EvaluateConfig
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
