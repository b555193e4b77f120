"""The digest of a user's own files: whether a dataset is still what was made of them."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from model.data.raw_files import open_raw, raw_source
from model.data.sources import sha256_of
from model.files import write_text


def own_files_sha256(data_dir: str | Path, dataset: str) -> str | None:
    """The SHA-256 of names and contents of the files of a user's own dataset; None without any.

    Of a zip, that of its bytes.  Links are followed, hidden files left out.  Contents are read
    again only if names, sizes or times have changed since the last time.
    """
    place, record = raw_source(data_dir, dataset), Path(data_dir) / dataset / "raw_digest.json"
    if place is None:
        return None
    files = {"": place}
    if place.is_dir():
        with open_raw(place) as raw:
            files = {str(entry.path): place / entry.path for entry in raw.entries}
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
    content = hashlib.sha256()
    for name, path in files.items():
        content.update(os.fsencode(f"{name}\0{sha256_of(path)}\n"))
    with suppress(OSError):  # a folder that only its owner may write to
        write_text(record, json.dumps({"listing": version, "sha256": content.hexdigest()}))
    return content.hexdigest()
