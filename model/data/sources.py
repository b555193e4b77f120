"""Fetching raw files as they were published; only a verified file gets its final name."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from model.files import atomic_write


class DataError(Exception):
    """What is wrong with the data, where, and what to do: a message for the user, not a bug."""


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One file as its authors published it."""

    name: str
    size_bytes: int
    checksum: str  # hexadecimal
    algorithm: Literal["sha256", "md5"] = "sha256"  # md5 where nothing better is published


@dataclass(frozen=True, kw_only=True)
class Source:
    """The raw files of a dataset and where they are published."""

    dataset: str
    origin: str
    licence: str
    mirrors: tuple[str, ...]  # base URLs ending in "/", tried in this order; none: no direct link
    files: tuple[RawFile, ...]


def raw_dir(data_dir: str | Path, dataset: str) -> Path:
    """Return the folder of a dataset's raw files."""
    return Path(data_dir) / "raw" / dataset


def fetch(source: Source, data_dir: str | Path, mirror: str | Path | None = None) -> Path:
    """Bring the raw files to `{data_dir}/raw/{dataset}`, write SHA256SUMS there, return the folder.

    With `mirror`, a local directory, the files are copied from `{mirror}/{dataset}` or `{mirror}`
    and the network is not used. Files that are there and right are left alone. Raises DataError
    if a file cannot be had or is not the published one.
    """
    folder = raw_dir(data_dir, source.dataset)
    needed = [file for file in source.files if difference(folder / file.name, file)]
    if mirror is None:
        _download(needed, source, folder)
    else:
        # The shell does not expand "~" in config.yaml or in `--config data_mirror=~/data`.
        _copy(needed, source, folder, Path(mirror).expanduser())
    sums = [f"{_sha256(folder / file.name, file)}  {file.name}\n" for file in source.files]
    with atomic_write(folder / "SHA256SUMS") as temporary:
        temporary.write_text("".join(sums))
    return folder


def verify(source: Source, data_dir: str | Path) -> None:
    """Raise DataError unless all raw files are there with the published size and checksum."""
    folder = raw_dir(data_dir, source.dataset)
    for file in source.files:
        if found := difference(folder / file.name, file):
            raise DataError(
                f"{folder / file.name}: {found}; "
                f"run `python -m model.data fetch {source.dataset} --data-dir {data_dir}`"
            )


def difference(path: Path, file: RawFile) -> str | None:
    """Say how `path` differs from the published file; None if size and checksum are equal."""
    if not path.is_file():
        return "no such file"
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return f"size: expected {file.size_bytes} bytes, found {size_bytes}"
    checksum = _digest(path, file.algorithm)
    if checksum != file.checksum:
        return f"{file.algorithm}: expected {file.checksum}, found {checksum}"
    return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _sha256(path: Path, file: RawFile) -> str:
    """The SHA-256 of a verified file, without reading it again where it is the published one."""
    return file.checksum if file.algorithm == "sha256" else sha256_of(path)


def _copy(needed: Sequence[RawFile], source: Source, folder: Path, mirror: Path) -> None:
    places = {file: _find_in(mirror, source.dataset, file) for file in needed}
    absent = [file for file, place in places.items() if place is None]
    if absent:
        raise DataError(
            f"{source.dataset}: these files are neither in {mirror / source.dataset} nor in "
            f"{mirror} (data_mirror):\n{_listing(absent)}"
        )
    for file, place in places.items():
        assert place is not None
        with atomic_write(folder / file.name) as temporary:
            shutil.copyfile(place, temporary)
            if found := difference(temporary, file):
                raise DataError(f"{place} is not the published file: {found}; replace it")


def _find_in(mirror: Path, dataset: str, file: RawFile) -> Path | None:
    places = (mirror / dataset / file.name, mirror / file.name)
    return next((place for place in places if place.is_file()), None)


def _download(needed: Sequence[RawFile], source: Source, folder: Path) -> None:
    for done, file in enumerate(needed):
        failures = []
        for base_url in source.mirrors:
            failure = _download_one(base_url + file.name, file, folder / file.name)
            if failure is None:
                break
            failures.append(f"  {base_url}{file.name}: {failure}")
        else:
            # Not one more file is tried: without network every one costs its timeouts.
            raise DataError(_unreachable(source, folder, needed[done:], failures))


def _download_one(url: str, file: RawFile, path: Path) -> str | None:
    """Download and verify one file; return why that failed, or None."""
    # Only fetching needs these: training imports this module without them.
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=2**20,
        timeout=(10, 60),  # seconds to connect, seconds between two packets
        # requests would unpack a .gz that a server declares as `Content-Encoding: gzip`.
        headers={"Accept-Encoding": "identity"},
    )
    print(f"fetching {url} ({file.size_bytes} bytes)", file=sys.stderr, flush=True)
    try:
        with atomic_write(path) as temporary:
            downloader(url, os.fspath(temporary), None)
            if found := difference(temporary, file):
                raise DataError(found)
    except (requests.RequestException, DataError) as error:
        return str(error)
    return None


def _unreachable(
    source: Source, folder: Path, missing: Sequence[RawFile], failures: Sequence[str]
) -> str:
    if source.mirrors:
        problem = "\n".join([f"no mirror gave {missing[0].name}:", *failures])
        hosts = ", ".join(dict.fromkeys(urlsplit(url).netloc for url in source.mirrors))
        advice = f"Without network: get them from {hosts} on another machine"
    else:
        problem = "its files have no direct link"
        advice = f"Get them where they are published ({source.origin}) or from a copy"
    return (
        f"{source.dataset}: {problem}\n"
        f"These files are missing in {folder} (checksum, name, size):\n"
        f"{_listing(missing)}\n"
        f"{advice}, put them into "
        f"DIR/{source.dataset}, and set data_mirror to DIR: in config.yaml, with snakemake's "
        f"`--config data_mirror=DIR`, or with `--mirror DIR` of "
        f"`python -m model.data fetch {source.dataset}`."
    )


def _listing(files: Sequence[RawFile]) -> str:
    return "\n".join(
        f"  {file.algorithm} {file.checksum}  {file.name}  {file.size_bytes} bytes"
        for file in files
    )
