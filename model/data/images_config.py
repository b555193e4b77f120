"""How a user's own images are made into a dataset; this file imports neither NumPy nor Pillow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

from model.validation import NO_OTHER_KEYS, ConfigError


@dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """`images` of a dataset in config.yaml; the size and the channels are the model's."""

    __pydantic_config__ = NO_OTHER_KEYS

    crop: Literal["none", "center"] = "none"
    """none, or center: the largest square at the centre of each image"""
    resize: Literal["none", "nearest", "box", "bilinear", "bicubic", "lanczos"] = "none"
    """the filter that brings each image to the model's image_size; none: all have it"""
    valid: float = 0.1
    """images held out for valid, if no folder has this name: a share or a number"""
    test: float = 0.1
    """images held out for test, if no folder names a split: a share or a number"""
    seed: int = 0
    """of the permutation that decides which images are held out"""
    background: str = "white"
    """the colour behind transparent pixels: a name, or #rrggbb"""
    unreadable: Literal["error", "skip"] = "error"
    """a damaged image stops the preprocessing (error), or is left out, counted and named (skip)"""

    def __post_init__(self) -> None:
        for name in ("valid", "test"):
            size = getattr(self, name)
            if not (0 < size < 1 or (size >= 1 and float(size).is_integer())):
                raise ConfigError(
                    f"must be a share between 0 and 1 or a number of images, not {size}", name
                )
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"must be from 0 to 2^32 - 1, not {self.seed}", "seed")
        from PIL import ImageColor  # needed for nothing else here

        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise ConfigError(
                f"{self.background!r} is no colour; write a name such as white, or #rrggbb",
                "background",
            ) from None

    def arguments(self) -> list[str]:
        """The options of `python -m model.data preprocess` that differ from the defaults."""
        default = asdict(ImagesConfig())
        return [
            f"--{name}={value}" for name, value in asdict(self).items() if value != default[name]
        ]

    def num_held_out(self, split: Literal["valid", "test"], num_images: int) -> int:
        """How many of `num_images` are held out for a split: rounded down."""
        size: float = getattr(self, split)
        # By the decimal number that was written: 0.29 * 100 is a little less than 29.
        return int(size) if size >= 1 else int(Fraction(str(size)) * num_images)


@dataclass(frozen=True, kw_only=True)
class OwnImages:
    """How a user's own images are made, and of which size for which model."""

    config: ImagesConfig = ImagesConfig()
    image_size: int | None = None  # None: the size of the images, which is the same for all
    image_channels: int = 3

    def record(self) -> dict[str, Any]:
        """What `dataset.json` says of it."""
        size = {"image_size": self.image_size, "image_channels": self.image_channels}
        return {**asdict(self.config), **size}

    def arguments(self) -> list[str]:
        """The options of `python -m model.data preprocess`."""
        size = [] if self.image_size is None else [f"--image_size={self.image_size}"]
        return [*size, f"--image_channels={self.image_channels}", *self.config.arguments()]
