"""What stands before the page, spoken to without a network."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_lab.serve.access import HEADERS, PageToken, names_for, page_token
from device_lab.serve.guard import Door, Guard
from device_lab.serve.pages import message_page

INSIDE = b"what only a holder of the token reads"
raw_headers = st.lists(
    st.tuples(
        st.sampled_from([b"host", b"cookie", b"authorization", b"x", b"Host", b"Cookie"]),
        st.binary(max_size=60),
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> PageToken:
    return page_token(tmp_path_factory.mktemp("lab"))


async def inner(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": INSIDE})


async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
    message = "a secret of hunter2"
    raise RuntimeError(message)


def ask(token: PageToken, application: Any = inner, **changes: Any) -> tuple[int, Any, bytes]:
    door = Door(
        token=token,
        names=names_for("127.0.0.1"),
        cookie_name="ortlab_lab_1",
        pages=frozenset({"/", "/phone"}),
        message=message_page,
    )
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:1")],
        **changes,
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(Guard(application, door)(scope, receive, send))
    headers = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], headers, body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "get", "", "TRACE"]),
    path=st.text(max_size=30) | st.sampled_from(["/", "/api/overview", "//", "/style.css/.."]),
    query=st.binary(max_size=60) | st.sampled_from([b"token=", b"token", b"&token=%00"]),
    headers=raw_headers,
)
def test_whatever_is_asked_without_the_token_stays_outside(
    token: PageToken,
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
) -> None:
    for given_headers in (headers, [(b"host", b"localhost"), *headers]):
        status, told, body = ask(
            token, method=method, path=path, query_string=query, headers=given_headers
        )
        assert status in (401, 405, 421)
        assert INSIDE not in body
        assert {name: value for name, value in told if name in HEADERS} == HEADERS
        assert not any(name == "set-cookie" for name, _ in told)
        for _, value in told:
            assert not set(value) & set("\r\n\0")


def test_the_cookie_and_the_header_open_it(token: PageToken) -> None:
    secret = token.address("").partition("token=")[2]
    host = (b"host", b"localhost")
    cookie = f"a=b; ortlab_lab_1={token.cookie}".encode()
    for headers in (
        [host, (b"cookie", cookie)],
        [host, (b"cookie", b"x=y"), (b"cookie", cookie)],
        [host, (b"authorization", f"bearer {secret}".encode())],
    ):
        assert ask(token, headers=headers)[0] == 200
    for wrong in (cookie[:-1], cookie + b"0", cookie.replace(b"lab_1", b"lab_2"), secret.encode()):
        assert ask(token, headers=[host, (b"cookie", wrong)])[0] == 401


def test_a_mistake_of_ours_tells_nothing(
    token: PageToken, caplog: pytest.LogCaptureFixture
) -> None:
    secret = token.address("").partition("token=")[2]
    headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {secret}".encode())]
    with caplog.at_level(logging.DEBUG):
        for path in ("/", "/api/overview"):
            status, _, body = ask(token, broken, path=path, headers=headers)
            assert status == 500
            assert b"hunter2" not in body
    assert "hunter2" not in caplog.text
    assert secret not in caplog.text
    assert "RuntimeError" in caplog.text


def test_the_token_does_not_show_itself(tmp_path: Path) -> None:
    token = page_token(tmp_path)
    secret = token.path.read_text().strip()
    assert secret not in repr(token)
    assert secret not in f"{token}"
    assert len(secret) >= 43


@given(st.text(max_size=60))
def test_no_guess_fits(token: PageToken, guess: str) -> None:
    assert not token.fits(guess)
    assert not token.fits_cookie(guess)


def test_only_its_own_pages_are_gone_on_to(token: PageToken) -> None:
    address = token.address("")
    query = address.partition("?")[2].encode()
    for path in ("//example.org", "/\\example.org", "https://example.org", "/x", ""):
        status, headers, _ = ask(token, path=path, query_string=query)
        assert (status, dict(headers)["location"]) == (303, "/")
