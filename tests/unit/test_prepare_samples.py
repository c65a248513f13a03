"""Made-up inputs fit the model, repeat by seed, and say what was chosen; given ones are checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import TensorSpec
from ortlab.errors import UsageError
from ortlab.prepare.samples import (
    CannotMakeUpError,
    made_up_inputs,
    read_inputs,
)

TYPES = {
    "float": np.float32,
    "double": np.float64,
    "float16": np.float16,
    "int8": np.int8,
    "uint8": np.uint8,
    "int32": np.int32,
    "int64": np.int64,
    "bool": np.bool_,
    "string": object,
}
dims = st.integers(0, 5) | st.sampled_from(["batch", "n", "height"]) | st.none()
specs = st.builds(
    TensorSpec,
    name=st.text(),
    element_type=st.sampled_from(sorted(TYPES)),
    shape=st.lists(dims, max_size=4).map(tuple),
)


@given(st.lists(specs, max_size=3, unique_by=lambda spec: spec.name), st.integers(0, 9))
def test_every_attempt_fits_the_specification(inputs: list[TensorSpec], seed: int) -> None:
    for made, again in zip(made_up_inputs(inputs, seed), made_up_inputs(inputs, seed), strict=True):
        symbols: dict[str, int] = {}
        assert list(made.arrays) == [spec.name for spec in inputs]
        for spec in inputs:
            array = made.arrays[spec.name]
            assert array.dtype == TYPES[spec.element_type]
            assert spec.shape is not None
            assert array.ndim == len(spec.shape)
            for size, dim in zip(array.shape, spec.shape, strict=True):
                if isinstance(dim, int):
                    assert size == dim
                elif dim is not None:
                    assert symbols.setdefault(dim, size) == size
            assert np.array_equal(array, again.arrays[spec.name])
        unknown = any(not isinstance(d, int) for s in inputs for d in s.shape or ())
        assert bool(made.notes) == unknown


def test_images_get_image_sizes_and_the_choice_is_said() -> None:
    spec = TensorSpec(name="x", element_type="float", shape=(None, 3, None, None))
    made = next(made_up_inputs([spec], 0))
    assert made.arrays["x"].shape == (1, 3, 224, 224)
    assert "unknown dimension 2 of input 'x' was taken as 224" in made.notes


def test_later_attempts_are_smaller_and_tamer() -> None:
    spec = TensorSpec(name="x", element_type="int64", shape=("batch", "tokens"))
    attempts = [made.arrays["x"] for made in made_up_inputs([spec], 0)]
    assert len(attempts) > 2
    assert attempts[0].max() > 1
    assert all(later.max() <= 1 for later in attempts[1:])
    assert attempts[-1].size < attempts[0].size


def test_no_inputs_are_one_attempt() -> None:
    assert [dict(made.arrays) for made in made_up_inputs([], 0)] == [{}]


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec(name="x", element_type="float", shape=None),
        TensorSpec(name="x", element_type="sequence", shape=None),
        TensorSpec(name="x", element_type="complex64", shape=(1,)),
        TensorSpec(name="x", element_type="int4", shape=(1,)),
        TensorSpec(name="x", element_type="float", shape=(2**20, 2**20)),
        TensorSpec(name="x", element_type="string", shape=(2**40,)),
        TensorSpec(name="x", element_type="uint8", shape=(2**62, 2**62)),
    ],
    ids=["no rank", "sequence", "complex", "int4", "huge", "huge strings", "overflow"],
)
def test_what_cannot_be_made_up_says_so(spec: TensorSpec) -> None:
    with pytest.raises(CannotMakeUpError, match="'x'"):
        list(made_up_inputs([spec], 0))


SPECS = (
    TensorSpec(name="x", element_type="float", shape=(None, 2)),
    TensorSpec(name="words", element_type="string", shape=(None,)),
)


def test_a_folder_of_inputs_is_read_in_order(tmp_path: Path) -> None:
    for number in (2, 1):
        np.savez(
            tmp_path / f"{number}.npz", x=np.full((1, 2), number, np.float32), words=np.array(["a"])
        )
    sets = read_inputs(tmp_path, SPECS)
    assert [made.origin for made in sets] == ["1.npz", "2.npz"]
    assert [float(made.arrays["x"][0, 0]) for made in sets] == [1, 2]
    assert sets[0].arrays["words"].dtype == object
    assert len({made.sample_id for made in sets}) == 2


def test_doubles_are_taken_for_floats_but_words_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((1, 2)), words=np.array(["a"]))
    (made,) = read_inputs(tmp_path / "a.npz", SPECS)
    assert made.arrays["x"].dtype == np.float32
    np.savez(tmp_path / "a.npz", x=np.array([["1", "2"]]), words=np.array(["a"]))
    with pytest.raises(UsageError, match="'x'"):
        read_inputs(tmp_path / "a.npz", SPECS)


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", y=np.ones(1))
    with pytest.raises(UsageError, match=r"lacks 'x'.*'y'"):
        read_inputs(tmp_path / "a.npz", SPECS)


def test_a_single_array_is_a_usage_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(2))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(UsageError):
        read_inputs(tmp_path / "a.npz", SPECS)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY", b"text"])
def test_what_is_no_npz_is_a_usage_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.npz"):
        read_inputs(tmp_path / "a.npz", SPECS)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("a pickle was executed",))

    np.savez(tmp_path / "a.npz", x=np.array([Bomb()], dtype=object))
    with pytest.raises(UsageError):
        read_inputs(tmp_path / "a.npz", SPECS)


def test_an_empty_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_inputs(tmp_path, SPECS)
