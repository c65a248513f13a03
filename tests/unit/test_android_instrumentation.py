"""What `am instrument -w -r` prints is read whole, whatever its pieces and its author."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.android.instrumentation import InstrumentationReader, InstrumentationReport
from ortlab.devices.android.runs import problem_of

FINISHED = b"""INSTRUMENTATION_STATUS: stage=start
INSTRUMENTATION_STATUS_CODE: 1
INSTRUMENTATION_STATUS: stage=measure
INSTRUMENTATION_STATUS_CODE: 1
INSTRUMENTATION_RESULT: ortlab={"block_id": "b-1", "result": "/sdcard/r.json"}
INSTRUMENTATION_CODE: -1
"""
JAVA_CRASH = b"""INSTRUMENTATION_STATUS: stage=warm_up
INSTRUMENTATION_STATUS_CODE: 1
INSTRUMENTATION_RESULT: shortMsg=java.lang.IllegalStateException
INSTRUMENTATION_RESULT: longMsg=java.lang.IllegalStateException: no such tensor
INSTRUMENTATION_CODE: 0
"""
NATIVE_CRASH = b"INSTRUMENTATION_RESULT: shortMsg=Process crashed.\nINSTRUMENTATION_CODE: 0\n"
NOT_FOUND = b"""INSTRUMENTATION_STATUS: id=ActivityManagerService
INSTRUMENTATION_STATUS: Error=Unable to find instrumentation info for: ComponentInfo{a.b/c.D}
INSTRUMENTATION_STATUS_CODE: -1
android.util.AndroidException: INSTRUMENTATION_FAILED: a.b/c.D
\tat com.android.commands.am.Instrument.run(Instrument.java:543)
"""
SYSTEM_CRASH = b"INSTRUMENTATION_ABORTED: System has crashed.\n"
OLD_FAILURE = b"onError: commandError=true message=INSTRUMENTATION_FAILED: a.b/c.D\n"


def read(output: bytes, *cuts: int) -> InstrumentationReport:
    reader = InstrumentationReader()
    edges = [0, *sorted(cuts), len(output)]
    for start, end in itertools.pairwise(edges):
        reader.feed(output[start:end])
    return reader.end()


def test_a_run_that_finished() -> None:
    told: list[tuple[str, str]] = []
    reader = InstrumentationReader(lambda key, value: told.append((key, value)))
    reader.feed(FINISHED)
    report = reader.end()
    assert report.finished
    assert told == [("stage", "start"), ("stage", "measure")]
    assert report.results == {"ortlab": '{"block_id": "b-1", "result": "/sdcard/r.json"}'}
    assert report.status == {"stage": "measure"}
    assert (report.crash, report.start_error) == (None, None)


def test_a_stage_is_told_while_the_app_still_runs() -> None:
    told: list[str] = []
    reader = InstrumentationReader(lambda _, value: told.append(value))
    reader.feed(FINISHED[: FINISHED.index(b"INSTRUMENTATION_STATUS: stage=measure")])
    assert told == ["start"]


def test_crashes() -> None:
    java = read(JAVA_CRASH)
    assert not java.finished
    assert java.crash == "java.lang.IllegalStateException: no such tensor"
    native = read(NATIVE_CRASH)
    assert not native.finished
    assert native.crash == "Process crashed."


def test_what_could_not_be_started() -> None:
    report = read(NOT_FOUND)
    assert not report.finished
    assert report.start_error is not None
    assert "Unable to find instrumentation info" in report.start_error
    assert report.failed == "a.b/c.D"
    assert read(OLD_FAILURE).start_error is not None
    assert read(SYSTEM_CRASH).aborted == "System has crashed."
    assert not read(SYSTEM_CRASH).finished


def test_a_value_may_span_lines() -> None:
    report = read(b"INSTRUMENTATION_RESULT: stack=one\ntwo\n\nthree\r\nINSTRUMENTATION_CODE: 0\r\n")
    assert report.results == {"stack": "one\ntwo\n\nthree"}
    assert report.code == 0


def test_a_cut_output_is_no_success() -> None:
    for end in range(len(FINISHED) - 2):
        assert not read(FINISHED[:end]).finished, FINISHED[:end]


def test_an_endless_line_is_dropped_and_what_follows_counts() -> None:
    reader = InstrumentationReader()
    for _ in range(6):
        reader.feed(b"x" * (1 << 20))
    reader.feed(b"tail\nINSTRUMENTATION_CODE: -1\n")
    report = reader.end()
    assert report.code == -1
    assert sum(map(len, report.said)) < 5 << 20


@given(st.lists(st.integers(0, len(JAVA_CRASH)), max_size=8))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    for output in (FINISHED, JAVA_CRASH, NOT_FOUND):
        assert read(output, *(min(cut, len(output)) for cut in cuts)) == read(output)


KEYS = st.text("abcdefghij_", min_size=1, max_size=8)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES), st.integers(-5, 5))
def test_what_was_said_is_read(status: dict[str, str], results: dict[str, str], code: int) -> None:
    lines = [f"INSTRUMENTATION_STATUS: {key}={value}" for key, value in status.items()]
    lines += [f"INSTRUMENTATION_RESULT: {key}={value}" for key, value in results.items()]
    lines.append(f"INSTRUMENTATION_CODE: {code}")
    report = read("\n".join(lines).encode())
    assert (report.status, report.results, report.code) == (status, results, code)
    assert report.said == ()


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(output: bytes) -> None:
    report = read(output)
    assert report.finished is (report.code == -1 and not report.failed and not report.aborted)


def test_a_problem_that_the_app_tells_is_passed_on() -> None:
    told = '{"block_id": "b-1", "result": null, "problem": "no such request"}'
    assert problem_of(InstrumentationReport(results={"ortlab": told}, code=-1)) == "no such request"
    for answer in ("", "{", "[]", "{}", '{"problem": null}'):
        assert problem_of(InstrumentationReport(results={"ortlab": answer}, code=-1)) == ""
    assert problem_of(InstrumentationReport()) == ""
