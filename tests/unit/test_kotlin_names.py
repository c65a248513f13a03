"""Hostile names become legal, distinct Kotlin identifiers, exact literals and harmless comments."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ortlab.scaffold.kotlin_code import LINE_LENGTH, Call, Text, call, list_of, render
from ortlab.scaffold.kotlin_names import (
    HARD_KEYWORDS,
    MAXIMUM_COMMENT_LENGTH,
    MAXIMUM_IDENTIFIER_LENGTH,
    class_name,
    comment_text,
    distinct,
    property_name,
    string_literal,
)

HOSTILE = (
    *(
        "class",
        "a$b",
        "${x}",
        'a"b',
        "`",
        "*/",
        "/*",
        "😀",
        "\u202egnp",
        "\u2066x\u2069",
        "\n",
        "\0",
    ),
    *("x" * 300, "", " ", "1", "1e5", "***", "a b", "a_b", "A B", "\\u0022", "\\", "é中", "\ud800"),
    *("İ", "ß", "K", "ﬁ", "\u00ad", "\u200b", "true", "typeof", "It", "_", "__", "\x7f", "\x1b[0m"),
)

names = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(alphabet="aA1_$*/\\\"'` \n\u202e😀"))


def kotlin_value(literal: str) -> str:
    """Read a Kotlin string literal as its compiler does."""
    assert literal[0] == literal[-1] == '"'
    units, body = [], literal[1:-1]
    pattern = re.compile(r'\\u([0-9a-f]{4})|\\([\\"$nrt])|([^\\"$])', re.DOTALL)
    at = 0
    while at < len(body):
        match = pattern.match(body, at)
        assert match, body[at:]
        code, escaped, plain = match.groups()
        if code:
            units.append(int(code, 16))
        elif escaped:
            units.append(ord({"n": "\n", "r": "\r", "t": "\t"}.get(escaped, escaped)))
        else:
            units.append(ord(plain))
        at = match.end()
    data = b"".join(unit.to_bytes(2, "little") for unit in units)
    return data.decode("utf-16-le", "surrogatepass")


@given(st.text(st.characters()))
@example("\ud800x")
@example('😀$"\\\n\u202e*/')
def test_literals_read_back_as_the_text_and_are_plain(text: str) -> None:
    literal = string_literal(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert kotlin_value(literal) == text


@given(names)
def test_identifiers_are_legal(text: str) -> None:
    for name, pattern in (
        (property_name(text), r"[a-z][A-Za-z0-9]*"),
        (class_name(text), r"[A-Z][A-Za-z0-9]*"),
    ):
        assert re.fullmatch(pattern, name), name
        assert name not in HARD_KEYWORDS
        assert len(name) <= MAXIMUM_IDENTIFIER_LENGTH + len("Value")


@given(st.lists(names, max_size=12), st.sets(names, max_size=4))
@example(["x", "x", "x2", "X", "x3"], {"x"})
def test_identifiers_are_distinct_also_without_regard_to_case(
    texts: Sequence[str], taken: set[str]
) -> None:
    chosen = distinct(map(property_name, texts), taken)
    folded = [name.casefold() for name in chosen]
    assert len(chosen) == len(texts)
    assert len(set(folded)) == len(folded)
    assert not {name.casefold() for name in taken} & set(folded)
    assert chosen == distinct(map(property_name, texts), taken)


@given(names)
def test_comments_stay_one_harmless_line(text: str) -> None:
    shown = comment_text(text)
    assert shown.isascii()
    assert not shown or shown.isprintable()
    assert len(shown) <= MAXIMUM_COMMENT_LENGTH
    assert "*/" not in shown
    assert "/*" not in shown
    assert "`" not in shown


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("input_ids", "inputIds"),
        ("INPUT", "input"),
        ("Conv2D_out:0", "conv2DOut0"),
        ("class", "classValue"),
        ("é", "e"),
        ("😀", "tensor"),
        ("", "tensor"),
        ("1", "tensor1"),
        ("onnx::Add_3", "onnxAdd3"),
    ],
)
def test_names_read_like_the_models(text: str, name: str) -> None:
    assert property_name(text) == name


def test_classes_are_named_after_models() -> None:
    assert class_name("ch_PP-OCRv4_det infer") == "ChPPOCRv4DetInfer"
    assert class_name("2d-model") == "Model2dModel"
    assert class_name("***") == "Model"


expressions = st.recursive(
    st.one_of(st.builds(Text, names), st.sampled_from(["1", "null", "x.y"])),
    lambda inner: st.builds(
        lambda items: call("f", *items, named=call("g", *items)), st.lists(inner, max_size=4)
    ),
    max_leaves=20,
)


@given(expressions, st.sampled_from([0, 12, 40]))
def test_layout_changes_blanks_and_chunks_alone(expression: Call | Text | str, indent: int) -> None:
    text = render(expression, indent)

    def joined(source: str) -> str:
        # Chunks of a text are joined; what is between literals loses blanks and trailing commas.
        source = re.sub(r'" \+\n +"', "", source)
        parts = re.split(r'("(?:[^"\\]|\\.)*")', source)
        parts[::2] = [re.sub(r"\s", "", part).replace(",)", ")") for part in parts[::2]]
        return "".join(parts)

    wide = one_line(expression)
    assert joined(text) == joined(wide)


def one_line(expression: Call | Text | str) -> str:
    match expression:
        case Text(value):
            return string_literal(value)
        case Call(function=function, arguments=arguments):
            inner = [one_line(v) if n is None else f"{n} = {one_line(v)}" for n, v in arguments]
            return f"{function}({', '.join(inner)})"
    return str(expression)


def test_long_texts_are_broken_up() -> None:
    text = render(call("f", name=Text("😀" * 300)), 8)
    assert max(map(len, text.splitlines())) <= LINE_LENGTH
    assert text.count('" +\n') == 49


def test_an_empty_list_says_its_type() -> None:
    assert list_of(item_type="Long") == "emptyList<Long>()"
