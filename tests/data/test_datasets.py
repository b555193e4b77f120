"""From published files to arrays: small files in each published format, through the real commands.

Only the sizes, checksums and numbers of images are those of the small files.
"""

from __future__ import annotations

import io
import signal
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.__main__ import main
from model.data.arrays import load_images, load_info, preprocess
from model.data.datasets import DATASETS, SPLITS, Dataset, hold_out
from model.data.published import EMBEDDED, PUBLISHED
from model.data.sources import DataError, RawFile, Source, sha256_of

REPOSITORY = Path(__file__).parents[2]
NUM_TRAIN = 5030  # 5000 of which are valid
SIZES = [32, pytest.param(64, marks=pytest.mark.slow)]
RNG = np.random.RandomState(1)


def publish(dataset: Dataset, folder: Path, make: Callable[..., object] | None = None) -> Dataset:
    """The dataset, published as the files in a folder."""
    assert dataset.raw is not None
    names = [file.name for file in dataset.raw.files]
    assert sorted(names) == sorted(path.name for path in folder.iterdir()), "the published names"
    files = tuple(
        RawFile(
            name=name,
            size_bytes=(folder / name).stat().st_size,
            checksum=sha256_of(folder / name),
        )
        for name in names
    )
    source: Source = replace(dataset.raw, files=files)
    return replace(dataset, raw=source, make=make or dataset.make)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Dataset, Path], Path]:
    """Fetch from a mirror and preprocess with the commands that a user types; the data_dir."""

    def run(dataset: Dataset, mirror: Path) -> Path:
        monkeypatch.setitem(DATASETS, dataset.name, dataset)
        options = [dataset.name, "--data-dir", str(tmp_path / "data")]
        assert main(["fetch", *options, "--mirror", str(mirror)]) == 0
        assert main(["preprocess", *options]) == 0
        written = sorted(path.name for path in (tmp_path / "data" / dataset.name).iterdir())
        assert written == ["dataset.json", "test.npy", "train.npy", "valid.npy"]
        return tmp_path / "data"

    return run


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


def planar_rows(num_images: int, size: int) -> np.ndarray:
    """Images as published, [N, 3 * size * size]; few values, so that they compress fast."""
    return RNG.randint(0, 256, (num_images, 1)).astype(np.uint8) + RNG.randint(
        0, 3, (num_images, 3 * size * size)
    ).astype(np.uint8)


def by_pixel(rows: np.ndarray, size: int) -> np.ndarray:
    """[N, size, size, 3] by the published formula: channel c of pixel (y, x) is byte ..."""
    images = np.empty((len(rows), size, size, 3), np.uint8)
    for y in range(size):
        for x in range(size):
            for c in range(3):
                images[:, y, x, c] = rows[:, c * size * size + y * size + x]
    return images


def assert_splits(data_dir: Path, name: str, expected: dict[str, np.ndarray]) -> None:
    info = load_info(data_dir, name)
    assert (info.source, info.licence) == (DATASETS[name].source, DATASETS[name].licence)
    for split in SPLITS:
        images = load_images(data_dir, name, split)
        np.testing.assert_array_equal(images, expected[split])
        assert sha256_of(data_dir / name / f"{split}.npy") == info.sha256[split]


def held_out(images: np.ndarray) -> dict[str, np.ndarray]:
    """Train and valid, written down anew from the description of the split."""
    valid = np.random.RandomState(0).permutation(len(images))[-5000:]
    return {"train": np.delete(images, valid, axis=0), "valid": images[valid]}


# --- cifar10 ---


def python2_pickle(rows: np.ndarray) -> bytes:
    """A batch as Python 2 and its NumPy pickled it: byte strings, the module of NumPy 1."""
    shape = b"".join(b"J" + struct.pack("<i", length) for length in rows.shape) + b"\x86"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", rows.size)
        + rows.tobytes()
        + b"tb"
    )
    label = b"U\x0bbatch_labelU\x15training batch 1 of 5U\x06labels](K\x06K\x09e"
    return b"\x80\x02}(" + label + b"U\x04data" + array + b"u."


