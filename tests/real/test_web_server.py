"""What the loopback server gives and takes: the page, and blocks whose secret is known."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_contract import MODEL, make_arm, make_request

from ortlab.devices.web.mail import BatchMail, BlockMail, SignalKind, lay_out
from ortlab.devices.web.server import ISOLATION, PageServer
from ortlab.wire import Purpose


@pytest.fixture
def root(tmp_path: Path) -> Path:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "bench.html").write_text("<!doctype html>")
    (page / "assets" / "ort.mjs").write_text("export {};")
    (page / "assets" / "ort.wasm").write_bytes(b"\0asm")
    (page / ".hidden").mkdir()
    (page / ".hidden" / "file.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (page / "link.txt").symlink_to(tmp_path / "secret.txt")
    return page


@pytest.fixture
def pages(root: Path) -> Iterator[PageServer]:
    server = PageServer(root)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def mail(pages: PageServer, tmp_path: Path) -> BlockMail:
    block = lay_out(make_request(make_arm(MODEL), tmp_path / "block", Purpose.PARITY))
    pages.add(block)
    return block


class Answer:
    def __init__(self, pages: PageServer, method: str, path: str, body: bytes | None = None,
                 **headers: str) -> None:  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=20)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        connection.close()


def test_the_page_is_served_isolated_and_with_its_types(pages: PageServer) -> None:
    for path, kind in (
        ("/bench.html?block=/block/x/", "text/html"),
        ("/assets/ort.mjs", "text/javascript"),
        ("/assets/ort.wasm", "application/wasm"),
    ):
        answer = Answer(pages, "GET", path)
        assert answer.status == 200
        assert str(answer.headers["Content-Type"]).startswith(kind)
        for name, value in ISOLATION.items():
            assert answer.headers[name] == value


def test_a_host_without_the_headers_can_be_played(root: Path) -> None:
    server = PageServer(root, is_isolated=False)
    try:
        assert not set(ISOLATION) & set(Answer(server, "GET", "/bench.html").headers)
    finally:
        server.close()


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "//etc/passwd",
        "/link.txt",
        "/.hidden/file.js",
        "/",
        "/assets",
        "/block/",
        "/block/nobody/request.json",
        "/batch/nobody/next",
        "/\0",
    ],
)
def test_nothing_else_is_served(pages: PageServer, path: str) -> None:
    if "\0" in path:
        path = "/%00"
    answer = Answer(pages, "GET", path)
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_a_block_gives_its_request_and_its_files_alone(pages: PageServer, mail: BlockMail) -> None:
    request = json.loads(Answer(pages, "GET", mail.path + "request.json").body)
    assert request["model"]["path"] == "files/0"
    assert Answer(pages, "GET", mail.path + request["model"]["path"]).body == MODEL.read_bytes()
    assert [tensor["path"] for tensor in request["inputs"]] == ["files/1"]
    for name in ("files/2", "files/-1", "files/x", "files/../request.json", "result.json", ""):
        assert Answer(pages, "GET", mail.path + name).status == 404
    pages.remove(mail)
    assert Answer(pages, "GET", mail.path + "request.json").status == 404


def test_a_block_takes_marks_files_and_one_result(pages: PageServer, mail: BlockMail) -> None:
    assert Answer(pages, "POST", mail.path + "progress", b"start").status == 204
    assert Answer(pages, "POST", mail.path + "progress", b"lunch").status == 400
    assert Answer(pages, "PUT", mail.path + "files/output-0.bin", b"abc").status == 204
    assert (mail.directory / "output-0.bin").read_bytes() == b"abc"
    assert (mail.directory / "progress").read_text() == "start\n"
    assert Answer(pages, "POST", mail.path + "result", b"{}").status == 204
    assert Answer(pages, "POST", mail.path + "result", b"[]").status == 409
    assert Answer(pages, "PUT", mail.path + "files/late.bin", b"abc").status == 403
    assert (mail.directory / "result.json").read_bytes() == b"{}"
    assert [mail.signals.get_nowait().kind for _ in range(2)] == [
        SignalKind.STAGE,
        SignalKind.RESULT,
    ]


@pytest.mark.parametrize(
    "name",
    ["..%2fx", ".hidden", "result.json", "progress", "request.json", "a/b", "%2fetc%2fx", ""],
)
def test_no_file_is_written_elsewhere(pages: PageServer, mail: BlockMail, name: str) -> None:
    before = sorted(mail.directory.parent.rglob("*"))
    assert Answer(pages, "PUT", mail.path + "files/" + name, b"x").status == 403
    assert sorted(mail.directory.parent.rglob("*")) == before


def test_sizes_are_limited_and_told(pages: PageServer, mail: BlockMail) -> None:
    large = {"Content_Length": str(5 << 30)}
    assert Answer(pages, "PUT", mail.path + "files/a", None, **large).status == 413
    assert Answer(pages, "POST", mail.path + "result", None, **large).status == 413
    assert Answer(pages, "POST", mail.path + "progress", b"x" * 100).status == 413
    chunked = {"Transfer_Encoding": "chunked"}
    assert Answer(pages, "PUT", mail.path + "files/a", None, **chunked).status == 411


def test_another_name_or_site_is_refused(pages: PageServer, mail: BlockMail) -> None:
    assert Answer(pages, "GET", "/bench.html", Host="evil.example").status == 421
    assert Answer(pages, "GET", "/bench.html", Host=f"localhost:{pages.port}").status == 200
    there = {"Origin": "http://evil.example"}
    assert Answer(pages, "POST", mail.path + "result", b"{}", **there).status == 403
    here = {"Origin": f"http://127.0.0.1:{pages.port}"}
    assert Answer(pages, "POST", mail.path + "result", b"{}", **here).status == 204


def test_a_batch_hands_each_block_to_one_page(pages: PageServer, mail: BlockMail) -> None:
    batch = BatchMail()
    pages.add(batch)
    assert Answer(pages, "POST", batch.path + "hello", b"[]").status == 400
    assert Answer(pages, "POST", batch.path + "hello", b'{"a": 1}').status == 204
    assert batch.hellos.get_nowait() == {"a": 1}
    assert Answer(pages, "GET", batch.path + "next").status == 204
    batch.offer(mail)
    assert Answer(pages, "GET", batch.path + "next").body.decode() == mail.path
    assert Answer(pages, "GET", batch.path + "next").status == 204
    batch.ended = True
    assert Answer(pages, "GET", batch.path + "next").status == 410


def test_it_can_be_closed_twice(root: Path) -> None:
    server = PageServer(root)
    server.close()
    server.close()
