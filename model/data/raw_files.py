"""The files of a user's own dataset, in a folder or a zip; this file imports no NumPy.

Nothing is unpacked onto the disk: a member of an archive is read where it lies.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from model.data.sources import DataError, raw_dir

# No image and no array of pixels is packed as tightly as this; a bomb is, up to 1 : 1030.
MAX_RATIO = 100
RATIO_MATTERS_ABOVE = 64 * 2**20  # bytes: a small black image is no bomb
MAX_FILE_BYTES = 2**30  # of one image, which is read at once


class DamagedFile(DataError):
    """A file whose content cannot be had or understood: `unreadable` says what becomes of it."""


@dataclass(frozen=True, slots=True)
class RawEntry:
    """One file of a dataset; there may be millions, so it is small."""

    name: str  # its path below the folder, or inside the archive
    size_bytes: int
    files: RawFiles = field(repr=False)
    member: zipfile.ZipInfo | None = None  # of an archive

    @property
    def path(self) -> PurePosixPath:
        """Its path below the folder, or inside the archive."""
        return PurePosixPath(self.name)

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.files.place}{'/' if self.member is None else ': '}{self.name}"

    def open(self) -> IO[bytes]:
        """The content as a stream."""
        if self.member is None:
            return (self.files.place / self.name).open("rb")
        assert self.files.archive is not None
        return self.files.archive.open(self.member)

    def read(self) -> bytes:
        """The whole content; raises DamagedFile if it is damaged, or too large for an image."""
        if self.size_bytes > MAX_FILE_BYTES:
            raise DamagedFile(f"{self.place}: {self.size_bytes} bytes are too many for one image")
        try:
            with self.open() as stream:
                return stream.read()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DamagedFile(f"{self.place}: damaged in the archive ({error})") from error


@dataclass(eq=False)
class RawFiles:
    """All files of a dataset, sorted by their paths, and those left out, by the reason."""

    place: Path
    archive: zipfile.ZipFile | None = None
    entries: list[RawEntry] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, name: str, reason: str) -> None:
        """Count and name a file that is not used."""
        self.left_out.setdefault(reason, []).append(name)

    def sort(self) -> None:
        """Sort by the parts of the paths, as a folder is sorted."""
        self.entries.sort(key=lambda entry: entry.name.split("/"))


def raw_source(data_dir: str | Path, dataset: str) -> Path | None:
    """The folder `{data_dir}/raw/{dataset}`, or the .zip of that name; None if there is neither.

    Raises DataError if there are both.
    """
    folder = raw_dir(data_dir, dataset)
    archive = folder.with_name(f"{folder.name}.zip")
    if folder.is_dir() and archive.is_file():
        raise DataError(f"{folder} and {archive} are both there; keep one of them")
    if folder.is_dir():
        return folder
    return archive if archive.is_file() else None


@contextmanager
def open_raw(place: Path) -> Iterator[RawFiles]:
    """The files of a folder, links followed, or of a zip; raises DataError if it is not sound."""
    if place.is_dir():
        yield _files_of_folder(place)
        return
    try:
        archive = zipfile.ZipFile(place)
    except zipfile.BadZipFile as error:
        raise DataError(f"{place}: no complete zip archive ({error}); make it again") from error
    with archive:
        yield _files_of_zip(place, archive)


def _files_of_folder(place: Path) -> RawFiles:
    files = RawFiles(place)
    _walk(os.fspath(place), "", (os.path.realpath(place),), files)
    files.sort()
    return files


def _walk(folder: str, below: str, above: tuple[str, ...], files: RawFiles) -> None:
    with os.scandir(folder) as listing:
        items = sorted(listing, key=lambda item: item.name)
    for item in items:
        name = below + item.name
        if item.name.startswith("."):
            files.leave_out(name, "hidden")
        elif item.is_dir():
            real = os.path.realpath(item.path)
            # The same folder may be linked at several places, but not within itself.
            if real in above:
                files.leave_out(name, "a link to a folder that it lies in")
            else:
                _walk(item.path, f"{name}/", (*above, real), files)
        elif item.is_file():
            files.entries.append(RawEntry(name, item.stat().st_size, files))
        elif item.is_symlink():
            files.leave_out(name, "a link to nothing")
        else:
            files.leave_out(name, "no regular file")


def _files_of_zip(place: Path, archive: zipfile.ZipFile) -> RawFiles:
    files = RawFiles(place, archive)
    seen = set()
    for member in archive.infolist():
        if member.is_dir():
            continue
        # Some programs on Windows write backslashes.
        path = PurePosixPath(member.filename.replace("\\", "/"))
        shown = f"{place}: {member.filename}"
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise DataError(f"{shown}: this path leaves the archive's folder; make the zip again")
        if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            files.leave_out(str(path), "hidden")
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            files.leave_out(str(path), "a link inside an archive")
            continue
        if str(path) in seen:
            raise DataError(f"{shown}: stands in the archive twice; make the zip again")
        if member.flag_bits & 0x1:
            raise DataError(f"{shown}: encrypted; make the zip again without a password")
        refuse_bomb(shown, member.compress_size, member.file_size)
        seen.add(str(path))
        files.entries.append(RawEntry(str(path), member.file_size, files, member))
    files.sort()
    return files


def refuse_bomb(place: str, packed_bytes: int, size_bytes: int) -> None:
    """Raise DataError if so few bytes cannot honestly hold so many."""
    if size_bytes > RATIO_MATTERS_ABOVE and size_bytes > MAX_RATIO * packed_bytes:
        raise DataError(
            f"{place}: {packed_bytes} bytes would become {size_bytes}: a decompression bomb?  "
            "If not, unpack it yourself"
        )
