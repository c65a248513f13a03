"""The lab's page over real sockets: who gets in, under which name, and what is never told."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from device_lab.serve.access import HEADERS
from device_lab.store import LabStore
from lab.page_samples import HOSTILE, fill_hostile

pytestmark = pytest.mark.real

DEADLINE_S = 60
PAGES = ("/", "/job", "/phone", "/history")
ANSWERS = ("/api/overview", "/api/job", "/api/results", "/api/history", "/api/events")


@dataclass
class Served:
    """A server process and what opens it."""

    process: subprocess.Popen[str]
    address: str
    port: int
    token: str
    home: Path

    def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        token: bool = True,
        host: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=DEADLINE_S)
        connection.putrequest(method, target, skip_host=True)
        for value in [f"{self.address}:{self.port}" if host is None else host]:
            connection.putheader("Host", value)
        if token:
            connection.putheader("Authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(home), "ORTLAB_LAB_STORE": ""}


@contextmanager
def served(home: Path, *options: str, verbose: bool = False) -> Iterator[Served]:
    command = [sys.executable, "-m", "ortlab", *(["--verbose"] if verbose else [])]
    log = home / "stderr.txt"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*command, "lab", "serve", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(home),
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("http://"), log.read_text()
        parts = urlsplit(line)
        token = (home / "ortlab" / "lab" / "page-token").read_text().strip()
        assert parts.hostname is not None
        assert parts.port is not None
        yield Served(process, parts.hostname, parts.port, token, home)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
        process.stdout.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("lab")
    directory = home / "ortlab" / "lab"
    directory.mkdir(parents=True)
    store = LabStore(f"sqlite:///{directory / 'lab.db'}")
    fill_hostile(store)
    store.close()
    with served(home, verbose=True) as found:
        yield found


def test_every_page_and_answer_carries_the_policy(page: Served) -> None:
    for target in (*PAGES, *ANSWERS, "/nowhere", "/style.css", "/icon.svg"):
        for token in (True, False):
            answer, _ = page.ask(target, token=token)
            for name, value in HEADERS.items():
                assert answer.headers.get_all(name) == [value], target
            assert "server" not in answer.headers
    assert "unsafe" not in HEADERS["content-security-policy"]


@pytest.mark.parametrize("target", [*PAGES, *ANSWERS, "/nowhere", "//", "/api", "/api/../"])
def test_without_the_token_nothing_is_told(page: Served, target: str) -> None:
    wrong = {"Authorization": f"Bearer {page.token[:-1]}"}
    cookie = {"Cookie": f"ortlab_lab_{page.port}={page.token}"}  # the secret is no cookie
    for headers in ({}, wrong, cookie, {"Authorization": page.token}):
        answer, body = page.ask(target, token=False, headers=headers)
        assert answer.status == 401
        assert b"pwned" not in body
        assert "set-cookie" not in answer.headers


def test_a_wrong_token_in_the_address_opens_nothing_even_with_a_cookie(page: Served) -> None:
    answer, _ = page.ask(f"/?token={page.token}", token=False)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert page.ask("/", token=False, headers={"Cookie": cookie})[0].status == 200
    assert page.ask("/?token=wrong", token=False, headers={"Cookie": cookie})[0].status == 401
    double = f"/?token={page.token}&token=wrong"
    assert page.ask(double, token=False)[0].status == 401
    assert page.ask(f"/api/overview?token={page.token}", token=False)[0].status == 401


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/?token={}", "/"),
        ("/phone?id=a%20b&token={}", "/phone?id=a+b"),
        ("//example.org/?token={}", "/"),
        ("/\\example.org?token={}", "/"),
        ("/nowhere?token={}", "/"),
        ("/?token={}&x=%0d%0aSet-Cookie:%20a=b", "/?x=%0D%0ASet-Cookie%3A+a%3Db"),
    ],
)
def test_the_first_visit_goes_on_without_the_token(
    page: Served, target: str, leads_to: str
) -> None:
    answer, body = page.ask(target.format(page.token), token=False)
    assert answer.status == 303
    assert answer.headers["location"] == leads_to
    assert body == b""
    cookie = answer.headers["set-cookie"]
    assert page.token not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_it_only_shows(page: Served, method: str) -> None:
    for target in ("/", "/api/overview", "/style.css"):
        answer, _ = page.ask(target, method=method)
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD"


def test_head_answers_as_get_without_a_body(page: Served) -> None:
    for target in ("/", "/api/overview"):
        got, told = page.ask(target)
        answer, body = page.ask(target, method="HEAD")
        assert answer.status == 200
        assert body == b""
        assert answer.headers["content-type"] == got.headers["content-type"]
        assert told != b""


@pytest.mark.parametrize(
    "host",
    ["example.org", "example.org:80", "127.0.0.1.example.org", "localhost.example.org", "", "[",
     "[::1", "127.0.0.2", "127.0.0.1:x", "127.0.0.1@example.org", "0x7f.1", "10.0.0.1"],
)  # fmt: skip
def test_a_foreign_name_that_leads_here_reads_nothing(page: Served, host: str) -> None:
    for target in ("/", "/api/overview", f"/?token={page.token}", "/style.css"):
        answer, body = page.ask(target, host=host)
        assert answer.status == 421
        assert b"pwned" not in body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:{}", "127.0.0.1:{}", "[::1]:{}"])
def test_its_own_names_are_fine(page: Served, host: str) -> None:
    assert page.ask("/", host=host.format(page.port))[0].status == 200


def test_two_host_headers_are_refused(page: Served) -> None:
    with socket.create_connection((page.address, page.port), timeout=DEADLINE_S) as connection:
        lines = ["GET / HTTP/1.1", f"Host: 127.0.0.1:{page.port}", "Host: example.org"]
        lines += [f"Authorization: Bearer {page.token}", "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        status = connection.makefile("rb").readline().split()[1]
    assert status in (b"400", b"421")


def test_json_says_the_names_as_they_are(page: Served) -> None:
    answer, body = page.ask("/api/overview")
    assert answer.headers["content-type"] == "application/json"
    overview = json.loads(body)
    assert {phone["phone"]["phone_id"] for phone in overview["phones"]} == set(HOSTILE)
    assert overview["block_count"] == 2 * 2 * len(HOSTILE)
    for text in HOSTILE:
        chosen = f"model={quote(text, safe='')}&phone={quote(text, safe='')}"
        results = json.loads(page.ask(f"/api/results?{chosen}")[1])["results"]
        assert [result["model_name"] for result in results] == [text, text]
        (history,) = json.loads(page.ask(f"/api/history?{chosen}")[1])["histories"]
        assert history["arm"] == text
    jobs = overview["jobs"]
    job = json.loads(page.ask(f"/api/job?id={jobs[0]['job']['job_id']}")[1])
    assert job["job"] == jobs[0]["job"]
    events = json.loads(page.ask("/api/events?limit=3")[1])["events"]
    assert len(events) == 3


@pytest.mark.parametrize(
    "target",
    ["/api/job", "/api/job?id=nobody", "/api/history?model=a&phone=b", "/api/results?limit=-1",
     "/api/results?limit=%00", "/api/events?limit=99999999999999999999", "/api/nowhere",
     "/phone?id=" + "x" * 25_000, "/phone?id=%ff%fe%00", "/history?model=%ed%a0%80&phone=b",
     "/job?id=%27%20OR%201=1--"],
)  # fmt: skip
def test_what_means_nothing_is_refused_in_words(page: Served, target: str) -> None:
    answer, body = page.ask(target)
    assert answer.status == 404
    assert b"Traceback" not in body
    if target.startswith("/api/"):
        assert set(json.loads(body)) == {"error"}


def test_noise_on_the_line_leaves_it_running(page: Served) -> None:
    for noise in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"A" * 100_000, b"\r\n" * 50):
        with socket.create_connection((page.address, page.port), timeout=DEADLINE_S) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                answer.read()
    assert page.ask("/")[0].status == 200


def test_nothing_listens_beyond_loopback_and_no_log_has_the_token(page: Served) -> None:
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{page.process.pid}/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{page.port:04X}")
    ]
    assert listening == [f"0100007F:{page.port:04X}"]
    log = (page.home / "stderr.txt").read_text()
    answer, _ = page.ask(f"/?token={page.token}", token=False)
    secrets = [page.token, answer.headers["set-cookie"].partition(";")[0].partition("=")[2]]
    assert not any(secret in log for secret in secrets)
    assert "Traceback" not in log


def test_the_token_is_told_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "ortlab", "lab", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    assert first.stdout is not None
    told = first.stdout.readline()
    first.send_signal(signal.SIGINT)
    assert first.wait(DEADLINE_S) == 0
    first.communicate()
    kept = tmp_path / "ortlab" / "lab" / "page-token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    secret = kept.read_text().strip()
    assert told.strip().endswith(f"/?token={secret}")
    with served(tmp_path) as again:
        assert again.token == secret
        assert again.ask("/")[0].status == 200
        assert str(kept) in (tmp_path / "stderr.txt").read_text().replace("\n", "")
    with served(tmp_path, "--new-token") as renewed:
        assert renewed.token != secret
        assert renewed.ask("/", token=False, headers={"Authorization": f"Bearer {secret}"})[
            0
        ].status == 401  # fmt: skip


@pytest.mark.parametrize("damage", ["readable", "link", "short", "empty", "binary"])
def test_a_token_that_others_could_know_is_replaced(tmp_path: Path, damage: str) -> None:
    from device_lab.serve import page_token

    first = page_token(tmp_path)
    secret = first.path.read_text().strip()
    assert not page_token(tmp_path).is_new
    if damage == "readable":
        first.path.chmod(0o640)
    elif damage == "link":
        elsewhere = tmp_path / "elsewhere"
        first.path.rename(elsewhere)
        first.path.symlink_to(elsewhere)
    else:
        first.path.write_bytes({"short": b"x", "empty": b"", "binary": b"\xff" * 43}[damage])
    if damage == "link":
        with pytest.raises(Exception, match="page-token"):
            page_token(tmp_path)
        return
    second = page_token(tmp_path)
    assert second.is_new
    assert not second.fits(secret)
    assert stat.S_IMODE(second.path.stat().st_mode) == 0o600


def test_listening_for_the_network_needs_asking_and_warns(tmp_path: Path) -> None:
    with served(tmp_path, "--listen", "0.0.0.0", "--name", "lab.example") as page:
        page.address = "127.0.0.1"
        assert page.ask("/", host="lab.example")[0].status == 200
        assert page.ask("/", host=f"192.0.2.7:{page.port}")[0].status == 200
        assert page.ask("/", host="example.org")[0].status == 421
        assert "TLS" in (tmp_path / "stderr.txt").read_text()


def test_a_store_that_answers_no_more_is_told_without_its_place(tmp_path: Path) -> None:
    with served(tmp_path) as page:
        assert page.ask("/")[0].status == 200
        with sqlite3.connect(tmp_path / "ortlab" / "lab" / "lab.db") as connection:
            connection.execute("ALTER TABLE phones RENAME TO gone")
        for target in ("/", "/api/overview"):
            answer, body = page.ask(target)
            assert answer.status == 503
            assert str(tmp_path).encode() not in body
        assert (
            str(tmp_path / "ortlab" / "lab" / "lab.db") not in (tmp_path / "stderr.txt").read_text()
        )


def test_a_taken_port_is_told_with_what_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "ortlab", "lab", "serve", "--port", port],
            capture_output=True,
            text=True,
            env=environment(tmp_path),
            timeout=DEADLINE_S,
        )
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert "--port 0" in done.stderr
