"""Configuration files of Xcode: what it reads is what was meant, other lines stay byte for byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.scaffold.xcconfig import (
    merge_xcconfig,
    read_xcconfig,
    xcconfig_line,
    xcconfig_text,
    xcconfig_value,
)

_SPECIAL = st.sampled_from([*"$/;\\()[]={}\"' \t#:@🐙\u202e", "//", "$(", "${", "$$"])
_TEXTS = st.lists(
    st.one_of(
        _SPECIAL,
        st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]),
    ),
    max_size=12,
).map("".join)
_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *("// a comment", "", "   ", "A = 1", "B=2 // why", "C[sdk=iphoneos*] = 3"),
                *("D = x \\", '#include? "Other.xcconfig"', "D = 4;", "E", "= 5", "F ="),
                "\tG = a  b\t",
            ]
        ),
        st.text(st.characters(codec="utf-8"), max_size=20),
    ),
    max_size=8,
)


def evaluated(value: str) -> str:
    """Return what Xcode makes of a value: `$$` is `$`, and `$(NAME)` the value of that setting."""
    settings = {"SLASH": "/", "NOTHING": ""}
    pattern = re.compile(r"\$(?:\$|\(([A-Za-z_]\w*)\))")
    return pattern.sub(lambda found: settings[found[1]] if found[1] else "$", value)


@given(text=_TEXTS)
def test_any_text_comes_back_as_xcode_reads_it(text: str) -> None:
    value = xcconfig_value(text)
    data = (xcconfig_line("KEY", value) + "\nNEXT = 1\n").encode()
    assert read_xcconfig(data) == {"KEY": value, "NEXT": "1"}
    assert evaluated(value) == xcconfig_text(value) == text


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\u2028b", "a\u2029b", "a\0b", "a\x1bb"])
def test_what_no_line_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot hold U"):
        xcconfig_value(text)


def test_the_forms_of_the_format_are_read() -> None:
    data = (
        b"A=1\n  B =  two words  // and why\r\nC =\nD = x;\nE = long \\\n   value ; \n"
        b"F[arch=*] = 6\n"
        b'#include "G.xcconfig"\n// H = 8\nI = caf\xc3\xa9 = \xf0\x9f\x90\x99\n2J = 1\nK\n'
        b"L = https://example.com\nM = \\\n\nN = last\\"
    )
    assert read_xcconfig(data) == {
        "A": "1", "B": "two words", "C": "", "D": "x", "E": "long value", "I": "café = 🐙",
        "L": "https:", "M": "", "N": "last",
    }  # fmt: skip


@given(
    lines=_LINES,
    end=st.sampled_from(["\n", "\r\n"]),
    texts=st.dictionaries(st.sampled_from(["X", "Y_1", "_z"]), _TEXTS, max_size=3),
)
def test_a_change_reaches_its_keys_and_nothing_else(
    lines: list[str], end: str, texts: dict[str, str]
) -> None:
    values = {key: xcconfig_value(text) for key, text in texts.items()}
    before = end.join(lines).encode()
    merged = merge_xcconfig(before, values, {}).data
    assert read_xcconfig(merged) == {**read_xcconfig(before), **values}
    assert merge_xcconfig(merged, values, values).data == merged
    ours = {xcconfig_line(*item) for item in values.items()}
    if not read_xcconfig(before).keys() & values.keys():
        assert merged.startswith(before)
        added = merged[len(before) :].decode().splitlines()
        assert set(filter(None, added)) == ours


def test_comments_order_and_line_ends_stay() -> None:
    before = b"// mine\r\nAPP_ID = old // why\r\nOTHER = bar\r\n// end"
    merged = merge_xcconfig(before, {"APP_ID": "new", "APP_NAME": "N"}, {})
    assert merged.data == b"// mine\r\nAPP_ID = new\r\nOTHER = bar\r\n// end\r\nAPP_NAME = N\r\n"


def test_a_value_with_a_condition_is_the_users() -> None:
    before = b"APP_ID[config=Debug] = mine\nAPP_ID = ours\n"
    merged = merge_xcconfig(before, {"APP_ID": "new"}, {"APP_ID": "ours"})
    assert merged.data == b"APP_ID[config=Debug] = mine\nAPP_ID = new\n"


def test_a_value_the_user_changed_stays_until_another_is_asked_for() -> None:
    edited = b"APP_BUILD = 7\n"
    kept = merge_xcconfig(edited, {"APP_BUILD": "1"}, {"APP_BUILD": "1"})
    assert (kept.data, kept.kept) == (edited, {"APP_BUILD": "7"})
    asked = merge_xcconfig(edited, {"APP_BUILD": "8"}, {"APP_BUILD": "1"})
    assert (asked.data, asked.replaced) == (b"APP_BUILD = 8\n", ("APP_BUILD",))


def test_a_literal_that_becomes_a_reference_is_an_edit() -> None:
    ours = xcconfig_value("$(HOME)")
    edited = b"APP_NAME = $(HOME)\n"
    merged = merge_xcconfig(edited, {"APP_NAME": ours}, {"APP_NAME": ours})
    assert merged.kept == {"APP_NAME": "$(HOME)"}


def test_bytes_that_are_no_utf_8_stay_too() -> None:
    assert merge_xcconfig(b"A = \xff\nB = 1\n", {"B": "2"}, {}).data == b"A = \xff\nB = 2\n"
