"""The page's server: binds, says where, and answers until it is stopped."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from device_lab.serve import pages
from device_lab.serve.access import PageToken, names_for
from device_lab.store import LabStore
from ortlab.errors import UsageError

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8471
_MOST_CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Where the page listens.

    Attributes:
        address: An IP address or a name of this machine; loopback unless asked.
        port: 0 takes a free one.
        names: Further names under which the page answers, such as a proxy's.
    """

    address: str = DEFAULT_ADDRESS
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()


def serve(
    store: LabStore,
    token: PageToken,
    settings: PageSettings,
    *,
    clock: Callable[[], datetime],
    ready: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Answer until SIGINT or SIGTERM, or until ``stop`` is set.

    Args:
        store: Of the lab; only read.
        token: That opens the page.
        settings: Where to listen.
        clock: Returns the time in UTC.
        ready: Takes the page's address, without the token, once connections are accepted.
        stop: Ends it from another thread.

    Raises:
        UsageError: Nobody can listen there.
    """
    # Being stopped is how a server ends; uvicorn raises the signal again when it is done.
    with _bound(settings) as listener, contextlib.suppress(KeyboardInterrupt):
        host, port = listener.getsockname()[:2]
        server = _server(store, token, settings, port, clock)
        if stop is not None:
            threading.Thread(target=_stop_when, args=(stop, server), daemon=True).start()
        threading.Thread(target=pages.warm, daemon=True).start()
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        server.run(sockets=[listener])


def _stop_when(stop: threading.Event, server: Any) -> None:
    stop.wait()
    server.should_exit = True


def _server(
    store: LabStore,
    token: PageToken,
    settings: PageSettings,
    port: int,
    clock: Callable[[], datetime],
) -> Any:
    import uvicorn

    from device_lab.serve.application import make_application

    names = names_for(settings.address, settings.names)
    application: Any = make_application(
        store, token=token, names=names, cookie_name=f"ortlab_lab_{port}", clock=clock
    )
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # an address holds the token on the first visit
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
    )


@contextlib.contextmanager
def _bound(settings: PageSettings) -> Iterator[socket.socket]:
    address, port = settings.address, settings.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as error:
        message = f"cannot listen at {address!r}: {_why(error)}"
        raise UsageError(message, next_step="ortlab lab serve --listen 127.0.0.1") from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(_MOST_CONNECTIONS)
        except (OSError, OverflowError) as error:
            message = f"cannot listen at {address}, port {port}: {_why(error)}"
            raise UsageError(message, next_step="ortlab lab serve --port 0") from error
        yield listener


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
