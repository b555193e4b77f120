"""A user's own images: from folders of PNG and JPEG files to arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.__main__ import main
from model.data.arrays import load_images, preprocess
from model.data.datasets import SPLITS, dataset_named
from model.data.sources import DataError

RNG = np.random.RandomState(1)


def write_pictures(folder: Path, names: list[str], size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """PNGs of one colour each, [N, 3] in the order of names."""
    colours = RNG.randint(0, 256, (len(names), 3)).astype(np.uint8)
    for name, colour in zip(names, colours, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, tuple(colour.tolist())).save(path)
    return colours


def test_a_folder_of_images_is_a_dataset(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "mine"
    train = write_pictures(
        raw / "photos" / "train", [f"{c}/{n}.png" for c in "ab" for n in range(10)]
    )
    test = write_pictures(raw / "photos" / "test", ["0.png", "1.PNG", "2.png"])
    (raw / "train.txt").write_text("no image")
    assert main(["preprocess", "mine", "--data-dir", str(tmp_path)]) == 0
    order = np.random.RandomState(0).permutation(20)
    expected = {"valid": train[order[:2]], "train": train[order[2:]]}
    expected["test"] = test[np.random.RandomState(0).permutation(3)]
    for split in SPLITS:
        images = load_images(tmp_path, "mine", split)
        assert images.shape[1:] == (8, 8, 3)
        np.testing.assert_array_equal(images[:, 3, 4], expected[split])


def test_a_folder_valid_is_used(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "mine"
    colours = {split: write_pictures(raw / split, ["0.png"]) for split in SPLITS}
    preprocess(dataset_named("mine", tmp_path), tmp_path)
    for split in SPLITS:
        np.testing.assert_array_equal(
            load_images(tmp_path, "mine", split)[0, 0, 0], colours[split][0]
        )


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("2.png", (8, 8), r"2\.png: move it into one of the folders train, valid, test"),
        ("train/test/2.png", (8, 8), r"2\.png: move it into one of the folders"),
        ("train/2.png", (9, 9), r"2\.png: 9x9 pixels, expected 8x8; set `resize: bilinear`"),
    ],
)
def test_an_image_that_does_not_fit_is_named(
    tmp_path: Path, name: str, size: tuple[int, int], message: str
) -> None:
    raw = tmp_path / "raw" / "mine"
    for split in SPLITS:
        write_pictures(raw / split, ["0.png", "1.png"])
    write_pictures(raw, [name], size)
    with pytest.raises(DataError, match=message):
        preprocess(dataset_named("mine", tmp_path), tmp_path)


def test_images_that_are_no_squares_are_refused(tmp_path: Path) -> None:
    for split in SPLITS:
        write_pictures(tmp_path / "raw" / "mine" / split, ["0.png"], (8, 6))
    with pytest.raises(DataError, match=r"0\.png: 8x6 pixels are no square; set `crop: center`"):
        preprocess(dataset_named("mine", tmp_path), tmp_path)


def test_a_split_without_images_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "raw" / "mine" / "train", [f"{n}.png" for n in range(10)])
    with pytest.raises(DataError, match=r"mine: no images for test; put them"):
        preprocess(dataset_named("mine", tmp_path), tmp_path)


def test_an_unknown_dataset_names_the_nearest_and_where_own_images_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preprocess", "cifar", "--data-dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "unknown dataset 'cifar'; did you mean 'cifar10'?" in error
    assert str(tmp_path / "raw" / "cifar") in error
    assert error.count("\n") == 1
