"""Fetching: only verified files under their final name; errors tell the user what to do."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from model.files import replacing
from model.sources import MNIST, DataError, RawFile, Source, fetch, verify

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
        RawFile(name=name, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
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
    assert f"expected {source.files[0].sha256}" in str(error.value)
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


def test_no_network_names_files_checksums_hosts_and_option(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(DataError) as error:
            fetch(replace(MNIST, mirrors=(url,)), tmp_path)
    message = str(error.value)
    for file in MNIST.files:
        assert file.name in message
        assert file.sha256 in message
    assert urlsplit(url).netloc in message
    assert "data_mirror" in message
    assert "--config data_mirror=DIR" in message
    assert "--mirror DIR" in message


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
    assert source.files[1].sha256 in str(error.value)
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
        with replacing(path) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