def write_cifar10(path: Path, batches: dict[str, np.ndarray]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        # The published archive is in no useful order and holds more than the batches.
        contents = {name: python2_pickle(rows) for name, rows in batches.items()}
        for name in ["data_batch_4", "test_batch", *sorted(contents), "readme.html"]:
            content = contents.pop(name, None) if name != "readme.html" else b"<html>"
            if content is not None:
                member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_cifar10(mirror: Path, made: Callable[[Dataset, Path], Path]) -> None:
    batches = {f"data_batch_{n}": planar_rows(1006, 32) for n in range(1, 6)}
    test = planar_rows(20, 32)
    write_cifar10(mirror / "cifar-10-python.tar.gz", {**batches, "test_batch": test})
    data_dir = made(publish(DATASETS["cifar10"], mirror), mirror)
    images = by_pixel(np.concatenate([batches[f"data_batch_{n}"] for n in range(1, 6)]), 32)
    order = np.random.RandomState(11172018).permutation(len(images))  # scikit-learn's: valid first
    expected = {"valid": images[order[:5000]], "train": images[order[5000:]]}
    assert_splits(data_dir, "cifar10", {**expected, "test": by_pixel(test, 32)})


# --- imagenet32 and imagenet64 ---


def write_npz_zip(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Zips of .npz files: plain and compressed ones, in no order, with more than the images."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{path.stem}/", b"")
        for number, (name, rows) in enumerate(reversed(arrays.items())):
            content = io.BytesIO()
            save = (np.savez, np.savez_compressed)[number % 2]
            labels = np.zeros(len(rows), np.int64)
            save(content, labels=labels, data=rows, mean=rows.mean(axis=0))
            archive.writestr(f"{path.stem}/{name}.npz", content.getvalue())


@pytest.mark.parametrize("size", SIZES)
def test_imagenet(size: int, mirror: Path, made: Callable[[Dataset, Path], Path]) -> None:
    train, test = planar_rows(NUM_TRAIN, size), planar_rows(1030, size)
    parts = ["_part1", "_part2"] if size == 64 else [""]
    rows = iter(np.array_split(train, 3 * len(parts)))
    for part in parts:
        batches = {f"train_data_batch_{n}": next(rows) for n in (1, 10, 2)}  # sorted by name
        write_npz_zip(mirror / f"Imagenet{size}_train{part}_npz.zip", batches)
    write_npz_zip(mirror / f"Imagenet{size}_val_npz.zip", {"val_data": test})
    dataset = DATASETS[f"imagenet{size}"]
    dataset = publish(dataset, mirror, partial(dataset.make, num_train=NUM_TRAIN))
    data_dir = made(dataset, mirror)
    expected = {**held_out(by_pixel(train, size)), "test": by_pixel(test, size)}
    assert_splits(data_dir, dataset.name, expected)


# --- imagenet32-old and imagenet64-old ---


def write_png_tar(path: Path, images: np.ndarray) -> None:
    """A tar of PNGs; the order of its members is not that of their names."""
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo(f"{path.stem}/._junk"), io.BytesIO())
        for number, image in enumerate(images):
            content = io.BytesIO()
            Image.fromarray(image).save(content, "PNG", compress_level=1)
            member = tarfile.TarInfo(f"{path.stem}/{len(images) - number:07d}.png")
            member.size = content.tell()
            content.seek(0)
            archive.addfile(member, content)


@pytest.mark.parametrize("size", SIZES)
def test_old_imagenet(size: int, mirror: Path, made: Callable[[Dataset, Path], Path]) -> None:
    train, test = by_pixel(planar_rows(NUM_TRAIN, size), size), by_pixel(planar_rows(9, size), size)
    write_png_tar(mirror / f"train_{size}x{size}.tar", train)
    write_png_tar(mirror / f"valid_{size}x{size}.tar", test)
    dataset = DATASETS[f"imagenet{size}-old"]
    dataset = publish(dataset, mirror, partial(dataset.make, num_train=NUM_TRAIN))
    assert_splits(made(dataset, mirror), dataset.name, {**held_out(train), "test": test})


