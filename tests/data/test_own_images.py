"""A user's own images: from folders, zips and arrays to a dataset, every file accounted for."""

import gzip
import io
import os
import shutil
import stat
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.__main__ import main
from model.data.arrays import load_images, preprocess
from model.data.dataset_info import SPLITS, DatasetInfo, load_info
from model.data.datasets import dataset_named
from model.data.images_config import ImagesConfig, OwnImages
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


# --- folders, zips and arrays ----------------------------------------------------------------


def preprocess_own(data_dir: Path, **config: object) -> DatasetInfo:
    options = {"image_size": config.pop("image_size", None)}
    options |= {"image_channels": config.pop("image_channels", 3)}
    own = OwnImages(config=ImagesConfig(**config), **options)  # type: ignore[arg-type]
    return preprocess(dataset_named("mine", data_dir, own), data_dir)


def arrays_of(data_dir: Path) -> dict[str, np.ndarray]:
    return {split: np.asarray(load_images(data_dir, "mine", split)) for split in SPLITS}


def zipped(folder: Path, archive: Path, prefix: str = "", reverse: bool = False) -> None:
    """A folder as a zip, its members in the order of names or in the other one."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(folder.rglob("*"), reverse=reverse):
            if path.is_file():
                target.write(path, prefix + str(path.relative_to(folder)))


@pytest.mark.parametrize("layout", ["{s}/{n}.png", "{s}/{c}/{n}.png", "{c}/{n}.png", "{n}.png"])
def test_a_zip_gives_the_arrays_that_the_folder_gives(tmp_path: Path, layout: str) -> None:
    raw = tmp_path / "a" / "raw" / "mine"
    names = [
        layout.format(s=split, c="ab"[n % 2], n=f"{split}{n}")
        for split in ("train", "val", "test")
        for n in range(10)
    ]
    write_pictures(raw, names)
    info = preprocess_own(tmp_path / "a")
    for variation in range(3):
        data_dir = tmp_path / f"zip{variation}"
        prefix = "photos/" if variation == 1 else ""
        zipped(raw, data_dir / "raw" / "mine.zip", prefix, reverse=variation == 2)
        assert preprocess_own(data_dir).sha256 == info.sha256
    named = {"train": 10, "valid": 10, "test": 10}
    assert info.num_images == (named if "{s}/" in layout else {"train": 24, "valid": 3, "test": 3})


def test_what_is_held_out_is_disjoint_and_as_large_as_config_yaml_says(tmp_path: Path) -> None:
    colours = write_pictures(tmp_path / "raw" / "mine", [f"{n}.png" for n in range(50)])
    seen = []
    for seed in (0, 1):
        info = preprocess_own(tmp_path, valid=7, test=0.3, seed=seed)
        assert info.num_images == {"train": 28, "valid": 7, "test": 15}
        arrays = arrays_of(tmp_path)
        found = np.concatenate([arrays[split][:, 0, 0] for split in SPLITS])
        assert sorted(map(tuple, found)) == sorted(map(tuple, colours))
        seen.append(arrays["test"])
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("sizes", [{"valid": 25, "test": 25}, {"valid": 0.001}, {"test": 1e30}])
def test_sizes_that_leave_a_split_empty_are_one_line(tmp_path: Path, sizes: dict) -> None:
    write_pictures(tmp_path / "raw" / "mine", [f"{n}.png" for n in range(50)])
    with pytest.raises(DataError, match=r"mine: 50 images cannot be split .*--valid, --test"):
        preprocess_own(tmp_path, **sizes)


def test_every_file_is_used_or_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw" / "mine"
    write_pictures(raw, [f"{n}.png" for n in range(20)])
    (raw / "20").write_bytes((raw / "0.png").read_bytes())  # an image without a telling name
    (raw / "notes.txt").write_text("no image")
    (raw / ".DS_Store").write_bytes(b"hidden")
    (raw / os.fsdecode(b"\xff.txt")).write_text("a name that is not UTF-8")
    (raw / "lost.png").symlink_to(raw / "nowhere.png")
    os.mkfifo(raw / "pipe.png")
    elsewhere = tmp_path / "elsewhere"
    write_pictures(elsewhere, ["x/0.png", "x/1.png"])
    (elsewhere / "back").symlink_to(raw)  # a loop through both
    (raw / "linked").symlink_to(elsewhere)
    (raw / "again").symlink_to(elsewhere / "x")
    assert main(["preprocess", "mine", "--data-dir", str(tmp_path)]) == 0
    info = load_info(tmp_path, "mine")
    assert sum(info.num_images.values()) == 20 + 1 + 2 + 2
    assert info.images is not None
    assert {r: left["first"] for r, left in info.images["left_out"].items()} == {
        "no image that Pillow reads": ["notes.txt", os.fsdecode(b"\xff.txt")],
        "hidden": [".DS_Store"],
        "a link to nothing": ["lost.png"],
        "a link to a folder that it lies in": ["linked/back"],
        "no regular file": ["pipe.png"],
    }
    log = capsys.readouterr().out
    assert "left out: notes.txt: no image that Pillow reads\n" in log
    assert "left out: \\udcff.txt: no image that Pillow reads\n" in log
    assert "25 images: PNG RGB\n" in log


@pytest.mark.parametrize("name", ["3.png", "3.heic", "3.svg", "3.TIF"])
def test_an_unreadable_image_is_an_error_or_left_out_as_configured(
    tmp_path: Path, name: str
) -> None:
    raw = tmp_path / "raw" / "mine"
    write_pictures(raw, [f"{n}.png" for n in range(20) if n != 3])
    (raw / name).write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(DataError, match=rf"/{name}: .*replace or remove it, or set `unreadable: s"):
        preprocess_own(tmp_path)
    assert not (tmp_path / "mine" / "dataset.json").exists()
    info = preprocess_own(tmp_path, unreadable="skip")
    assert sum(info.num_images.values()) == 19
    assert info.images is not None
    ((reason, left),) = info.images["left_out"].items()
    assert "decoded" in reason
    assert left == {"files": 1, "first": [name]}


def test_a_folder_that_cannot_be_read_is_no_empty_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw" / "mine"
    write_pictures(raw, [f"a/{n}.png" for n in range(20)])
    real = os.scandir

    def scandir(path: str) -> object:  # root may read all: the system's refusal is played
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main(["preprocess", "mine", "--data-dir", str(tmp_path)]) == 1
    assert "Permission denied" in capsys.readouterr().err


def archive_with(path: Path, member: zipfile.ZipInfo | str, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)


def picture_bytes() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("name", ["../../x.png", "/etc/x.png", "a/../../x.png", "C:\\x.png"])
def test_a_member_that_leaves_the_archive_s_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive_with(tmp_path / "raw" / "mine.zip", name, picture_bytes())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"mine\.zip: .* leaves the archive's folder"):
        preprocess_own(tmp_path)
    made = {path.name for path in set(tmp_path.rglob("*")) - set(before)}
    assert made <= {"mine", "raw_digest.json"}


def test_a_link_inside_an_archive_is_not_followed(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "raw" / "mine.zip"
    archive_with(path, link, b"/etc/hostname")
    with zipfile.ZipFile(path, "a") as archive:
        for n in range(10):
            archive.writestr(f"{n}.png", picture_bytes())
        archive.writestr("__MACOSX/._0.png", b"of a Macintosh")
    info = preprocess_own(tmp_path)
    assert info.images is not None
    assert info.images["left_out"]["a link inside an archive"]["first"] == ["link.png"]
    assert info.images["left_out"]["hidden"]["files"] == 1
    assert sum(info.num_images.values()) == 10


@pytest.mark.parametrize("name", ["train.npy", "0.png"])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    archive_with(tmp_path / "raw" / "mine.zip", name, bytes(80 * 2**20))
    with pytest.raises(DataError, match=r"mine\.zip: .*: a decompression bomb\?"):
        preprocess_own(tmp_path)


def test_a_bomb_in_a_gz_is_refused_too(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "mine"
    raw.mkdir(parents=True)
    header = np.array([0x803, 100_000, 28, 28], ">u4").tobytes()
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(1000)))
    with pytest.raises(DataError, match="a decompression bomb"):
        preprocess_own(tmp_path, image_channels=1)


@pytest.mark.parametrize("kind", ["cut", "text", "damaged", "encrypted", "twice"])
def test_an_archive_that_is_not_sound_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "raw" / "mine.zip"
    archive_with(path, "0.png", picture_bytes())
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in range(1, 10):
            archive.writestr(f"{0 if kind == 'twice' else n}.png", picture_bytes())
    content = bytearray(path.read_bytes())
    if kind == "damaged":
        content[content.index(b"IDAT") - 20] ^= 0xFF  # stored, as written by "a"
    if kind == "encrypted":
        content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes({"cut": content[:-40], "text": b"<html>"}.get(kind, content))
    with pytest.raises(DataError, match=r"mine\.zip: ") as error:
        preprocess_own(tmp_path)
    assert "\n" not in str(error.value)


def test_folder_and_zip_are_not_both_taken(tmp_path: Path) -> None:
    write_pictures(tmp_path / "raw" / "mine", ["0.png"])
    zipped(tmp_path / "raw" / "mine", tmp_path / "raw" / "mine.zip")
    with pytest.raises(DataError, match="are both there; keep one of them"):
        preprocess_own(tmp_path)


def test_a_zip_inside_the_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    archive_with(tmp_path / "raw" / "mine" / "photos.zip", "0.png", picture_bytes())
    with pytest.raises(DataError, match=r"no images, but photos\.zip; unpack it, or move a zip to"):
        preprocess_own(tmp_path)


def idx(images: np.ndarray) -> bytes:
    return np.array([0x803, *images.shape], ">u4").tobytes() + images.tobytes()


def write_arrays(raw: Path, kind: str, images: dict[str, np.ndarray]) -> None:
    raw.mkdir(parents=True)
    for name, array in images.items():
        if kind == "npy":
            np.save(raw / f"{name}.npy", array)
        elif kind == "idx":
            (raw / f"{name}-images.idx3-ubyte").write_bytes(idx(array))
        else:
            (raw / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(b"labels")


@pytest.mark.parametrize("kind", ["npy", "idx", "gz"])
@pytest.mark.parametrize("is_zip", [False, True])
def test_arrays_are_images(tmp_path: Path, kind: str, is_zip: bool) -> None:
    raw = tmp_path / "raw" / "mine"
    images = {s: RNG.randint(0, 256, (n, 8, 8)).astype(np.uint8) for s, n in
              {"train": 2500, "val": 30, "test": 40}.items()}  # fmt: skip
    write_arrays(raw, kind, images)
    if is_zip:
        zipped(raw, raw.with_name("mine.zip"))
        shutil.rmtree(raw)
    info = preprocess_own(tmp_path, image_size=8, image_channels=1)
    found = arrays_of(tmp_path)
    for split, name in {"train": "train", "valid": "val", "test": "test"}.items():
        np.testing.assert_array_equal(found[split][..., 0], images[name])
    assert info.images is not None
    assert info.images["steps"] == {"array of 8x8": 2570}
    assert info.images["left_out"]["labels"]["files"] == 1


@pytest.mark.parametrize("names", [["train", "test"], ["images"], ["a", "b"]])
def test_arrays_in_no_split_are_split_by_the_seed(tmp_path: Path, names: list[str]) -> None:
    images = {name: RNG.randint(0, 256, (1500, 4, 4, 3)).astype(np.uint8) for name in names}
    write_arrays(tmp_path / "raw" / "mine", "npy", images)
    info = preprocess_own(tmp_path, image_size=4, valid=100)
    total = 1500 * len(names)
    expected = {"train": 1400, "valid": 100, "test": 1500}
    if "train" not in names:
        expected = {"train": total - 100 - total // 10, "valid": 100, "test": total // 10}
    assert info.num_images == expected
    found = np.concatenate(list(arrays_of(tmp_path).values())).reshape(total, -1)
    written = np.concatenate(list(images.values())).reshape(total, -1)
    assert sorted(map(bytes, found)) == sorted(map(bytes, written))


def test_arrays_are_resized_as_images_are(tmp_path: Path) -> None:
    images = {s: RNG.randint(0, 256, (20, 8, 8)).astype(np.uint8) for s in ("train", "test")}
    write_arrays(tmp_path / "raw" / "mine", "npy", images)
    with pytest.raises(
        DataError, match=r"test\.npy\[0\]: 8x8 .* set `resize: bilinear`|train\.npy"
    ):
        preprocess_own(tmp_path, image_size=4)
    info = preprocess_own(tmp_path, image_size=4, image_channels=3, resize="box")
    assert info.images is not None
    assert info.images["steps"]["grey repeated in 3 channels"] == 40
    means = images["test"].reshape(20, 4, 2, 4, 2).mean((2, 4))
    assert np.abs(arrays_of(tmp_path)["test"] - means[..., None]).max() <= 1


class Payload:
    """Pickled, it creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_an_npy_that_would_run_code_is_refused(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "mine"
    raw.mkdir(parents=True)
    np.save(raw / "train.npy", np.array([Payload(tmp_path / "ran")], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"train\.npy: the array is object .* expected uint8"):
        preprocess_own(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 8, 8), np.float32), "is float32 .* expected uint8"),
        (np.zeros((5, 8, 8, 4), np.uint8), r"expected \[N, H, W\] or \[N, H, W, C\]"),
        (np.zeros((5, 64), np.uint8), r"expected \[N, H, W\] or \[N, H, W, C\]"),
        (np.zeros((0, 8, 8), np.uint8), "no images"),
        (np.zeros((5, 8, 8, 3), np.uint8, order="F"), "in Fortran order"),
    ],
)
def test_an_array_that_holds_no_images_is_named(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    write_arrays(tmp_path / "raw" / "mine", "npy", {"train": array, "test": array})
    with pytest.raises(DataError, match=rf"t\w+\.npy.*{message}"):
        preprocess_own(tmp_path, image_size=8)


@pytest.mark.parametrize("kind", ["npy", "idx", "gz"])
@pytest.mark.parametrize("change", ["cut", "more", "header"])
def test_an_array_file_that_is_damaged_is_named(tmp_path: Path, kind: str, change: str) -> None:
    raw = tmp_path / "raw" / "mine"
    images = {s: RNG.randint(0, 256, (20, 8, 8)).astype(np.uint8) for s in ("train", "test")}
    write_arrays(raw, kind, images)
    (path,) = [path for path in raw.iterdir() if "train" in path.name and "labels" not in path.name]
    content = path.read_bytes()
    changed = {"cut": content[:-100], "more": content + content, "header": b"X" + content[1:]}
    path.write_bytes(changed[change])
    with pytest.raises(DataError, match=r"train"):
        preprocess_own(tmp_path, image_size=8)


def test_options_are_refused_where_they_mean_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["preprocess", "digits", "--data-dir", str(tmp_path)]
    assert main([*command, "--crop=center"]) == 1
    assert "digits is made as published" in capsys.readouterr().err
    write_pictures(tmp_path / "raw" / "mine", ["0.png"])
    command[1] = "mine"
    assert main([*command, "--resize=box"]) == 1
    assert "--resize needs --image_size" in capsys.readouterr().err
    assert main([*command, "--background=whit"]) == 1
    assert "background: 'whit' is no colour" in capsys.readouterr().err
