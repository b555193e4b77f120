"""`python -m model.data check`: what is there, and lines that config.yaml takes."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from model.data.__main__ import main
from model.data.check import towers
from study.planning.own_images import own_images
from study.planning.study import Study

ROOT = Path(__file__).parents[2]
RNG = np.random.RandomState(3)


def write(path: Path, size: tuple[int, int] = (40, 40), pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = RNG.randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def checked(place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["check", str(place)]) == 0
    return capsys.readouterr().out


def study_of(output: str) -> Study:
    """The study of a config.yaml with the printed lines pasted into it."""
    entry = yaml.safe_load(output[output.index("datasets:\n") :])["datasets"]
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["datasets"] |= entry
    (name,) = entry
    content["studies"]["mine"] = {**content["studies"]["tiny"], "datasets": [name]}
    content["studies"]["mine"]["ablations"] = ["weight-sharing"]
    return Study.of_config(content | {"study": "mine"})


def test_sizes_splits_problems_and_duplicates_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "My Photos"
    for n in range(5):
        write(raw / "train" / f"{n}.png", (40, 50))
    write(raw / "test" / "0.png", (60, 33))
    (raw / "test" / "1.png").write_bytes((raw / "train" / "2.png").read_bytes())
    (raw / "test" / "2.png").write_bytes(b"no image")
    (raw / "notes.txt").write_text("no image")
    output = checked(raw, capsys)
    assert "My Photos: 7 images\n" in output
    assert "grey" not in output.partition("colour: ")[2].partition("\n")[0]
    for line in (
        "split: train: 5",
        "split: test: 2",
        "size: 40x50: 6",
        "size: 60x33: 1",
        "read: PNG RGB: 7",
        "left out: no image that Pillow reads: 1: notes.txt",
        "problem: equal images in several splits: test/1.png, train/2.png",
    ):
        assert f"  {line}\n" in output
    assert "2.png: this image cannot be decoded" in output
    (own,) = own_images(study_of(output)).values()
    assert "  my-photos:\n" in output
    assert (own.image_size, own.image_channels) == (32, 3)
    assert (own.config.crop, own.config.resize, own.config.unreadable) == (
        "center", "bilinear", "skip",
    )  # fmt: skip


def test_the_printed_lines_make_the_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw" / "portraits"
    for n in range(20):
        write(raw / f"{n}.jpg", (20 + n, 40))
    own = own_images(study_of(checked(raw, capsys)))["portraits"]
    command = ["preprocess", "portraits", "--data-dir", str(tmp_path), *own.arguments()]
    assert main(command) == 0
    assert "train 16, valid 2, test 2 images of 16x16x3" in capsys.readouterr().out


@pytest.mark.parametrize("size", [1, 4, 6, 7, 8, 12, 28, 32, 64])
def test_grey_arrays_of_any_size_get_a_model(
    tmp_path: Path, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "arrays"
    raw.mkdir()
    images = RNG.randint(100, 110, (30, size, size)).astype(np.uint8)
    np.save(raw / "train.npy", images)
    np.save(raw / "test.npy", images[:3])
    output = checked(raw, capsys)
    (own,) = own_images(study_of(output)).values()
    assert (own.image_size, own.image_channels) == (size, 1)
    assert f"pixel_mean: {images[:, :, :].mean():.0f}"[:14] in output


def test_towers_halve_the_size_down_to_1() -> None:
    assert towers(32) == (
        "32x1,32d2,16x1,16d2,8x1,8d2,4x1,4d4,1x1",
        "1x1,4m1,4x1,8m4,8x1,16m8,16x1,32m16,32x1",
    )
    assert towers(28) == (
        "28x1,28d2,14x1,14d2,7x1,7d7,1x1",
        "1x1,7m1,7x1,14m7,14x1,28m14,28x1",
    )


@pytest.mark.parametrize("kind", ["nothing", "an empty folder", "text"])
def test_where_no_images_are_is_one_line(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    if kind == "text":
        place.write_text("no archive")
    elif kind == "an empty folder":
        place.mkdir()
    assert main(["check", str(place)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {place}: ")
    assert error.count("\n") == 1
