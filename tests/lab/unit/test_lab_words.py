"""The overview in words and in 80 columns, whatever the names hold."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment

from device_lab import status, wording
from device_lab.history import histories
from device_lab.serve import pages
from device_lab.serve.access import names_for
from device_lab.serve.charts import night_words, segment_chart
from device_lab.store import LabStore
from device_lab.values import (
    DEADLINE_PASSED,
    Cell,
    CellResult,
    CellState,
    Estimate,
    Job,
    JobProgress,
    JobSpec,
    KnownPhone,
    Overview,
    PhoneState,
)
from lab.page_samples import HOSTILE, NOW, fill, fill_hostile, make_phone, make_result

texts = st.one_of(st.text(min_size=1, max_size=60), st.sampled_from(HOSTILE))
spans = st.floats(min_value=0, max_value=1e8)


def overview_of(*texts: str, cells: dict[CellState, int] | None = None) -> Overview:
    jobs = tuple(
        JobProgress(
            job=Job(job_id=f"{i:064x}", spec=JobSpec(name=t, models=(t,)), submitted_at=NOW),
            cells=cells or {CellState.OPEN: 2, CellState.DONE: 1},
            reasons=(t,),
        )
        for i, t in enumerate(texts)
    )
    phones = tuple(
        KnownPhone(
            phone=make_phone(t, name=t, host_id=t, os_version=t),
            state=PhoneState.QUARANTINED,
            reason=t,
            since=NOW,
        )
        for t in texts
    )
    return Overview(jobs=jobs, phones=phones, leases=(), block_count=1_234_567)


def printed(overview: Overview, results: tuple[CellResult, ...] = ()) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=80, highlight=False, force_terminal=False)
    console.print(status.status_view(overview, results, NOW))
    return stream.getvalue()


@given(st.lists(texts, min_size=1, max_size=3, unique=True))
def test_the_terminal_never_gets_more_than_80_columns_nor_a_control(names: list[str]) -> None:
    results = tuple(make_result("c", "j", make_phone(n, name=n), n, NOW, arm=n) for n in names)
    text = printed(overview_of(*names), results)
    for line in text.split("\n"):
        assert Segment(line).cell_length <= 80
    assert all(c == "\n" or c.isprintable() or ord(c) >= 0xA0 for c in text)
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


Tag = tuple[str, tuple[str, ...]]


def tags_of(page: str) -> list[Tag]:
    """Return the elements of a page, each with the names of its attributes."""
    tags: list[Tag] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, tuple(name for name, _ in attrs)))

    Reader().feed(page)
    return tags


@given(st.lists(texts, min_size=1, max_size=2, unique=True))
def test_the_page_holds_only_our_own_markup(names: list[str]) -> None:
    def read(names: tuple[str, ...]) -> list[Tag]:
        found = tuple(make_result("c", "j", make_phone(n, name=n), n, NOW, arm=n) for n in names)
        overview = pages.overview_page(overview_of(*names), found, (), NOW)
        return tags_of(overview) + tags_of(pages.history_page(histories(found[:1]), NOW))

    hostile = read(tuple(names))
    plain = read(tuple(f"plain{index}" for index in range(len(names))))
    assert hostile == plain


@pytest.mark.parametrize("make", [fill, fill_hostile])
def test_a_whole_lab_fits_into_80_columns(
    make: Callable[[LabStore], object], tmp_path: Path
) -> None:
    store = LabStore(f"sqlite:///{tmp_path / 'lab.db'}")
    make(store)
    text = printed(store.overview(NOW), store.results(limit=10))
    store.close()
    assert max(Segment(line).cell_length for line in text.split("\n")) <= 80
    assert "recent verdicts" in text
    assert "quarantined" in text


def test_a_job_says_how_long_it_takes_and_on_what_that_rests() -> None:
    estimate = Estimate(
        typical_s=2400, cautious_s=5400, counted_cells=3, unplaced_cells=1, past_durations=23
    )
    (progress,) = overview_of("n").jobs
    told = JobProgress(job=progress.job, cells=progress.cells, estimate=estimate)
    words = wording.estimate_words(told)
    assert words == (
        "about 40 min, seldom over 1 h 30 min (from 23 finished cells);"
        " 1 cell cannot run on any phone now"
    )
    assert wording.estimate_words(progress) == "no estimate yet"
    over = JobProgress(job=progress.job, cells={CellState.DONE: 2}, estimate=estimate)
    assert wording.estimate_words(over) == ""


@pytest.mark.parametrize(
    ("cells", "cancelled", "state"),
    [
        ({CellState.OPEN: 1}, False, "waiting"),
        ({CellState.OPEN: 1, CellState.LEASED: 1}, False, "running"),
        ({CellState.LEASED: 1, CellState.CANCELLED: 1}, True, "running"),
        ({CellState.DONE: 1, CellState.FAILED: 1}, False, "failed"),
        ({CellState.DONE: 1, CellState.CANCELLED: 1}, True, "cancelled"),
        ({CellState.DONE: 2}, False, "done"),
    ],
)
def test_a_job_is_in_one_state(cells: dict[CellState, int], cancelled: bool, state: str) -> None:
    job = Job(
        job_id="0" * 64,
        spec=JobSpec(name="n", models=("m",)),
        submitted_at=NOW,
        cancelled=cancelled,
    )
    row = wording.job_row(JobProgress(job=job, cells=cells), NOW)
    assert row.state == state
    assert row.done + row.failed <= row.ended <= row.total == sum(cells.values())


def test_a_deadline_in_danger_is_told() -> None:
    spec = JobSpec(name="n", models=("m",), deadline=NOW + timedelta(hours=1))
    job = Job(job_id="0" * 64, spec=spec, submitted_at=NOW)
    slow = Estimate(
        typical_s=60, cautious_s=3700, counted_cells=1, unplaced_cells=0, past_durations=2
    )
    row = wording.job_row(JobProgress(job=job, cells={CellState.OPEN: 1}, estimate=slow), NOW)
    assert (row.deadline, row.late) == ("due in 60 min, may not be done by then", True)
    for estimate in (replace(slow, typical_s=3700), replace(slow, unplaced_cells=1)):
        progress = JobProgress(job=job, cells={CellState.OPEN: 2}, estimate=estimate)
        row = wording.job_row(progress, NOW)
        assert (row.deadline, row.late) == ("due in 60 min, will not be done by then", True)
    quick = replace(slow, cautious_s=3500)
    row = wording.job_row(JobProgress(job=job, cells={CellState.OPEN: 1}, estimate=quick), NOW)
    assert (row.deadline, row.late) == ("due in 60 min", False)


def test_a_deadline_that_passed_is_told_as_that() -> None:
    spec = JobSpec(name="n", models=("m",), deadline=NOW + timedelta(hours=1))
    job = Job(job_id="0" * 64, spec=spec, submitted_at=NOW)
    later = NOW + timedelta(hours=2)
    row = wording.job_row(JobProgress(job=job, cells={CellState.OPEN: 1}), later)
    assert (row.state, row.deadline) == ("waiting", "its deadline passed 60 min ago")
    cells = {CellState.DONE: 1, CellState.CANCELLED: 1}
    cut = replace(job, cancelled=True, overdue=True)
    row = wording.job_row(JobProgress(job=cut, cells=cells), later)
    assert (row.state, row.late) == ("overdue", True)
    assert row.deadline == "its deadline passed 60 min ago"
    row = wording.job_row(JobProgress(job=replace(job, cancelled=True), cells=cells), later)
    assert (row.state, row.deadline, row.late) == ("cancelled", "", False)
    row = wording.job_row(JobProgress(job=job, cells={CellState.DONE: 1}), later)
    assert (row.state, row.deadline, row.late) == ("done", "", False)


def test_page_and_terminal_say_that_a_deadline_passed() -> None:
    progress, cells = overdue("reader")
    later = NOW + timedelta(hours=2)
    overview = Overview(jobs=(progress,), phones=(), leases=(), block_count=0)
    page = pages.job_page(progress, cells, (), later)
    for shown in (page, pages.overview_page(overview, (), (), later), printed(overview)):
        assert "overdue" in shown
        assert "1 cancelled: its deadline passed" in shown
    assert "its deadline passed 2 h ago" in page


@given(texts)
def test_a_cells_reason_brings_no_markup_of_its_own(reason: str) -> None:
    hostile, plain = (pages.job_page(*overdue(text), (), NOW) for text in (reason, "plain"))
    assert tags_of(hostile) == tags_of(plain)


def overdue(name: str) -> tuple[JobProgress, list[Cell]]:
    """Return a job that missed its deadline, with a cell that failed before for a reason."""
    spec = JobSpec(name="n", models=(name,), deadline=NOW)
    job = Job(job_id="0" * 64, spec=spec, submitted_at=NOW, cancelled=True, overdue=True)
    ends = {CellState.CANCELLED: DEADLINE_PASSED, CellState.FAILED: name}
    cells = [
        Cell(cell_id=f"{at}", job_id=job.job_id, model=name, slot=at, state=state, reason=reason)
        for at, (state, reason) in enumerate(ends.items())
    ]
    reasons = (f"1 cancelled: {DEADLINE_PASSED}",)
    return JobProgress(job=job, cells=dict.fromkeys(ends, 1), reasons=reasons), cells


@given(spans, spans)
@example(90.0, 0.0)
@example(599.6, 600.4)
def test_a_longer_span_never_reads_shorter(one: float, other: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400}

    def seconds(text: str) -> int:
        words = text.split()
        return sum(int(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))

    short, long = sorted((one, other))
    assert seconds(wording.span(short)) <= seconds(wording.span(long))
    assert abs(seconds(wording.span(one)) - one) <= max(0.5, 0.06 * one)


@given(st.floats(min_value=0.01, max_value=100))
def test_a_change_has_a_sign_and_no_negative_zero(ratio: float) -> None:
    text = wording.change(ratio)
    assert text.endswith(" %")
    assert (text[0] == "+") == (round((ratio - 1) * 100, 1) > 0)
    assert not text.startswith(("-", "−0.0"))


def test_watching_a_pipe_prints_only_what_changed() -> None:
    stream, stop = io.StringIO(), threading.Event()
    states = iter([overview_of("a"), overview_of("a"), overview_of("b")])

    def read() -> tuple[Overview, tuple[()]]:
        try:
            return next(states), ()
        except StopIteration:
            stop.set()
            return overview_of("b"), ()

    console = Console(file=stream, width=80, force_terminal=False)
    status.follow(read, console, clock=lambda: NOW, interval_s=0, stop=stop, as_json=True)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["jobs"][0]["job"]["spec"]["name"] for line in lines] == ["a", "b"]


def test_watching_in_a_terminal_renews_one_table_until_ctrl_c() -> None:
    stream = io.StringIO()
    seen: list[int] = []

    def read() -> tuple[Overview, tuple[()]]:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return overview_of(f"job {len(seen)}"), ()

    console = Console(file=stream, width=80, height=50, force_terminal=True)
    status.follow(read, console, clock=lambda: NOW, interval_s=0)
    text = stream.getvalue()
    assert "job 1" in text
    assert "job 2" in text
    assert "\x1b[1A" in text  # the second stands where the first one stood


def test_a_history_is_drawn_over_the_band_of_the_nights_before() -> None:
    phone = make_phone("p")
    ratios = [1.0, 1.002, 0.998, 1.001, 1.2]
    results = [
        make_result(f"c{i}", "j", phone, "m", NOW + timedelta(days=i), ratio=ratio)
        for i, ratio in enumerate(ratios)
    ]
    (history,) = histories(results)
    (segment,) = history.segments
    drawn = segment_chart(segment, "label")
    assert drawn.count("<svg") == 2
    assert drawn.count('class="band"') == 2 * 2
    assert drawn.count('class="night slower"') == 2
    assert "style=" not in drawn
    assert night_words(segment.nights[-1]) in drawn
    single = histories(results[:1])[0].segments[0]
    assert segment_chart(single, "label").count("<circle") == 2


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6, allow_nan=False), min_size=1, max_size=12))
def test_no_ratio_leaves_the_drawing(ratios: list[float]) -> None:
    import re

    phone = make_phone("p")
    results = [
        make_result(f"c{i}", "j", phone, "m", NOW + timedelta(days=i), ratio=ratio)
        for i, ratio in enumerate(ratios)
    ]
    segment = histories(results)[0].segments[0]
    drawn = segment_chart(segment, "x")
    for name, value in re.findall(r'\b(x|y|cx|cy|x1|x2|y1|y2|width|height)="([^"]*)"', drawn):
        assert 0 <= float(value) <= 950, (name, value)


@given(st.text(max_size=40))
def test_no_name_but_its_own_is_let_in(host: str) -> None:
    loopback = names_for("127.0.0.1")
    if loopback.allow(host):
        assert host.strip().lower().lstrip("[").startswith(("localhost", "127.0.0.1", "::1"))


def test_a_lab_of_many_phones_fits_a_screen_and_says_a_reason_once() -> None:
    phones = tuple(
        KnownPhone(
            phone=make_phone(f"phone-{number:02d}", name="Pixel"),
            state=PhoneState.BLOCKED if number < 5 else PhoneState.AVAILABLE,
            reason="its screen is locked" if number < 5 else None,
            since=NOW,
        )
        for number in range(40)
    )
    text = printed(replace(overview_of(), phones=phones))
    assert text.count("its screen is locked") == 1
    assert "phone-00, phone-01, phone-02 and 2 more blocked: its screen is locked" in text
    assert text.count("Pixel") == status.MOST_PHONES
    assert f"further phones: {40 - status.MOST_PHONES} available" in text


def test_what_runs_stands_before_what_waits() -> None:
    waiting = overview_of(*(f"waits {number}" for number in range(status.MOST_JOBS + 2))).jobs
    (begun,) = overview_of("runs", cells={CellState.LEASED: 1}).jobs
    text = printed(Overview(jobs=(*waiting, begun), phones=(), leases=(), block_count=0))
    assert text.index("runs") < text.index("waits 0")
    assert "further jobs: 3 waiting" in text
