"""What people see: tables of at most 80 columns, errors, progress on standard error."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.errors import BUG_EXIT_CODE, OrtlabError

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, never wider than 80 columns on a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def visible(text: str) -> str:
    """Return text whose control and direction characters show as escapes."""
    return "".join(c if c.isprintable() or c == " " else f"\\u{ord(c):04x}" for c in text)


def show_json(value: object) -> None:
    """Print a value as JSON; frozen values go through the codec."""
    if isinstance(value, dict | list):
        print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))
    else:
        from ortlab import codec

        print(codec.to_json(value, indent=2))


def _plain(value: object) -> Any:
    if isinstance(value, Path):
        return str(value)
    from ortlab import codec

    return codec.to_plain(value)


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Print a table.

    Args:
        title: Above it.
        columns: Headers.
        rows: Cells; nothing in them is read as markup.
        right: Columns to align to the right.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(title)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    console().print(table)


def say(text: str = "") -> None:
    """Print a line of the answer."""
    from rich.text import Text

    console().print(Text(visible(text)))


def note(text: str) -> None:
    """Print a line beside the answer, on standard error."""
    from rich.text import Text

    console(stderr=True).print(Text(visible(text)))


def show_error(error: OrtlabError, *, as_json: bool) -> None:
    """Tell what could not be done, why, and the next step."""
    if as_json:
        show_json(
            {
                "error": {
                    "family": type(error).__name__,
                    "exit_code": error.exit_code,
                    "message": error.message,
                    "next_step": error.next_step,
                    "log": str(error.log_path) if error.log_path else None,
                }
            }
        )
        return
    note(f"ortlab: {error.message}")
    if error.next_step:
        note(f"  next: {error.next_step}")
    if error.log_path:
        note(f"  log:  {error.log_path}")


def show_bug(error: Exception, *, as_json: bool) -> None:
    """Keep the traceback in a file and say where; this is our fault, not the user's."""
    descriptor, name = tempfile.mkstemp(prefix="ortlab-bug-", suffix=".txt")
    with os.fdopen(descriptor, "w") as stream:
        stream.write("".join(traceback.format_exception(error)))
    bug = OrtlabError(
        f"this is a bug of ours, not of your input: {type(error).__name__}: {error}",
        next_step="please report it with the file below",
        log_path=Path(name),
    )
    assert bug.exit_code == BUG_EXIT_CODE
    show_error(bug, as_json=as_json)


def _warm_tables() -> None:
    """Load what tables need, in the time in which others work for us."""
    from rich import console, table

    assert all((console, table))


class Progress:
    """Progress on standard error: a live line on a terminal, a line a step elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = ""

    def update(self, text: str) -> None:
        """Show where the work stands."""
        text = visible(text)
        if text == self._last:
            return
        if not self._last:
            _warm_tables()
        self._last = text
        if self._live:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write("\r\x1b[2K" + text[: columns - 1])
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal's line clean."""
        if self._live and self._last:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()
