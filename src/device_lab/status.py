"""The lab's overview for the terminal: the page's queue and phones in 80 columns, or live.

Nothing is printed here but to the console that the command line passes in.
"""

from __future__ import annotations

import contextlib
import json
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from device_lab import wording
from device_lab.values import CellResult, Overview
from ortlab.codec import to_plain
from ortlab.text import shorten, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MOST_JOBS = 12
MOST_OVER = 3
MOST_PHONES = 12
MOST_VERDICTS = 10
_MOST_NAMES = 3
_LONGEST_NAME = 60
_LONGEST_REASON = 400
_COLOURS = {
    "running": "cyan",
    "leased": "cyan",
    "done": "green",
    "available": "green",
    "failed": "red",
    "quarantined": "red",
    "overdue": "red",
    "blocked": "yellow",
    "faster": "blue",
    "slower": "red",
}
_BAR = 10
_COLUMNS = 80

Read = Callable[[], tuple[Overview, Sequence[CellResult]]]
"""Returns the overview and the newest results, newest first."""


def status_json(overview: Overview, now: datetime) -> dict[str, Any]:
    """Return the overview for machines."""
    return {"at": now.isoformat(), **to_plain(overview)}


def status_view(overview: Overview, results: Sequence[CellResult], now: datetime) -> RenderableType:
    """Return the overview as rich tables of at most 80 columns.

    Args:
        overview: Of the lab.
        results: The newest, newest first.
        now: The time.
    """
    from rich.console import Group
    from rich.text import Text

    # rich would break a figure between its thousands.
    summary = textwrap.fill(wording.summary(overview), _COLUMNS)
    parts: list[RenderableType] = [Text(summary)]
    for section in (_jobs(overview, now), _phones(overview, now), _verdicts(results, now)):
        parts += [Text(), *section] if section else []
    return Group(*parts)


def follow(
    read: Read,
    console: Console,
    *,
    clock: Callable[[], datetime],
    interval_s: float = 2.0,
    stop: threading.Event | None = None,
    as_json: bool = False,
) -> None:
    """Show the overview again and again until ``stop`` is set or Ctrl-C comes.

    A terminal shows one table that renews itself; elsewhere each new state follows the last one,
    and with ``as_json`` it is a line of its own.
    """
    stopping = stop or threading.Event()
    # Ctrl-C is how one stops looking, and no mishap.
    with contextlib.suppress(KeyboardInterrupt):
        if console.is_terminal and not as_json:
            _follow_live(read, console, clock, interval_s, stopping)
        else:
            _follow_lines(read, console, clock, interval_s, stopping, as_json=as_json)


def _follow_lines(
    read: Read,
    console: Console,
    clock: Callable[[], datetime],
    interval_s: float,
    stopping: threading.Event,
    *,
    as_json: bool,
) -> None:
    last = ""
    while not stopping.is_set():
        overview, results = read()
        now = clock()
        shown = json.dumps(to_plain(overview))
        if shown != last:
            last = shown
            if as_json:
                console.file.write(json.dumps(status_json(overview, now)) + "\n")
            else:
                console.print(status_view(overview, results, now))
            console.file.flush()
        stopping.wait(interval_s)


def _follow_live(
    read: Read,
    console: Console,
    clock: Callable[[], datetime],
    interval_s: float,
    stopping: threading.Event,
) -> None:
    from rich.live import Live

    def view() -> RenderableType:
        overview, results = read()
        return status_view(overview, results, clock())

    with Live(view(), console=console, auto_refresh=False, screen=False) as live:
        while not stopping.wait(interval_s):
            live.update(view(), refresh=True)


