"""Images as a part of the page."""

from base64 import b64encode
from pathlib import Path

_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def image_address(path: Path) -> str:
    """An image as an address that holds it: `data:image/png;base64,...`."""
    return f"data:{_TYPES[path.suffix]};base64,{b64encode(path.read_bytes()).decode()}"


def has_pictures(svg: Path) -> bool:
    """Whether a drawing holds pictures: their colours are not to be turned round in the dark."""
    return b"<image" in svg.read_bytes()
