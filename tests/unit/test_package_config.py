"""Operator configs: read as ORT's build reads them, hostile ones refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.errors import UsageError
from ortlab.prepare.package_config import parse_package_config, read_package_config

DOMAINS = st.sampled_from(["ai.onnx", "ai.onnx.ml", "com.microsoft", "my.domain"])
OPERATORS = st.sampled_from(["Add", "Cast", "Conv", "Gather", "OneHot", "Reshape", "Mine"])
TYPE_NAMES = st.sampled_from(["float", "int32_t", "int64_t", "std::string", "bool"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "inputs": st.dictionaries(
            st.sampled_from(["0", "1"]), st.lists(TYPE_NAMES, unique=True), min_size=1
        ),
        "outputs": st.dictionaries(st.just("0"), st.lists(TYPE_NAMES, unique=True), min_size=1),
    },
)


@st.composite
def operator_lines(draw: st.DrawFn) -> str:
    opsets = draw(st.lists(st.integers(1, 25), min_size=1, max_size=3, unique=True))
    listed = []
    for operator in draw(st.lists(OPERATORS, min_size=1, max_size=4, unique=True)):
        entry = draw(st.none() | ENTRIES)
        space = draw(st.sampled_from(["", " "]))
        listed.append(space + operator + (json.dumps(entry) if entry is not None else ""))
    return f"{draw(DOMAINS)};{','.join(map(str, opsets))};{','.join(listed)}"


CONFIGS = st.lists(operator_lines() | st.sampled_from(["", "# a comment", "  "]), max_size=6)


@given(CONFIGS, st.booleans())
def test_operators_are_those_that_orts_own_parser_reads(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], unlimited: bool
) -> None:
    from onnxruntime.tools.reduced_build_config_parser import parse_config

    if unlimited:
        lines = [*lines, "!no_ops_specified_means_all_ops_are_required"]
    path = tmp_path_factory.mktemp("config") / "x.config"
    path.write_text("\n".join(lines))
    theirs, _ = parse_config(str(path), enable_type_reduction=False)
    ours = read_package_config(path)
    assert ours.all_operators == (theirs is None)
    assert ours.operators == (theirs or {})


def test_types_are_read_for_each_argument() -> None:
    config = parse_package_config(
        'ai.onnx;13;Cast{"inputs": {"0": ["float"]}, "outputs": {"0": ["int64_t", "bool"]}},Conv\n'
        'ai.onnx;11;OneHot{"custom": [["float", "int64_t", "int64_t"]]}'
    )
    assert config.types == {
        ("ai.onnx", "Cast"): {"inputs 0": {"float"}, "outputs 0": {"int64_t", "bool"}},
        ("ai.onnx", "OneHot"): {"custom": {"float, int64_t, int64_t"}},
    }
    assert config.operators == {"ai.onnx": {13: {"Cast", "Conv"}, 11: {"OneHot"}}}


def test_globally_allowed_types_are_read() -> None:
    config = parse_package_config("!globally_allowed_types;float, int8_t\nai.onnx;7;Add")
    assert config.globally_allowed_types == frozenset({"float", "int8_t"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ai.onnx;13", "2 parts"),
        ("ai.onnx;thirteen;Conv", "'thirteen' is no opset"),
        ("ai.onnx;-1;Conv", "'-1' is no opset"),
        ("ai.onnx;99999999999999999999;Conv", "is no opset"),
        ("ai.onnx;1;Conv;Conv", "4 parts"),
        ('ai.onnx;1;Conv{"inputs": {"0": ["float"]}', "not JSON"),
        ("ai.onnx;1;Conv{}}", "follows the types"),
        ('ai.onnx;1;Conv{"inputs": 3}', "not lists of names"),
        ('ai.onnx;1;Conv{"inputs": {"zero": ["float"]}}', "not lists of names"),
        ('ai.onnx;1;Conv{"inputs": {"0": "float"}}', "not lists of names"),
        ('ai.onnx;1;OneHot{"custom": [[1]]}', "not lists of names"),
        ("!unknown_directive", "1 parts"),
        ("!globally_allowed_types;float\n!globally_allowed_types;bool", "given before"),
        (
            '!globally_allowed_types;float\nai.onnx;1;Conv{"inputs": {"0": ["float"]}}',
            "only one of both",
        ),
    ],
)
def test_what_means_nothing_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read hostile\.config") as caught:
        parse_package_config(text, source="hostile.config")
    assert said in caught.value.message


def test_the_line_is_named() -> None:
    with pytest.raises(UsageError, match="line 3"):
        parse_package_config("# one\nai.onnx;1;Conv\nnonsense")


@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from([*';,{}[]":!\n', "ai.onnx", "11", "Conv", "inputs", "custom"]), max_size=40
    ).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        config = parse_package_config(text)
    except UsageError:
        return
    assert all(isinstance(opset, int) for opsets in config.operators.values() for opset in opsets)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(UsageError, match="not JSON"):
        parse_package_config('ai.onnx;1;Conv{"inputs": ' + "[" * 100_000)


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not text"):
        read_package_config(tmp_path / "binary")
    with pytest.raises(UsageError, match="no such file"):
        read_package_config(tmp_path / "absent")
    with pytest.raises(UsageError, match="no such file"):
        read_package_config(tmp_path)
