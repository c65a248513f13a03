"""What goes wrong that the library has no error for; the adapter knows the names."""

from __future__ import annotations

from typing import Final

_NO_SPACE: Final = 18  # AFC's status for it


class CannotLaunchError(Exception):
    """The phone does not start an app; the text is all it said."""


class NoTunnelError(Exception):
    """Another program must open the tunnel and has not."""


class PhoneFullError(Exception):
    """The phone has no room."""


class VerifyFailedError(Exception):
    """What is on the phone is not what was sent."""


class LocalFileError(Exception):
    """A file of this computer cannot be read or written."""


def raise_if_full(error: OSError) -> None:
    """Raise :class:`PhoneFullError` where an error of AFC says so."""
    status = getattr(error, "status", None)
    if status is not None and int(status) == _NO_SPACE:
        raise PhoneFullError from error