def test_the_two_versions_of_imagenet_are_told_apart_in_tables() -> None:
    for size in (32, 64):
        new, old = DATASETS[f"imagenet{size}"], DATASETS[f"imagenet{size}-old"]
        assert new.version != old.version  # study/tables.py refuses to compare different versions


@pytest.mark.parametrize(("num_images", "found"), [(5099, "5099"), (5101, "5101 or more")])
def test_another_number_of_images_is_refused(num_images: int, found: str) -> None:
    batches = np.array_split(np.zeros((num_images, 1, 1, 3), np.uint8), 7)
    with pytest.raises(DataError, match=f"hold {found} images, expected 5100"):
        list(hold_out(batches, 5100))


# --- celeba64 ---

PARTITION = {"000003.jpg": 0, "000001.jpg": 0, "000002.jpg": 2, "000005.jpg": 1, "000004.jpg": 0}


def portrait(seed: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """A JPEG of random colours in blocks of 4x4 pixels."""
    blocks = np.random.RandomState(seed).randint(0, 256, (55, 45, 3)).astype(np.uint8)
    pixels = blocks.repeat(4, axis=0).repeat(4, axis=1)[: size[1], : size[0]]
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=95)
    return content.getvalue()


def write_celeba(mirror: Path, replaced: dict[str, bytes] | None = None) -> None:
    lines = [f"{name} {number}\n" for name, number in PARTITION.items()]
    (mirror / "list_eval_partition.txt").write_text("".join(lines))
    with zipfile.ZipFile(mirror / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/", b"")
        for name in sorted(PARTITION, reverse=True):
            content = (replaced or {}).get(name, portrait(int(name[:6])))
            archive.writestr(f"img_align_celeba/{name}", content)


def bilinear_64(face: np.ndarray) -> np.ndarray:
    """[148, 148, 3] -> [64, 64, 3] by the triangle filter, written down from its definition."""
    scale = 148 / 64
    weights = np.zeros((64, 148))
    for i in range(64):
        centre = (i + 0.5) * scale
        distance = np.abs(np.arange(148) + 0.5 - centre) / scale
        weights[i] = np.clip(1 - distance, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("iy,jx,yxc->ijc", weights, weights, face.astype(np.float64))


def test_celeba(mirror: Path, made: Callable[[Dataset, Path], Path]) -> None:
    write_celeba(mirror)
    data_dir = made(publish(DATASETS["celeba64"], mirror), mirror)
    for split, numbers in (("train", [1, 3, 4]), ("valid", [5]), ("test", [2])):
        images = load_images(data_dir, "celeba64", split)
        assert images.shape == (len(numbers), 64, 64, 3)
        for image, number in zip(images, numbers, strict=True):
            decoded = np.asarray(Image.open(io.BytesIO(portrait(number))))
            expected = bilinear_64(decoded[40:188, 15:163])
            assert np.abs(image - expected).max() < 1.1, "Pillow rounds after each direction"


BROKEN = {
    "truncated": portrait(4)[:2000],
    "empty": b"",
    "a web page": b"<html>quota exceeded</html>",
    "another size": portrait(4, (170, 218)),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_image_stops_with_one_line_and_leaves_what_was_there(
    mirror: Path,
    made: Callable[[Dataset, Path], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
) -> None:
    write_celeba(mirror)
    data_dir = made(publish(DATASETS["celeba64"], mirror), mirror)
    before = {path.name: path.read_bytes() for path in (data_dir / "celeba64").iterdir()}
    write_celeba(mirror, {"000004.jpg": content})
    monkeypatch.setitem(DATASETS, "celeba64", publish(DATASETS["celeba64"], mirror))
    options = ["celeba64", "--data-dir", str(data_dir)]
    assert main(["fetch", *options, "--mirror", str(mirror)]) == 0
    capsys.readouterr()
    assert main(["preprocess", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "img_align_celeba.zip: 000004.jpg: " in error
    assert error.count("\n") == 1
    after = {path.name: path.read_bytes() for path in (data_dir / "celeba64").iterdir()}
    assert after == before


def test_a_damaged_byte_within_an_image_is_found(mirror: Path, tmp_path: Path) -> None:
    write_celeba(mirror)
    path = mirror / "img_align_celeba.zip"
    content = bytearray(path.read_bytes())
    content[content.index(portrait(3)) + 4000] ^= 0xFF  # a decoder may well accept it
    path.write_bytes(content)
    dataset = publish(DATASETS["celeba64"], mirror)
    mirror.rename(tmp_path / "celeba64")
    (tmp_path / "raw").mkdir()
    (tmp_path / "celeba64").rename(tmp_path / "raw" / "celeba64")
    with pytest.raises(DataError, match=r"000003\.jpg: this image cannot be decoded \(Bad CRC"):
        preprocess(dataset, tmp_path)


# --- faults: killed, too large for memory ---

KILLED = """
import os, signal, sys
from dataclasses import replace
import numpy as np
from model.data.arrays import preprocess
from model.data.datasets import DATASETS

def make(raw):
    yield "train", np.zeros((1000, 8, 8, 1), np.uint8)
    os.kill(os.getpid(), signal.SIGKILL)

preprocess(replace(DATASETS["digits"], make=make), sys.argv[1])
"""

LIMITED = """
import resource, sys
from dataclasses import replace
from functools import partial
from pathlib import Path
import numpy as np
from model.data.arrays import preprocess
from model.data.datasets import DATASETS

status = Path("/proc/self/status").read_text()
used = int(status.split("VmData:")[1].split()[0]) * 1024
limit = used + int(sys.argv[2]) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # memory, without mapped files
dataset = DATASETS["imagenet64"]
make = partial(dataset.make, num_train=int(sys.argv[3]))
preprocess(replace(dataset, raw=None, make=make), sys.argv[1])
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_a_killed_preprocessing_leaves_nothing_that_counts_and_is_done_again(
    tmp_path: Path,
) -> None:
    result = python(KILLED, str(tmp_path))
    assert result.returncode == -signal.SIGKILL, result.stderr
    left = [path.name for path in (tmp_path / "digits").iterdir()]
    assert left, "the unfinished arrays lie there"
    assert not {"train.npy", "valid.npy", "test.npy", "dataset.json"} & set(left)
    preprocess(DATASETS["digits"], tmp_path)
    left = sorted(path.name for path in (tmp_path / "digits").iterdir())
    assert left == ["dataset.json", "test.npy", "train.npy", "valid.npy"]


@pytest.mark.slow
def test_imagenet64_is_made_in_less_memory_than_its_images(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "imagenet64"
    raw.mkdir(parents=True)
    rows = np.zeros((20_000, 3 * 64 * 64), np.uint8)  # 234 MiB, and another one of part 2
    for part in (1, 2):
        write_npz_zip(raw / f"Imagenet64_train_part{part}_npz.zip", {"train_data_batch_1": rows})
    write_npz_zip(raw / "Imagenet64_val_npz.zip", {"val_data": rows[:10]})
    result = python(LIMITED, str(tmp_path), "200", "40000")
    assert result.returncode == 0, result.stderr
    assert load_info(tmp_path, "imagenet64").num_images["train"] == 35_000


def test_the_datasets_that_are_fetched_are_those_with_published_files() -> None:
    published = {name: d.raw for name, d in DATASETS.items() if d.raw is not None}
    assert published == PUBLISHED
    assert DATASETS.keys() - PUBLISHED.keys() == EMBEDDED
