"""Pooling and embedding between resolutions, by the mean or by an orthonormal wavelet's low-pass.

Average pooling is the projection onto the coarser space in the multi-resolution analysis of the
Haar wavelet, and nearest-neighbour upsampling is the embedding back (Theorem 2).  Other orthonormal
wavelets, a question that the paper leaves open, give the same pair with longer filters.  This file
imports torch only inside functions that compute, since the dry run checks wavelets without it.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from model.network.layout import Block

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def pool(x: "Tensor", factor: int, pooling: str = "average") -> "Tensor":
    """Project [B, C, H, W] onto the space that is coarser by `factor`: [B, C, H/factor, W/factor].

    `average`: the mean over squares.  Of a wavelet: its low-pass with unit DC gain and periodic
    boundary, and every second pixel, once for each factor of 2.
    """
    from torch.nn.functional import avg_pool2d, conv2d, pad

    if pooling == "average":
        return avg_pool2d(x, kernel_size=factor, stride=factor)
    for _ in range(_num_halvings(factor)):
        taps = _kernel(_wavelet_at(x.shape[-1], pooling), x.device, x.dtype)
        length, channels = taps.shape[-1], x.shape[1]
        padded = pad(x, [length // 2 - 1] * 4, mode="circular")
        x = conv2d(padded, (taps / 4).expand(channels, 1, -1, -1), stride=2, groups=channels)
    return x


def embed(x: "Tensor", factor: int, pooling: str = "average") -> "Tensor":
    """Embed [B, C, H, W] into the space that is finer by `factor`: a right inverse of `pool`.

    `average`: the nearest neighbour.  Of a wavelet: synthesis from the low-pass alone.
    """
    from torch.nn.functional import conv_transpose2d, interpolate, pad

    if pooling == "average":
        return interpolate(x, scale_factor=factor, mode="nearest")
    for _ in range(_num_halvings(factor)):
        taps = _kernel(_wavelet_at(2 * x.shape[-1], pooling), x.device, x.dtype)
        length, channels = taps.shape[-1], x.shape[1]
        margin = (length + 3) // 4  # coarse pixels beyond the edge that reach a fine one inside
        x = conv_transpose2d(
            pad(x, [margin] * 4, mode="circular"),
            taps.expand(channels, 1, -1, -1),
            stride=2,
            padding=2 * margin + length // 2 - 1,
            groups=channels,
        )
    return x


def check_pooling(pooling: str, bottom_up: Sequence[Block], top_down: Sequence[Block]) -> None:
    """Raise ValueError for an unknown wavelet, and for one that does not fit a resolution."""
    if pooling == "average":
        return
    length = _num_taps(pooling)
    for fine, coarse in _changes(bottom_up, top_down):
        if (fine // coarse).bit_count() != 1:
            raise ValueError(
                f"pooling: {pooling} halves resolutions, so it cannot go from {fine} to {coarse}; "
                "use average, or factors that are powers of 2"
            )
        while fine > max(coarse, 2):
            if length > fine:
                raise ValueError(
                    f"pooling: the {length} taps of {pooling} do not fit a resolution of {fine}; "
                    "use a shorter wavelet (haar has 2 taps, db2 has 4)"
                )
            fine //= 2


def _changes(bottom_up: Sequence[Block], top_down: Sequence[Block]) -> Iterator[tuple[int, int]]:
    for block in (*bottom_up, *top_down):
        if block.down is not None:
            yield block.resolution, block.output_resolution
        if block.mixin is not None:
            yield block.resolution, block.mixin


def _num_halvings(factor: int) -> int:
    return factor.bit_length() - 1


def _wavelet_at(fine_resolution: int, pooling: str) -> str:
    """Haar between 2 and 1: there every orthonormal low-pass, made periodic, is the mean."""
    return "haar" if fine_resolution == 2 else pooling


# PyWavelets' orthonormal wavelets: Daubechies, symlets, coiflets.  Their lengths stand here because
# importing PyWavelets is a tenth of what a dry run of ours takes.
_TAPS = {
    "haar": 2,
    **{f"db{n}": 2 * n for n in range(1, 39)},
    **{f"sym{n}": 2 * n for n in range(2, 21)},
    **{f"coif{n}": 6 * n for n in range(1, 18)},
}


def _num_taps(wavelet: str) -> int:
    """The length of an orthonormal wavelet's low-pass; raises ValueError for any other."""
    if wavelet not in _TAPS:
        near = get_close_matches(wavelet, ["average", *_TAPS], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "known are average, haar, db2, sym4, ..."
        raise ValueError(
            f"pooling: {wavelet!r} is neither average nor an orthonormal wavelet; {hint}"
        )
    return _TAPS[wavelet]


@cache
def _filter(wavelet: str) -> tuple[float, ...]:
    """An orthonormal wavelet's synthesis low-pass, scaled to sum 2."""
    import pywt

    return tuple(2**0.5 * tap for tap in pywt.Wavelet(wavelet).rec_lo)


@cache
def _kernel(wavelet: str, device: "torch.device", dtype: "torch.dtype") -> "Tensor":
    """The two-dimensional synthesis low-pass [1, 1, L, L], sum 4; made once per device."""
    import torch

    with torch.inference_mode(False):  # or a training in the same process could not use it
        taps = torch.tensor(_filter(wavelet), device=device, dtype=dtype)
        return torch.outer(taps, taps)[None, None]
