"""What `am instrument -w -r` prints, read as it comes.

Source of the format: AOSP `frameworks/base/cmds/am`, `Instrument.java`. A value may span lines; it
ends where the next line begins with one of the marks. Other lines are the words of `am` itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

StatusListener = Callable[[str, str], None]

SUCCESS_CODE: Final = -1
"""`Activity.RESULT_OK`: the instrumentation finished by itself."""

_STATUS: Final = "INSTRUMENTATION_STATUS: "
_STATUS_CODE: Final = "INSTRUMENTATION_STATUS_CODE: "
_RESULT: Final = "INSTRUMENTATION_RESULT: "
_CODE: Final = "INSTRUMENTATION_CODE: "
_FAILED: Final = "INSTRUMENTATION_FAILED: "
_ABORTED: Final = "INSTRUMENTATION_ABORTED: "
_ON_ERROR: Final = "onError: "
_MARKS: Final = (_STATUS, _STATUS_CODE, _RESULT, _CODE, _FAILED, _ABORTED, _ON_ERROR)

_LONGEST_LINE_BYTES: Final = 4 << 20
_LONGEST_VALUE: Final = 4 << 20
_KEPT_LINES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentationReport:
    """What an instrumentation said.

    Attributes:
        status: Last value of each key of its status lines.
        results: Key to value of its result.
        code: Result code; None when it said none.
        failed: Why `am` could not start it, or None.
        aborted: Why the system ended it, or None.
        said: Last lines that are no part of the format, such as an exception of `am`.
    """

    status: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    code: int | None = None
    failed: str | None = None
    aborted: str | None = None
    said: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether it ended by itself, with a result."""
        return self.code == SUCCESS_CODE and self.failed is None and self.aborted is None

    @property
    def crash(self) -> str | None:
        """What the system says of a crash, such as ``java.lang.IllegalStateException: …``.

        Java exceptions come with their name; for a native crash it is ``Process crashed.``, which
        newer systems follow with where the fault was.
        """
        long, short = self.results.get("longMsg"), self.results.get("shortMsg")
        return long or short or None

    @property
    def said_nothing(self) -> bool:
        """Whether it gave no sign of having run at all."""
        return self.code is None and self.aborted is None and not (self.status or self.results)

    @property
    def start_error(self) -> str | None:
        """Why it could not be started, in the system's words; None when it was started."""
        if self.failed is None and "Error" not in self.status:
            return None
        return self.status.get("Error") or self.failed or "no reason given"


class InstrumentationReader:
    """Takes the output in pieces of any size.

    Args:
        on_status: Told each key and value of a status line, once the value is complete.
    """

    def __init__(self, on_status: StatusListener | None = None) -> None:
        self._on_status = on_status
        self._pending = bytearray()
        self._dropping = False
        self._open: tuple[str, list[str]] | None = None
        self._open_length = 0
        self._status: dict[str, str] = {}
        self._results: dict[str, str] = {}
        self._code: int | None = None
        self._failed: str | None = None
        self._aborted: str | None = None
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._pending += data
        *lines, rest = self._pending.split(b"\n")
        self._pending = rest
        for line in lines:
            if self._dropping:  # the end of a line that was too long
                self._dropping = False
                continue
            self._take(line)
        if len(rest) > _LONGEST_LINE_BYTES:
            self._pending = bytearray()
            self._dropping = True

    def end(self) -> InstrumentationReport:
        """Return what was said; a last line without its end counts."""
        if self._pending and not self._dropping:
            self._take(self._pending)
        self._pending = bytearray()
        self._close_value()
        return InstrumentationReport(
            status=dict(self._status),
            results=dict(self._results),
            code=self._code,
            failed=self._failed,
            aborted=self._aborted,
            said=tuple(self._said),
        )

    def _take(self, raw: bytes | bytearray) -> None:
        line = raw.removesuffix(b"\r").decode(errors="replace")
        mark = next((mark for mark in _MARKS if line.startswith(mark.rstrip())), None)
        if mark is None:
            self._continue(line)
            return
        self._close_value()
        text = line.removeprefix(mark.rstrip()).removeprefix(" ")
        if mark in (_STATUS, _RESULT):
            self._open, self._open_length = (mark, [text]), len(text)
        elif mark == _CODE:
            self._code = _number(text)
        elif mark == _STATUS_CODE:
            pass  # says only that the lines before belong together
        elif mark == _ABORTED:
            self._aborted = text
        else:  # older systems print an error of `am` as onError with the same words inside
            self._failed = text
            self._said.append(line)

    def _continue(self, line: str) -> None:
        """A line without a mark belongs to the value before, else to `am`."""
        if self._open is None:
            if line.strip():
                self._said.append(line)
                _, found, component = line.partition(_FAILED)
                if found:  # AndroidException: INSTRUMENTATION_FAILED: app/class
                    self._failed = component
            return
        self._open_length += len(line) + 1
        if self._open_length <= _LONGEST_VALUE:
            self._open[1].append(line)

    def _close_value(self) -> None:
        if self._open is None:
            return
        (mark, lines), self._open = self._open, None
        key, _, value = "\n".join(lines).partition("=")
        target = self._status if mark == _STATUS else self._results
        target[key] = value
        if mark == _STATUS and self._on_status is not None:
            self._on_status(key, value)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
