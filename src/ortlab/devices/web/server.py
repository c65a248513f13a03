"""A small server on the loopback address: the built page, and the blocks that are being run.

Every answer carries the headers that make a page cross-origin isolated, without which a browser
offers neither threads nor a fine clock. Nothing is served but the files of the page and what the
blocks' secret addresses name.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mimetypes
import shutil
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from ortlab.devices.web.mail import (
    LARGEST_FILES_BYTES,
    LARGEST_HELLO_BYTES,
    LARGEST_MARK_BYTES,
    LARGEST_RESULT_BYTES,
    BatchMail,
    BlockMail,
    RefusedError,
    served,
)
from ortlab.errors import DeviceError

logger = logging.getLogger(__name__)

ADDRESS: Final = "127.0.0.1"
ISOLATION: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_SOCKET_S: Final = 30.0
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_HOSTS: Final = frozenset({ADDRESS, "localhost"})


class PageServer:
    """Serves a built page and the blocks it runs, until it is closed.

    Args:
        root: Directory of the built page.
        port: To listen on; a free one if 0.
        is_isolated: Whether the isolation headers are sent, as a good host does.

    Raises:
        DeviceError: The port is taken, or nothing can listen here.
    """

    def __init__(self, root: Path, *, port: int = 0, is_isolated: bool = True) -> None:
        self.is_isolated = is_isolated
        self._files = served(root)
        self._blocks: dict[str, BlockMail] = {}
        self._batches: dict[str, BatchMail] = {}
        self._server = _listen(port, self)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="page server",
            daemon=True,
        )
        self._thread.start()

    def url(self, path: str) -> str:
        """Return the address of a path that begins with a slash."""
        return f"http://{ADDRESS}:{self.port}{path}"

    def add(self, mail: BlockMail | BatchMail) -> None:
        """Answer for a block or a batch from now on."""
        if isinstance(mail, BlockMail):
            self._blocks[mail.path] = mail
        else:
            self._batches[mail.path] = mail

    def remove(self, mail: BlockMail | BatchMail) -> None:
        """Answer for it no more."""
        self._blocks.pop(mail.path, None)
        self._batches.pop(mail.path, None)

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)

    # -- what the handler asks --------------------------------------------------------------------

    def page_file(self, path: str) -> Path:
        """Return the file of the page under a path.

        Raises:
            RefusedError: There is none.
        """
        found = self._files.get(path)
        if found is None:
            raise RefusedError(404, "there is no such file")
        return found

    def block_of(self, path: str) -> tuple[BlockMail, str]:
        """Return the block that a path belongs to, and the rest of the path.

        Raises:
            RefusedError: There is none.
        """
        return _found(self._blocks, path)

    def batch_of(self, path: str) -> tuple[BatchMail, str]:
        """Return the batch that a path belongs to, and the rest of the path.

        Raises:
            RefusedError: There is none.
        """
        return _found(self._batches, path)


def _found(known: Mapping[str, Any], path: str) -> tuple[Any, str]:
    family, token, rest = [*path.removeprefix("/").split("/", 2), "", ""][:3]
    mail = known.get(f"/{family}/{token}/")
    if mail is None:
        raise RefusedError(404, "there is no such block")
    return mail, rest


def _listen(port: int, pages: PageServer) -> ThreadingHTTPServer:
    try:
        server = _Server((ADDRESS, port), _Handler)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        message = f"cannot serve the benchmark page on port {port}: {why.lower()}"
        step = "choose another port" if taken else "ortlab doctor"
        raise DeviceError(message, next_step=step) from error
    server.pages = pages
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = False
    pages: PageServer

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A page that goes away in the middle of an answer is no error of ours."""
        logger.debug("a page's request ended early")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SOCKET_S
    disable_nagle_algorithm = True  # a small answer would wait 40 ms for the page's system
    server: _Server
    server_version = "ortlab"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        logger.debug("page server: " + format, *arguments)  # noqa: G003

    # -- inside ---------------------------------------------------------------------------------

    def _answer(self, act: Any) -> None:
        try:
            self._check_who_asks()
            act(unquote(urlsplit(self.path).path))
        except RefusedError as error:
            self.close_connection = True  # what is left of a body is not read
            self._send(error.status, error.reason.encode(), "text/plain; charset=utf-8")
        except OSError as error:
            self.close_connection = True
            logger.debug("cannot answer %s: %s", self.path, error)
            with contextlib.suppress(OSError):
                self._send(507, b"this cannot be kept", "text/plain; charset=utf-8")

    def _check_who_asks(self) -> None:
        """Refuse what another site, or another name for this machine, asks through a browser."""
        host = self.headers.get("Host", "")
        if host.rpartition(":")[0] not in _HOSTS and host not in _HOSTS:
            raise RefusedError(421, "this server answers on the loopback address alone")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            raise RefusedError(403, "another site asks")

    def _get(self, path: str) -> None:
        pages = self.server.pages
        if path.startswith("/batch/"):
            batch, rest = pages.batch_of(path)
            if rest != "next":
                raise RefusedError(404, "there is no such file")
            block = batch.take()
            if block is None:
                self._send(204)
            else:
                self._send(200, block.encode(), "text/plain; charset=utf-8")
            return
        if path.startswith("/block/"):
            mail, rest = pages.block_of(path)
            content = mail.fetch(rest)
            if isinstance(content, bytes):
                self._send(200, content, "application/json")
                return
            self._send_file(content, "application/octet-stream")
            return
        file = pages.page_file(path)
        guessed = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
        self._send_file(file, guessed or "application/octet-stream")

    def _post(self, path: str) -> None:
        if path.startswith("/batch/"):
            batch, rest = self.server.pages.batch_of(path)
            if rest != "hello":
                raise RefusedError(404, "nothing can be left there")
            batch.greet(self.rfile.read(self._body_bytes(LARGEST_HELLO_BYTES)))
            self._send(204)
            return
        mail, rest = self.server.pages.block_of(path)
        if rest == "progress":
            text = self.rfile.read(self._body_bytes(LARGEST_MARK_BYTES))
            mail.mark(text.decode("utf-8", "replace").strip())
        elif rest == "result":
            mail.answer(self.rfile, self._body_bytes(LARGEST_RESULT_BYTES))
        else:
            raise RefusedError(404, "nothing can be left there")
        self._send(204)

    def _put(self, path: str) -> None:
        mail, rest = self.server.pages.block_of(path)
        family, _, name = rest.partition("/")
        if family != "files":
            raise RefusedError(404, "nothing can be left there")
        mail.leave(name, self.rfile, self._body_bytes(LARGEST_FILES_BYTES))
        self._send(204)

    def _body_bytes(self, most_bytes: int) -> int:
        text = self.headers.get("Content-Length", "")
        if not text.isdecimal() or len(text) > 15:
            raise RefusedError(411, "the length of the body is not told")
        if int(text) > most_bytes:
            raise RefusedError(413, "the body is too long")
        return int(text)

    def _send_file(self, file: Path, content_type: str) -> None:
        try:
            stream = file.open("rb")
        except OSError as error:
            raise RefusedError(404, "the file cannot be read") from error
        with stream:
            size_bytes = file.stat().st_size
            self._send_head(200, content_type, size_bytes)
            if self.command != "HEAD":
                shutil.copyfileobj(stream, self.wfile, 1 << 20)

    def _send(self, status: int, content: bytes = b"", content_type: str = "") -> None:
        self._send_head(status, content_type, len(content))
        if content and self.command != "HEAD":
            self.wfile.write(content)

    def _send_head(self, status: int, content_type: str, size_bytes: int) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(size_bytes))
        if self.server.pages.is_isolated:
            for name, value in ISOLATION.items():
                self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
