"""Is this a block request? Checked without a schema library, which a board may lack.

Source of the shape: `bench_protocol/schemas/block_request.schema.json`.
"""

# ruff: noqa: UP045 (this file runs on Python 3.8 too)

from __future__ import annotations

from typing import Any, Optional

if __package__:
    from ortlab.runner import tensor_files
else:
    import tensor_files  # type: ignore[import-not-found, no-redef]

REQUEST_SCHEMA = "ortlab.block_request/1"
BATCH_SCHEMA = "ortlab.batch_request/1"

_HEXADECIMAL = frozenset("0123456789abcdef")


class _AtLeast:
    """A whole number that is not below ``least``."""

    def __init__(self, least: int) -> None:
        self.least = least


class _Optional:
    """A value or null."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class _Text:
    """A text; a path holds no NUL, a hash is hexadecimal, an empty one names nothing."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _MapOfTexts:
    """An object whose values are texts."""


_ANY, _NAME, _PATH, _HASH = _Text("any"), _Text("name"), _Text("path"), _Text("hash")
_COUNT, _POSITIVE = _AtLeast(0), _AtLeast(1)
_TENSOR = {
    "name": _ANY,
    "element_type": tensor_files.ELEMENT_TYPES,
    "shape": [_COUNT],
    "path": _PATH,
    "sha256": _Optional(_HASH),
}
_SHAPE = {
    "schema": (REQUEST_SCHEMA,),
    "block_id": _NAME,
    "purpose": ("latency", "memory", "profile", "parity", "cold_start"),
    "model": {
        "path": _PATH,
        "sha256": _HASH,
        "load_mode": ("path", "bytes", "direct-bytes", "initializers-from-bytes"),
        "custom_op_library": _Optional(_PATH),
    },
    "session": {
        "graph_optimization_level": ("disabled", "basic", "extended", "layout", "all"),
        "intra_op_num_threads": _Optional(_COUNT),
        "inter_op_num_threads": _Optional(_COUNT),
        "execution_mode": ("sequential", "parallel"),
        "cpu_memory_arena": _Optional(bool),
        "memory_pattern": _Optional(bool),
        "config_entries": _MapOfTexts(),
    },
    "providers": [{"name": _NAME, "options": _MapOfTexts()}],
    "inputs": [_TENSOR],
    "output_directory": _PATH,
    "warm_up": {
        "window_min_runs": _POSITIVE,
        "window_ns": _COUNT,
        "agreement": float,
        "min_ns": _COUNT,
        "max_ns": _COUNT,
        "max_runs": _COUNT,
        "hard_limit_ns": _COUNT,
    },
    "stop": {"min_runs": _POSITIVE, "min_ns": _COUNT, "max_ns": _COUNT, "floor_runs": _POSITIVE},
    "measured_runs": _POSITIVE,
    "settle_ns": _COUNT,
    "deadline_s": float,
}


def answerable(request: Any) -> Optional[dict[str, str]]:
    """Return block id and output directory, without which nobody can be answered."""
    if not isinstance(request, dict):
        return None
    target = {key: request.get(key) for key in ("block_id", "output_directory")}
    if _problem(target["block_id"], _NAME, "") or _problem(target["output_directory"], _PATH, ""):
        return None
    return target  # type: ignore[return-value]


def batch_of(request: Any) -> Optional[list[Any]]:
    """Return the requests of a batch, or None when it is none."""
    if not isinstance(request, dict) or request.get("schema") != BATCH_SCHEMA:
        return None
    requests = request.get("requests")
    return requests if isinstance(requests, list) else []


def find_problem(request: Any) -> str:
    """Return what is wrong with a request, in a sentence, or an empty text."""
    problem = _problem(request, _SHAPE, "the request")
    if problem:
        return problem
    if not request["providers"]:
        return "providers is empty"
    names = [tensor["name"] for tensor in request["inputs"]]
    if len(set(names)) != len(names):
        return "inputs names a tensor twice"
    return ""


def _problem(value: Any, shape: Any, place: str) -> str:
    if isinstance(shape, dict):
        return _problem_of_object(value, shape, place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no array"
        found = (_problem(item, shape[0], f"{place}[{at}]") for at, item in enumerate(value))
        return next(filter(None, found), "")
    if isinstance(shape, _Optional):
        return "" if value is None else _problem(value, shape.shape, place)
    if isinstance(shape, tuple):
        return "" if value in shape else f"{place} is {value!r}, none of {', '.join(shape)}"
    if _matches(value, shape):
        return ""
    return f"{place} cannot be {value!r}"


def _problem_of_object(value: Any, shape: dict[str, Any], place: str) -> str:
    if not isinstance(value, dict):
        return f"{place} is no object"
    for key, inner in shape.items():
        if key not in value:
            return f"{place} lacks {key}"
        problem = _problem(value[key], inner, key if place == "the request" else f"{place}.{key}")
        if problem:
            return problem
    return ""


def _matches(value: Any, shape: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(shape, _AtLeast):
        return is_number and isinstance(value, int) and shape.least <= value < 1 << 62
    if shape is float:
        return is_number and 0 <= value < 1e9
    if isinstance(shape, _Text):
        return isinstance(value, str) and _is_text(value, shape.kind)
    if isinstance(shape, _MapOfTexts):
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return isinstance(value, shape)


def _is_text(value: str, kind: str) -> bool:
    if kind == "any":
        return True
    if kind == "hash":
        return len(value) == 64 and _HEXADECIMAL.issuperset(value)
    return bool(value) and "\0" not in value
