"""What goes between this process and a page: blocks, and batches of them, each under a token.

The address of a block holds a secret that only its page is told. Source of the requests:
`bench_protocol/README.md`, "In a browser".
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final

from ortlab import codec
from ortlab.devices.answers import PROGRESS, RESULT
from ortlab.errors import StorageError
from ortlab.wire import BlockRequest, Stage, TensorFile

REQUEST: Final = "request.json"

LARGEST_RESULT_BYTES: Final = 64 << 20
LARGEST_FILES_BYTES: Final = 4 << 30
LARGEST_MARK_BYTES: Final = 64
LARGEST_HELLO_BYTES: Final = 64 << 10

_CHUNK_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")
_OWN_NAMES: Final = frozenset({RESULT, PROGRESS, REQUEST})


class RefusedError(Exception):
    """A page asked for something that it cannot have.

    Args:
        status: Of HTTP.
        reason: In words.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class SignalKind(StrEnum):
    """What can become of a block's page."""

    TAKEN = "taken"
    STAGE = "stage"
    RESULT = "result"
    CRASHED = "crashed"
    PAGE_CLOSED = "page closed"
    BROWSER_ENDED = "browser ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something that happened.

    Attributes:
        kind: What.
        words: More of it.
    """

    kind: SignalKind
    words: str = ""


@dataclass(slots=True)
class BlockMail:
    """What the page of one block may fetch and leave.

    Attributes:
        request: As the page reads it.
        files: What it may fetch, in the order of their numbers.
        directory: Where it leaves its files.
        path: Of the block on the server, with the token.
        signals: What happened, for who waits.
    """

    request: bytes
    files: tuple[Path, ...]
    directory: Path
    path: str = field(default_factory=lambda: f"/block/{secrets.token_urlsafe(16)}/")
    signals: queue.Queue[Signal] = field(default_factory=queue.Queue)
    _left_bytes: int = 0
    _answered: bool = False

    def fetch(self, name: str) -> bytes | Path:
        """Return the request, or the file of a number.

        Raises:
            RefusedError: There is none.
        """
        if name == REQUEST:
            self.signals.put(Signal(kind=SignalKind.TAKEN))
            return self.request
        family, _, number = name.partition("/")
        if family == "files" and number.isdecimal() and len(number) < 5:
            with contextlib.suppress(IndexError):
                return self.files[int(number)]
        raise RefusedError(404, "there is no such file in this block")

    def leave(self, name: str, body: BufferedIOBase, size_bytes: int) -> None:
        """Keep a file that the page leaves.

        Raises:
            RefusedError: It may not, or it did not send all of it.
            OSError: The file cannot be written.
        """
        if not _NAME.fullmatch(name) or name in _OWN_NAMES or self._answered:
            raise RefusedError(403, "no file of this name can be left")
        if self._left_bytes + size_bytes > LARGEST_FILES_BYTES:
            raise RefusedError(413, "the block leaves too much")
        self._left_bytes += size_bytes
        _store(self.directory / name, body, size_bytes)

    def mark(self, word: str) -> None:
        """Note the stage that the block enters.

        Raises:
            RefusedError: It is no stage.
            OSError: It cannot be written.
        """
        try:
            stage = Stage(word)
        except ValueError as error:
            raise RefusedError(400, "there is no such stage") from error
        with (self.directory / PROGRESS).open("a", encoding="utf-8") as marks:
            marks.write(f"{stage}\n")
        self.signals.put(Signal(kind=SignalKind.STAGE, words=stage))

    def answer(self, body: BufferedIOBase, size_bytes: int) -> None:
        """Keep the result; there is one.

        Raises:
            RefusedError: There is one already, or the page did not send all of it.
            OSError: It cannot be written.
        """
        if self._answered:
            raise RefusedError(409, "this block has its result")
        _store(self.directory / RESULT, body, size_bytes)
        self._answered = True
        self.signals.put(Signal(kind=SignalKind.RESULT))


@dataclass(slots=True)
class BatchMail:
    """A page that takes blocks one after the other.

    Attributes:
        path: On the server, with the token.
        hellos: What pages told of themselves.
        ended: Whether there is no more work for it.
    """

    path: str = field(default_factory=lambda: f"/batch/{secrets.token_urlsafe(16)}/")
    hellos: queue.Queue[Mapping[str, Any]] = field(default_factory=queue.Queue)
    ended: bool = False
    _next: str | None = None

    def offer(self, mail: BlockMail | None) -> None:
        """Let the next page that asks take this block; None takes it back."""
        self._next = mail.path if mail is not None else None

    def take(self) -> str | None:
        """Return the path of the block to run, or None while there is none; one page gets it.

        Raises:
            RefusedError: There is no more work.
        """
        if self.ended:
            raise RefusedError(410, "there is no more work")
        path, self._next = self._next, None
        return path

    def greet(self, text: bytes) -> None:
        """Keep what a page tells of itself.

        Raises:
            RefusedError: It is no object.
        """
        try:
            told = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, "this is no JSON") from error
        if not isinstance(told, dict):
            raise RefusedError(400, "this is no object")
        self.hellos.put(told)


def lay_out(request: BlockRequest) -> BlockMail:
    """Write a block's request, remove an older answer, and say what its page may fetch.

    Args:
        request: With the driver's paths.

    Raises:
        StorageError: The output directory cannot be written.
    """
    directory = Path(request.output_directory).absolute()
    files: list[Path] = []

    def number(path: str) -> str:
        files.append(Path(path))
        return f"files/{len(files) - 1}"

    def moved(tensor: TensorFile) -> TensorFile:
        return replace(tensor, path=number(tensor.path))

    asked = replace(
        request,
        model=replace(request.model, path=number(request.model.path)),
        inputs=tuple(moved(tensor) for tensor in request.inputs),
        output_directory="files",
    )
    text = codec.to_json(asked, indent=2)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, PROGRESS):
            (directory / name).unlink(missing_ok=True)
        (directory / REQUEST).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"cannot write the block's request to {directory}: {error.strerror}"
        raise StorageError(message, next_step="make room, or choose another --output") from error
    return BlockMail(request=text.encode(), files=tuple(files), directory=directory)


def served(root: Path) -> Mapping[str, Path]:
    """Return the files of a built page by their path on the server.

    Nothing else is ever served: a path is looked up, never joined, and links are left out.
    """
    found = {}
    for place, directories, names in os.walk(root):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                found["/" + path.relative_to(root).as_posix()] = path
    return found


def _store(path: Path, body: BufferedIOBase, size_bytes: int) -> None:
    """Write a body under its name once all of it is there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            left = size_bytes
            while left:
                chunk = body.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise RefusedError(400, "the body ended early")
                stream.write(chunk)
                left -= len(chunk)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
