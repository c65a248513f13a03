"""The page: what it says, and that names change its text and never its structure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from ortlab.domain import Grade, Verdict
from ortlab.report import html, markdown
from report_samples import ReportSample, hostile, make_sample, plain, very_hostile


class Page(HTMLParser):
    """Start tags with the names of their attributes, and text by element."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.attributes.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def rendered(sample: ReportSample) -> str:
    return html.render(sample.run, sample.analysis, sample.prepared)


@cache
def page_of(rename: Callable[[str], str], virtual: bool = False) -> tuple[str, Page]:
    source = rendered(make_sample(rename=rename, virtual=virtual, samples=40))
    return source, Page(source)


@pytest.mark.parametrize("rename", [hostile, very_hostile])
def test_names_never_change_the_structure(rename: Callable[[str], str]) -> None:
    assert page_of(rename)[1].tags == page_of(plain)[1].tags


@pytest.mark.parametrize("rename", [hostile, very_hostile])
def test_nothing_unseen_is_left(rename: Callable[[str], str]) -> None:
    source = page_of(rename)[0]
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", source
    )
    assert "⟨U+202E⟩" in page_of(very_hostile)[0]


def test_the_policy_allows_our_script_alone_and_no_address_is_fetched() -> None:
    source, page = page_of(plain)
    policy = next(
        attributes["content"]
        for tag, attributes in page.attributes
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", source, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    for _, attributes in page.attributes:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src"):
            assert (attributes.get(name) or "#").startswith("#")


def row_of(source: str, head: str) -> list[str]:
    rows = re.findall(r"<tr[^>]*>.*?</tr>", source, flags=re.DOTALL)
    row = next(row for row in rows if f"<bdi>{head}</bdi>" in row)
    return re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL)


def test_executed_operators_of_each_arm() -> None:
    source, page = page_of(plain)
    assert row_of(source, "FusedConv") == ["24", "5", "24", "0"]
    assert row_of(source, "HardSigmoid") == ["9", "9", "9", "9"]
    assert "on, proven" in page.text
    assert "off, proven" in page.text


def test_the_page_says_what_the_analysis_says() -> None:
    sample = make_sample(samples=40)
    text = page_of(plain)[1].text
    for sentence in (*sample.analysis.headlines, *(f.sentence for f in sample.analysis.findings)):
        assert sentence in text
    for words in (
        "1.13 – 1.29 yes with key measured",
        "1.32 yes by default expected",
        "another program used 34 % of the CPU",
        "ended by SIGSEGV",
        "Load model failed",
        "Repaired: the input x was fixed to 1×3×48×192",
        "141 of 150",
        "ortlab bench prepared/cls --style onnx,fixed,runtime --replay on,off",
        "ortlab report runs/20261121-cls",
    ):
        assert words in text, words


def test_charts_are_drawn_for_both_widths_and_described() -> None:
    page = page_of(plain)[1]
    charts = [attributes for tag, attributes in page.attributes if tag == "svg"]
    assert [chart["class"] for chart in charts] == ["wide", "narrow"] * 5
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    assert "Fixed −" in str(charts[0]["aria-label"])


def test_a_virtual_device_is_named_everywhere() -> None:
    source, page = page_of(plain, True)
    assert re.search(r"<title>Virtual device: ", source)
    assert page.text.count("Virtual device") >= 3 + len(make_sample(rounds=2).analysis.comparisons)
    verdicts = re.search(r'<ul class="verdicts">(.*?)</ul>', source, flags=re.DOTALL)
    assert verdicts is not None
    for item in re.findall(r"<li>(.*?)</li>", verdicts[1], flags=re.DOTALL):
        assert "Virtual device:" in item
    assert "Virtual device" not in page_of(plain)[0]


def test_an_unfinished_run_without_blocks_has_a_page() -> None:
    sample = make_sample(rounds=2, samples=5)
    analysis = replace(
        sample.analysis,
        finished=False,
        rounds=0,
        stop_reason="8 rounds are still to come",
        grade=Grade.A,
        findings=(),
        comparisons=tuple(
            replace(
                c,
                verdict=Verdict.NONE,
                effect=None,
                effect_undisturbed=None,
                verdict_undisturbed=None,
                reason="the experiment is not finished",
            )
            for c in sample.analysis.comparisons
        ),
        arms=tuple(
            replace(
                arm, latency=None, cold_start=None, memory=(), executed=(), parity=None, failures=()
            )
            for arm in sample.analysis.arms
        ),
    )
    run = replace(sample.run, blocks=())
    source = html.render(run, analysis, None)
    assert "Not finished: 8 rounds are still to come" in source
    assert "No latency was measured." in source
    assert "<svg" not in source


def test_an_interval_without_end_has_a_chart() -> None:
    sample = make_sample(rounds=2, samples=5)
    comparison = sample.analysis.comparisons[0]
    assert comparison.effect is not None
    wild = replace(comparison, effect=replace(comparison.effect, low=0.0, high=float("inf")))
    analysis = replace(sample.analysis, comparisons=(wild,))
    source = html.render(sample.run, analysis, None)
    assert "+∞]" in source
    assert "NaN" not in source
    assert source.count("<svg") == 10


def test_one_arm_has_a_page_without_verdicts() -> None:
    sample = make_sample(rounds=2, samples=5)
    experiment = replace(sample.run.experiment, arms=sample.run.experiment.arms[:1])
    blocks = tuple(b for b in sample.run.blocks if b.arm_id == "onnx")
    run = replace(sample.run, experiment=experiment, blocks=blocks)
    analysis = replace(sample.analysis, comparisons=(), arms=sample.analysis.arms[:1])
    source = html.render(run, analysis, sample.prepared)
    assert "There is one arm, and nothing to compare it with." in source
    assert source.count("<svg") == 8


def test_markdown_of_hostile_names_has_the_lines_of_plain_ones() -> None:
    def lines(rename: Callable[[str], str]) -> list[str]:
        sample = make_sample(rename=rename, rounds=8, samples=10)
        return markdown.render(sample.run, sample.analysis).splitlines()

    told, expected = lines(very_hostile), lines(plain)
    assert len(told) == len(expected)
    for one, other in zip(told, expected, strict=True):
        assert len(re.findall(r"(?<!\\)\|", one)) == len(re.findall(r"(?<!\\)\|", other))


def test_markdown_holds_verdicts_trust_and_command() -> None:
    sample = make_sample(samples=40)
    text = markdown.render(sample.run, sample.analysis)
    assert "| Fixed | **faster** |" in text
    assert "**Trust: B**" in text
    assert "`ortlab bench prepared/cls" in text
    assert "Virtual" not in text
    virtual = make_sample(rounds=2, samples=5, virtual=True)
    told = markdown.render(virtual.run, virtual.analysis)
    assert told.count("Virtual device: ") == 3
    assert "(virtual device)" in told
