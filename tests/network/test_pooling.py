"""Pooling and embedding, by the mean and by wavelets, against numpy and PyWavelets."""

import numpy as np
import pytest
import pywt
import torch
from examples import posterior_pass, tiny_config, tiny_model
from torch import Tensor

from model.config import ConfigError
from model.network.layout import parse
from model.network.pooling import check_pooling, embed, pool

WAVELETS = ["haar", "db2", "db3", "sym4", "coif1"]


def images(size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_pool_is_the_mean_of_squares_and_embed_its_right_inverse() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = x.numpy().reshape(2, 3, 2, 4, 2, 4).mean((3, 5))
    np.testing.assert_allclose(pool(x, 4).numpy(), expected, rtol=1e-12)
    torch.testing.assert_close(pool(embed(x, 2), 2), x)
    assert torch.equal(embed(x, 2)[..., ::2, 1::2], x)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("levels", [1, 2])
def test_a_wavelet_pools_and_embeds_as_pywavelets_does(wavelet: str, levels: int) -> None:
    """Its coefficients have an l2 norm; a mean's are smaller by 2 per two-dimensional level."""
    x, factor = images(32), 2**levels
    approximation, *_ = pywt.wavedec2(x.numpy(), wavelet, mode="periodization", level=levels)
    coarse = pool(x, factor, wavelet)
    np.testing.assert_allclose(coarse.numpy(), approximation / factor, atol=1e-12)
    empty = [(None, None, None)] * levels
    rebuilt = pywt.waverec2([factor * coarse.numpy(), *empty], wavelet, mode="periodization")
    np.testing.assert_allclose(embed(coarse, factor, wavelet).numpy(), rebuilt, atol=1e-12)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_pooling_undoes_embedding_and_keeps_a_constant(wavelet: str) -> None:
    x = images(8)
    torch.testing.assert_close(pool(embed(x, 4, wavelet), 4, wavelet), x)
    torch.testing.assert_close(embed(torch.ones(1, 1, 8, 8), 2, wavelet), torch.ones(1, 1, 16, 16))


def test_haar_is_the_mean_and_every_wavelet_is_between_2_and_1() -> None:
    x = images(8)
    torch.testing.assert_close(pool(x, 4, "haar"), pool(x, 4))
    torch.testing.assert_close(embed(x, 4, "haar"), embed(x, 4))
    torch.testing.assert_close(pool(images(2), 2, "db4"), pool(images(2), 2))
    # The reason: made periodic with a period of 2, the taps at even and at odd places sum alike.
    taps = np.array(pywt.Wavelet("db4").rec_lo)
    np.testing.assert_allclose([taps[::2].sum(), taps[1::2].sum()], [0.5**0.5] * 2)


@pytest.mark.parametrize("pooling", ["haar", "db2"])
def test_a_whole_model(pooling: str, binary_images: Tensor) -> None:
    def nll(**options: str) -> Tensor:
        model = tiny_model(**options).double()
        with torch.inference_mode():  # the kernels that this makes must serve a training too
            first = posterior_pass(model, binary_images).nll_nats
        output = posterior_pass(model, binary_images)
        output.nll_nats.sum().backward()
        assert torch.equal(first, output.nll_nats)
        return output.nll_nats.detach()

    difference = (nll(pooling=pooling) - nll()).abs().max()
    assert (difference < 1e-10) == (pooling == "haar")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "db4"}, "8 taps of db4 do not fit a resolution of 4"),
        ({"pooling": "bior2.2"}, "'bior2.2' is neither average nor an orthonormal wavelet"),
        ({"pooling": "averag"}, "did you mean 'average'"),
        ({"pooling": "dbb2"}, "did you mean 'db2'"),
        (
            {"pooling": "haar", "image_size": 9, "encoder": "9d3,3d3", "decoder": "3x1,9m3"},
            "cannot go from 9 to 3",
        ),
    ],
)
def test_a_wavelet_that_cannot_work_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_config(**options)


@pytest.mark.parametrize("wavelet", pywt.wavelist(kind="discrete"))
def test_every_orthonormal_wavelet_is_known_with_its_length(wavelet: str) -> None:
    """The lengths are written down: the dry run does without PyWavelets."""
    if not pywt.Wavelet(wavelet).orthogonal or wavelet == "dmey":  # dmey is so approximately
        with pytest.raises(ValueError, match="neither average nor an orthonormal wavelet"):
            check_pooling(wavelet, (), ())
        return
    length = pywt.Wavelet(wavelet).dec_len
    check_pooling(wavelet, parse(f"{length}d2"), ())
    if length > 4:  # between 2 and 1 every wavelet is Haar's, so db2 and sym2 always fit
        with pytest.raises(ValueError, match=f"the {length} taps of {wavelet} do not fit"):
            check_pooling(wavelet, parse(f"{length - 2}d2"), ())
