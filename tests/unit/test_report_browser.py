"""What pages told of their browser is where a reader looks, in every format."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortlab.domain import Block, Outcome
from ortlab.report import ReportFormat, html, markdown, write_report
from ortlab.wire import BrowserFacts
from report_samples import (
    BROWSER,
    HOSTILE,
    ReportSample,
    hostile,
    in_browser,
    make_sample,
    very_hostile,
)

HEAD = "**Measured in a browser**"


@cache
def small() -> ReportSample:
    """Return a sample of few blocks, none of which ran in a browser."""
    return make_sample(rounds=3, samples=4)


def always(**changes: Any) -> ReportSample:
    """Return a sample every block of which says the same."""
    return in_browser(small(), lambda _: replace(BROWSER, **changes))


def page_facts(sample: ReportSample) -> list[tuple[str, list[str]]]:
    """Return the names of the page's conditions, each with its words."""
    source = html.render(sample.run, sample.analysis, sample.prepared)
    listed = source[source.index("<dl>") : source.index("</dl>")]
    return [
        (
            unescape(part.partition("</dt>")[0]),
            [unescape(words) for words in re.findall(r"<dd>(.*?)</dd>", part, flags=re.DOTALL)],
        )
        for part in listed.split("<dt>")[1:]
    ]


def markdown_facts(sample: ReportSample) -> list[str]:
    """Return the lines about the browser."""
    text = markdown.render(sample.run, sample.analysis)
    return text.partition(HEAD)[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()


def check_both(sample: ReportSample, name: str, words: str) -> None:
    """HTML and Markdown say this."""
    assert dict(page_facts(sample))[name] == [words]
    assert f"- {name}: {markdown.escape(words)}" in markdown_facts(sample)


def test_what_was_measured_in_is_told_in_five_lines() -> None:
    sample = always(threads_asked=2, adapter="google swiftshader", adapter_is_fallback=True)
    check_both(sample, "Browser", "(X11; Linux x86_64) HeadlessChrome/156.0.0.0 Safari/537.36")
    check_both(sample, "Page", "cross-origin isolated, always visible")
    check_both(sample, "Clock step", "5.00 µs (perf_counter)")
    check_both(sample, "Threads", "2 asked for, 2 got")
    check_both(sample, "WebGPU adapter", "google swiftshader (software)")
    assert len(markdown_facts(sample)) == 5
    assert max(map(len, markdown_facts(sample))) <= 80


def test_without_a_browser_nothing_is_said_of_one(tmp_path: Path) -> None:
    sample = small()
    names = {name for name, _ in page_facts(sample)}
    assert "Clock" in names
    assert not names & {"Browser", "Page", "Clock step", "Threads", "WebGPU adapter"}
    assert HEAD not in markdown.render(sample.run, sample.analysis)
    formats = frozenset({ReportFormat.CSV})
    write_report(sample.run, sample.analysis, None, tmp_path, formats=formats)
    head = (tmp_path / "blocks.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "median_ns" in head
    assert not any(name in head for name in ("isolated", "threads", "adapter", "user_agent"))


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"threads_asked": None, "threads_got": 4}, "Threads", "4, as the runtime chose"),
        ({"threads_asked": 4, "threads_got": 1}, "Threads", "4 asked for, 1 got"),
        ({"threads_asked": 4, "threads_got": None}, "Threads", "4 asked for"),
        (
            {"cross_origin_isolated": False, "clock_step_ns": 100_000},
            "Page",
            "not cross-origin isolated, always visible",
        ),
        ({"clock_step_ns": 100_000}, "Clock step", "100 µs (perf_counter)"),
        ({"clock_step_ns": 0}, "Clock step", "too coarse to be seen (perf_counter)"),
        (
            {"adapter": "nvidia ada", "adapter_is_fallback": False},
            "WebGPU adapter",
            "nvidia ada (not software)",
        ),
        ({"adapter": "unnamed"}, "WebGPU adapter", "unnamed (software or not: unknown)"),
    ],
)
def test_a_fact_that_is_the_same_in_every_block(
    changes: dict[str, object], name: str, words: str
) -> None:
    check_both(always(**changes), name, words)


def test_what_no_page_tells_has_no_line() -> None:
    names = {name for name, _ in page_facts(always(threads_got=None))}
    assert "Browser" in names
    assert not names & {"Threads", "WebGPU adapter"}


