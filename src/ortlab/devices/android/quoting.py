"""The one place where text for a device's shell is made.

Every argument is quoted unless the caller says :class:`Raw`, so that no name of a model, an app or
a file can become a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ortlab.errors import UsageError

MAXIMUM_PATH_BYTES: Final = 1024
"""Longest path that adbd's file service takes."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,-]+")
_RESERVED = frozenset(
    {
        *("case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in"),
        *("select", "then", "time", "until", "while"),
    }
)


@dataclass(frozen=True, slots=True)
class Raw:
    """Shell text that is meant as such: an operator, a redirection, a pattern of ours.

    Attributes:
        text: Inserted as it stands; never made from names that come from outside.
    """

    text: str


def command_line(arguments: Iterable[str | Raw]) -> str:
    """Return one line that a POSIX shell splits into exactly these arguments.

    Raises:
        UsageError: An argument holds a NUL or is not text, which no shell can be given.
    """
    line = " ".join(
        argument.text if isinstance(argument, Raw) else quoted(argument) for argument in arguments
    )
    # What follows `sh -c` would be an option of the shell if it began with a dash.
    return f" {line}" if line.startswith("-") else line


def quoted(argument: str) -> str:
    """Return an argument in single quotes, or as it stands where the shell sees only letters.

    Raises:
        UsageError: It holds a NUL or is not text.
    """
    _check_text(argument)
    if _PLAIN.fullmatch(argument) and argument not in _RESERVED:
        return argument
    return "'" + argument.replace("'", "'\"'\"'") + "'"


def device_path(path: str) -> str:
    """Return a path on a device, checked: absolute, so that it is never taken for an option.

    Raises:
        UsageError: It is relative, too long, holds a NUL or is not text.
    """
    _check_text(path)
    if not path.startswith("/"):
        message = f"cannot use {path!r} as a path on a phone: it does not start with /"
        raise UsageError(message)
    if len(path.encode()) > MAXIMUM_PATH_BYTES:
        message = f"cannot use {path[:60]!r}… on a phone: longer than {MAXIMUM_PATH_BYTES} bytes"
        raise UsageError(message)
    return path


def _check_text(argument: str) -> None:
    if "\0" in argument:
        message = f"cannot give a phone's shell {argument!r}: it holds a NUL"
        raise UsageError(message)
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        message = f"cannot give a phone's shell {argument!r}: it is not valid text"
        raise UsageError(message) from error
