"""Who may read the page: the address a browser asked for, the token, and what every answer says.

Pure but for the token's file. A request passes in this order: its method, the name it was sent to
(so that no foreign name that resolves to this machine reads the page), then the token.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ortlab.errors import StorageError

TOKEN_FILE = "page-token"  # noqa: S105 - a file's name
TOKEN_PARAMETER = "token"  # noqa: S105 - a parameter's name
_TOKEN_BYTES = 32
_SHORTEST_TOKEN = 32
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""What every answer carries: nothing of others is loaded, no script runs, nothing is kept."""


@dataclass(frozen=True, slots=True)
class PageToken:
    """The secret that opens the page; it shows itself to nobody who prints it.

    Attributes:
        path: The file that holds it.
        is_new: Whether it was made just now.
    """

    path: Path
    is_new: bool
    _secret: str

    def __repr__(self) -> str:
        """Return where the secret is, not what it is."""
        return f"PageToken({str(self.path)!r})"

    def address(self, base: str) -> str:
        """Return the address that opens the page the first time."""
        return f"{base}/?{TOKEN_PARAMETER}={self._secret}"

    def fits(self, offered: str) -> bool:
        """Compare without telling by its time how much of a guess was right."""
        return hmac.compare_digest(_bytes(offered), _bytes(self._secret))

    @property
    def cookie(self) -> str:
        """Return what a browser keeps: it opens the page, but is not the secret itself."""
        return hmac.new(_bytes(self._secret), b"ortlab lab page", hashlib.sha256).hexdigest()

    def fits_cookie(self, offered: str) -> bool:
        """Compare a browser's cookie, in constant time too."""
        return hmac.compare_digest(_bytes(offered), _bytes(self.cookie))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def page_token(directory: Path, *, new: bool = False) -> PageToken:
    """Return the lab's token, made when there is none yet.

    A file that others may read is worth nothing any more: its token is replaced.

    Args:
        directory: Of the lab; made if it is missing.
        new: Replace the token; whoever has a cookie needs the new address.

    Raises:
        StorageError: The file cannot be read or written.
    """
    path = directory / TOKEN_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = None if new else _kept(path)
        if secret is not None:
            return PageToken(path, False, secret)  # noqa: FBT003
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        _write(path, secret)
    except OSError as error:
        message = f"cannot keep the page's token in {path}: {error.strerror}"
        raise StorageError(message) from error
    return PageToken(path, True, secret)  # noqa: FBT003


def _kept(path: Path) -> str | None:
    try:
        # Whoever can plant a link here must not choose the secret.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        private = stat.S_ISREG(state.st_mode) and stat.S_IMODE(state.st_mode) & 0o077 == 0
        if not private or state.st_uid != os.geteuid():
            return None
        content = file.read(1000).strip()
    text = content.decode("ascii", "replace")
    usable = len(text) >= _SHORTEST_TOKEN and all(c.isalnum() or c in "-_" for c in text)
    return text if usable and text.isascii() else None


def _write(path: Path, secret: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # made 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret.encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Under which names the page answers.

    Attributes:
        names: In lower case.
        any_address: Whether every IP address is fine: a foreign page can make its name resolve to
            this machine, but cannot make its name an address.
    """

    names: frozenset[str]
    any_address: bool

    def allow(self, host: str) -> bool:
        """Return whether a request's Host header names this page."""
        name = _without_port(host)
        if name is None:
            return False
        return name in self.names or (self.any_address and _is_address(name))


def names_for(listen: str, more: Sequence[str] = ()) -> Names:
    """Return the names of a page that listens at an address.

    Args:
        listen: An IP address or a name.
        more: Names that a proxy or a name server gives this machine.
    """
    own = {listen.lower(), *(name.lower() for name in more)}
    open_to_all = _is_address(listen) and not ipaddress.ip_address(listen).is_loopback
    return Names(names=frozenset(own | _LOCAL_NAMES), any_address=open_to_all)


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address."""
    if _is_address(address):
        return ipaddress.ip_address(address).is_loopback
    return address.lower() == "localhost"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str | None:
    """Return the name of ``name``, ``name:8471`` or ``[::1]:8471``; None if it is none of them."""
    name, bracket, rest = host.strip().lower().partition("]")
    if name.startswith("["):
        if not bracket or (rest and not (rest.startswith(":") and rest[1:].isdecimal())):
            return None
        return name[1:]
    name, colon, port = host.strip().lower().partition(":")
    if not name or (colon and not port.isdecimal()):
        return None
    return name.removesuffix(".")
