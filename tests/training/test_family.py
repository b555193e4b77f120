"""A second family of models: trained, resumed, evaluated and tabulated by the same code."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from examples import tiny_run
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from trainings import assert_same_state, train_on_noise

from model.config import EvaluateConfig, ModelConfig, ProbeConfig
from model.data.dataset_info import load_info
from model.measurement.bounds import image_bounds
from model.measurement.command import write_tables
from model.measurement.trained import Evaluation, Probe, TrainedRun
from model.training.results import write_results

ZDIM = 4


@dataclass(frozen=True)
class LinearBound:
    """A one-sample bound with one stochastic layer."""

    distortion_nats: Tensor  # [B]
    rate_nats: Tensor  # [B]
    log_weight: Tensor  # [B]

    @property
    def rate_per_layer_nats(self) -> Tensor:  # [B, 1]
        return self.rate_nats[:, None]

    @property
    def nll_nats(self) -> Tensor:  # [B]
        return self.distortion_nats + self.rate_nats

    def log_weight_nats(self) -> Tensor:  # [B]
        return self.log_weight


class LinearVae(nn.Module):
    """A VAE of binary images with one latent vector, linear in both directions."""

    loss_dims = 1
    has_unused_parameters = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.shape = (config.image_channels, config.image_size, config.image_size)
        self.encoder = nn.Linear(config.likelihood_dims, 2 * ZDIM)
        self.decoder = nn.Linear(ZDIM, config.likelihood_dims)

    @property
    def device(self) -> torch.device:
        return self.decoder.weight.device

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def initialise(self, generator: Generator) -> None:
        for parameter in self.parameters():
            parameter.normal_(0, 0.1, generator=generator)

    def draw_noise(self, generators: Iterable[Generator]) -> list[Tensor]:
        rows = [torch.randn(ZDIM, generator=of, device=of.device) for of in generators]
        return [torch.stack(rows)]

    def forward(self, images: Tensor, noise: Sequence[Tensor]) -> LinearBound:
        return self.posterior_pass(images, self.encode(images), noise)

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images.flatten(1).float())

    def posterior_pass(
        self, images: Tensor, encoded: Tensor, noise: Sequence[Tensor]
    ) -> LinearBound:
        mean, log_sigma = encoded.chunk(2, dim=1)
        z = mean + log_sigma.exp() * noise[0]
        targets = images.flatten(1).float()
        losses = binary_cross_entropy_with_logits(self.decoder(z), targets, reduction="none")
        distortion = losses.sum(1)
        rate = 0.5 * ((2 * log_sigma).exp() + mean.square() - 1) - log_sigma
        log_ratio = 0.5 * (noise[0].square() - z.square()) + log_sigma
        return LinearBound(distortion, rate.sum(1), log_ratio.sum(1) - distortion)

    @torch.inference_mode()
    def sample(
        self, noise: Sequence[Tensor], temperature: float, generators: Iterable[Generator]
    ) -> Tensor:
        probabilities = self.decoder(temperature * noise[0]).sigmoid()
        return (probabilities * 255).round().to(torch.uint8).view(-1, *self.shape)


RUN = tiny_run(train={"iterations": 60, "validate_every": 20, "log_every": 6})


def trained_run(directory: Path, data_dir: Path) -> tuple[TrainedRun, Any]:
    training = train_on_noise(RUN, directory / "state", build=LinearVae)
    write_results(directory, training)
    sha256 = load_info(data_dir, "digits").dataset_sha256
    return TrainedRun(RUN, training.ema.model, data_dir, RUN.hash, sha256), training


def test_it_is_trained_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    straight = train_on_noise(RUN, tmp_path / "straight", build=LinearVae)
    for stop_after in (7, 30, None):
        resumed = train_on_noise(RUN, tmp_path / "resumed", build=LinearVae, stop_after=stop_after)
    assert [s["last_step"] for s in resumed.progress.segments] == [7, 30, 60]
    assert_same_state(resumed.state(), straight.state())
    history = straight.curve.rows(RUN.train)
    assert history[-1]["nll_nats"] < history[0]["nll_nats"]


def test_it_is_evaluated_probed_and_tabulated(tmp_path: Path, data_dir: Path) -> None:
    run, training = trained_run(tmp_path, data_dir)
    config = EvaluateConfig(batch_size=100, importance_samples=5)
    bounds = image_bounds(run.model, run.test_images, config, seed=RUN.seed)
    written = write_tables("evaluate", Evaluation(run, config), tmp_path)["test"]
    np.testing.assert_array_equal(written["nll_nats"].to_numpy(), bounds.nll_nats.numpy())
    assert bounds.rate_per_layer_nats.shape == (300, 1)
    assert bounds.iw_nll_nats.mean() < bounds.nll_nats.mean()
    history = pq.read_table(tmp_path / "history.parquet")
    assert history.to_pylist() == training.curve.rows(RUN.train)
    probe = Probe(run, ProbeConfig(num_samples=10, temperatures=(1.0,)))
    tables = write_tables("probe", probe, tmp_path)
    assert tables["block_norms"].num_rows == 0  # it has no towers
    assert tables["learnt"].num_rows == 0
    assert tables["instability"].num_rows == 4  # resolutions 1, 2, 4, 8
