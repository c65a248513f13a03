"""Which address shows what: the pages, and the same as JSON below ``/api``.

Every answer reads the store anew; nothing is written, and no answer grows with the blocks.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from device_lab.history import History, histories
from device_lab.serve import pages
from device_lab.serve.access import Names, PageToken
from device_lab.serve.guard import Application, Door, Guard
from device_lab.store import LabStore
from device_lab.values import JobProgress
from ortlab.codec import to_plain
from ortlab.errors import OrtlabError, UsageError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

RECENT_RESULTS = 40
RECENT_EVENTS = 20
MOST_RESULTS = 1000
_LONGEST_PARAMETER = 20_000
_LOG = logging.getLogger("device_lab.serve")


def make_application(
    store: LabStore,
    *,
    token: PageToken,
    names: Names,
    cookie_name: str,
    clock: Callable[[], datetime],
) -> Application:
    """Return the page as an ASGI application.

    Args:
        store: Of the lab; only read.
        token: That opens the page.
        names: Under which it answers.
        cookie_name: Of the browser's cookie.
        clock: Returns the time in UTC.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    answers = _Answers(store, clock)
    shown = {
        "/": answers.overview,
        "/job": answers.job,
        "/phone": answers.phone,
        "/history": answers.history,
    }
    plain = {
        "/api/overview": answers.overview_json,
        "/api/job": answers.job_json,
        "/api/results": answers.results_json,
        "/api/history": answers.history_json,
        "/api/events": answers.events_json,
    }
    files = {"/style.css": answers.style, "/icon.svg": answers.icon}
    routes = {**shown, **plain, **files}
    application: Any = Starlette(
        routes=[Route(path, endpoint) for path, endpoint in routes.items()],
        exception_handlers={HTTPException: _refused, UsageError: _refused, OrtlabError: _silent},
    )
    door = Door(
        token=token,
        names=names,
        cookie_name=cookie_name,
        pages=frozenset(shown),
        message=pages.message_page,
    )
    return Guard(application, door)


class _Answers:
    """One method an address; they run in threads, since the store waits for its database."""

    def __init__(self, store: LabStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def overview(self, _request: Request) -> Response:
        now = self._clock()
        results = self._store.results(limit=RECENT_RESULTS)
        events = self._store.events(limit=RECENT_EVENTS)
        return _html(pages.overview_page(self._store.overview(now), results, events, now))

    def job(self, request: Request) -> Response:
        now = self._clock()
        job = self._store.job(_parameter(request, "id"))
        overview = self._store.overview(now)
        cells = self._store.cells(job.job_id)
        # The overview leaves out jobs that are long over.
        old = JobProgress(job=job, cells=Counter(cell.state for cell in cells))
        progress = next((one for one in overview.jobs if one.job.job_id == job.job_id), old)
        results = self._store.results(job_id=job.job_id, limit=pages.MOST_ROWS)
        return _html(pages.job_page(progress, cells, results, now))

    def phone(self, request: Request) -> Response:
        now = self._clock()
        phone_id = _parameter(request, "id")
        overview = self._store.overview(now)
        known = next((one for one in overview.phones if one.phone.phone_id == phone_id), None)
        if known is None:
            message = "the lab knows no such phone"
            raise UsageError(message)
        attempts = self._store.attempts(phone_id=phone_id, limit=pages.MOST_ROWS)
        results = self._store.results(phone_id=phone_id, limit=MOST_RESULTS)
        return _html(pages.phone_page(known, overview, attempts, results, now))

    def history(self, request: Request) -> Response:
        return _html(pages.history_page(self._histories(request), self._clock()))

    def overview_json(self, _request: Request) -> Response:
        now = self._clock()
        return _json({"at": now.isoformat(), **to_plain(self._store.overview(now))})

    def job_json(self, request: Request) -> Response:
        job = self._store.job(_parameter(request, "id"))
        cells = self._store.cells(job.job_id)
        return _json({"job": to_plain(job), "cells": [to_plain(cell) for cell in cells]})

    def results_json(self, request: Request) -> Response:
        chosen = request.query_params
        results = self._store.results(
            model_name=chosen.get("model"),
            phone_id=chosen.get("phone"),
            job_id=chosen.get("job"),
            limit=_limit(request),
        )
        return _json({"results": [to_plain(result) for result in results]})

    def history_json(self, request: Request) -> Response:
        return _json({"histories": [to_plain(one) for one in self._histories(request)]})

    def events_json(self, request: Request) -> Response:
        events = self._store.events(limit=_limit(request))
        return _json({"events": [to_plain(event) for event in events]})

    def style(self, _request: Request) -> Response:
        return _response(pages.style(), "text/css; charset=utf-8")

    def icon(self, _request: Request) -> Response:
        return _response(pages.icon(), "image/svg+xml")

    def _histories(self, request: Request) -> Sequence[History]:
        results = self._store.results(
            model_name=_parameter(request, "model"),
            phone_id=_parameter(request, "phone"),
            limit=MOST_RESULTS,
        )
        found = histories(results)
        if not found:
            message = "this model was never compared with a control arm on this phone"
            raise UsageError(message)
        return found


def _parameter(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if not value or len(value) > _LONGEST_PARAMETER:
        message = f"the address needs ?{name}=…"
        raise UsageError(message)
    return value


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        message = f"limit must be a whole number up to {MOST_RESULTS}"
        raise UsageError(message)
    return min(int(text), MOST_RESULTS)


def _refused(request: Request, error: Exception) -> Response:
    """Answer for an address that leads nowhere."""
    words = error.message if isinstance(error, UsageError) else "There is no such page."
    return _told(request, 404, "Not found", words)


def _silent(request: Request, error: Exception) -> Response:
    """Answer where the store does not; its words may name hosts and files, so they stay here."""
    _LOG.warning("cannot read the lab's store: %s", type(error).__name__)
    words = "The lab's store cannot be read now; ortlab lab status says why."
    return _told(request, 503, "No answer now", words)


def _told(request: Request, status: int, title: str, words: str) -> Response:
    if request.url.path.startswith("/api/"):
        return _json({"error": words}, status=status)
    return _html(pages.message_page(title, words), status=status)


def _html(text: str, *, status: int = 200) -> Response:
    return _response(text, "text/html; charset=utf-8", status=status)


def _json(value: dict[str, Any], *, status: int = 200) -> Response:
    # Half a surrogate pair has no bytes in UTF-8, but an escape in JSON.
    return _response(json.dumps(value), "application/json", status=status)


def _response(text: str, media_type: str, *, status: int = 200) -> Response:
    from starlette.responses import Response

    body = text.encode("utf-8", "backslashreplace")
    return Response(body, status_code=status, headers={"content-type": media_type})
