"""Block strings, and what is refused before anything is built."""

from typing import Any

import pytest
from examples import tiny_config

from model.config import ConfigError
from model.network.layout import Block, multiply, parse


def test_parse_reads_every_kind_of_entry() -> None:
    assert parse("32x2, 32d2,16m8,8,32r20,32x2r3") == (
        Block(resolution=32),
        Block(resolution=32),
        Block(resolution=32, down=2),
        Block(resolution=16, mixin=8),
        Block(resolution=8),
        Block(resolution=32, repeats=20),
        Block(resolution=32, repeats=3),
        Block(resolution=32, repeats=3),
    )


@pytest.mark.parametrize("text", ["32y2", "32x", "x2", "32d2r3", "32m8x2", "32x2,", "", "32x0"])
def test_parse_names_the_wrong_entry(text: str) -> None:
    with pytest.raises(ValueError, match="block string"):
        parse(text)


def test_multiply_leaves_projections_and_embeddings_single() -> None:
    assert multiply(parse("8x1,8d2,4x2"), 3) == parse("8x3,8d2,4x6")


def test_depth_and_latents_count_applications() -> None:
    config = tiny_config(repeats=3)  # 1x1r3, 4m1, 4x1r3, 8m4, 8x1r3
    assert config.stochastic_depth == 11
    assert config.num_latents == config.zdim * (3 * 1 + 4 * 16 + 4 * 64)


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ({"encoder": "8x1,4x1"}, "resolution 4 follows a state of resolution 8"),
        ({"encoder": "8x1,8d3"}, "3 does not divide 8"),
        ({"encoder": "8x1,8m4"}, "8m4 belongs to a decoder"),
        ({"decoder": "1x1,8d2"}, "8d2 belongs to an encoder"),
        ({"decoder": "2x1,8m2"}, "no activations at resolution 2"),
        ({"decoder": "1x1,8m4"}, "8m4 needs an earlier state"),
        ({"decoder": "1x1,4m1"}, "no block at the image's resolution 8"),
        ({"width": 0}, "width: must be at least 1"),
        ({"width": 3}, "bottleneck_multiple: 0.25 leaves no channel"),
        ({"likelihood_size": 7}, "no centred part"),
        (
            {"image_channels": 2, "likelihood": "discretised_logistics"},
            "is for 1 channel, or for 3",
        ),
        ({"fourier": "value"}, "constant on binary data .* use fourier: position"),
        ({"fourier": "position", "fourier_exponents": (1, 2)}, r"\[2\] .* Nyquist"),
        ({"fourier": "position", "fourier_exponents": ()}, "different integers"),
    ],
)
def test_config_that_cannot_work_is_refused_in_one_line(
    differences: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        tiny_config(**differences)
    assert "\n" not in str(caught.value)
