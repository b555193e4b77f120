"""From the bytes of an image file to 8-bit pixels; what was done to an image is counted by name."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, UnidentifiedImageError

from model.data.images_config import OwnImages
from model.data.raw_files import DamagedFile
from model.data.sources import DataError

ORIENTATION = 0x0112  # the tag of EXIF and TIFF
BITS_PER_SAMPLE = 258  # the tag of TIFF
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# EPS and WMF run other programs; the others are names without a decoder.
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}

Image.init()
FORMATS = tuple(name for name in Image.ID if name not in NOT_DECODED)
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}


class ImageDecoder:
    """Makes arrays of image files; `steps` counts what was done, and to how many images."""

    def __init__(self, own: OwnImages) -> None:
        if own.image_channels not in (1, 3):
            raise DataError(f"images have 1 or 3 channels, not {own.image_channels}")
        self.own = own
        self.steps: Counter[str] = Counter()
        self._background = ImageColor.getrgb(own.config.background)[:3]
        self._size = own.image_size

    def decode(self, content: bytes, place: str) -> NDArray[np.uint8]:
        """The pixels [S, S, C] of an image file.

        Raises DamagedFile if it cannot be decoded, DataError if it does not fit the model.
        """
        steps: list[str] = []
        picture = read_picture(content, place, steps)
        return self.fit(picture, place, steps)

    def expect_size_of(self, content: bytes, place: str) -> None:
        """Expect all images to have the size of this one, where the model says none."""
        self._fitted(read_picture(content, place, []), place, [])

    def fit(self, picture: Image.Image, place: str, steps: list[str]) -> NDArray[np.uint8]:
        """The pixels [S, S, C] of a picture of any mode of 8 bits; counts its steps."""
        is_grey = picture.mode in GREY_MODES
        pixels = np.asarray(self._fitted(self._opaque(picture, steps), place, steps))
        if self.own.image_channels == 3:
            if is_grey:
                steps.append("grey repeated in 3 channels")
        else:
            if not is_grey and not (pixels == pixels[..., :1]).all():
                steps.append("colour made grey")
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        self.steps.update(steps)
        return pixels

    def _opaque(self, picture: Image.Image, steps: list[str]) -> Image.Image:
        """RGB, over the background where it was transparent."""
        if not picture.has_transparency_data:
            if picture.mode not in (*GREY_MODES, "RGB"):
                steps.append(f"{picture.mode} converted to RGB")
            return picture.convert("RGB")
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() == (255, 255):
            steps.append("opaque alpha channel dropped")
            return picture.convert("RGB")
        steps.append(f"transparent pixels over {self.own.config.background}")
        behind = Image.new("RGBA", picture.size, (*self._background, 255))
        return Image.alpha_composite(behind, picture).convert("RGB")

    def _fitted(self, picture: Image.Image, place: str, steps: list[str]) -> Image.Image:
        width, height = picture.size
        config = self.own.config
        if width != height:
            if config.crop == "none":
                raise DataError(
                    f"{place}: {width}x{height} pixels are no square; set `crop: center` in "
                    "`images` of the dataset in config.yaml (--crop=center)"
                )
            steps.append("cropped to the central square")
            side = min(width, height)
            left, upper = (width - side) // 2, (height - side) // 2
            picture = picture.crop((left, upper, left + side, upper + side))
        side = picture.width
        self._size = self._size or side
        if side != self._size:
            if config.resize == "none":
                raise DataError(
                    f"{place}: {side}x{side} pixels, expected {self._size}x{self._size}; set "
                    "`resize: bilinear` in `images` of the dataset in config.yaml "
                    "(--resize=bilinear), or another image_size"
                )
            steps.append("enlarged" if side < self._size else "reduced")
            resample = Image.Resampling[config.resize.upper()]
            picture = picture.resize((self._size, self._size), resample)
        return picture


def is_image(content: bytes) -> bool:
    """Whether the beginning of a file is that of an image which can be decoded."""
    try:
        with warnings.catch_warnings(action="ignore"), _opened(content):
            return True
    except Exception:  # of any decoder
        return False


def read_picture(content: bytes, place: str, steps: list[str]) -> Image.Image:
    """Decode a whole image, upright, 8 bits per channel; `steps` gets what was done to it.

    Raises DamagedFile if it cannot be decoded.
    """
    if not content:
        raise DamagedFile(f"{place}: an empty file")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if content.startswith(PNG_SIGNATURE):
                with _opened(content) as file:
                    file.verify()  # the checksums of its chunks, which decoding leaves out
            with _opened(content) as file:
                picture = _read(file, steps)
    # Pillow's decoders have no common class of errors for damaged content.
    except Exception as error:
        # Pillow names the stream, which nobody knows: "<_io.BytesIO object at 0x7f...>".
        is_known = not isinstance(error, UnidentifiedImageError)
        reason = error if is_known else "of no format that Pillow reads"
        raise DamagedFile(f"{place}: this image cannot be decoded ({reason})") from error
    for warning in caught:
        if not issubclass(warning.category, Image.DecompressionBombWarning | DeprecationWarning):
            steps.append(f"Pillow warned: {str(warning.message)[:60]}")
    return picture


def _opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _read(file: Image.Image, steps: list[str]) -> Image.Image:
    steps.append(f"{file.format} {file.mode}")
    if getattr(file, "n_frames", 1) > 1:
        steps.append("first of several frames")
    depth = _raw_depth(file)
    before = _orientation(file, steps)
    file.load()
    # Pillow turns TIFF images itself, and then forgets their orientation.
    turn = UPRIGHT.get(_orientation(file, []))
    picture = _in_8_bits(file, depth, steps)
    if before in UPRIGHT:
        steps.append("EXIF orientation applied")
    if "icc_profile" in file.info:
        steps.append("colour profile not applied")
    return picture.transpose(turn) if turn is not None else picture


def _orientation(file: Image.Image, steps: list[str]) -> Any:
    try:
        return file.getexif().get(ORIENTATION)
    except Exception:  # of any metadata; the pixels are not affected
        steps.append("unreadable EXIF data ignored")
        return None


def _raw_depth(file: Image.Image) -> int:
    """The bits per channel in the file, as far as Pillow says them: 8 or less count as 8."""
    if file.format == "TIFF":
        bits = getattr(file, "tag_v2", {}).get(BITS_PER_SAMPLE, 8)
        return max(8, *(bits if isinstance(bits, tuple) else (bits,)))
    if file.mode.startswith("I;16"):
        return 16
    # The tile's arguments hold the raw mode, such as RGB;16B.
    return 16 if any(";16" in str(tile[3]) for tile in getattr(file, "tile", [])) else 8


def _in_8_bits(file: Image.Image, depth: int, steps: list[str]) -> Image.Image:
    if file.mode == "F" or (file.mode == "I" and file.format not in ("PNG", "PPM")):
        kind = "floating-point numbers" if file.mode == "F" else "32-bit integers"
        raise ValueError(f"{kind} have no agreed range; convert it to 8 or 16 bits")
    if file.mode.startswith("I"):
        depth = depth if 8 < depth < 16 else 16
        values = np.asarray(file).astype(np.int64)
        top = 2**depth - 1
        steps.append(f"{depth} bits scaled to 8")
        scaled = ((values * 510 + top) // (2 * top)).astype(np.uint8)  # rounded
        grey = Image.fromarray(scaled)
        transparent = file.info.get("transparency")
        if isinstance(transparent, int):
            grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        return grey
    if depth > 8:
        if isinstance(file.info.get("transparency"), tuple):
            raise ValueError("a transparent colour of 16 bits; save it with an alpha channel")
        steps.append(f"{depth} bits per channel: the high byte of each")
    return file.copy()
