"""The pages as HTML, out of values; nobody's text but ours is ever markup.

What is not our own is escaped by jinja2, and every character that acts unseen is shown as a sign
first. There is no script: a page renews itself by its own header.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from device_lab import wording
from device_lab.history import History, Night, Segment
from device_lab.serve import charts
from device_lab.values import (
    Attempt,
    Cell,
    CellResult,
    Event,
    JobProgress,
    KnownPhone,
    Overview,
)
from ortlab.text import shorten, visible

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_ROWS = 100
MOST_OVER = 20
_LONGEST_NAME = 100
_LONGEST_REASON = 300
_LONGEST_STUB = 24
_VERDICT_CLASSES = {
    "faster": "faster",
    "slower": "slower",
    "equivalent": "same",
    "inconclusive": "open",
}


def overview_page(
    overview: Overview, results: Sequence[CellResult], events: Sequence[Event], now: datetime
) -> str:
    """Return the first page: queue, phones, recent verdicts, what happened last."""
    rows = wording.job_rows(overview, now)
    jobs = [row for row in rows if row.ended < row.total]
    over = [row for row in rows if row.ended >= row.total]
    phones = wording.phone_rows(overview, now)
    return _render(
        "overview.html",
        now,
        summary=wording.summary(overview),
        jobs=jobs[:MOST_ROWS],
        more_jobs=max(0, len(jobs) - MOST_ROWS),
        over=over[:MOST_OVER],
        phones=phones[:MOST_ROWS],
        more_phones=max(0, len(phones) - MOST_ROWS),
        verdicts=wording.verdict_rows(results, now)[:MOST_ROWS],
        events=events,
    )


def job_page(
    progress: JobProgress,
    cells: Sequence[Cell],
    results: Sequence[CellResult],
    now: datetime,
) -> str:
    """Return a job's page: what it asks for, its cells and their verdicts."""
    return _render(
        "job.html",
        now,
        job=progress.job,
        row=wording.job_row(progress, now),
        requirements=wording.requirement_words(progress.job.spec.requirements),
        cells=cells[:MOST_ROWS],
        more_cells=max(0, len(cells) - MOST_ROWS),
        verdicts=wording.verdict_rows(results, now)[:MOST_ROWS],
    )


def phone_page(
    known: KnownPhone,
    overview: Overview,
    attempts: Sequence[Attempt],
    results: Sequence[CellResult],
    now: datetime,
) -> str:
    """Return a phone's page: how it is, what it did, and which models were measured on it."""
    wanted = known.phone.phone_id
    row = next(row for row in wording.phone_rows(overview, now) if row.phone_id == wanted)
    return _render(
        "phone.html",
        now,
        row=row,
        info=known.phone.info,
        soc=known.phone.soc,
        attempts=attempts[:MOST_ROWS],
        models=sorted({result.model_name for result in results}),
        verdicts=wording.verdict_rows(results, now)[:MOST_ROWS],
    )


def history_page(histories: Sequence[History], now: datetime) -> str:
    """Return a model's nights on a phone, each against the control measured in the same night.

    Args:
        histories: One an arm, of one model on one phone; at least one.
        now: The time.
    """
    arms = [
        (history, [_drawn(history, segment) for segment in history.segments])
        for history in histories
    ]
    return _render("history.html", now, first=histories[0], arms=arms)


def _drawn(history: History, segment: Segment) -> tuple[Segment, Any, tuple[Night, ...]]:
    label = f"{history.arm} of {history.model_name} on {history.phone_name}, a point a night"
    newest_first = segment.nights[::-1][:MOST_ROWS]
    return segment, _own_markup(charts.segment_chart(segment, label)), newest_first


def message_page(title: str, words: str) -> str:
    """Return a page of few words, such as a refusal; it says nothing of the lab."""
    return _environment().get_template("message.html").render(title=title, words=words)


def warm() -> None:
    """Load what pages need, so that the first visitor does not wait for it."""
    from ortlab.statistics import interval

    environment = _environment()
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)
    interval((0.0, 0.01, 0.02), alpha=0.05)


def style() -> str:
    """Return the pages' style sheet."""
    return _source("style.css")


def icon() -> str:
    """Return the pages' icon, as SVG."""
    return _source("icon.svg")


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _render(template: str, now: datetime, **values: Any) -> str:
    return _environment().get_template(template).render(now=now, **values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("device_lab.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        named=_named,
        brief=_brief,
        stub=_stub,
        plain=_plain,
        clock=_clock,
        iso=_iso,
        chip=_chip,
        share=_share,
        change=wording.change,
    )
    environment.globals["address"] = _address
    environment.globals["ago"] = wording.ago
    return environment


def _shown(value: Any) -> Any:
    """Make every text that a template prints visible and of bearable length; markup is ours."""
    if value is None:
        return "–"
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return shorten(visible(value))
    return value


def _named(value: str) -> str:
    """Return a name short enough for a cell of a table."""
    return shorten(visible(value), _LONGEST_NAME) or "(no name)"


def _brief(value: str) -> str:
    """Return a reason of a few lines at most."""
    return shorten(visible(value), _LONGEST_REASON)


def _stub(value: str) -> str:
    """Return enough of an id to find it."""
    hexadecimal = len(value) == 64 and all(c in "0123456789abcdef" for c in value)
    return value[:12] if hexadecimal else shorten(visible(value), _LONGEST_STUB)


def _plain(kind: str) -> str:
    return kind.replace("-", " ")


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _chip(verdict: str) -> str:
    return _VERDICT_CLASSES.get(verdict, "none")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "0"


def _address(path: str, **parameters: str) -> Any:
    from markupsafe import escape

    # Half a surrogate pair has no bytes in UTF-8; such a name leads nowhere, but breaks nothing.
    return escape(f"{path}?{urlencode(parameters, errors='replace')}")


def _own_markup(source: str) -> Any:
    from markupsafe import Markup

    return Markup(source)  # noqa: S704 - our own chart
