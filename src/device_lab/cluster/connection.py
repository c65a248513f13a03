"""Addresses and Dask's own TLS settings; who may listen where.

Whoever reaches a Dask scheduler or worker runs programs on it. So both keep to loopback, and
beyond it they demand the certificates of Dask's configuration (``distributed.comm.tls``, from its
YAML files or from variables such as ``DASK_DISTRIBUTED__COMM__TLS__CA_FILE``).
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ortlab.errors import UsageError

DEFAULT_PORT = 8786
_ADDRESS = re.compile(
    r"(?:(?P<protocol>tcp|tls)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\[\]\s@]+)(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a scheduler listens; ``host`` keeps the brackets of an IPv6 address."""

    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return it as Dask writes it."""
        return f"{self.protocol}://{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        plain = self.host.strip("[]")
        if plain == "localhost":
            return True
        try:
            return ipaddress.ip_address(plain).is_loopback
        except ValueError:
            return False


def parse_address(text: str, *, role: str) -> Address:
    """Read ``HOST``, ``HOST:PORT`` or ``tcp://HOST:PORT``; with certificates, TLS if left open.

    Args:
        text: What a person wrote.
        role: scheduler or worker: whose certificate decides.

    Raises:
        UsageError: It is no such address.
    """
    match = _ADDRESS.fullmatch(text.strip())
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or port > 65535:
        message = f"cannot use the scheduler's address {text!r}: it must be tcp://HOST:PORT"
        raise UsageError(message, next_step="ortlab lab agent --scheduler tcp://127.0.0.1:8786")
    protocol = match["protocol"] or ("tls" if has_certificate(role) else "tcp")
    return Address(protocol=protocol, host=match["host"], port=port)


def has_certificate(role: str) -> bool:
    """Whether Dask's configuration names a certificate for the role."""
    return getattr(security(), f"tls_{role}_cert") is not None


def security() -> Any:
    """Return what Dask's own configuration says about TLS, a `distributed.Security`.

    Raises:
        UsageError: The configuration means nothing to Dask.
    """
    import distributed

    make: Any = distributed.Security
    try:
        return make()
    except (TypeError, ValueError, ImportError) as error:
        message = f"cannot use Dask's settings for TLS: {error}"
        raise UsageError(message) from error


def check_certificates(address: Address, *, role: str) -> Any:
    """Return the TLS settings after a look at whether they can work.

    Raises:
        UsageError: The address asks for TLS and a file is missing or cannot be read.
    """
    settings = security()
    if address.protocol != "tls":
        if settings.require_encryption:
            message = f"cannot use {address}: Dask's configuration requires encryption"
            raise UsageError(message, next_step=f"use tls://{address.host}:{address.port}")
        return settings
    if settings.tls_ca_file is None or not has_certificate(role):
        message = (
            f"cannot use {address}: Dask's configuration names no certificates for the {role}"
            f" (distributed.comm.tls.ca-file, .{role}.cert, .{role}.key)"
        )
        raise UsageError(message)
    try:
        settings.get_connection_args(role)
    except (OSError, ValueError) as error:
        message = f"cannot use the certificates for the {role} of Dask's configuration: {error}"
        raise UsageError(message) from error
    return settings


def check_exposure(address: Address, *, without_tls: bool) -> None:
    """Refuse an open port without TLS unless a person insists.

    Raises:
        UsageError: Others would reach it and nothing proves who they are.
    """
    if address.is_loopback or address.protocol == "tls" or without_tls:
        return
    message = (
        f"cannot use {address} without TLS: whoever reaches it runs programs on every agent's host"
    )
    step = "name certificates in Dask's distributed.comm.tls and use tls://, or add --without-tls"
    raise UsageError(message, next_step=step)


def own_host(scheduler: Address, deadline_s: float = 5.0) -> str:
    """Return the host of ours that the scheduler reaches us by; loopback if it is on loopback.

    Raises:
        UsageError: The scheduler's host has no address.
    """
    if scheduler.is_loopback:
        return scheduler.host.replace("localhost", "127.0.0.1")
    plain = scheduler.host.strip("[]")
    try:
        found = socket.getaddrinfo(plain, scheduler.port, type=socket.SOCK_DGRAM)
        family, kind, _, _, peer = found[0]
        # A datagram socket asks the routing table and sends nothing.
        with socket.socket(family, kind) as probe:
            probe.settimeout(deadline_s)
            probe.connect(peer)
            host = str(probe.getsockname()[0])
    except OSError as error:
        message = f"cannot find the way to the scheduler's host {plain}: {error}"
        raise UsageError(message) from error
    return f"[{host}]" if family == socket.AF_INET6 else host


@contextmanager
def dask_settings(*, dashboard: bool = False) -> Iterator[None]:
    """Set what the lab needs of Dask while a scheduler or a worker runs in this process."""
    import dask
    import distributed  # noqa: F401  (sets the levels of its loggers when it is imported)

    ours: dict[str, object] = {
        # The store decides what is tried again; Dask only has to tell that a task is gone.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.work-stealing": False,
        "distributed.scheduler.worker-ttl": "60s",
        "distributed.scheduler.active-memory-manager.start": False,
        # Measuring shares the host with the worker.
        "distributed.worker.profile.enabled": False,
        "distributed.worker.http.routes": [],
        "distributed.admin.system-monitor.interval": "5s",
        "distributed.comm.timeouts.connect": "10s",
        "distributed.comm.timeouts.tcp": "30s",
    }
    if not dashboard:
        ours["distributed.scheduler.http.routes"] = []
    # That workers and tasks come and go is no news: the store decides what becomes of a cell.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    for name in ("scheduler", "worker", "worker.state_machine", "core", "batched"):
        logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
    with dask.config.set(ours):
        yield
