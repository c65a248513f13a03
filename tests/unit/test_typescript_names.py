"""Hostile names become legal, distinct TypeScript identifiers, exact literals, plain comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_kotlin_names import HOSTILE
from test_kotlin_sources import Shape, file, sdk_model, tensor

from ortlab.domain import ClassificationKind, ImageKind, StateKind
from ortlab.errors import ModelError
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.sdk_names import MAXIMUM_IDENTIFIER_LENGTH
from ortlab.scaffold.typescript_code import (
    LINE_LENGTH,
    Call,
    Expression,
    Fields,
    Items,
    Text,
    array,
    call,
    fields,
    render,
)
from ortlab.scaffold.typescript_names import KEYWORDS, property_name, string_literal
from ortlab.scaffold.typescript_sdk import (
    RESERVED_CLASSES,
    class_names,
    runtime_source,
    typescript_sources,
)

names = st.one_of(
    st.text(),
    st.sampled_from((*HOSTILE, "</script>", "<!--", "__proto__", "then", "constructor", "Index")),
    st.text(alphabet="aA1_$*/\\\"'`{}<>! \n\u2028\u202e😀"),
)


def typescript_value(literal: str) -> str:
    """Read a string literal as a JavaScript engine does."""
    assert literal[0] == literal[-1] == '"'
    units, body = [], literal[1:-1]
    pattern = re.compile(r'\\u([0-9a-f]{4})|\\([\\"nrt])|([^\\"\n\r])', re.DOTALL)
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


@given(st.one_of(st.text(st.characters()), names))
@example("\ud800x")
@example('😀$"\\\n\u202e*/${x}')
@example("</script><!-- -->")
def test_literals_read_back_as_the_text_and_end_nothing(text: str) -> None:
    literal = string_literal(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert "</" not in literal
    assert "<!" not in literal
    assert typescript_value(literal) == text


@given(names)
def test_identifiers_are_legal(text: str) -> None:
    name = property_name(text)
    assert re.fullmatch(r"[a-z][A-Za-z0-9]*", name), name
    assert name not in KEYWORDS
    assert len(name) <= MAXIMUM_IDENTIFIER_LENGTH + len("Value")


@given(st.lists(names, max_size=8))
@example(["a", "a input", "A", "index", "Tensor", "then"])
def test_classes_and_their_interfaces_clash_with_nothing(texts: Sequence[str]) -> None:
    chosen = class_names(texts)
    assert len(chosen) == len(texts)
    every = [f"{name}{end}".casefold() for name in chosen for end in ("", "Input", "Output")]
    assert len(set(every)) == len(every)
    assert not set(every) & {name.casefold() for name in RESERVED_CLASSES}
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) for name in chosen)


expressions: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(st.builds(Text, names), st.sampled_from(["1", "null", "x.y"])),
    lambda inner: st.one_of(
        st.builds(lambda items: call("f", *items), st.lists(inner, max_size=3)),
        st.builds(lambda items: array(*items), st.lists(inner, max_size=3)),
        st.builds(lambda a, b: fields(first=a, second=b), inner, inner),
    ),
    max_leaves=20,
)


def one_line(expression: Expression) -> str:
    match expression:
        case Text(value):
            return string_literal(value)
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(one_line, arguments))})"
        case Items(items=items):
            return f"[{', '.join(map(one_line, items))}]"
        case Fields(fields=parts):
            return "{ " + ", ".join(f"{name}: {one_line(v)}" for name, v in parts) + " }"
    return expression


@given(expressions, st.sampled_from([0, 12, 40]))
def test_layout_changes_blanks_and_chunks_alone(expression: Expression, indent: int) -> None:
    def joined(source: str) -> str:
        source = re.sub(r'" \+\n +"', "", source).replace("\\u003c", "<")
        parts = re.split(r'("(?:[^"\\]|\\.)*")', source)
        plain = [re.sub(r"\s", "", part) for part in parts[::2]]
        parts[::2] = [re.sub(r",([)\]}])", r"\1", part) for part in plain]
        return "".join(parts)

    assert joined(render(expression, indent)) == joined(one_line(expression))


def test_long_texts_are_broken_up() -> None:
    text = render(fields(name=Text("😀" * 300)), 8)
    assert max(map(len, text.splitlines())) <= LINE_LENGTH
    assert text.count('" +\n') == 59


# ------------------------------------------------------------------------------ sources


def source(model: ModelForSdk) -> str:
    sources = dict(typescript_sources([model]))
    sources.pop("models/index.ts")
    (text,) = sources.values()
    return text


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_symbolic_sizes_are_parameters_by_name() -> None:
    said: Shape = ("batch", None, 4)
    text = words(source(sdk_model(tensor("x", said), tensor("any", None))))
    assert "static allocate(sizes: { readonly batch: number; readonly xSize1: number;" in text
    assert "readonly anyShape: readonly number[]; }): ReaderInput {" in text
    assert 'x: zeros("float", [sizes.batch, sizes.xSize1, 4])' in text
    assert 'any: zeros("float", sizes.anyShape)' in text


def test_properties_hide_nothing_that_objects_have() -> None:
    inputs = tensor("toString", (1,)), tensor("constructor", (1,)), tensor("then", (1,))
    outputs = tensor("then", (1,)), tensor("valueOf", (1,))
    text = words(source(sdk_model(*inputs, outputs=outputs)))
    assert "return { then2: outputOf(outputs, 0" in text  # else `await` would call it
    assert "valueOf2: outputOf(outputs, 1" in text
    assert "run([input.toString2, input.constructor2, input.then])" in text


def test_kinds_have_functions_of_their_own() -> None:
    kinds: Mapping[str, ImageKind | ClassificationKind | StateKind] = {
        "x": ImageKind(),
        "y": ClassificationKind(labels=("a", "b", "c")),
        "next": StateKind(input_name="memory", shape=(1, 2)),
    }
    inputs = tensor("x", (1, 3, 4, 5)), tensor("memory", ("n", 2))
    outputs = tensor("y", (1, 3)), tensor("next", ("n", 2))
    text = words(source(sdk_model(*inputs, outputs=outputs, kinds=kinds)))
    assert "export interface ReaderInput { /** Input `x`" in text
    assert "memory: Tensor" not in text
    assert "static xTensor(picture: Picture)" in text
    assert "async runPicture(picture: Picture)" in text
    assert "static labels(output: ReaderOutput): ClassLabel[]" in text
    assert "reset(): void" in text
    assert 'dimensions: [["n", 1]]' in text


def test_a_name_of_javascripts_own_is_refused() -> None:
    for model in (
        sdk_model(tensor("__proto__", (1,))),
        sdk_model(tensor("x", (1,)), outputs=(tensor("__proto__", (1,)),)),
    ):
        with pytest.raises(ModelError, match="keeps for itself") as caught:
            typescript_sources([model])
        assert "another name" in (caught.value.next_step or "")


@pytest.mark.parametrize("kind", ["bfloat16", "complex64", "seq(tensor(float))", "float8e4m3fn"])
def test_types_that_the_api_lacks_are_refused(kind: str) -> None:
    for model in (
        sdk_model(tensor("x", (1,), kind)),
        sdk_model(tensor("x", (1,)), outputs=(tensor("y", (1,), kind),)),
    ):
        with pytest.raises(ModelError, match=re.escape(kind)):
            typescript_sources([model])


@given(st.lists(names.filter(lambda t: "\0" not in t and t != "__proto__"), min_size=1, max_size=4))
def test_any_names_make_plain_sources_that_are_the_same_twice(texts: list[str]) -> None:
    distinct = list(dict.fromkeys(texts))
    model = sdk_model(
        *(tensor(text, (text, None, 2)) for text in distinct),
        outputs=tuple(tensor(f"{text}'", None) for text in distinct),
        name=distinct[0],
        kinds={f"{distinct[0]}'": ClassificationKind(labels=(*distinct, "</script>"))},
    )
    first, second = typescript_sources([model]), typescript_sources([model])
    assert dict(first) == dict(second)
    for text in first.values():
        assert text.isascii()
        assert all(line.isprintable() for line in text.split("\n"))
        assert "</" not in re.sub(r"/\*\*.*?\*/", "", text, flags=re.DOTALL)
        assert "DO NOT EDIT" in text.splitlines()[0]


def test_states_with_other_sizes_leave_no_sample() -> None:
    kinds = {"next": StateKind(input_name="memory", shape=(2, 4))}
    inputs = tensor("x", ("n", 4)), tensor("memory", ("n", 4))
    outputs = tensor("y", (1,)), tensor("next", ("n", 4))
    text = source(sdk_model(*inputs, outputs=outputs, kinds=kinds, sample=(file("x", (1, 4)),)))
    assert "sample: []," in text


@pytest.mark.parametrize(
    ("providers", "bundle", "wasm"),
    [
        (("wasm",), "onnxruntime-web/wasm", "ort-wasm-simd-threaded.wasm"),
        (("webgpu", "wasm"), "onnxruntime-web/webgpu", "ort-wasm-simd-threaded.asyncify.wasm"),
        (("webnn",), "onnxruntime-web/webgpu", "ort-wasm-simd-threaded.asyncify.wasm"),
    ],
)
def test_the_runtime_is_the_smallest_build_with_the_providers(
    providers: tuple[str, ...], bundle: str, wasm: str
) -> None:
    text = runtime_source(providers)
    assert f'from "{bundle}";' in text
    assert f'from "onnxruntime-web/{wasm}?url";' in text
    assert f"providers: [{', '.join(map(repr, providers))}]".replace("'", '"') in text
