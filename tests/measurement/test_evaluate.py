"""Evaluation: every test image, whatever the batches; the importance-weighted bound; the file."""

from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from examples import tiny_config, tiny_model, tiny_run

from model.config import EvaluateConfig
from model.data.batches import held_out_images
from model.evaluate import main
from model.measurement.bounds import image_bounds
from model.network.hvae import HVAE, HVAEOutput
from model.randomness import Purpose, image_generators
from model.sample import main as sample
from model.train import main as train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    (directory / "config.yaml").write_text(tiny_run().dump())
    assert train([str(directory), "--data-dir", str(data_dir), "--device", "cpu"]) == 0
    return directory


def model_with_wide_posteriors() -> HVAE:
    model = tiny_model()
    with torch.no_grad():
        for block in model.top_down.blocks:
            block.prior.conv4.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    return model


def test_importance_weighted_bound_equals_its_formula(binary_images: torch.Tensor) -> None:
    model = model_with_wide_posteriors()
    config = EvaluateConfig(batch_size=3, importance_samples=6)
    bounds = image_bounds(model, binary_images, config, seed=4)
    weights = []
    for sample_index in range(6):
        noise = model.draw_noise(
            image_generators(4, Purpose.TEST_NOISE, sample_index, images=range(3))
        )
        with torch.no_grad():
            output = model(binary_images, noise)
        log_w = -output.distortion_nats.double()
        for latent in output.latents:
            prior = torch.distributions.Normal(latent.prior_mean, latent.prior_log_sigma.exp())
            posterior = torch.distributions.Normal(
                latent.posterior_mean, latent.posterior_log_sigma.exp()
            )
            ratio = prior.log_prob(latent.z) - posterior.log_prob(latent.z)
            log_w += ratio.double().sum((1, 2, 3))
        weights.append(log_w.numpy())
    expected = log(6) - np.logaddexp.reduce(np.array(weights), axis=0)
    np.testing.assert_allclose(bounds.iw_nll_nats.numpy(), expected, rtol=1e-4)


def test_more_importance_samples_tighten_the_bound(data_dir: Path) -> None:
    """E[log w] <= E[log mean w]: the one-sample bound with K = 1 has the NLL's expectation."""
    model = model_with_wide_posteriors()
    images = held_out_images(data_dir, tiny_run(), "test")
    one, many = (
        image_bounds(model, images, EvaluateConfig(batch_size=100, importance_samples=k), seed=0)
        for k in (1, 16)
    )
    assert many.iw_nll_nats.mean() < one.iw_nll_nats.mean()
    assert torch.equal(one.nll_nats, many.nll_nats)  # the first pass gives all but the bound
    spread = (one.iw_nll_nats - one.nll_nats).std() / len(images) ** 0.5
    assert abs((one.iw_nll_nats - one.nll_nats).mean()) < 4 * spread


