"""The columns of the export, and how a row of the store becomes one of them.

Of a block, the figures that analysts ask for get columns of their own, read without trust: what
is missing or odd is null. Its whole line is kept beside them, so that nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ortlab.text import encodable

Row = dict[str, Any]
_LARGEST = 2**63


def schemas() -> dict[str, Any]:
    """Return the table's columns as pyarrow schemas, by file name without its ending."""
    import pyarrow as pa

    text, whole, truth = pa.string(), pa.int64(), pa.bool_()
    time = pa.timestamp("us", tz="UTC")
    columns: dict[str, list[tuple[str, Any]]] = {
        "jobs": [
            ("job_id", text), ("name", text), ("submitted_at", time), ("cancelled", truth),
            ("baseline", truth), ("priority", whole), ("deadline", time), ("spec", text),
        ],
        "cells": [
            ("cell_id", text), ("job_id", text), ("model", text), ("slot", whole),
            ("state", text), ("phone_id", text), ("failed_attempts", whole), ("reason", text),
        ],
        "phones": [
            ("phone_id", text), ("host_id", text), ("state", text), ("reason", text),
            ("seen_at", time), ("value", text),
        ],
        "attempts": [
            ("token", whole), ("cell_id", text), ("phone_id", text), ("holder", text),
            ("started_at", time), ("ended_at", time), ("outcome", text), ("reason", text),
        ],
        "blocks": [
            ("number", whole), ("cell_id", text), ("phone_id", text), ("block_id", text),
            ("token", whole), ("arm_id", text), ("purpose", text), ("round_index", whole),
            ("attempt", whole), ("outcome", text), ("started_at", time),
            ("duration_s", pa.float64()), ("disturbances", pa.list_(text)),
            ("session_creation_ns", whole), ("first_run_ns", whole),
            ("warm_up_ns", pa.list_(whole)), ("measured_ns", pa.list_(whole)), ("line", text),
        ],
        "results": [
            ("cell_id", text), ("job_id", text), ("model", text), ("model_name", text),
            ("phone_id", text), ("phone_name", text), ("virtual", truth), ("finished_at", time),
            ("control", text), ("control_label", text), ("trust", text),
            ("sentences", pa.list_(text)),
        ],
        "comparisons": [
            ("cell_id", text), ("arm", text), ("baseline", text), ("ratio", pa.float64()),
            ("low", pa.float64()), ("high", pa.float64()), ("verdict", text),
            ("sentence", text), ("log_ratios", pa.list_(pa.float64())),
        ],
        "events": [
            ("number", whole), ("at", time), ("kind", text), ("subject", text), ("text", text),
        ],
    }  # fmt: skip
    return {name: pa.schema(fields) for name, fields in columns.items()}


def converters() -> Mapping[str, tuple[str, Callable[[Row], Iterator[Row]]]]:
    """Return for each file the store's table and what makes its rows of one of that table's.

    What refers to others comes first: while the lab works on, whatever is referred to is then
    there when its own table is read.
    """
    return {
        "blocks": ("blocks", _block),
        "results": ("results", _result),
        "comparisons": ("results", _comparisons),
        "attempts": ("attempts", _plain),
        "cells": ("cells", _plain),
        "phones": ("phones", _plain),
        "jobs": ("jobs", _job),
        "events": ("events", _plain),
    }


def cleaner(kind: Any) -> Callable[[Any], Any]:
    """Return what makes a value one of a column's type; null where it is none of that kind."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        inner = _whole_list if pa.types.is_integer(kind.value_type) else _list_of(kind.value_type)
        return lambda value: inner(value) if isinstance(value, list) else None
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_timestamp(kind):
        return _time
    if pa.types.is_boolean(kind):
        return lambda value: None if value is None else bool(value)
    return _number if pa.types.is_floating(kind) else _whole


def _plain(row: Row) -> Iterator[Row]:
    yield row


def _job(row: Row) -> Iterator[Row]:
    spec = _parsed(row.get("spec"))
    yield {**row, "priority": spec.get("priority"), "deadline": spec.get("deadline")}


def _block(row: Row) -> Iterator[Row]:
    block = _parsed(row.get("line"))
    result = block.get("result")
    timing = result.get("timing") if isinstance(result, dict) else None
    yield {**block, **(timing if isinstance(timing, dict) else {}), **row}


def _result(row: Row) -> Iterator[Row]:
    yield {**_parsed(row.get("value")), "cell_id": row["cell_id"]}


def _comparisons(row: Row) -> Iterator[Row]:
    found = _parsed(row.get("value")).get("comparisons")
    for comparison in found if isinstance(found, list) else ():
        if isinstance(comparison, dict):
            yield {**comparison, "cell_id": row["cell_id"]}


def _parsed(text: Any) -> Row:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _list_of(kind: Any) -> Callable[[list[Any]], list[Any] | None]:
    clean = cleaner(kind)

    def cleaned(value: list[Any]) -> list[Any] | None:
        # A list with a hole would shift what belongs to which run.
        found = [clean(item) for item in value]
        return None if None in found else found

    return cleaned


def _whole_list(value: list[Any]) -> list[int] | None:
    # A block has thousands of samples, so none is looked at in Python.
    if not value:
        return value
    fits = set(map(type, value)) == {int} and min(value) >= -_LARGEST and max(value) < _LARGEST
    return value if fits else None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return encodable(value if isinstance(value, str) else json.dumps(value))


def _whole(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST
    return int(value) if fits else None


def _number(value: Any) -> float | None:
    # JSON has no infinity; the codec writes a word, which Python reads.
    words = ("Infinity", "-Infinity", "NaN")
    if isinstance(value, str) and value not in words:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
