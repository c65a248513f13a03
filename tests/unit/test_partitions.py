"""Nodes that stop operators keep from NNAPI, against a slow reading of the same rule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ortlab.prepare.partitions import excluded_nodes


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[set[int]]]:
    """Operators and consumers of a random acyclic graph."""
    operators = draw(st.lists(st.sampled_from("ABCD"), max_size=12))
    count = len(operators)
    consumers = [
        draw(st.sets(st.integers(index + 1, count - 1))) if index + 1 < count else set()
        for index in range(count)
    ]
    return operators, consumers


def reaches(start: int, goal: int, consumers: list[set[int]]) -> bool:
    return start == goal or any(reaches(next_, goal, consumers) for next_ in consumers[start])


@given(graphs(), st.sets(st.sampled_from("ABCDE")))
def test_a_node_is_excluded_when_a_stop_operator_reaches_it(
    graph: tuple[list[str], list[set[int]]], stops: set[str]
) -> None:
    operators, consumers = graph
    expected = {
        node
        for node in range(len(operators))
        if any(
            operator in stops and reaches(stop, node, consumers)
            for stop, operator in enumerate(operators)
        )
    }
    assert excluded_nodes(operators, consumers, stops) == expected


def test_a_cycle_does_not_hang() -> None:
    assert excluded_nodes(["A", "B", "C"], [{1}, {0}, set()], {"B"}) == {0, 1}
