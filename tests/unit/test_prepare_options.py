"""What a user may ask of prepare, and how it is read from a command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import OptimizationStyle, Precision, TargetPlatform
from ortlab.errors import UsageError
from ortlab.prepare.options import (
    LARGEST_DIMENSION,
    PrepareOptions,
    options_from_plain,
    parse_dims,
    parse_input_shapes,
)
from ortlab.wire import GraphOptimizationLevel

sizes = st.integers(1, LARGEST_DIMENSION)
names = st.text(min_size=1)


@given(names, sizes)
def test_a_dimension_may_have_any_name(name: str, size: int) -> None:
    assert parse_dims([f"{name}={size}"]) == {name: size}


@given(names, st.lists(sizes))
def test_an_input_may_have_any_name_and_rank(name: str, shape: list[int]) -> None:
    text = f"{name}={','.join(map(str, shape))}"
    assert parse_input_shapes([text]) == {name: tuple(shape)}


@pytest.mark.parametrize(
    "text",
    ["", "batch", "=1", "batch=", "batch=0", "batch=-1", "batch=x", "b=1.5", "b=99999999999"],
)
def test_what_is_no_dimension_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="dim"):
        parse_dims([text])


@pytest.mark.parametrize("text", ["x", "=1,3", "x=1,", "x=1,,2", "x=a", "x=1,0", "x=-1", "x=1;2"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="shape"):
        parse_input_shapes([text])


def test_sizes_may_be_separated_by_x_and_spaces() -> None:
    assert parse_input_shapes(["x=1x3x224x224", "y = 1, 2"]) == {
        "x": (1, 3, 224, 224),
        "y ": (1, 2),
    }


@given(
    st.builds(
        PrepareOptions,
        styles=st.lists(st.sampled_from(OptimizationStyle), min_size=1, unique=True).map(tuple),
        targets=st.lists(st.sampled_from(TargetPlatform), min_size=1, unique=True).map(tuple),
        precisions=st.lists(st.sampled_from(Precision), min_size=1, unique=True).map(tuple),
        level=st.sampled_from(GraphOptimizationLevel),
        input_shapes=st.dictionaries(names, st.lists(sizes, max_size=4).map(tuple), max_size=3),
        dims=st.dictionaries(names, sizes, max_size=3),
        nnapi_stop_ops=st.lists(st.text(), max_size=2).map(tuple),
        min_sqnr_db=st.none() | st.floats(-50, 200),
        parity=st.booleans(),
        seed=st.integers(0, 2**31),
        deadline_s=st.floats(0.1, 1e6),
    )
)
def test_options_reach_the_worker_unchanged(options: PrepareOptions) -> None:
    assert options_from_plain(json.loads(json.dumps(options.to_plain()))) == options


def test_paths_reach_the_worker_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.npz").touch()
    options = PrepareOptions(inputs=Path("in.npz"))
    assert options_from_plain(options.to_plain()).inputs == tmp_path / "in.npz"


@pytest.mark.parametrize(
    "wrong",
    [
        {"styles": ()},
        {"targets": ()},
        {"precisions": ()},
        {"dims": {"batch": 0}},
        {"input_shapes": {"x": (1, -3)}},
        {"deadline_s": 0.0},
        {"min_top1_agreement": 1.5},
        {"inputs": Path("/no/such/file.npz")},
        {"custom_op_library": Path("/no/such/lib.so")},
    ],
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PrepareOptions(**wrong)
