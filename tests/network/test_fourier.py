"""Fourier features: values against NumPy, channels, and what they leave alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from examples import RGB, tiny_config

from model.config import ConfigError
from model.network.fourier import features, num_features
from model.network.hvae import HVAE


def test_features_of_value_are_sines_and_cosines_of_the_pixel() -> None:
    images = torch.arange(2 * 3 * 64, dtype=torch.int64).remainder(256).reshape(2, 3, 8, 8)
    images = images.to(torch.uint8)
    found = features(images, "value", (0, 6)).double().numpy()  # [2, 2 * 2 * 3, 8, 8]
    x = (images.numpy().astype(np.float64) + 0.5) / 256
    waves = [wave(2 * np.pi * f * x) for wave in (np.sin, np.cos) for f in (1, 64)]
    expected = np.concatenate(waves, axis=1)
    assert found.shape[1] == num_features("value", (0, 6), 3) == 12
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_no_allowed_exponent_gives_a_dead_channel(size: int) -> None:
    """NumPy, in float64: at the Nyquist limit a cosine is 0 everywhere; below it nothing is."""

    def amplitudes(samples: int, exponent: int) -> list[float]:
        x = (np.arange(samples) + 0.5) / samples
        return [np.ptp(wave(2 * np.pi * 2**exponent * x)) for wave in (np.sin, np.cos)]

    def allows(of: str, exponent: int) -> bool:
        rgb = {**RGB, "image_size": size, "encoder": f"{size}x1", "decoder": f"{size}x1"}
        try:
            tiny_config(**rgb, fourier=of, fourier_exponents=(exponent,))
        except ConfigError:
            return False
        return True

    for of, samples in (("value", 256), ("position", size)):
        for exponent in range(10):
            is_alive = 2**exponent <= samples / 2 and min(amplitudes(samples, exponent)) > 0.5
            assert allows(of, exponent) == is_alive, (of, exponent)


def test_variants_of_config_yaml_are_allowed_and_highest() -> None:
    """Exponents 5, 6 of value; 0, 1 to 3, 4 of position at 8 to 64 pixels."""
    from study.planning.config_file import ConfigFile

    file = ConfigFile.load(Path(__file__).parents[2] / "config.yaml", "small")
    position, vdvae = (file.variants[f"{n}fourier-position"] for n in ("", "vdvae-"))
    found = {
        8: position.model["fourier_exponents"],
        16: position.datasets["patches"].model["fourier_exponents"],
        32: position.datasets["mnist"].model["fourier_exponents"],
        64: vdvae.datasets["celeba64"].model["fourier_exponents"],
    }
    assert {size: tuple(n) for size, n in found.items()} == {
        size: (int(np.log2(size)) - 3, int(np.log2(size)) - 2) for size in (8, 16, 32, 64)
    }


def test_features_of_position_depend_on_the_pixels_place_only() -> None:
    images = torch.randint(0, 2, (3, 1, 8, 8), dtype=torch.uint8)
    found = features(images, "position", (1,))
    assert found.shape == (3, num_features("position", (1,), 1), 8, 8) == (3, 4, 8, 8)
    assert torch.equal(found[0], found[2])
    centres = (np.arange(8) + 0.5) / 8
    rows = np.sin(4 * np.pi * centres)[:, None].repeat(8, axis=1)
    columns = np.cos(4 * np.pi * centres)[None, :].repeat(8, axis=0)
    np.testing.assert_allclose(found[0, 0].numpy(), rows, atol=1e-5)
    np.testing.assert_allclose(found[0, 3].numpy(), columns, atol=1e-5)


def test_a_model_with_features_has_more_input_channels_and_nothing_else() -> None:
    plain = HVAE(tiny_config())
    position = HVAE(tiny_config(fourier="position", fourier_exponents=(0, 1)))
    value = HVAE(tiny_config(**RGB, fourier="value"))
    assert position.bottom_up.in_conv.in_channels == 1 + 8
    assert value.bottom_up.in_conv.in_channels == 3 + 12
    assert position.num_parameters - plain.num_parameters == 8 * 9 * 8
