"""Operator configs are written so that ORT's build, and we, read the same back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import OptimizationStyle
from ortlab.prepare.package_config import parse_package_config
from ortlab.prepare.reduced_build import RequiredOperators, config_name, format_config

NAMES = st.sampled_from(["Add", "Cast", "Conv", "FusedConv", "Relu"])
OPERATORS = st.dictionaries(
    st.sampled_from(["ai.onnx", "com.microsoft"]),
    st.dictionaries(st.integers(1, 25), st.frozensets(NAMES, min_size=1), min_size=1),
)


@given(OPERATORS, st.booleans())
def test_a_written_config_reads_back(
    operators: dict[str, dict[int, frozenset[str]]], typed: bool
) -> None:
    types = {("ai.onnx", "Cast"): '{"inputs": {"0": ["float"]}, "outputs": {"0": ["int64_t"]}}'}
    required = RequiredOperators(operators=operators, types=types)
    config = parse_package_config(format_config(required, type_reduction=typed))
    assert config.operators == operators
    has_cast = any("Cast" in names for names in operators.get("ai.onnx", {}).values())
    expected = {("ai.onnx", "Cast"): {"inputs 0": {"float"}, "outputs 0": {"int64_t"}}}
    assert config.types == (expected if typed and has_cast else {})


def test_names_are_those_of_orts_converter() -> None:
    names = {
        config_name(style, type_reduction=typed)
        for style in (OptimizationStyle.FIXED, OptimizationStyle.RUNTIME)
        for typed in (False, True)
    }
    assert names == {
        "required_operators.config",
        "required_operators_and_types.config",
        "required_operators.with_runtime_opt.config",
        "required_operators_and_types.with_runtime_opt.config",
    }
