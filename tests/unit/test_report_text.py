"""Text of others is shown, never obeyed; figures read well."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.report.markdown import escape
from ortlab.text import (
    change,
    duration,
    encodable,
    percent,
    shell_quote,
    shorten,
    size,
    visible,
)
from report_samples import HOSTILE

ANY_TEXT = st.text(st.characters(), max_size=80)


@given(ANY_TEXT)
def test_visible_leaves_no_character_that_acts_unseen(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    for character in shown:
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in {
            "RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI",
        }  # fmt: skip
    shown.encode("utf-8")


def test_visible_shows_what_it_replaces() -> None:
    assert visible("a\x00b\nc\x7f") == "a␀b↵c␡"
    assert visible("gnp\u202eexe") == "gnp⟨U+202E⟩exe"
    assert visible("half \udc80") == "half ⟨U+DC80⟩"
    assert visible("שלום 你好 👩‍🚀 é") == "שלום 你好 👩‍🚀 é"


def test_visible_can_keep_lines() -> None:
    assert visible("a\r\nb\tc\x00", keep_lines=True) == "a\nb\tc␀"


@given(ANY_TEXT)
def test_encodable_text_can_be_written(text: str) -> None:
    assert encodable(text).encode("utf-8").decode("utf-8") == encodable(text)


@given(ANY_TEXT, st.integers(min_value=1, max_value=100))
def test_shorten_keeps_the_limit_and_both_ends(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or "…" in short
    if len(text) > limit > 2:
        assert short[0] == text[0]
        assert short[-1] == text[-1]


@pytest.mark.parametrize(
    ("argument", "quoted"),
    [
        ("runs/1", "runs/1"),
        ("a b", "'a b'"),
        ("$(id)", "'$(id)'"),
        ("a\nb'c", "$'a\\x0ab\\'c'"),
        ("x\udcff", "$'x\\xff'"),
        ("x\u202e", "$'x\\xe2\\x80\\xae'"),
    ],
)
def test_shell_quote(argument: str, quoted: str) -> None:
    assert shell_quote(argument) == quoted


def test_figures() -> None:
    assert duration(812_345) == "0.812 ms"
    assert duration(45_670) == "45.7 µs"
    assert duration(2_310_000) == "2.31 ms"
    assert duration(3.2e9) == "3.20 s"
    assert duration(None) == "–"
    assert size(585_532) == "586 kB"
    assert size(72_171_064) == "72.2 MB"
    assert size(999) == "999 B"
    assert percent(-0.0311, signed=True) == "−3.1\N{NO-BREAK SPACE}%"
    assert percent(-0.0001, signed=True) == "0.0\N{NO-BREAK SPACE}%"
    assert change(0.659) == "−34.1\N{NO-BREAK SPACE}%"
    assert change(2.41) == "2.41\N{NO-BREAK SPACE}×"
    assert change(999.7) == "1000\N{NO-BREAK SPACE}×"
    assert change(4593.2) == "4593\N{NO-BREAK SPACE}×"
    assert change(float("inf")) == "∞\N{NO-BREAK SPACE}×"


@given(ANY_TEXT | st.sampled_from(HOSTILE))
def test_markdown_stays_on_one_line_and_in_its_cell(text: str) -> None:
    shown = escape(text)
    assert "\n" not in shown
    assert shown.replace("\\\\", "").count("|") == shown.replace("\\\\", "").count("\\|")
    assert shown.replace("\\\\", "").count("<") == shown.replace("\\\\", "").count("\\<")


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("@team", "@team"),
        ("see #12", "#12"),
        ("https://evil.example", "https:"),
        ("www.evil.example", "www."),
        ("GH-12", "GH-12"),
        ("<b>", "<b"),
        ("![x](y)", "]("),
        ("$x^2$", "$x"),
        ("a & b &#64;", "&#"),
    ],
)
def test_markdown_calls_nobody_and_links_nowhere(text: str, live: str) -> None:
    assert live in text
    assert not re.search(r"(?<!\\)" + re.escape(live), escape(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("- item", "\\- item"),
        ("+ item", "\\+ item"),
        ("1. item", "1\\. item"),
        ("12) item", "12\\) item"),
        ("= x", "\\= x"),
        ("-", "\\-"),
        ("1.5 x", "1.5 x"),
    ],
)
def test_markdown_text_starts_no_list(text: str, shown: str) -> None:
    assert escape(text) == shown
