"""Frozen dataclasses to JSON and back, checked on the way in.

pydantic is imported on first use: most commands start without it. JSON has no infinity and no
NaN; they are written as the strings ``Infinity``, ``-Infinity`` and ``NaN`` and read back.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar

from ortlab.errors import StorageError

Value = TypeVar("Value")


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    # A dataclass alone takes no configuration; as part of another type it inherits that one's.
    return TypeAdapter(kind | None, config=ConfigDict(ser_json_inf_nan="strings"))


def to_json(value: object, *, indent: int | None = None) -> str:
    """Serialize a frozen value; enums become their value, tuples become arrays."""
    kind: Any = type(value)
    text: bytes = _adapter(kind).dump_json(value, indent=indent)
    return text.decode()


def to_plain(value: object) -> Any:
    """Return the JSON structure (dicts, lists, numbers, strings) of a frozen value."""
    return json.loads(to_json(value))


def from_json(kind: type[Value], text: str | bytes, *, source: str) -> Value:
    """Parse and check JSON against a frozen dataclass.

    Args:
        kind: The dataclass.
        text: The JSON.
        source: What was read, for the message.

    Raises:
        StorageError: The text is not JSON, or does not have the shape of ``kind``.
    """
    from pydantic import ValidationError

    try:
        adapter_key: Any = kind
        value: Value | None = _adapter(adapter_key).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top level"
        message = (
            f"cannot read {source} as {kind.__name__}: {first['msg']} at {place}"
            f" ({error.error_count()} problem(s) in all)"
        )
        raise StorageError(message) from error
    if value is None:
        message = f"cannot read {source} as {kind.__name__}: it holds null"
        raise StorageError(message)
    return value