def test_the_batch_size_changes_rounding_only(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_with_wide_posteriors()
    images = held_out_images(data_dir, tiny_run(), "test")[:120]
    drawn: list[list[torch.Tensor]] = []
    posterior_pass = model.posterior_pass

    def record(images: torch.Tensor, encoded: Any, noise: list[torch.Tensor]) -> HVAEOutput:
        drawn.append(list(noise))
        return posterior_pass(images, encoded, noise)

    monkeypatch.setattr(model, "posterior_pass", record)
    bounds, noise = [], []
    for batch_size in (100, 37, 1):
        drawn.clear()
        config = EvaluateConfig(batch_size=batch_size, importance_samples=2)
        bounds.append(image_bounds(model, images, config, seed=3))
        # [samples][layers] tensors of all images; batches come first, samples within them
        noise.append([[torch.cat(parts) for parts in zip(*drawn[k::2])] for k in (0, 1)])  # noqa: B905
    for other_bounds, other_noise in zip(bounds[1:], noise[1:], strict=True):
        for index in (0, 1):
            assert all(map(torch.equal, noise[0][index], other_noise[index]))
        for name in ("nll_nats", "iw_nll_nats", "rate_nats"):
            one, other = (getattr(b, name) for b in (bounds[0], other_bounds))
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
            # A rate of 0.01 nats is the small difference of terms of 1.
            assert abs(float(one.mean() - other.mean())) < 1e-6 * max(1.0, float(one.mean()))
    assert not torch.equal(noise[0][0][0], noise[0][1][0]), "each sample has noise of its own"
    assert len(noise[0][0][0].flatten(1).unique(dim=0)) == 120, "and each image"


def test_without_memory_for_a_batch_it_is_halved(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error that a GPU gives, here where a second pass of more than 30 images begins."""
    model = model_with_wide_posteriors()
    images = held_out_images(data_dir, tiny_run(), "test")[:130]
    expected = image_bounds(model, images, EvaluateConfig(batch_size=25, importance_samples=3), 5)
    posterior_pass = model.posterior_pass
    sizes: list[int] = []

    def pass_(images: torch.Tensor, *others: Any) -> HVAEOutput:
        if sizes[-1:] == [len(images)] and len(images) > 30:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(images))
        return posterior_pass(images, *others)

    monkeypatch.setattr(model, "posterior_pass", pass_)
    config = EvaluateConfig(batch_size=100, importance_samples=3)
    bounds = image_bounds(model, images, config, 5)
    assert sizes == [100, 50, *[25] * 15, *[5] * 3]
    assert "batches of 25 images from now on" in capsys.readouterr().err
    for name in ("nll_nats", "iw_nll_nats", "rate_per_layer_nats"):
        assert torch.equal(getattr(bounds, name), getattr(expected, name))

    def no_memory(*_: object) -> HVAEOutput:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "posterior_pass", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        image_bounds(model, images, config, 5)


def test_log_weight_is_zero_mean_ratio_for_equal_gaussians(binary_images: torch.Tensor) -> None:
    """Where posterior and prior agree, the weight is the likelihood."""
    model = HVAE(tiny_config())
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    noise = model.draw_noise([torch.Generator().manual_seed(0)] * 3)
    output = model(binary_images, noise)
    torch.testing.assert_close(output.log_weight_nats(), -output.distortion_nats)
    assert output.rate_nats.abs().max() == 0
    torch.testing.assert_close(output.nll_nats, torch.full((3,), 64 * log(2)))


def test_test_parquet_has_every_image_and_says_what_it_is(trained: Path, data_dir: Path) -> None:
    command = [str(trained), "--data-dir", str(data_dir), "--device", "cpu", "--batch-size", "70"]
    assert main([*command, "--importance-samples", "3"]) == 0
    frame = pd.read_parquet(trained / "test.parquet")
    assert list(frame.image) == list(range(300))  # 300 = 4 * 70 + 20: no batch is dropped
    np.testing.assert_allclose(frame.nll_nats, frame.rate_nats + frame.distortion_nats, rtol=1e-6)
    layers = np.stack(frame.rate_per_layer_nats)
    assert layers.shape == (300, 5)
    np.testing.assert_allclose(layers.sum(1), frame.rate_nats, rtol=1e-4)
    metadata = pq.read_schema(trained / "test.parquet").metadata
    assert metadata[b"importance_samples"] == b"3"
    assert metadata[b"table"] == b"test"
    assert metadata[b"dataset_version"]
    assert metadata[b"config_hash"].decode() == tiny_run().hash
    first = (trained / "test.parquet").read_bytes()
    assert main([*command, "--importance-samples", "3"]) == 0
    assert (trained / "test.parquet").read_bytes() == first


def test_missing_weights_are_one_line(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(tiny_run().dump())
    assert main([str(tmp_path), "--data-dir", str(data_dir), "--importance-samples", "0"]) == 1
    assert main([str(tmp_path), "--data-dir", str(data_dir)]) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("error: importance_samples: ")
    assert "model.safetensors" in errors[1]


def test_samples_are_a_picture_with_one_row_per_temperature(trained: Path) -> None:
    from PIL import Image

    command = [str(trained), "--device", "cpu", "--columns", "5", "--magnification", "2"]
    assert sample([*command, "--temperatures", "0", "1"]) == 0
    with Image.open(trained / "samples.png") as image:
        assert image.size == (2 * (5 * 9 - 1), 2 * (2 * 9 - 1))
        pixels = np.asarray(image)[::2, ::2]
    cold = [pixels[:8, left : left + 8] for left in range(0, 44, 9)]
    assert all((other == cold[0]).all() for other in cold)
    warm = [pixels[9:, left : left + 8] for left in range(0, 44, 9)]
    assert not (warm[0] == warm[1]).all()
