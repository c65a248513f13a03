"""The host runner decides warm-up and stop as the protocol's vectors say, and never times more."""

from __future__ import annotations

import ast
import errno
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.runner import failures, measuring

VECTORS = Path(__file__).parents[2] / "bench_protocol/vectors"


def cases(name: str) -> list[Any]:
    vectors = json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in vectors]


def durations_of(case: dict[str, Any]) -> list[int]:
    return [duration for duration, times in case["durations_ns"] for _ in range(times)]


class FakeClock:
    """A clock that moves only while the model runs."""

    def __init__(self, durations: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 1_000
        self.left = iter(durations)
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now_ns)

    def run(self) -> None:
        self.now_ns += next(self.left)


@pytest.mark.parametrize("case", cases("warm_up.json"))
def test_warm_up_ends_where_the_vectors_say(case: dict[str, Any]) -> None:
    decision = measuring.WarmUp(case["rule"], case["first_run_ns"])
    for runs, duration_ns in enumerate(durations_of(case), start=1):
        converged = decision.add(duration_ns)
        if converged is not None:
            assert (runs, converged) == (case["runs"], case["converged"])
            return
    assert case["runs"] is None


@pytest.mark.parametrize("case", cases("warm_up.json"))
def test_warm_up_keeps_every_duration(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    durations = durations_of(case)
    clock = FakeClock(durations, monkeypatch)
    if case["runs"] is None:
        with pytest.raises(StopIteration):
            measuring.warm_up(clock.run, case["rule"], case["first_run_ns"])
        return
    kept, converged, median_ns = measuring.warm_up(clock.run, case["rule"], case["first_run_ns"])
    assert kept == durations[: case["runs"]]
    assert converged is case["converged"]
    assert min(kept) <= median_ns <= max(kept)


@pytest.mark.parametrize("case", cases("stop.json"))
def test_measurement_ends_where_the_vectors_say(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    durations = durations_of(case)
    clock = FakeClock(durations, monkeypatch)
    if case["runs"] is None:
        with pytest.raises(StopIteration):
            measuring.measure_runs(clock.run, case["rule"])
        return
    samples, reason = measuring.measure_runs(clock.run, case["rule"])
    assert samples.tolist() == durations[: case["runs"]]
    assert reason == case["stop_reason"]


@given(
    expected_ns=st.integers(0, 10**10),
    durations=st.lists(st.integers(0, 1000), min_size=300, max_size=300),
)
def test_no_sample_is_lost_when_the_array_has_to_grow(
    expected_ns: int, durations: list[int]
) -> None:
    rule = {"min_runs": 300, "min_ns": 0, "max_ns": 10**9, "floor_runs": 1}
    with pytest.MonkeyPatch.context() as patch:
        clock = FakeClock(durations, patch)
        samples, reason = measuring.measure_runs(clock.run, rule, expected_ns)
    assert samples.tolist() == durations
    assert reason == "complete"


@pytest.mark.parametrize("step", ["warm_up", "measure"])
def test_the_deadline_is_noticed_between_two_runs(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock([10] * 100, monkeypatch)
    rule = {"min_runs": 50, "min_ns": 0, "max_ns": 10**9, "floor_runs": 1}
    warm_up = {
        "window_min_runs": 50, "window_ns": 0, "agreement": 0.0, "min_ns": 0, "max_ns": 10**9,
        "max_runs": 1, "hard_limit_ns": 10**9,
    }  # fmt: skip
    deadline_ns = clock.now_ns + 65
    go = measuring.warm_up if step == "warm_up" else measuring.measure_runs
    with pytest.raises(measuring.DeadlineReached) as caught:
        go(clock.run, warm_up if step == "warm_up" else rule, 10, deadline_ns)
    assert list(caught.value.durations) == [10] * 7


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=99))
def test_median_lies_in_the_middle(durations: list[int]) -> None:
    median = measuring.median_ns(durations)
    assert 2 * sum(duration < median for duration in durations) <= len(durations)
    assert 2 * sum(duration <= median for duration in durations) >= len(durations)


# ------------------------------------------------------------------------------ the program

RUNNER = Path(measuring.__file__).parent
FILES = sorted(path for path in RUNNER.glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_board_with_python_3_8_numpy_and_onnxruntime_is_enough(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    siblings = {file.stem for file in FILES}
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    packages = {name.split(".")[0] for name in imported} - sys.stdlib_module_names - siblings
    assert packages <= {"numpy", "onnxruntime", "ortlab"}
    ours = {name for name in imported if name.startswith("ortlab")}
    assert all(name.startswith("ortlab.runner") for name in ours)


def test_no_file_of_the_program_hides_a_package_of_others() -> None:
    """Started as a program, its directory comes first in the search for modules."""
    taken = set(sys.stdlib_module_names) | {"requests", "numpy", "onnxruntime", "flatbuffers"}
    assert not {file.stem for file in FILES} & taken


# ------------------------------------------------------------------------------ failures


def raised(name: str, message: str) -> Exception:
    """Make an exception as onnxruntime.capi has it: its class is told by name alone."""
    made: Exception = type(name, (Exception,), {})(message)
    return made


CODE = "[ONNXRuntimeError] : 1 : FAIL : "


@pytest.mark.parametrize(
    ("error", "stage", "kind"),
    [
        (raised("NoSuchFile", "Load model from a failed"), "create_session", "model_missing"),
        (raised("InvalidProtobuf", "Protobuf parsing failed."), "create_session", "invalid_model"),
        (raised("InvalidGraph", "This is an invalid model."), "create_session", "invalid_model"),
        (raised("Fail", CODE + "Load model from a failed:bad"), "create_session", "invalid_model"),
        (
            raised(
                "Fail", CODE + "The ORT format model version [7] is not supported in this build"
            ),
            "create_session",
            "unsupported",
        ),
        (
            raised("Fail", CODE + "Unsupported model IR version: 14, max supported: 13"),
            "create_session",
            "unsupported",
        ),
        (raised("NotImplemented", "Could not find it"), "create_session", "unsupported"),
        (raised("EPFail", "compile"), "create_session", "provider_failed"),
        (RuntimeError("Unknown provider option: x"), "create_session", "provider_failed"),
        (raised("RuntimeException", "anything"), "create_session", "runtime_error"),
        (raised("RuntimeException", "std::bad_alloc"), "create_session", "out_of_memory"),
        (raised("Fail", "Failed to allocate memory for requested"), "measure", "out_of_memory"),
        (MemoryError(), "start", "out_of_memory"),
        (OSError(errno.ENOMEM, "no"), "start", "out_of_memory"),
        (OSError(errno.ENOSPC, "full"), "read_output", "storage"),
        (raised("InvalidArgument", "Got invalid dimensions"), "first_run", "invalid_input"),
        (ValueError("Required inputs (['x']) are missing"), "first_run", "invalid_input"),
        (raised("EPFail", "device"), "measure", "provider_failed"),
        (raised("Fail", "Non-zero status code"), "warm_up", "runtime_error"),
        (ImportError("no onnxruntime"), "start", "runtime_error"),
        (measuring.DeadlineReached([1]), "measure", "deadline"),
        (failures.Refused("unsupported", "no"), "start", "unsupported"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_exceptions_are_told_by_kind(error: Exception, stage: str, kind: str) -> None:
    failure = failures.describe(error, stage)
    assert (failure["stage"], failure["kind"]) == (stage, kind)
    assert failure["message"]
