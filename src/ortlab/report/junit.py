"""JUnit XML for gates, as CI systems read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from ortlab.text import visible

_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # takes long to compile


class JUnitStatus(StrEnum):
    """How a gate's row ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitRow:
    """One test case.

    Attributes:
        name: Such as the arm and its base.
        status: ERROR for what could not be decided: CI shows it apart from a failure.
        message: In a sentence.
        duration_s: Time it took.
    """

    name: str
    status: JUnitStatus
    message: str = ""
    duration_s: float = 0.0


_ELEMENTS = {
    JUnitStatus.FAILED: "failure",
    JUnitStatus.ERROR: "error",
    JUnitStatus.SKIPPED: "skipped",
}


def junit(suite: str, rows: Sequence[JUnitRow]) -> str:
    """Return a JUnit XML document; characters that XML cannot hold are shown as signs."""
    counts = Counter(row.status for row in rows)
    head = (
        f'name="{_attribute(suite)}" tests="{len(rows)}" failures="{counts[JUnitStatus.FAILED]}"'
        f' errors="{counts[JUnitStatus.ERROR]}" skipped="{counts[JUnitStatus.SKIPPED]}"'
        f' time="{sum(row.duration_s for row in rows):.3f}"'
    )
    cases = "".join(_case(suite, row) for row in rows)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites>\n<testsuite {head}>\n{cases}</testsuite>\n</testsuites>\n"
    )


def _case(suite: str, row: JUnitRow) -> str:
    head = (
        f'<testcase classname="{_attribute(suite)}" name="{_attribute(row.name)}"'
        f' time="{row.duration_s:.3f}"'
    )
    element = _ELEMENTS.get(row.status)
    if element is None:
        body = f"<system-out>{_text(row.message)}</system-out>" if row.message else ""
    else:
        message = _attribute(row.message)
        body = f'<{element} message="{message}">{_text(row.message)}</{element}>'
    return f"{head}>{body}</testcase>\n" if body else f"{head}/>\n"


def _text(text: str) -> str:
    return escape(
        re.sub(_NOT_XML, "\N{REPLACEMENT CHARACTER}", visible(text, keep_lines=True)), quote=False
    )


def _attribute(text: str) -> str:
    return escape(re.sub(_NOT_XML, "\N{REPLACEMENT CHARACTER}", visible(text)))
