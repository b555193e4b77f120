"""Orthonormal bases of the spaces V_-j, in which Theorem 2 says what pooling does.

Coefficients are inner products, where that of L2([0, 1]^2) is the mean over pixels.
"""

from functools import cache

import numpy as np
import pywt
import torch
from torch import Tensor


@cache
def haar_analysis(size: int) -> Tensor:
    """The change of basis [size, size] from pixels to Haar functions, coarsest first; float64.

    Its rows are the functions' values over `size`, a power of 2: 1, then 2^(m/2) on one half of
    [k, k + 1) / 2^m and its negative on the other.  The first `size` / 2 rows span the coarser
    space.
    """
    rows = [np.ones(size)]
    for m in range(size.bit_length() - 1):
        length = size >> m
        for k in range(1 << m):
            row = np.zeros(size)
            row[k * length : k * length + length // 2] = 2 ** (m / 2)
            row[k * length + length // 2 : (k + 1) * length] = -(2 ** (m / 2))
            rows.append(row)
    return torch.from_numpy(np.stack(rows) / size)


@cache
def wavelet_analysis(size: int, wavelet: str) -> Tensor:
    """The same [size, size] for the periodic functions of an orthonormal wavelet; float64.

    As in pooling.py, the step from 2 to 1 is Haar's.
    """
    if size <= 2:
        return haar_analysis(size)
    half, filters = size // 2, pywt.Wavelet(wavelet)
    low, high = (_every_second(size, f) for f in (filters.rec_lo, filters.rec_hi))
    # What `pool` computes has the norm of the mean over half as many pixels.
    coarser = wavelet_analysis(half, wavelet) @ low
    return torch.cat([coarser, high / half**0.5])


def _every_second(size: int, taps: list[float]) -> Tensor:
    """Taps / sqrt(2) at every second pixel of a periodic line: [size / 2, size]."""
    rows = np.zeros((size // 2, size))
    for k, row in enumerate(rows):
        for place, tap in enumerate(taps, start=2 * k - (len(taps) // 2 - 1)):
            row[place % size] += tap / 2**0.5
    return torch.from_numpy(rows)


def analysis(size: int, pooling: str) -> Tensor:
    """The change of basis that belongs to a pooling."""
    return haar_analysis(size) if pooling == "average" else wavelet_analysis(size, pooling)


def change_basis(images: Tensor, basis: Tensor) -> Tensor:
    """Coefficients [N, C, size, size] of images [N, C, size, size], the same basis for both axes.

    The first n x n of them are the projection onto the space of n x n pixels.
    """
    return basis @ images @ basis.T
