"""ORT's profile text to executed operators."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.bench.profile import executed_operators
from ortlab.domain import ExecutedOperator
from ortlab.errors import BenchmarkError

CPU = "CPUExecutionProvider"
ENDED = {"cat": "Session", "name": "model_run", "args": {}}

Event = Mapping[str, object]


def kernel(name: str, operator: str, index: int, provider: str = CPU) -> Event:
    arguments = {"op_name": operator, "provider": provider, "node_index": str(index)}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": 3, "args": arguments}


def profile(*events: Event) -> str:
    """Lay events out as ORT does: a list, one event a line."""
    return "[\n" + ",\n".join(json.dumps(event) for event in events) + "\n]\n"


ONE_RUN = (kernel("c0", "Conv", 0), kernel("c1", "Conv", 1), kernel("s", "Softmax", 2), ENDED)
ONE_RUN_OPERATORS = (
    ExecutedOperator(provider=CPU, operator="Conv", count=2),
    ExecutedOperator(provider=CPU, operator="Softmax", count=1),
)


def test_nodes_are_counted_by_provider_and_operator() -> None:
    events = (*ONE_RUN[:-1], kernel("n", "NNAPI_1", 3, "NnapiExecutionProvider"), ENDED)
    counted = executed_operators(profile(*events), source="p")
    nnapi = ExecutedOperator(provider="NnapiExecutionProvider", operator="NNAPI_1", count=1)
    assert counted == (*ONE_RUN_OPERATORS, nnapi)


@given(st.integers(1, 5))
def test_runs_and_loop_iterations_count_a_node_once(runs: int) -> None:
    assert executed_operators(profile(*ONE_RUN * runs), source="p") == ONE_RUN_OPERATORS


def test_other_events_count_for_nothing() -> None:
    others: tuple[Event, ...] = (
        {"cat": "Session", "name": "session_initialization", "args": {}},
        {"cat": "Node", "name": "c0_fence_before", "args": {"op_name": "Conv"}},
        {"cat": "Node", "name": "x_kernel_time"},
        {"name": 5, "args": []},
    )
    assert executed_operators(profile(*others, *ONE_RUN), source="p") == ONE_RUN_OPERATORS


@given(st.data())
def test_a_torn_profile_gives_whole_runs_or_an_error_never_less(data: st.DataObject) -> None:
    text = profile(*ONE_RUN, *ONE_RUN)
    torn = text[: data.draw(st.integers(0, len(text)))]
    first_run_ends = text.index("model_run") + len('model_run", "args": {}}')
    if len(torn) >= first_run_ends:
        assert executed_operators(torn, source="p") == ONE_RUN_OPERATORS
    else:
        with pytest.raises(BenchmarkError, match="no run"):
            executed_operators(torn, source="p")


@given(st.one_of(st.text(), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
def test_anything_else_is_no_profile(text: str) -> None:
    with pytest.raises(BenchmarkError, match=r"profile p\.json"):
        executed_operators(text, source="p.json")


def test_deep_nesting_is_no_profile() -> None:
    with pytest.raises(BenchmarkError):
        executed_operators("[" * 200_000, source="p")
