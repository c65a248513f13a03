"""Hostile names become legal, distinct Swift identifiers, exact literals and harmless comments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_kotlin_names import HOSTILE
from test_kotlin_sources import Shape, file, sdk_model, tensor

from ortlab.domain import ClassificationKind, ImageKind, StateKind, TensorSpec
from ortlab.errors import ModelError
from ortlab.scaffold.kotlin_names import HARD_KEYWORDS
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.sdk_names import MAXIMUM_IDENTIFIER_LENGTH, distinct
from ortlab.scaffold.swift_code import (
    LINE_LENGTH,
    Call,
    Expression,
    Items,
    Text,
    array,
    call,
    dictionary,
    render,
)
from ortlab.scaffold.swift_names import KEYWORDS, property_name, string_literal
from ortlab.scaffold.swift_sdk import RESERVED_CLASSES, swift_sources

names = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(alphabet="aA1_$*/\\\"'` \n\u202e😀"))


def swift_value(literal: str) -> str:
    """Read a Swift string literal as its compiler does; `\\(` would be code."""
    assert literal[0] == literal[-1] == '"'
    characters, body = [], literal[1:-1]
    pattern = re.compile(r'\\u\{([0-9A-F]{1,8})\}|\\([\\"nrt0])|([^\\"])', re.DOTALL)
    at = 0
    while at < len(body):
        match = pattern.match(body, at)
        assert match, body[at:]
        code, escaped, plain = match.groups()
        if code:
            characters.append(chr(int(code, 16)))
        elif escaped:
            known = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
            characters.append(known.get(escaped, escaped))
        else:
            characters.append(plain)
        at = match.end()
    return "".join(characters)


@given(st.text(st.characters()))
@example("\ud800x")
@example('😀$"\\\n\u202e*/\\(print())')
def test_literals_read_back_as_the_text_and_are_plain(text: str) -> None:
    literal = string_literal(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert swift_value(literal) == re.sub("[\ud800-\udfff]", "\ufffd", text)


@given(names)
def test_identifiers_are_legal(text: str) -> None:
    name = property_name(text)
    assert re.fullmatch(r"[a-z][A-Za-z0-9]*", name), name
    assert name not in KEYWORDS
    assert len(name) <= MAXIMUM_IDENTIFIER_LENGTH + len("Value")


@given(st.lists(names, max_size=12))
def test_identifiers_are_distinct_also_without_regard_to_case(texts: Sequence[str]) -> None:
    chosen = [name.casefold() for name in distinct(map(property_name, texts), {"binding"})]
    assert len(set(chosen)) == len(texts)
    assert "binding" not in chosen


def test_keywords_of_both_languages_differ() -> None:
    assert property_name("func") == "funcValue"
    assert property_name("fun") == "fun"
    assert KEYWORDS - HARD_KEYWORDS
    assert HARD_KEYWORDS - KEYWORDS


expressions = st.recursive(
    st.one_of(st.builds(Text, names), st.sampled_from(["1", "nil", ".all"])),
    lambda inner: st.one_of(
        st.builds(lambda items: call("f", *items, named="1"), st.lists(inner, max_size=3)),
        st.builds(lambda items: array(*items), st.lists(inner, max_size=4)),
        st.builds(
            lambda items: dictionary(*((Text(str(n)), item) for n, item in enumerate(items))),
            st.lists(inner, max_size=3),
        ),
    ),
    max_leaves=20,
)


@given(expressions, st.sampled_from([0, 12, 40]))
def test_layout_changes_blanks_and_chunks_alone(expression: Expression, indent: int) -> None:
    def bare(source: str) -> str:
        # Chunks of a text are joined; what is between literals loses blanks and trailing commas.
        source = re.sub(r'\[\s+((?:"(?:[^"\\]|\\.)*",?\s+)+)\]\.joined\(\)', joined, source)
        parts = re.split(r'("(?:[^"\\]|\\.)*")', source)
        parts[::2] = [re.sub(r"\s", "", part).replace(",]", "]") for part in parts[::2]]
        return "".join(parts)

    assert bare(render(expression, indent)) == bare(one_line(expression))


def joined(match: re.Match[str]) -> str:
    return '"' + "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(1))) + '"'


def one_line(expression: Expression) -> str:
    match expression:
        case Text(value):
            return string_literal(value)
        case Call(function=function, arguments=arguments):
            inner = [one_line(v) if n is None else f"{n}: {one_line(v)}" for n, v in arguments]
            return f"{function}({', '.join(inner)})"
        case Items(items=items, empty=empty):
            inner = [
                one_line(v) if k is None else f"{one_line(k)}: {one_line(v)}" for k, v in items
            ]
            return f"[{', '.join(inner)}]" if inner else empty
    return expression


def test_long_texts_are_broken_up() -> None:
    text = render(call("f", name=Text("😀" * 300)), 8)
    assert max(map(len, text.splitlines())) <= LINE_LENGTH
    assert text.endswith("].joined()\n        )")


def test_a_comma_behind_the_last_item_belongs_to_several() -> None:
    long = Text("x" * 60)
    assert render(array(long, long), 0).endswith(",\n]")
    assert render(array(Call(function="f", arguments=((None, long),), multiline=True)), 0).endswith(
        ")\n]"
    )


# ------------------------------------------------------------------------------ whole sources


def source(model: ModelForSdk, name: str = "Reader") -> str:
    return swift_sources([model])[f"{name}.swift"]


def test_every_model_gets_a_class_and_all_are_registered() -> None:
    models = [
        sdk_model(tensor("x", (1,)), name=name)
        for name in ("reader", "Reader", "any tensor", "Self", "é")
    ]
    sources = swift_sources(models)
    found = {path.removesuffix(".swift") for path in sources}
    assert found == {"Models", "Reader", "Reader2", "AnyTensor2", "Self2", "E"}
    registered = re.findall(r"(\w+)\.descriptor,", sources["Models.swift"])
    assert sorted(registered) == sorted(found - {"Models"})


SDK = Path(__file__).parents[2] / "ios_template/Sources/ModelSDK"


def code(text: str) -> str:
    return re.sub(r'"(\\.|[^"\\])*"|//.*', "", text)


def test_no_model_hides_a_type_of_the_sdk() -> None:
    used = {
        name
        for path in SDK.rglob("*.swift")
        if "Generated" not in path.parts
        for name in re.findall(r"(?<![.\w])[A-Z][A-Za-z0-9]+", code(path.read_text()))
        if not name.isupper()
    }
    assert {"Tensor", "FileManager"} <= used
    assert used <= RESERVED_CLASSES
    for name in sorted(RESERVED_CLASSES):
        (path, _) = swift_sources([sdk_model(tensor("x", (1,)), name=name)])
        assert path.casefold() != f"{name}.swift".casefold()


@pytest.mark.parametrize(
    ("shapes", "parameters"),
    [
        (((2, 3),), "()"),
        ((("n", 3),), "(n: Int)"),
        ((("n", None), ("n", "m")), "(n: Int, xSize1: Int, m: Int)"),
        ((None,), "(xShape: [Int])"),
        ((("func", "a b", "a_b"),), "(funcValue: Int, aB: Int, aB2: Int)"),
    ],
)
def test_open_sizes_are_parameters(shapes: tuple[Shape, ...], parameters: str) -> None:
    text = source(sdk_model(*(tensor(n, s) for n, s in zip("xz", shapes, strict=False))))
    found = re.search(r"static func allocate(\([^)]*\))", text)
    assert found
    assert re.sub(r"\s+", " ", found.group(1)).replace("( ", "(").replace(" )", ")") == parameters


def test_kinds_are_in_the_class() -> None:
    model = sdk_model(
        tensor("x", (1, 3, 4, 4)),
        tensor("memory", (2,)),
        outputs=(tensor("y", (1, 2)), tensor("next", (2,))),
        kinds={
            "x": ImageKind(),
            "y": ClassificationKind(labels=("\\(a)", "b"), top_k=1, apply_softmax=True),
            "next": StateKind(input_name="memory"),
        },
        sample=(file("x", (1, 3, 4, 4)), file("memory", (2,))),
    )
    text = source(model)
    assert "func writeX(_ picture: Picture)" in text
    assert "func run(_ picture: Picture)" in text
    assert "func labels() throws -> [Classification.Label]" in text
    assert "func reset() throws" in text
    assert '"\\\\(a)"' in text
    assert 'inputName: "memory"' in text
    assert "let memory" not in text
    assert "let next" not in text
    assert 'path: "ortlab/memory.bin"' not in text


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("CustomOps.xcframework", ".linked()"),
        ("libcustom_ops.a", ".linked()"),
        ("Ops.framework", '.framework("Ops")'),
        ("/opt/libops.dylib", '.file("/opt/libops.dylib")'),
    ],
)
def test_a_library_of_operators_goes_along(library: str, expected: str) -> None:
    text = source(sdk_model(tensor("x", (1,)), custom_op_library=library))
    assert f"customOpLibraries: [{expected}]" in text


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (tensor("a\0b", (1,)), "NUL character"),
        (tensor("x", (1,), "complex64"), "the Swift SDK cannot create tensors of it"),
        (tensor("x", (1,), "sequence(float)"), "dense tensors"),
    ],
)
def test_what_cannot_be_is_refused(broken: TensorSpec, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        source(sdk_model(broken))


def test_unsigned_inputs_and_many_tensors_are_taken() -> None:
    many = [tensor(f"x{number}", (1,), "uint32") for number in range(300)]
    assert "public let x299: Tensor<UInt32>" in source(sdk_model(*many))
