"""Figure G.14: energies and coherence by subspace, against PyWavelets and models that are known."""

from pathlib import Path

import numpy as np
import pytest
import pywt
import torch
from examples import example_model, random_images, tiny_config, tiny_run
from torch import Tensor

from model.data.batches import held_out_images
from model.measurement.theory.bottleneck import coarse_reconstructions, reconstructions
from model.measurement.theory.conjugacy import as_seen, blackened, energy
from model.measurement.theory.learnt import coherence, details, learnt_rows
from model.randomness import Purpose, image_generators


def noise_images(size: int) -> Tensor:
    shape = (10, 3, size, size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("wavelet", ["average", "db2"])
def test_energies_are_those_of_pywavelets_coefficients(wavelet: str) -> None:
    """Its coefficients are of sums: their squares add up to the pixels' sum of squares."""
    x = noise_images(16)
    found = details(x, wavelet)
    name = "haar" if wavelet == "average" else wavelet
    levels = pywt.dwt_max_level(16, name)
    _, *expected = pywt.wavedec2(x.numpy(), name, mode="periodization", level=levels)
    for resolution, of_level in zip((2, 4, 8, 16)[-levels:], expected, strict=True):
        squares = sum(np.square(part).sum((1, 2, 3)) for part in of_level) / (3 * 16 * 16)
        np.testing.assert_allclose(energy(found[resolution]), squares, rtol=1e-10)
    total = torch.stack([energy(of) for of in found.values()]).sum(0)
    torch.testing.assert_close(total, energy(x), rtol=1e-10, atol=0)


def test_coherence_is_a_cosine() -> None:
    x, other = noise_images(4), noise_images(4).flip(0)
    assert coherence(x, x) == pytest.approx(1)
    assert coherence(-3 * x, x) == pytest.approx(-1)
    cosine = np.corrcoef(x.flatten(), other.flatten())  # but for the mean, which is small
    assert coherence(x, other) == pytest.approx(cosine[0, 1], abs=0.02)
    assert coherence(torch.zeros_like(x), x) is None


def test_each_image_has_its_noise_and_pixels_whatever_its_batch() -> None:
    model, images = example_model(), random_images(70)  # more than a batch
    found = reconstructions(model, images, 3, [1, 4, 8])
    assert list(found) == [1, 4, 8]
    one = images[60:61]
    eps = model.draw_noise(image_generators(3, Purpose.TEST_NOISE, 0, images=range(60, 61)))
    for resolution, of_all in found.items():
        alone = coarse_reconstructions(model, model.encode(one), eps, resolution, [])
        torch.testing.assert_close(of_all[60:61].int(), alone.int(), atol=1, rtol=0)  # rounding
    assert not torch.equal(found[1], found[4])
    assert not torch.equal(found[4], found[8])


def test_rows_of_images_that_are_known(data_dir: Path) -> None:
    """A perfect reconstruction, one of which only the mean of each 2x2 square is right, white."""
    run = tiny_run()
    images = held_out_images(data_dir, run, "test")[:50]
    negative = 1 - images
    known = {1: 0 * images, 4: 255 * negative, 8: 255 * images}
    rows = [*learnt_rows(images, known, torch.full_like(images, 255), run)]
    by = {(row["images"], row["posterior_up_to"], row["resolution"]): row for row in rows}
    assert len(by) == len(rows) == 5 * 4
    x = as_seen(images, run.model)
    total = 0.0
    for resolution in (1, 2, 4, 8):
        test = by["test", None, resolution]
        assert test["coherence"] is None
        perfect, turned = (by["reconstructions", up_to, resolution] for up_to in (8, 4))
        assert perfect["energy"] == turned["energy"] == test["energy"]
        assert perfect["coherence"] == pytest.approx(1)
        assert turned["coherence"] == pytest.approx(-1)  # -1 and 1 change places
        for flat in (by["reconstructions", 1, resolution], by["samples", None, resolution]):
            assert flat["energy"] == (1 if resolution == 1 else 0)
        if resolution > 1:
            assert by["reconstructions", 1, resolution]["coherence"] is None
        total += test["energy"]
    assert total == pytest.approx(float(energy(x).mean()))
    assert {row["num_images"] for row in rows} == {50}


def test_shuffled_skips_keep_the_energies_and_lose_the_coherence(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image gets the latents of another: the law is as it was, the pairs are not."""
    run, model = tiny_run(), example_model()
    images = held_out_images(data_dir, run, "test")[:40]
    whole = reconstructions(model, images, 0, [8])
    encode = model.encode

    def shuffled(images: Tensor) -> list[Tensor]:
        return [seen.roll(1, 0) for seen in encode(images)]

    monkeypatch.setattr(model, "encode", shuffled)
    broken = reconstructions(model, images, 0, [8])
    # Not bit for bit: an image's noise is its own.
    energies, coherences = (
        [
            [row[name] for row in learnt_rows(images, of, of[8], run) if row["posterior_up_to"]]
            for of in (whole, broken, {8: 255 * images}, {8: 255 * images.roll(1, 0)})
        ]
        for name in ("energy", "coherence")
    )
    np.testing.assert_allclose(energies[1], energies[0], rtol=0.3)
    assert energies[3] == pytest.approx(energies[2])
    assert not torch.equal(whole[8], broken[8])
    assert coherences[2][1:] == pytest.approx([1, 1, 1])
    assert max(coherences[3][1:]) < 0.7


def test_binary_images_are_compared_with_binary_ones() -> None:
    """Grey probabilities are drawn: their energy is that of the draws, all of it 1."""
    run, images = tiny_run(), random_images(40)
    grey = torch.full_like(images, 128)
    rows = [*learnt_rows(images, {8: grey}, grey, run)]
    for kind in ("test", "reconstructions", "samples"):
        energies = [row["energy"] for row in rows if row["images"] == kind]
        assert sum(energies) == pytest.approx(1)  # pixels are -1 and 1
    drawn = {row["resolution"]: row for row in rows if row["images"] == "reconstructions"}
    assert abs(drawn[8]["coherence"]) < 0.1  # of 40 x 64 random pixels


def test_what_is_not_scored_has_no_part() -> None:
    config = tiny_config(likelihood_size=4)
    images = random_images(5)
    kept = blackened(images, config)
    assert torch.equal(kept[..., 2:6, 2:6], images[..., 2:6, 2:6])
    assert int(kept.sum()) == int(images[..., 2:6, 2:6].sum())
