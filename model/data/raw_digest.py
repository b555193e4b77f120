"""The digest of a user's own files: whether a dataset is still what was made of them."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from model.data.sources import raw_dir, sha256_of
from model.files import write_text


def own_files_sha256(data_dir: str | Path, dataset: str) -> str | None:
    """The SHA-256 of names and contents of the files of a user's own dataset; None without any.

    Links are followed, hidden files left out.  Contents are read again only if names, sizes or
    times have changed since the last time.
    """
    raw, record = raw_dir(data_dir, dataset), Path(data_dir) / dataset / "raw_digest.json"
    files = sorted(_files(raw))
    if not files:
        return None
    listing = hashlib.sha256()
    for path in files:
        stat = path.stat()
        listing.update(f"{path.relative_to(raw)}\0{stat.st_size} {stat.st_mtime_ns}\n".encode())
    version = listing.hexdigest()
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(record.read_text())
        if found["listing"] == version:
            return str(found["sha256"])
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(raw)}\0{sha256_of(path)}\n".encode())
    with suppress(OSError):  # a folder that only its owner may write to
        write_text(record, json.dumps({"listing": version, "sha256": content.hexdigest()}))
    return content.hexdigest()


def _files(raw: Path) -> Iterator[Path]:
    seen = set()
    for folder, folders, names in os.walk(raw, followlinks=True):
        # A link to a folder above would be followed for ever.
        if (place := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (
            path
            for name in names
            if not name.startswith(".") and (path := Path(folder, name)).is_file()
        )
