"""Tensor files hold exactly what the protocol says; comparisons name the element that is worst."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ortlab import codec, tensors
from ortlab.domain import Parity, ParityStatus, Precision
from ortlab.errors import BenchmarkError, StorageError
from ortlab.wire import TensorFile

VECTORS = Path(__file__).parents[2] / "bench_protocol/vectors/tensor_files/tensors.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))
NUMERIC = tuple(set(tensors.ELEMENT_TYPES) - {"string", "bfloat16"})
RTOL, ATOL = 1e-3, 1e-5


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def arrays(**options: Any) -> st.SearchStrategy[Any]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    kinds = st.sampled_from(NUMERIC).map(tensors.numpy_type)
    return kinds.flatmap(lambda kind: hnp.arrays(kind, shapes, **options))


def floats(shape: Any = (7,), **options: Any) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.float32, shape, elements=st.floats(width=32, **options))


def compare(actual: Any, expected: Any, **changes: Any) -> Parity:
    rule = {"rtol": RTOL, "atol": ATOL, **changes}
    return tensors.compare_outputs({"y": np.asarray(actual)}, {"y": np.asarray(expected)}, **rule)


# ------------------------------------------------------------------------------ files


@pytest.mark.parametrize("case", named(CASES["valid"]))
def test_bytes_are_those_of_the_protocol(case: dict[str, Any], tmp_path: Path) -> None:
    data, shape = bytes.fromhex(case["hex"]), tuple(case["shape"])
    array = tensors.decode(data, case["element_type"], shape, source="vector")
    assert array.shape == shape
    if case["element_type"] == "string":
        assert array.ravel().tolist() == case["values"]
    else:
        wanted = [float(value) for value in case["values"]]
        np.testing.assert_array_equal(array.ravel().astype(np.float64), wanted)
    written = tensors.write_tensor(tmp_path / "t", "x", array, case["element_type"])
    assert (tmp_path / "t").read_bytes() == data
    assert written.sha256 == case["sha256"]
    assert (written.element_type, written.shape) == (case["element_type"], shape)


@pytest.mark.parametrize("case", named(CASES["invalid"]))
def test_a_file_with_other_bytes_is_refused_by_name(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(bytes.fromhex(case["hex"]))
    described = TensorFile(
        name="x", element_type=case["element_type"], shape=tuple(case["shape"]), path="broken.bin"
    )
    with pytest.raises(BenchmarkError, match=r"broken\.bin"):
        tensors.read_tensor(described, tmp_path)


@pytest.mark.parametrize(
    "shape",
    [(0, 2**40, 2**40), (0, 2**70), (0, *[1] * 70), (-1,), (2**70,)],
    ids=["huge", "beyond 64 bits", "rank 71", "negative", "overflow"],
)
@pytest.mark.parametrize("element_type", ["float", "string", "bfloat16"])
def test_hostile_shapes_are_refused(shape: tuple[int, ...], element_type: str) -> None:
    with pytest.raises(BenchmarkError, match="cannot read tensor it"):
        tensors.decode(b"", element_type, shape, source="it")


@given(arrays())
def test_every_array_comes_back(array: Any) -> None:
    element_type = tensors.element_type_of(array)
    data = tensors.encode(array, element_type)
    back = tensors.decode(data, element_type, array.shape, source="memory")
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.flags.writeable
    assert len(data) == array.size * array.itemsize


@given(arrays(), st.sampled_from("<>=F"))
def test_order_of_bytes_and_axes_does_not_matter(array: Any, order: str) -> None:
    other = (
        np.asfortranarray(array) if order == "F" else array.astype(array.dtype.newbyteorder(order))
    )
    element_type = tensors.element_type_of(array)
    assert tensors.element_type_of(other) == element_type
    assert tensors.encode(other, element_type) == tensors.encode(array, element_type)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_every_text_comes_back(texts: list[str]) -> None:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    data = tensors.encode(array, "string")
    assert tensors.decode(data, "string", array.shape, source="memory").tolist() == texts
    if texts and not any(text.endswith("\0") for text in texts):  # numpy drops them
        assert tensors.encode(np.asarray(texts), "string") == data


@given(st.sampled_from(tensors.ELEMENT_TYPES), st.lists(st.integers(0, 5), max_size=3), st.binary())
def test_any_bytes_are_read_or_refused(element_type: str, shape: list[int], data: bytes) -> None:
    try:
        array = tensors.decode(data, element_type, tuple(shape), source="memory")
    except BenchmarkError:
        return
    assert tensors.encode(array, element_type) == data


@pytest.mark.parametrize(
    ("array", "element_type"),
    [
        (np.zeros(2, np.float64), "float"),
        (np.zeros(2, np.int32), "int64"),
        (np.zeros(2, np.uint16), "float16"),
        (np.zeros(2), "string"),
        (np.asarray(["a"], dtype=object), "float"),
        (np.asarray(["\ud800"], dtype=object), "string"),
        (np.zeros(2, np.complex64), "float"),
        (np.zeros(2, np.int8), "int4"),
    ],
)
def test_nothing_is_converted_in_silence(array: Any, element_type: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot store"):
        tensors.write_tensor(tmp_path / "t", "x", array, element_type)
    assert list(tmp_path.iterdir()) == []


def test_bits_of_bfloat16_are_taken_when_the_type_is_said() -> None:
    bits = np.asarray([0x3F80, 0xC000], np.uint16)
    data = tensors.encode(bits, "bfloat16")
    assert tensors.element_type_of(bits) == "uint16"
    assert tensors.decode(data, "bfloat16", (2,), source="x").astype(float).tolist() == [1, -2]


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    tensor = tensors.write_tensor(tmp_path / "t", "x", np.arange(3))
    np.testing.assert_array_equal(tensors.read_tensor(tensor), np.arange(3))
    (tmp_path / "t").write_bytes(np.asarray([0, 1, 3]).tobytes())
    with pytest.raises(BenchmarkError, match="changed"):
        tensors.read_tensor(tensor)


@pytest.mark.parametrize("path", ["none", "", "nul\0nul", "x" * 300])
def test_a_file_that_cannot_be_read_is_named(path: str, tmp_path: Path) -> None:
    tensor = TensorFile(name="x", element_type="float", shape=(1,), path=path)
    with pytest.raises(StorageError, match="'x'"):
        tensors.read_tensor(tensor, tmp_path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    tensors.write_tensor(tmp_path / "t", "x", np.arange(3))
    (tmp_path / "t.part").mkdir()
    with pytest.raises(StorageError, match="cannot write tensor 'x'"):
        tensors.write_tensor(tmp_path / "t", "x", np.arange(4))
    digest = hashlib.sha256(np.arange(3).tobytes()).hexdigest()
    assert hashlib.sha256((tmp_path / "t").read_bytes()).hexdigest() == digest


# ------------------------------------------------------------------------------ comparison


@given(arrays())
def test_everything_equals_itself(array: Any) -> None:
    parity = compare(array, array.copy(), rtol=0, atol=0)
    assert parity.status is ParityStatus.PASSED
    assert (parity.max_abs_error, parity.max_rel_error, parity.reason) == (0, 0, "")


@given(
    floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 6),
    st.floats(-2, 2).filter(lambda part: not 0.99 < abs(part) < 1.01),
)
def test_the_tolerance_decides_and_the_worst_element_is_named(
    expected: Any, at: int, part: float
) -> None:
    wanted = expected.astype(np.float64)
    actual = wanted.copy()
    actual[at] += part * (ATOL + RTOL * abs(wanted[at]))
    parity = compare(actual, wanted)
    assert (parity.status is ParityStatus.FAILED) is (abs(part) > 1)
    if abs(part) > 1:
        assert (parity.worst_output, parity.worst_index) == ("y", (at,))
        assert f"output 'y' at [{at}]" in parity.reason


@given(floats((2, 3)), st.integers(0, 5), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_value_that_is_no_number_fails_unless_both_have_it(
    expected: Any, at: int, special: float
) -> None:
    assume(math.isfinite(expected.ravel()[at]))
    actual = expected.copy()
    actual.ravel()[at] = special
    index = tuple(int(i) for i in np.unravel_index(at, expected.shape))
    for one, other in ((actual, expected), (expected, actual)):
        parity = compare(one, other)
        assert parity.status is ParityStatus.FAILED
        assert parity.worst_index == index
        codec.to_json(parity)
        assert math.isfinite(parity.max_abs_error or 0)
    assert compare(actual, actual.copy()).status is ParityStatus.PASSED


def test_infinities_of_other_sign_differ() -> None:
    assert compare([math.inf], [-math.inf]).status is ParityStatus.FAILED


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (np.asarray([1, 2, 4]), np.asarray([1, 2, 3])),
        (np.asarray([True, False, True]), np.asarray([True, False, False])),
        (np.asarray(["a", "b", "d"], object), np.asarray(["a", "b", "c"], object)),
        (np.asarray([1, 2, 2**63 - 1]), np.asarray([1, 2, 2**63 - 2])),
    ],
)
def test_what_is_no_float_must_be_equal(actual: Any, expected: Any) -> None:
    parity = compare(actual, expected, rtol=10, atol=10)
    assert parity.status is ParityStatus.FAILED
    assert parity.worst_index == (2,)


@pytest.mark.parametrize(
    ("actual", "expected", "said"),
    [
        ({}, {"y": np.zeros(1)}, "missing"),
        ({"y": np.zeros((1, 2))}, {"y": np.zeros((2, 1))}, r"shape \[1, 2\], expected \[2, 1\]"),
        ({"y": np.zeros(1, np.int32)}, {"y": np.zeros(1, np.int64)}, "type int32, expected int64"),
        ({"y": np.zeros(1, np.int64)}, {"y": np.zeros(1, np.float32)}, "type int64"),
        ({"y": np.asarray(["0"], object)}, {"y": np.zeros(1)}, "type object"),
        ({"y": np.zeros(1, bool)}, {"y": np.zeros(1, np.uint8)}, "type bool"),
    ],
)
@pytest.mark.parametrize("quantized", [False, True])
def test_what_cannot_be_compared_fails_with_the_reason(
    actual: dict[str, Any], expected: dict[str, Any], said: str, *, quantized: bool
) -> None:
    if quantized:
        parity = tensors.compare_quantized(actual, expected, min_sqnr_db=0, min_top1_agreement=0)
    else:
        parity = tensors.compare_outputs(actual, expected, rtol=1, atol=1)
    assert parity.status is ParityStatus.FAILED
    assert re.search(said, parity.reason)


def test_floats_may_differ_in_width() -> None:
    half = np.asarray([1.5, 2.25], np.float16)
    assert compare(half, half.astype(np.float32)).status is ParityStatus.PASSED


def test_the_worst_of_several_outputs_is_named() -> None:
    expected = {"a": np.ones(3), "b": np.ones((2, 2)), "c": np.ones(0)}
    actual = {"a": np.ones(3) + 2e-4, "b": np.ones((2, 2)), "c": np.ones(0), "more": np.ones(1)}
    actual["b"][1, 0] = 1.0005
    parity = tensors.compare_outputs(actual, expected, rtol=RTOL, atol=ATOL)
    assert (parity.status, parity.worst_output, parity.worst_index) == (
        ParityStatus.PASSED,
        "b",
        (1, 0),
    )
    assert parity.max_abs_error == pytest.approx(5e-4)


def test_nothing_to_compare_is_not_a_pass() -> None:
    parity = tensors.compare_outputs({}, {}, rtol=1, atol=1)
    assert parity.status is ParityStatus.NOT_CHECKED


def test_scalars_and_empty_outputs_have_no_place_to_name() -> None:
    assert compare(np.float32(1), np.float32(3)).worst_index == ()
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))).status is ParityStatus.PASSED


# ------------------------------------------------------------------------------ quantized


@given(st.floats(0.001, 0.5))
def test_sqnr_is_that_of_the_noise_put_in(scale: float) -> None:
    expected = {"y": np.tile([3.0, -3.0], 50)}
    actual = {"y": expected["y"] + np.tile([3 * scale, -3 * scale], 50)}
    level_db = -20 * math.log10(scale)
    for threshold, status in (
        (level_db - 0.1, ParityStatus.PASSED),
        (level_db + 0.1, ParityStatus.FAILED),
    ):
        parity = tensors.compare_quantized(
            actual, expected, min_sqnr_db=threshold, min_top1_agreement=None
        )
        assert parity.sqnr_db == pytest.approx(level_db, abs=1e-6)
        assert parity.status is status


def test_top1_agreement_counts_rows() -> None:
    expected = {"y": np.eye(4)}
    actual = {"y": np.eye(4)[[0, 1, 2, 0]]}
    for least, status in ((0.75, ParityStatus.PASSED), (0.76, ParityStatus.FAILED)):
        parity = tensors.compare_quantized(
            actual, expected, min_sqnr_db=-999, min_top1_agreement=least
        )
        assert parity.top1_agreement == 0.75
        assert parity.status is status


@pytest.mark.parametrize("special", [math.nan, math.inf])
def test_sqnr_of_values_that_are_no_numbers(special: float) -> None:
    expected = {"y": np.asarray([1.0, special])}
    rule: dict[str, Any] = {"min_sqnr_db": 20, "min_top1_agreement": None}
    same = tensors.compare_quantized(expected, expected, **rule)
    assert same.status is ParityStatus.PASSED
    other = tensors.compare_quantized({"y": np.asarray([1.0, 1.0])}, expected, **rule)
    assert other.status is ParityStatus.FAILED
    codec.to_json(other)


def test_a_quantized_model_without_float_outputs_must_be_equal() -> None:
    rule: dict[str, Any] = {"min_sqnr_db": 0, "min_top1_agreement": None}
    one, two = {"y": np.asarray([1])}, {"y": np.asarray([2])}
    assert tensors.compare_quantized(one, one, **rule).status is ParityStatus.PASSED
    assert tensors.compare_quantized(two, one, **rule).status is ParityStatus.FAILED


def test_tolerances_by_precision() -> None:
    assert tensors.tolerance_of(Precision.FP32) == (1e-3, 1e-5)
    assert tensors.tolerance_of(Precision.FP16) == (1e-2, 1e-3)
    assert tensors.tolerance_of(Precision.INT8_STATIC) is None
