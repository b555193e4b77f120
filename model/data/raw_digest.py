"""The digest of a user's own files: whether a dataset is still what was made of them."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from model.data.images_config import OwnImages
from model.data.raw_files import open_raw, raw_source
from model.data.sources import DataError, sha256_of
from model.files import write_text


class NotRead(Exception):
    """The digest is not known: the files are others than those that were read last."""


def own_files_sha256(
    data_dir: str | Path, dataset: str, own: OwnImages, *, may_read: bool = True
) -> str | None:
    """The SHA-256 of what a user's own dataset is made of, and of how; None without any files.

    It is of names and contents, of a zip that of its bytes, and of the options.  Links are
    followed, hidden files left out.  Contents are read again only if names, sizes or times have
    changed since the last time; NotRead is raised instead unless they may be.
    """
    try:
        place = raw_source(data_dir, dataset)
    except DataError:  # which preprocessing will say
        return None
    files = None if place is None else _files_sha256(place, Path(data_dir) / dataset, may_read)
    if files is None:
        return None
    options = json.dumps(own.record(), sort_keys=True)
    return hashlib.sha256(f"{files} {options}".encode()).hexdigest()


def _files_sha256(place: Path, folder: Path, may_read: bool) -> str | None:
    record = folder / "raw_digest.json"
    files = {"": place}
    if place.is_dir():
        with open_raw(place) as raw:
            files = {entry.name: place / entry.name for entry in raw.entries}
    if not files:
        return None
    listing = hashlib.sha256()
    for name, path in files.items():
        stat = path.stat()
        listing.update(os.fsencode(f"{name}\0{stat.st_size} {stat.st_mtime_ns}\n"))
    version = listing.hexdigest()
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(record.read_text())
        if found["listing"] == version:
            return str(found["sha256"])
    if not may_read:
        raise NotRead(place)
    content = hashlib.sha256()
    for name, path in files.items():
        content.update(os.fsencode(f"{name}\0{sha256_of(path)}\n"))
    with suppress(OSError):  # a folder that only its owner may write to
        write_text(record, json.dumps({"listing": version, "sha256": content.hexdigest()}))
    return content.hexdigest()
