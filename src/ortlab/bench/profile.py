"""ORT's profile of a session → the operators that really ran in one run of the model.

A profile is a JSON list, one event a line. ``session_initialization`` and ``model_run`` bracket
the events of nodes; ``NAME_kernel_time`` carries operator, provider and node index. A runner that
dies leaves it without its end: whole lines are still good, provided that a run had ended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ortlab.domain import ExecutedOperator
from ortlab.errors import BenchmarkError

_KERNEL_TIME: Final = "_kernel_time"
_RUN_ENDED: Final = "model_run"


def executed_operators(text: str, *, source: str) -> tuple[ExecutedOperator, ...]:
    """Return the distinct nodes that ran, counted by provider and operator, sorted.

    Nodes are told apart by name and index, so that several runs in one profile, and the
    iterations of a loop, count a node once.

    Args:
        text: Of the profile file.
        source: What is read, for the message.

    Raises:
        BenchmarkError: It is no profile, or it ends before the first run did.
    """
    nodes: set[tuple[str, str, str, str]] = set()
    run_ended = False
    for event in _events(text):
        name, arguments = event.get("name"), event.get("args")
        if name == _RUN_ENDED:
            run_ended = True
        if not isinstance(name, str) or not isinstance(arguments, Mapping):
            continue
        operator, provider = arguments.get("op_name"), arguments.get("provider")
        if name.endswith(_KERNEL_TIME) and isinstance(operator, str):
            index = str(arguments.get("node_index"))
            nodes.add((str(provider or "unknown"), operator, name, index))
    if not run_ended:
        message = f"cannot read profile {source}: no run of the model had ended in it"
        raise BenchmarkError(message)
    counts = Counter((provider, operator) for provider, operator, _, _ in nodes)
    return tuple(
        ExecutedOperator(provider=provider, operator=operator, count=count)
        for (provider, operator), count in sorted(counts.items())
    )


def _events(text: str) -> Iterator[Mapping[str, Any]]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = _whole_lines(text)
    if isinstance(parsed, list):
        yield from (event for event in parsed if isinstance(event, dict))


def _whole_lines(text: str) -> list[Any]:
    events = []
    for line in text.splitlines():
        try:
            events.append(json.loads(line.strip().rstrip(",")))
        except (ValueError, RecursionError):
            continue
    return events
