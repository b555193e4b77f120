"""Decoding image files: pixels against the values that were written, and steps counted."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.data.decoding import FORMATS, ImageDecoder
from model.data.images_config import ImagesConfig, OwnImages
from model.data.raw_files import DamagedFile
from model.data.sources import DataError

RNG = np.random.RandomState(0)
COLOURS = RNG.randint(0, 256, (8, 8, 3)).astype(np.uint8)
GREY = RNG.randint(0, 256, (8, 8)).astype(np.uint8)


def saved(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def decoded(
    content: bytes, channels: int = 3, size: int | None = None, **config: Any
) -> tuple[np.ndarray, set[str]]:
    own = OwnImages(config=ImagesConfig(**config), image_size=size, image_channels=channels)
    decoder = ImageDecoder(own)
    pixels = decoder.decode(content, "x.png")
    assert pixels.dtype == np.uint8
    assert set(decoder.steps.values()) == {1}
    return pixels, set(decoder.steps)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "TGA", "SGI", "PCX", "QOI", "WEBP"])
def test_lossless_formats_give_the_pixels_that_were_saved(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    pixels, steps = decoded(saved(Image.fromarray(COLOURS), form, **options))
    np.testing.assert_array_equal(pixels, COLOURS)
    assert steps == {f"{form} RGB"}


def png16(values: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits per channel, written chunk by chunk: Pillow writes only grey ones."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), extra and chunk(b"tRNS", extra),
         chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )  # fmt: skip


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_and_not_clipped(form: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    content = saved(Image.fromarray(ramp), form)
    pixels, steps = decoded(content, channels=1)
    np.testing.assert_array_equal(pixels[..., 0], np.round(ramp / 257.0))
    assert len(np.unique(pixels)) == 256
    assert "16 bits scaled to 8" in steps
    assert (decoded(content, channels=3)[0] == pixels).all()


def test_16_bit_colour_gives_the_high_bytes_and_says_so() -> None:
    values = RNG.randint(0, 65536, (8, 8, 3)).astype(np.uint16)
    pixels, steps = decoded(png16(values, 2))
    np.testing.assert_array_equal(pixels, values >> 8)
    assert "16 bits per channel: the high byte of each" in steps


def test_16_bit_grey_with_a_transparent_value_shows_the_background() -> None:
    values = np.full((4, 4), 40000, np.uint16)
    values[1, 2] = 300
    pixels, steps = decoded(png16(values, 0, struct.pack(">H", 300)), 1, background="white")
    expected = np.full((4, 4), 156)  # 40000 / 257
    expected[1, 2] = 255
    np.testing.assert_array_equal(pixels[..., 0], expected)
    assert "transparent pixels over white" in steps


def test_what_lies_under_transparent_pixels_does_not_appear() -> None:
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, :4] = 255
    alpha[0, 0] = 128
    picture = Image.fromarray(np.dstack([COLOURS, alpha]))
    for background, behind in {"white": (255, 255, 255), "#102030": (16, 32, 48)}.items():
        pixels, steps = decoded(saved(picture), background=background)
        opacity = alpha[..., None] / 255
        expected = opacity * COLOURS + (1 - opacity) * np.array(behind)
        assert np.abs(pixels - expected).max() <= 1
        np.testing.assert_array_equal(pixels[:, 4:], np.broadcast_to(behind, (8, 4, 3)))
        assert f"transparent pixels over {background}" in steps


@pytest.mark.parametrize("kind", ["grey and alpha", "palette", "transparent colour", "gif"])
def test_transparency_of_every_kind_shows_the_background(kind: str) -> None:
    picture = Image.new("L", (8, 8), 10)
    picture.paste(90, (4, 0, 8, 8))
    if kind == "grey and alpha":
        content = saved(
            Image.merge("LA", [picture, picture.point(lambda v: 0 if v == 90 else 255)])
        )
    elif kind == "transparent colour":
        content = saved(picture.convert("RGB"), transparency=(90, 90, 90))
    else:
        indexed = picture.convert("P")
        form = "GIF" if kind == "gif" else "PNG"
        content = saved(indexed, form, transparency=90)
    pixels, steps = decoded(content, background="red")
    assert (pixels[:, :4] == 10).all()
    assert (pixels[:, 4:] == (255, 0, 0)).all()
    assert "transparent pixels over red" in steps


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    picture = Image.fromarray(COLOURS).convert("RGBA")
    pixels, steps = decoded(saved(picture))
    np.testing.assert_array_equal(pixels, COLOURS)
    assert "opaque alpha channel dropped" in steps


TURNS = {  # the stored array that a viewer shows as COLOURS
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1),
}  # fmt: skip


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_the_orientation_of_exif_is_applied(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](COLOURS)))
    options = {"lossless": True} if form == "WEBP" else {}
    pixels, steps = decoded(saved(stored, form, exif=exif, **options))
    np.testing.assert_array_equal(pixels, COLOURS)
    assert ("EXIF orientation applied" in steps) == (orientation != 1)


def test_damaged_metadata_cost_no_image() -> None:
    content = saved(Image.fromarray(COLOURS), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    pixels, _ = decoded(content)
    np.testing.assert_array_equal(pixels, COLOURS)


@pytest.mark.parametrize(
    ("mode", "step"), [("CMYK", "CMYK converted to RGB"), ("P", "P converted to RGB")]
)
def test_other_colour_models_are_converted_and_counted(mode: str, step: str) -> None:
    picture = Image.new("RGB", (8, 8), (0, 204, 51)).convert(mode)
    pixels, steps = decoded(saved(picture, "TIFF"))
    assert np.abs(pixels.astype(int) - (0, 204, 51)).max() <= 1
    assert step in steps


def test_bilevel_images_are_black_and_white() -> None:
    picture = Image.fromarray(GREY).convert("1")
    pixels, _ = decoded(saved(picture), channels=1)
    np.testing.assert_array_equal(pixels[..., 0], np.asarray(picture) * 255)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    content = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
    pixels, steps = decoded(content)
    assert (pixels == (255, 0, 0)).all()
    assert "first of several frames" in steps


def test_grey_stays_grey_and_colour_is_made_grey_only_where_there_is_some() -> None:
    pixels, steps = decoded(saved(Image.fromarray(GREY)), channels=1)
    np.testing.assert_array_equal(pixels[..., 0], GREY)
    assert steps == {"PNG L"}
    pixels, steps = decoded(saved(Image.fromarray(GREY).convert("RGB")), channels=1)
    np.testing.assert_array_equal(pixels[..., 0], GREY)
    assert "colour made grey" not in steps
    pixels, steps = decoded(saved(Image.fromarray(COLOURS)), channels=1)
    expected = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels[..., 0] - expected).max() <= 1
    assert "colour made grey" in steps
    pixels, steps = decoded(saved(Image.fromarray(GREY)), channels=3)
    np.testing.assert_array_equal(pixels, np.repeat(GREY[..., None], 3, axis=2))
    assert "grey repeated in 3 channels" in steps


def test_crop_takes_the_centre_and_resize_the_filter_that_is_named() -> None:
    portrait = RNG.randint(0, 256, (13, 8, 3)).astype(np.uint8)
    pixels, steps = decoded(saved(Image.fromarray(portrait)), crop="center")
    np.testing.assert_array_equal(pixels, portrait[2:10])
    assert "cropped to the central square" in steps
    pixels, steps = decoded(saved(Image.fromarray(portrait)), size=4, crop="center", resize="box")
    means = portrait[2:10].reshape(4, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(pixels - means).max() <= 1
    assert "reduced" in steps
    _, steps = decoded(saved(Image.fromarray(COLOURS)), size=16, resize="bicubic")
    assert "enlarged" in steps


def test_what_does_not_fit_names_the_option() -> None:
    with pytest.raises(DataError, match=r"x\.png: 8x6 pixels are no square; set `crop: center`"):
        decoded(saved(Image.new("RGB", (8, 6))), resize="box", size=4)
    with pytest.raises(DataError, match=r"x\.png: 8x8 pixels, expected 16x16; set `resize: "):
        decoded(saved(Image.new("RGB", (8, 8))), size=16, crop="center")


def damaged(kind: str) -> bytes:
    content = saved(Image.fromarray(RNG.randint(0, 256, (64, 64, 3)).astype(np.uint8)))
    return {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "flipped": content[:200] + bytes([content[200] ^ 1]) + content[201:],
        "text": b"<html>404 Not Found</html>",
        "float": saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
        "32 bits": saved(Image.fromarray(np.ones((4, 4), np.int32)), "TIFF"),
        "bomb": png16(np.zeros((1, 1)), 0)[:16]
        + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
        + struct.pack(
            ">I", zlib.crc32(b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
        )
        + png16(np.zeros((1, 1)), 0)[33:],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "cut", "flipped", "text", "float", "32 bits", "bomb"])
def test_what_cannot_be_decoded_is_one_line(kind: str) -> None:
    with pytest.raises(DamagedFile, match=r"^x\.png: ") as raised:
        decoded(damaged(kind))
    assert "\n" not in str(raised.value)
    assert "object at 0x" not in str(raised.value)


def test_formats_that_run_other_programs_are_not_decoded() -> None:
    assert not {"EPS", "WMF"} & set(FORMATS)
    postscript = saved(Image.new("RGB", (8, 8)), "EPS")
    with pytest.raises(DamagedFile, match="of no format that Pillow reads"):
        decoded(postscript)
