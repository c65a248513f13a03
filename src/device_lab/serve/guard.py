"""What stands before the page: every request that is not a read by a holder of the token ends here.

Starlette's middleware interface (ASGI) alone, so that nothing of a request is read twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from device_lab.serve.access import HEADERS, TOKEN_PARAMETER, Names, PageToken

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/style.css", "/icon.svg"})
"""What a page without a token needs too; it says nothing of the lab."""
_MONTH_S = 30 * 24 * 3600
_LOG = logging.getLogger("device_lab.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What a request must show.

    Attributes:
        token: Of the lab.
        names: Under which the page answers.
        cookie_name: Of the browser's cookie.
        pages: Paths that a first visit may go to.
        message: Renders a page of few words from a title and a sentence.
    """

    token: PageToken
    names: Names
    cookie_name: str
    pages: frozenset[str]
    message: Callable[[str, str], str]


class Guard:
    """Let reads by holders of the token through, and give every answer its headers."""

    def __init__(self, application: Application, door: Door) -> None:
        self._application = application
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        started = False

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal.send(send_guarded)
            return
        try:
            await self._application(scope, receive, send_guarded)
        except Exception as error:
            # Its words and the request's may hold what is nobody else's business.
            _LOG.error("cannot answer a request: %s", type(error).__name__)
            if not started:
                answer = self._told(scope, 500, "A mistake of ours", "This page could not be made.")
                await answer.send(send_guarded)

    def _refusal(self, scope: Scope) -> _Answer | None:
        headers = _Headers(scope)
        if scope["method"] not in ("GET", "HEAD"):
            answer = self._told(
                scope, 405, "Only reading", "This page only shows; it takes nothing."
            )
            answer.headers["allow"] = "GET, HEAD"
            return answer
        hosts = headers.all("host")
        if len(hosts) != 1 or not self._door.names.allow(hosts[0]):
            words = "The lab's page does not answer under this name. Name it with --name."
            return self._told(scope, 421, "Another name", words)
        if scope["path"] in OPEN_PATHS:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        offered = [value for name, value in query if name == TOKEN_PARAMETER]
        if offered and not scope["path"].startswith("/api/"):
            return self._first_visit(scope, offered, query)
        if self._knows(headers):
            return None
        return self._without_token(scope)

    def _knows(self, headers: _Headers) -> bool:
        for value in headers.all("authorization"):
            scheme, _, secret = value.partition(" ")
            if scheme.lower() == "bearer" and self._door.token.fits(secret.strip()):
                return True
        for value in headers.all("cookie"):
            for part in value.split(";"):
                name, _, content = part.strip().partition("=")
                if name == self._door.cookie_name and self._door.token.fits_cookie(content):
                    return True
        return False

    def _first_visit(
        self, scope: Scope, offered: list[str], query: list[tuple[str, str]]
    ) -> _Answer:
        if not all(self._door.token.fits(secret) for secret in offered):
            return self._without_token(scope)
        # Only paths of ours: "//example.org" would lead away.
        path = scope["path"] if scope["path"] in self._door.pages else "/"
        rest = urlencode([pair for pair in query if pair[0] != TOKEN_PARAMETER])
        cookie = f"{self._door.cookie_name}={self._door.token.cookie}"
        kept = f"{cookie}; Path=/; Max-Age={_MONTH_S}; HttpOnly; SameSite=Strict"
        headers = {"location": f"{path}?{rest}" if rest else path, "set-cookie": kept}
        return _Answer(303, b"", "text/plain; charset=utf-8", headers)

    def _without_token(self, scope: Scope) -> _Answer:
        words = (
            "Open the address that ortlab lab serve printed; it carries the token. If you came"
            " here by a link, load this page once more."
        )
        answer = self._told(scope, 401, "The lab's token is needed", words)
        answer.headers["www-authenticate"] = "Bearer"
        return answer

    def _told(self, scope: Scope, status: int, title: str, words: str) -> _Answer:
        if scope["path"].startswith("/api/"):
            body = json.dumps({"error": words}).encode()
            return _Answer(status, body, "application/json", {})
        page = self._door.message(title, words)
        return _Answer(status, page.encode(), "text/html; charset=utf-8", {})


class _Headers:
    def __init__(self, scope: Scope) -> None:
        self._pairs = [(name.lower(), value) for name, value in scope["headers"]]

    def all(self, wanted: str) -> list[str]:
        return [value.decode("latin-1") for name, value in self._pairs if name == wanted.encode()]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    media_type: str
    headers: dict[str, str]

    async def send(self, send: Send) -> None:
        own: Mapping[str, str] = {
            "content-type": self.media_type,
            "content-length": str(len(self.body)),
            **self.headers,
        }
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})
        await send({"type": "http.response.body", "body": self.body})
