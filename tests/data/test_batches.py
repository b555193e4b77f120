"""Batches that depend on (seed, step) alone, and binarisation."""

from pathlib import Path

import pytest
import torch
from examples import tiny_run

from model.config import ConfigError
from model.data.arrays import load_images
from model.data.batches import TrainingBatches, binarise, held_out_images
from model.training.ranks import Ranks


def test_a_step_s_batch_does_not_depend_on_what_was_asked_before(data_dir: Path) -> None:
    run = tiny_run()
    in_order, at_once = TrainingBatches(data_dir, run), TrainingBatches(data_dir, run)
    steps = [in_order.at(step) for step in range(90)]
    assert torch.equal(at_once.at(89), steps[89])
    assert torch.equal(at_once.at(3), steps[3])
    assert not torch.equal(TrainingBatches(data_dir, tiny_run(seed=1)).at(3), steps[3])


def test_an_epoch_shows_every_image_once(data_dir: Path) -> None:
    batches = TrainingBatches(data_dir, tiny_run(train={"batch_size": 100}))
    orders = []
    for epoch in range(2):
        batches.at(epoch * batches.batches_per_epoch)
        orders.append(batches._order.copy())
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(1297))
    assert list(orders[0]) != list(orders[1])


def test_a_share_of_a_batch_has_the_bits_of_the_whole(data_dir: Path) -> None:
    batches = TrainingBatches(data_dir, tiny_run(train={"batch_size": 10}))
    ranks = [Ranks(rank, 3) for rank in range(3)]
    assert [len(one.share(10)) for one in ranks] == [4, 3, 3]
    for step in (0, 7, 129):  # an epoch has 129 steps
        shares = [batches.at(step, one.share(10)) for one in ranks]
        assert torch.equal(torch.cat(shares), batches.at(step))


def test_binarisation_is_dynamic_in_training_and_fixed_for_held_out_images(data_dir: Path) -> None:
    grey = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(1, 100_000, 1)
    drawn = binarise(grey, [torch.Generator().manual_seed(0)]).double().mean((0, 1))
    torch.testing.assert_close(
        drawn, torch.tensor([0.0, 0.2, 1.0], dtype=torch.float64), atol=0.005, rtol=0
    )
    run = tiny_run(train={"batch_size": 1297})  # one batch an epoch: the same images each time
    batches = TrainingBatches(data_dir, run)
    assert not torch.equal(batches.at(0).sum(0), batches.at(1).sum(0))
    first = held_out_images(data_dir, run, "test")
    second = held_out_images(data_dir, tiny_run(seed=5), "test")
    assert torch.equal(first, second)
    assert first.shape == (300, 1, 8, 8)
    assert set(first.unique().tolist()) == {0, 1}
    intensities = load_images(data_dir, "digits", "test")
    assert first[torch.from_numpy(intensities.transpose(0, 3, 1, 2) == 0)].sum() == 0


def test_images_that_do_not_fit_the_config_are_named(data_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"digits holds images of shape \(8, 8, 1\)"):
        TrainingBatches(
            data_dir,
            tiny_run(
                model={"image_size": 16, "encoder": "16d2,8d2,4d4,1", "decoder": "1,4m1,8m4,16m8"}
            ),
        )
    with pytest.raises(ConfigError, match="batch_size 2000 exceeds the 1297 training images"):
        TrainingBatches(data_dir, tiny_run(train={"batch_size": 2000}))
