"""Skip connections: the last bottom-up output of a resolution, or the mirror image."""

from math import floor

import pytest
import torch
from examples import MULTIPLE_32, posterior_pass, tiny_config
from torch import Tensor
from torch.nn.functional import gelu

from model.network.hvae import HVAE
from model.network.layout import parse
from model.network.skip import skip_sources


def test_last_is_the_resolutions_last_output() -> None:
    # Outputs: 0 the input convolution's; 1, 2 at 8; 3 pooled, 4, 5 at 4; 6 pooled, 7 at 1.
    bottom_up = parse("8x2,8d2,4x2,4d4,1x1")
    top_down = parse("1x1,4m1,4x2,8m4,8r2")
    assert skip_sources(bottom_up, top_down, 8, "last") == [7, 5, 5, 5, 2, 2, 2]


def test_without_a_block_at_the_images_resolution_it_is_the_input_convolutions() -> None:
    assert skip_sources(parse("8d8,1x1"), parse("1x1,8m1,8x1"), 8, "last") == [2, 0, 0]
    assert skip_sources(parse("8d8,1x1"), parse("1x1,8m1,8x1"), 8, "mirror") == [2, 0, 0]


def test_mirror_trades_first_and_last_at_equal_depths() -> None:
    bottom_up, top_down = parse("8x3,8d8,1x2"), parse("1x2,8m1,8x2")
    # At 8: outputs 1, 2, 3.  At 1: 4 pooled, then 5, 6.
    assert skip_sources(bottom_up, top_down, 8, "mirror") == [6, 5, 3, 2, 1]


def test_where_no_block_stays_the_pooled_output_is_seen() -> None:
    bottom_up, top_down = parse("8x1,8d2,4d4,1x1"), parse("1x1,4m1,4x1,8m4")
    for skip in ("last", "mirror"):
        assert skip_sources(bottom_up, top_down, 8, skip) == [4, 2, 2, 1]


@pytest.mark.parametrize("depths", [(1, 1), (2, 5), (5, 2), (3, 20), (20, 3)])
def test_mirror_allows_unequal_depths(depths: tuple[int, int]) -> None:
    n, k = depths
    sources = skip_sources(parse(f"8r{n}"), parse(f"8r{k}"), 8, "mirror")
    assert sources == [n - floor(i * n / k) for i in range(k)]  # outputs are counted from 1
    assert all(1 <= source <= n for source in sources)


def test_mirror_leaves_no_bottom_up_block_in_vain() -> None:
    """By enumeration: the last one is seen, and if K >= n all are, each about as often."""
    for n in range(1, 13):
        for k in range(1, 25):
            sources = skip_sources(parse(f"8r{n}"), parse(f"8r{k}"), 8, "mirror")
            assert sources[0] == n
            assert sources == sorted(sources, reverse=True)
            if k >= n:
                counts = [sources.count(source) for source in range(1, n + 1)]
                assert min(counts) >= 1
                assert max(counts) - min(counts) <= 1
            if k in (n, 2 * n):  # as the mirror image counted from the other end
                assert sources == [1 + (k - 1 - i) * n // k for i in range(k)]


def test_the_decoder_sees_what_the_sources_say(binary_images: Tensor) -> None:
    config = tiny_config(blocks=2, skip="mirror")
    model = HVAE(config)
    model.initialise(torch.Generator().manual_seed(0))
    outputs: list[Tensor] = []
    seen: list[Tensor] = []
    for up in model.bottom_up.applied_blocks:
        up.register_forward_hook(lambda _m, _i, output: outputs.append(output))
    for down in model.top_down.applied_blocks:
        down.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[1]))
    posterior_pass(model, binary_images)
    # 1x2 | 4m1, 4x2 | 8m4, 8x2 against outputs 7, 8 | 4, 5 | 1, 2 (3 and 6 are what was pooled)
    wanted = [8, 7, 5, 5, 4, 2, 2, 1]
    for block, of_block, number in zip(model.top_down.applied_blocks, seen, wanted, strict=True):
        assert torch.equal(of_block, block.see(gelu(outputs[number - 1])))


def test_memory_holds_only_what_is_seen() -> None:
    last, mirror = (
        HVAE(tiny_config(image_size=32, **MULTIPLE_32, blocks=3, skip=skip))
        for skip in ("last", "mirror")
    )
    images = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    assert len(kept_outputs(last, images)) == 5  # one per resolution
    assert kept_outputs(mirror, images) == set(mirror.top_down.sources)


def kept_outputs(model: HVAE, images: Tensor) -> set[int]:
    """The numbers of the bottom-up outputs that are kept."""
    return set(model.bottom_up(images.float()))