def _jobs(overview: Overview, now: datetime) -> list[RenderableType]:
    rows = wording.job_rows(overview, now)
    if not rows:
        return [_text("No jobs; next: ortlab lab submit JOB.toml")]
    table = _table("jobs", ("job", "state", "cells", "", "how long yet"), right=(2,))
    over = [row for row in rows if row.ended >= row.total]
    begun = [row for row in rows if row.state == "running"]
    waiting = [row for row in rows if row.ended < row.total and row.state != "running"]
    shown = [*[*begun, *waiting][:MOST_JOBS], *over[:MOST_OVER]]
    for row in shown:
        cells = f"{row.done} of {row.total}"
        told = "; ".join(text for text in (row.deadline, row.estimate) if text)
        name = f"{_named(row.name)}\n{row.short_id}"
        table.add_row(_text(name), _state(row.state), _text(cells), _bar(row), _text(told))
    parts: list[RenderableType] = [table]
    if len(rows) > len(shown):
        further = _counts(row.state for row in rows if row not in shown)
        parts.append(_text(f"further jobs: {further}; ortlab lab status --json"))
    for row in shown:
        parts += [_text(f"{_named(row.name)}: {_reason(why)}") for why in row.reasons[:3]]
    return parts


def _phones(overview: Overview, now: datetime) -> list[RenderableType]:
    rows = wording.phone_rows(overview, now)
    if not rows:
        return [_text("No phones; next: ortlab lab agent")]
    table = _table("phones", ("phone", "state", "battery", "temp", "host"), right=(2, 3))
    for row in rows[:MOST_PHONES]:
        virtual = " (virtual)" if row.virtual else ""
        name = f"{_named(row.name)}{virtual}\n{_named(row.phone_id)}"
        table.add_row(
            _text(name),
            _state(row.state),
            _text(row.battery),
            _text(row.temperature),
            _text(f"{_named(row.host_id)}\n{_doing(row)}"),
        )
    parts: list[RenderableType] = [table]
    if len(rows) > MOST_PHONES:
        further = _counts(row.state for row in rows[MOST_PHONES:])
        parts.append(_text(f"further phones: {further}; ortlab lab phones list"))
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows[:MOST_PHONES]:
        if row.reason and not row.work:
            alike.setdefault((row.state, row.reason), []).append(_named(row.phone_id))
    parts += [
        _text(f"{_enough(names)} {state}: {_reason(reason)}")
        for (state, reason), names in alike.items()
    ]
    return parts


def _doing(row: wording.PhoneRow) -> str:
    return f"measures {_named(row.work)}" if row.work else f"seen {row.seen}"


def _enough(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _counts(states: Iterable[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(states).items())


def _verdicts(results: Sequence[CellResult], now: datetime) -> list[RenderableType]:
    rows = wording.verdict_rows(results, now)[:MOST_VERDICTS]
    if not rows:
        return []
    table = _table("recent verdicts", ("model", "phone", "arm", "verdict", "when"))
    for row in rows:
        verdict = _state(row.verdict)
        verdict.append(f"\n{row.change}" + (f" [{_short(row.interval)}]" if row.interval else ""))
        arm = f"{_named(row.arm)}\nagainst {_named(row.baseline)}"
        table.add_row(
            _text(_named(row.model_name)), _text(_named(row.phone_name)), _text(arm), verdict,
            _text(row.ago),
        )  # fmt: skip
    return [table]


def _table(title: str, columns: Sequence[str], *, right: Sequence[int] = ()) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    return table


def _bar(row: wording.JobRow) -> Any:
    from rich.text import Text

    done = row.done * _BAR // row.total if row.total else 0
    failed = (row.done + row.failed) * _BAR // row.total if row.total else 0
    ended = row.ended * _BAR // row.total if row.total else 0
    bar = Text("█" * done, style="cyan")
    bar.append("▒" * (failed - done), style="red")
    bar.append("░" * (ended - failed), style="dim")
    return bar.append("·" * (_BAR - ended), style="dim")


def _state(word: str) -> Any:
    from rich.text import Text

    return Text(visible(shorten(word, 20)), style=_COLOURS.get(word, ""))


def _text(words: str) -> Any:
    from rich.text import Text

    return Text(visible(words, keep_lines=True))


def _short(interval: str) -> str:
    return interval.replace(" %", "").replace(" to ", " ")


def _named(name: str) -> str:
    # A line feed in a name must not make a line of its own.
    return shorten(visible(name), _LONGEST_NAME)


def _reason(words: str) -> str:
    return shorten(visible(words), _LONGEST_REASON)
