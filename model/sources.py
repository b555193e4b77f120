"""The published raw files of each dataset; only a verified file gets its final name."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from model.files import replacing


class DataError(Exception):
    """What is wrong with the data, where, and what to do: a message for the user, not a bug."""


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One file as its authors published it."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """The raw files of a dataset and where they are published."""

    dataset: str
    origin: str
    licence: str
    mirrors: tuple[str, ...]  # base URLs ending in "/", tried in this order
    files: tuple[RawFile, ...]


MNIST = Source(
    dataset="mnist",
    origin="LeCun, Cortes, Burges: The MNIST database of handwritten digits (1998)",
    licence="CC BY-SA 3.0",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=(
        RawFile(
            name="train-images-idx3-ubyte.gz",
            size_bytes=9_912_422,
            sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        RawFile(
            name="train-labels-idx1-ubyte.gz",
            size_bytes=28_881,
            sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        RawFile(
            name="t10k-images-idx3-ubyte.gz",
            size_bytes=1_648_877,
            sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        RawFile(
            name="t10k-labels-idx1-ubyte.gz",
            size_bytes=4_542,
            sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)


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
    with replacing(folder / "SHA256SUMS") as temporary:
        temporary.write_text("".join(f"{file.sha256}  {file.name}\n" for file in source.files))
    return folder


def verify(source: Source, data_dir: str | Path) -> None:
    """Raise DataError unless all raw files are there with the published size and sha256."""
    folder = raw_dir(data_dir, source.dataset)
    for file in source.files:
        if found := difference(folder / file.name, file):
            raise DataError(
                f"{folder / file.name}: {found}; "
                f"run `python -m model.data fetch {source.dataset} --data-dir {data_dir}`"
            )


def difference(path: Path, file: RawFile) -> str | None:
    """Say how `path` differs from the published file; None if size and sha256 are equal."""
    if not path.is_file():
        return "no such file"
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return f"size: expected {file.size_bytes} bytes, found {size_bytes}"
    sha256 = sha256_of(path)
    if sha256 != file.sha256:
        return f"sha256: expected {file.sha256}, found {sha256}"
    return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
        with replacing(folder / file.name) as temporary:
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
        with replacing(path) as temporary:
            downloader(url, os.fspath(temporary), None)
            if found := difference(temporary, file):
                raise DataError(found)
    except (requests.RequestException, DataError) as error:
        return str(error)
    return None


def _unreachable(
    source: Source, folder: Path, missing: Sequence[RawFile], failures: Sequence[str]
) -> str:
    hosts = ", ".join(dict.fromkeys(urlsplit(url).netloc for url in source.mirrors))
    tries = "\n".join(failures)
    return (
        f"{source.dataset}: no mirror gave {missing[0].name}:\n"
        f"{tries}\n"
        f"These files are missing in {folder} (sha256, name, size):\n"
        f"{_listing(missing)}\n"
        f"Without network: get them from {hosts} on another machine, put them into "
        f"DIR/{source.dataset}, and set data_mirror to DIR: in config.yaml, with snakemake's "
        f"`--config data_mirror=DIR`, or with `--mirror DIR` of "
        f"`python -m model.data fetch {source.dataset}`."
    )


def _listing(files: Sequence[RawFile]) -> str:
    return "\n".join(f"  {file.sha256}  {file.name}  {file.size_bytes} bytes" for file in files)