def test_arms_that_differ_have_a_line_each_and_blocks_that_differ_a_range() -> None:
    def told(block: Block) -> BrowserFacts:
        if block.arm_id == "onnx":
            return replace(BROWSER, threads_asked=4, threads_got=2 + 2 * (block.round_index % 2))
        if block.arm_id == "fixed-amd64":
            return replace(BROWSER, adapter="swiftshader", adapter_is_fallback=True)
        return BROWSER

    sample = in_browser(small(), told)
    facts = dict(page_facts(sample))
    assert facts["Threads"] == [
        ".onnx – 4 asked for, 2 to 4 got",
        "Fixed – 2, as the runtime chose",
        "Runtime, replayed – 2, as the runtime chose",
        "Runtime, not replayed – 2, as the runtime chose",
    ]
    assert facts["WebGPU adapter"] == ["Fixed – swiftshader (software)"]
    lines = markdown_facts(sample)
    start = lines.index("- Threads:")
    assert lines[start + 1 : start + 5] == [f"  - {words}" for words in facts["Threads"]]
    assert "- WebGPU adapter: Fixed – swiftshader (software)" in lines


def test_blocks_that_differ_are_counted() -> None:
    first: list[str] = []

    def told(block: Block) -> BrowserFacts:
        if len(first) < 3:
            first.append(block.block_id)
            return replace(BROWSER, cross_origin_isolated=False, clock_step_ns=100_000)
        return replace(BROWSER, visible=block.block_id.startswith("latency"))

    sample = in_browser(small(), told)
    results = [block for block in sample.run.blocks if block.result]
    side = sum(not block.block_id.startswith("latency") for block in results[3:])
    count = len(results)
    (page,) = dict(page_facts(sample))["Page"]
    assert page == (
        f"cross-origin isolated in {count - 3} of {count} blocks,"
        f" hidden at times in {side} of {count} blocks"
    )
    assert dict(page_facts(sample))["Clock step"] == ["5.00 to 100 µs (perf_counter)"]


def test_a_block_that_failed_does_not_tell_how_many_threads_there_were() -> None:
    def told(block: Block) -> BrowserFacts:
        return replace(BROWSER, threads_got=0 if block.outcome is Outcome.FAILED else 2)

    check_both(in_browser(small(), told), "Threads", "2, as the runtime chose")


def test_tables_hold_what_each_block_told(tmp_path: Path) -> None:
    sample = always(threads_asked=4, adapter="=cmd|x", adapter_is_fallback=False)
    formats = frozenset({ReportFormat.CSV, ReportFormat.PARQUET})
    write_report(sample.run, sample.analysis, None, tmp_path, formats=formats)
    rows = pq.read_table(tmp_path / "blocks.parquet").to_pylist()
    expected = {
        "cross_origin_isolated": True,
        "clock_step_ns": 5_000,
        "threads_asked": 4,
        "threads_got": 2,
        "adapter": "=cmd|x",
        "adapter_is_fallback": False,
        "visible": True,
        "user_agent": BROWSER.user_agent,
    }
    for row, block in zip(rows, sample.run.blocks, strict=True):
        told = {name: row[name] for name in expected}
        assert told == (expected if block.result else dict.fromkeys(expected))
    with (tmp_path / "blocks.csv").open(encoding="utf-8", newline="") as file:
        assert {row["adapter"] for row in csv.DictReader(file)} == {"'=cmd|x", ""}


@pytest.mark.parametrize("rename", [hostile, very_hostile])
def test_a_browser_names_its_adapter_without_changing_the_page(rename: object) -> None:
    def structure(adapter: str, user_agent: str) -> list[str]:
        sample = always(adapter=adapter, adapter_is_fallback=True, user_agent=user_agent)
        source = html.render(sample.run, sample.analysis, sample.prepared)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", source)
        return re.findall(r"<[^>]*>", source)

    assert callable(rename)
    assert structure(rename("adapter"), rename("agent")) == structure("adapter", "agent")


@settings(max_examples=60)
@given(st.text(st.characters(), min_size=1, max_size=300) | st.sampled_from(HOSTILE))
def test_markdown_keeps_lines_and_width_whatever_the_browser_says(text: str) -> None:
    lines = markdown_facts(always(adapter=text, adapter_is_fallback=True, user_agent=text))
    assert [line.partition(":")[0] for line in lines] == [
        "- Browser",
        "- Page",
        "- Clock step",
        "- Threads",
        "- WebGPU adapter",
    ]
    assert max(map(len, lines)) <= 80
    for line in lines:
        plain = line.replace("\\\\", "")
        assert plain.count("<") == plain.count("\\<")
        assert plain.count("`") == plain.count("\\`")
