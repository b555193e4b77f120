"""Preprocessing and loading: splits, provenance, determinism, and errors that say what to do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.__main__ import main
from model.data.arrays import load_images, load_info, pixel_moments, preprocess
from model.data.datasets import DATASETS, SPLITS, Dataset, cut_stripes
from model.data.sources import DataError, RawFile, Source, fetch, sha256_of

REPOSITORY = Path(__file__).parents[2]
REAL_FILES = REPOSITORY.parent / "shared" / "data"
NUM_FAKE_TRAIN, NUM_FAKE_TEST = 5040, 20


def write_idx_images(path: Path, images: np.ndarray, magic: int = 0x803) -> None:
    header = np.array([magic, *images.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + images.tobytes(), compresslevel=1))


@pytest.fixture(scope="session")
def fake_mnist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """MNIST with few images, each of one intensity: the dataset and the data_dir of its files."""
    mirror = tmp_path_factory.mktemp("mirror")
    data_dir = tmp_path_factory.mktemp("data")
    for name, count in (("train", NUM_FAKE_TRAIN), ("t10k", NUM_FAKE_TEST)):
        intensities = (np.arange(count) % 255 + 1).astype(np.uint8)
        images = np.broadcast_to(intensities[:, None, None], (count, 28, 28))
        write_idx_images(mirror / f"{name}-images-idx3-ubyte.gz", images)
        (mirror / f"{name}-labels-idx1-ubyte.gz").write_bytes(b"only verified, never read")
    files = tuple(
        RawFile(name=path.name, size_bytes=path.stat().st_size, checksum=sha256_of(path))
        for path in sorted(mirror.iterdir())
    )
    source = Source(dataset="mnist", origin="fake", licence="none", mirrors=(), files=files)
    fetch(source, data_dir, mirror)
    return replace(DATASETS["mnist"], raw=source), data_dir


# --- every dataset ---


@pytest.mark.parametrize(
    ("name", "size", "channels", "num_images"),
    [("digits", 8, 1, [1297, 200, 300]), ("patches", 16, 3, [5720, 1144, 1144])],
)
def test_embedded_dataset(
    tmp_path: Path, name: str, size: int, channels: int, num_images: list[int]
) -> None:
    info = preprocess(DATASETS[name], tmp_path)
    assert load_info(tmp_path, name) == info
    assert (info.image_size, info.image_channels) == (size, channels)
    assert list(info.num_images.values()) == num_images
    for split in SPLITS:
        images = load_images(tmp_path, name, split)
        assert isinstance(images, np.memmap)
        assert not images.flags.writeable
        assert images.dtype == np.uint8
        assert images.shape == (info.num_images[split], size, size, channels)
        assert sha256_of(tmp_path / name / f"{split}.npy") == info.sha256[split]
    train = load_images(tmp_path, name, "train")
    assert info.pixel_mean == pytest.approx(train.mean(dtype=np.float64))
    assert info.pixel_std == pytest.approx(train.std(dtype=np.float64))


@pytest.mark.parametrize("name", ["digits", "patches", "mnist"])
def test_preprocessing_twice_gives_the_same_bytes(
    tmp_path: Path, fake_mnist: tuple[Dataset, Path], name: str
) -> None:
    dataset, data_dir = fake_mnist if name == "mnist" else (DATASETS[name], tmp_path)

    def written() -> dict[str, bytes]:
        preprocess(dataset, data_dir)
        return {path.name: path.read_bytes() for path in (data_dir / name).glob("*")}

    first = written()
    assert sorted(first) == ["dataset.json", "test.npy", "train.npy", "valid.npy"]
    assert written() == first


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_dataset_states_its_provenance(name: str) -> None:
    dataset = DATASETS[name]
    assert all((dataset.version, dataset.source, dataset.licence, dataset.split_description))


def test_pixel_moments_are_exact() -> None:
    images = np.random.RandomState(0).randint(0, 256, (1500, 3, 3, 2)).astype(np.uint8)
    mean, std = pixel_moments(images)
    assert mean == pytest.approx(images.mean(dtype=np.float64), rel=1e-14)
    assert std == pytest.approx(images.std(dtype=np.float64), rel=1e-12)
    assert pixel_moments(np.full((2, 4, 4, 1), 7, np.uint8)) == (7.0, 0.0)


# --- digits ---


def test_digits_are_the_published_images_scaled_to_bytes(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    preprocess(DATASETS["digits"], tmp_path)
    splits = [load_images(tmp_path, "digits", split) for split in SPLITS]
    ours = np.concatenate(splits).astype(np.float64) * 16 / 255
    assert max(images.max() for images in splits) == 255
    published = load_digits().images
    assert sorted(map(bytes, np.round(ours).astype(np.uint8))) == sorted(
        map(bytes, published.astype(np.uint8))
    ), "each image is in exactly one split"


# --- patches ---


@pytest.mark.parametrize("shape", [(427, 640), (40, 131)])
def test_no_pixel_is_shared_between_splits(shape: tuple[int, int]) -> None:
    numbered = np.arange(np.prod(shape)).reshape(*shape, 1)  # each pixel is its own number
    pixels = {split: set(patches.ravel()) for split, patches in cut_stripes(numbered).items()}
    assert all(pixels.values())
    assert pixels["train"].isdisjoint(pixels["valid"])
    assert pixels["train"].isdisjoint(pixels["test"])
    assert pixels["valid"].isdisjoint(pixels["test"])


def test_patches_are_windows_of_the_photograph() -> None:
    photograph = np.random.RandomState(0).randint(0, 256, (40, 200, 3)).astype(np.uint8)
    patches = cut_stripes(photograph)  # train is 140 pixels wide: 4 rows of 16 windows
    assert patches["train"].shape == (64, 16, 16, 3)
    np.testing.assert_array_equal(patches["train"][17], photograph[8:24, 8:24])
    np.testing.assert_array_equal(patches["valid"][0], photograph[:16, 140:156])
    np.testing.assert_array_equal(patches["test"][0], photograph[:16, 170:186])


# --- mnist ---


def test_mnist_is_padded_and_split(fake_mnist: tuple[Dataset, Path]) -> None:
    dataset, data_dir = fake_mnist
    info = preprocess(dataset, data_dir)
    assert info.num_images == {"train": 40, "valid": 5000, "test": NUM_FAKE_TEST}
    splits = {split: load_images(data_dir, "mnist", split) for split in SPLITS}
    for images in splits.values():
        assert images.shape[1:] == (32, 32, 1)
        centre = images[:, 2:-2, 2:-2]
        assert centre.min() > 0
        assert images.sum(dtype=np.int64) == centre.sum(dtype=np.int64), "the border is zero"
    np.testing.assert_array_equal(splits["test"][:, 16, 16, 0], np.arange(NUM_FAKE_TEST) + 1)
    from_train_file = np.concatenate([splits["train"], splits["valid"]])[:, 16, 16, 0]
    np.testing.assert_array_equal(
        np.sort(from_train_file), np.sort(np.arange(NUM_FAKE_TRAIN) % 255 + 1)
    )


def test_mnist_needs_verified_raw_files(fake_mnist: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, _ = fake_mnist
    with pytest.raises(DataError, match=r"idx.*no such file; run .*model\.data fetch mnist"):
        preprocess(dataset, tmp_path)
    assert not (tmp_path / "mnist").exists()


@pytest.mark.skipif(
    not (REAL_FILES / "mnist").is_dir(), reason=f"the official files are not in {REAL_FILES}/mnist"
)
def test_real_mnist_from_fetch_to_arrays(tmp_path: Path) -> None:
    options = ["mnist", "--data-dir", str(tmp_path)]
    assert main(["fetch", *options, "--mirror", str(REAL_FILES)]) == 0
    assert main(["preprocess", *options]) == 0
    info = load_info(tmp_path, "mnist")
    assert info.num_images == {"train": 55_000, "valid": 5_000, "test": 10_000}
    test = load_images(tmp_path, "mnist", "test")
    # The well-known mean of the 28x28 training images is 33.32; padding dilutes it by 784/1024.
    assert info.pixel_mean == pytest.approx(33.32 * 784 / 1024, abs=0.05)
    # The first test image is the well-known seven: a bar on top, one stroke down.
    assert (test[0, 9:12, 8:22, 0] > 0).mean() > 0.7
    assert (test[0, 14:28, 6:11, 0] == 0).all()


# --- errors of loading ---


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    preprocess(DATASETS["digits"], tmp_path)
    return tmp_path


def test_not_preprocessed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; run `python -m model\.data preprocess"):
        load_images(tmp_path, "digits", "train")


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "digits"}'])
def test_unreadable_dataset_json(digits: Path, text: str) -> None:
    (digits / "digits" / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json: .*preprocess digits"):
        load_info(digits, "digits")


def test_dataset_json_with_an_unknown_key(digits: Path) -> None:
    path = digits / "digits" / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": 1}))
    with pytest.raises(DataError, match="colour"):
        load_info(digits, "digits")


def test_missing_array(digits: Path) -> None:
    (digits / "digits" / "valid.npy").unlink()
    with pytest.raises(DataError, match=r"valid\.npy: no such file; run "):
        load_images(digits, "digits", "valid")


@pytest.mark.parametrize("num_bytes", [0, 50, 1000])
def test_truncated_array(digits: Path, num_bytes: int) -> None:
    path = digits / "digits" / "valid.npy"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(DataError, match=r"valid\.npy: not a complete \.npy file"):
        load_images(digits, "digits", "valid")


@pytest.mark.parametrize(
    "array", [np.zeros((200, 8, 8, 1), np.float32), np.zeros((199, 8, 8, 1), np.uint8)]
)
def test_array_that_dataset_json_does_not_describe(digits: Path, array: np.ndarray) -> None:
    np.save(digits / "digits" / "valid.npy", array)
    with pytest.raises(DataError, match=r"dataset\.json says uint8 \[200, 8, 8, 1\]"):
        load_images(digits, "digits", "valid")


# --- the command ---


def test_command_preprocesses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preprocess", "digits", "--data-dir", str(tmp_path)]) == 0
    assert "train 1297, valid 200, test 300 images of 8x8x1" in capsys.readouterr().out


def test_fetching_an_embedded_dataset_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "digits", "--data-dir", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: digits is embedded in scikit-learn")
    assert message.count("\n") == 1


def test_command_fails_with_a_message_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model.data", "fetch", "mnist", "--data-dir", str(tmp_path)]
    result = subprocess.run(
        [*command, "--mirror", str(tmp_path / "nowhere")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "t10k-labels-idx1-ubyte.gz" in result.stderr
    assert "data_mirror" in result.stderr
    assert "Traceback" not in result.stderr


def test_loading_needs_neither_scikit_learn_nor_a_downloader() -> None:
    heavy = "{'sklearn', 'pooch', 'requests', 'torch', 'pandas', 'snakemake'}"
    code = f"import sys, model.data; print(*{heavy} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""
