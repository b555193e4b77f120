"""Fetching: only verified files under their final name; errors tell the user what to do."""

from __future__ import annotations

import hashlib
import http.server
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from model.data.datasets import DATASETS
from model.data.sources import DataError, RawFile, Source, fetch, verify
from model.files import atomic_write

REPOSITORY = Path(__file__).parents[2]
CONTENTS = {"images.gz": b"\x1f\x8b images " * 1000, "labels.gz": b"\x1f\x8b labels"}
DAMAGED = b"X" + CONTENTS["images.gz"][1:]


class Server(http.server.ThreadingHTTPServer):
    """A mirror on 127.0.0.1: `pages` maps paths to bodies, those in `cut` break off halfway."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.requests: list[str] = []

    def url(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{mirror}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.pages.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")  # as storage servers do with .gz objects
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path in self.server.cut else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def make_source(*mirrors: str) -> Source:
    files = tuple(
        RawFile(name=name, size_bytes=len(body), checksum=hashlib.sha256(body).hexdigest())
        for name, body in CONTENTS.items()
    )
    return Source(dataset="toy", origin="nobody", licence="none", mirrors=mirrors, files=files)


def serve(server: Server, mirror: str, **replaced: bytes) -> None:
    bodies = CONTENTS | {f"{name}.gz": body for name, body in replaced.items()}
    server.pages.update({f"/{mirror}/{name}": body for name, body in bodies.items()})


def left_in(data_dir: Path) -> list[str]:
    """All that lies in the raw folder, hidden and temporary files included."""
    return sorted(path.name for path in (data_dir / "raw" / "toy").glob("*"))


def assert_complete(folder: Path) -> None:
    for name, body in CONTENTS.items():
        assert (folder / name).read_bytes() == body
    assert sorted(path.name for path in folder.glob("*")) == ["SHA256SUMS", *sorted(CONTENTS)]


def test_second_mirror_serves_what_the_first_lacks(server: Server, tmp_path: Path) -> None:
    serve(server, "second")
    folder = fetch(make_source(server.url("first"), server.url("second")), tmp_path)
    assert folder == tmp_path / "raw" / "toy"
    assert_complete(folder)
    assert server.requests[:2] == ["/first/images.gz", "/second/images.gz"]


def test_a_damaged_first_mirror_is_passed_over(server: Server, tmp_path: Path) -> None:
    serve(server, "first", images=DAMAGED)
    serve(server, "second")
    assert_complete(fetch(make_source(server.url("first"), server.url("second")), tmp_path))


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    serve(server, "only", images=DAMAGED)
    source = make_source(server.url("only"))
    with pytest.raises(DataError) as error:
        fetch(source, tmp_path)
    assert f"expected {source.files[0].checksum}" in str(error.value)
    assert f"found {hashlib.sha256(DAMAGED).hexdigest()}" in str(error.value)
    assert left_in(tmp_path) == []


def test_truncated_file_leaves_nothing(server: Server, tmp_path: Path) -> None:
    serve(server, "only", images=CONTENTS["images.gz"][:100])
    with pytest.raises(DataError, match="size: expected 10000 bytes, found 100"):
        fetch(make_source(server.url("only")), tmp_path)
    assert left_in(tmp_path) == []


def test_dropped_connection_leaves_nothing(server: Server, tmp_path: Path) -> None:
    serve(server, "only")
    server.cut.add("/only/images.gz")
    with pytest.raises(DataError, match=r"images\.gz"):
        fetch(make_source(server.url("only")), tmp_path)
    assert left_in(tmp_path) == []


def test_right_files_are_not_fetched_again_and_damaged_ones_are(
    server: Server, tmp_path: Path
) -> None:
    serve(server, "only")
    source = make_source(server.url("only"))
    folder = fetch(source, tmp_path)
    (folder / "images.gz").write_bytes(DAMAGED)
    server.requests.clear()
    assert_complete(fetch(source, tmp_path))
    assert server.requests == ["/only/images.gz"]
    server.requests.clear()
    fetch(source, tmp_path)
    assert server.requests == []


SOURCES = [dataset.raw for dataset in DATASETS.values() if dataset.raw is not None]


def name(source: Source) -> str:
    return source.dataset


@pytest.mark.parametrize("source", [s for s in SOURCES if s.mirrors], ids=name)
def test_no_network_names_files_checksums_hosts_and_option(source: Source, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(DataError) as error:
            fetch(replace(source, mirrors=(url,)), tmp_path)
    message = str(error.value)
    assert f"no mirror gave {source.files[0].name}" in message
    assert urlsplit(url).netloc in message
    assert "Connection refused" in message
    assert "Pool(" not in message  # urllib3's page of nested errors
    assert_advice(message, source)


@pytest.mark.parametrize("source", [s for s in SOURCES if not s.mirrors], ids=name)
def test_what_has_no_link_names_its_publisher_files_checksums_and_option(
    source: Source, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="its files have no direct link") as error:
        fetch(source, tmp_path)
    assert source.origin in str(error.value)
    assert_advice(str(error.value), source)


def assert_advice(message: str, source: Source) -> None:
    for file in source.files:
        assert f"{file.algorithm} {file.checksum}  {file.name}  {file.size_bytes} bytes" in message
    assert f"DIR/{source.dataset}" in message
    assert "--config data_mirror=DIR" in message
    assert "--mirror DIR" in message


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_published_facts_are_well_formed(source: Source) -> None:
    assert source.licence
    # Amazon serves the buckets of websites by http alone; whatever comes is verified.
    assert all(re.fullmatch(r"https?://.*/", url) for url in source.mirrors)
    for file in source.files:
        digits = hashlib.new(file.algorithm).digest_size * 2
        assert re.fullmatch(f"[0-9a-f]{{{digits}}}", file.checksum), file.name


def md5_source() -> Source:
    files = tuple(
        RawFile(
            name=name,
            size_bytes=len(body),
            algorithm="md5",
            checksum=hashlib.md5(body).hexdigest(),
        )
        for name, body in CONTENTS.items()
    )
    return replace(make_source(), files=files)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_md5_is_verified_where_it_alone_is_published(tmp_path: Path) -> None:
    source = md5_source()
    for name, body in CONTENTS.items():
        (tmp_path / name).write_bytes(body)
    folder = fetch(source, tmp_path / "data", tmp_path)
    assert_complete(folder)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    (folder / "images.gz").write_bytes(DAMAGED)
    found = hashlib.md5(DAMAGED).hexdigest()
    with pytest.raises(DataError, match=f"md5: expected {source.files[0].checksum}, found {found}"):
        verify(source, tmp_path / "data")


@pytest.mark.parametrize("folder", ["toy", "."])
def test_local_mirror_needs_no_network(tmp_path: Path, folder: str) -> None:
    mirror = tmp_path / "mirror"
    (mirror / folder).mkdir(parents=True)
    for name, body in CONTENTS.items():
        (mirror / folder / name).write_bytes(body)
        (mirror / folder / name).chmod(0o400)
    raw = fetch(make_source(), tmp_path, mirror)
    assert_complete(raw)
    assert (raw / "images.gz").stat().st_mode & 0o200, "a copy must not inherit read-only"


def test_local_mirror_names_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(CONTENTS["images.gz"])
    source = make_source()
    with pytest.raises(DataError, match="data_mirror") as error:
        fetch(source, tmp_path / "data", tmp_path)
    assert "labels.gz" in str(error.value)
    assert source.files[1].checksum in str(error.value)
    assert "images.gz" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "found"), [(DAMAGED, hashlib.sha256(DAMAGED).hexdigest()), (b"short", "5")]
)
def test_damaged_local_mirror_is_refused(tmp_path: Path, body: bytes, found: str) -> None:
    (tmp_path / "images.gz").write_bytes(body)
    (tmp_path / "labels.gz").write_bytes(CONTENTS["labels.gz"])
    with pytest.raises(DataError, match=f"images.gz is not .*expected .*found {found}"):
        fetch(make_source(), tmp_path / "data", tmp_path)
    assert left_in(tmp_path / "data") == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sums_is_what_sha256sum_reads(server: Server, tmp_path: Path) -> None:
    serve(server, "only")
    folder = fetch(make_source(server.url("only")), tmp_path)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)


def test_verify_names_the_damaged_file_and_the_command(server: Server, tmp_path: Path) -> None:
    serve(server, "only")
    source = make_source(server.url("only"))
    folder = fetch(source, tmp_path)
    verify(source, tmp_path)
    (folder / "labels.gz").unlink()
    with pytest.raises(DataError, match=r"labels\.gz: no such file; run .* fetch toy"):
        verify(source, tmp_path)


def test_replacing_keeps_the_old_file_on_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path) -> None:
    for name, body in CONTENTS.items():
        (tmp_path / name).write_bytes(body)
    path = tmp_path / "data" / "raw" / "toy" / "images.gz"
    code = (
        "import os, signal, sys; from model.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(command, cwd=REPOSITORY).returncode == -signal.SIGKILL
    assert left_in(tmp_path / "data") != []
    assert_complete(fetch(make_source(), tmp_path / "data", tmp_path))
    assert left_in(tmp_path / "data") == ["SHA256SUMS", *sorted(CONTENTS)]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = (
        "import resource, sys; from model.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(bytes(2000))"
    )
    command = [sys.executable, "-c", code, str(path)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{path}'"
    assert list(tmp_path.iterdir()) == []
