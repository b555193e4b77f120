"""Fourier features: values against NumPy, channels, and what they leave alone."""

import numpy as np
import torch
from examples import RGB, tiny_config

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


def test_the_highest_exponent_of_value_tells_even_from_odd() -> None:
    images = torch.tensor([[[[6, 7]]]], dtype=torch.uint8)
    sine = features(images, "value", (7,))[0, 0, 0]
    torch.testing.assert_close(sine, torch.tensor([1.0, -1.0]), atol=1e-4, rtol=0)


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
    position = HVAE(tiny_config(fourier="position", fourier_exponents=(1, 2)))
    value = HVAE(tiny_config(**RGB, fourier="value"))
    assert position.bottom_up.in_conv.in_channels == 1 + 8
    assert value.bottom_up.in_conv.in_channels == 3 + 12
    assert position.num_parameters - plain.num_parameters == 8 * 9 * 8
