"""Write `bench_protocol/vectors/` from definitions that share nothing with any runner.

``python scripts/make_protocol_vectors.py`` writes them, ``--check`` says whether they are current.
The rules are recomputed from the whole list of durations for every prefix, in the words of
`bench_protocol/README.md`; bytes come from ``struct``.
"""

# ruff: noqa: D103 (small functions whose names say it)

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "bench_protocol" / "vectors"
MS = 1_000_000
SECOND = 1000 * MS

WARM_UP = {
    "window_min_runs": 5,
    "window_ns": 250 * MS,
    "agreement": 0.02,
    "min_ns": 500 * MS,
    "max_ns": 8 * SECOND,
    "max_runs": 10,
    "hard_limit_ns": 30 * SECOND,
}
QUICK = {**WARM_UP, "window_min_runs": 3, "window_ns": 0, "min_ns": 0, "max_ns": 1000}
STOP = {"min_runs": 30, "min_ns": 2 * SECOND, "max_ns": 30 * SECOND, "floor_runs": 5}
QUICK_STOP = {"min_runs": 4, "min_ns": 100, "max_ns": 1000, "floor_runs": 2}

Runs = list[tuple[int, int]]


# ------------------------------------------------------------------------------ the rules


def median(values: list[int]) -> int:
    ordered = sorted(values)
    size = len(ordered)
    return (ordered[(size - 1) // 2] + ordered[size // 2]) // 2


def windows(durations: list[int], first_run_ns: int, rule: dict[str, Any]) -> list[list[int]]:
    """Cut durations into full windows; what is left over belongs to none."""
    cut: list[list[int]] = []
    at = 0
    while True:
        reference = median(cut[-1]) if cut else first_run_ns
        size = max(rule["window_min_runs"], math.ceil(rule["window_ns"] / max(1, reference)))
        if at + size > len(durations):
            return cut
        cut.append(durations[at : at + size])
        at += size


def warm_up_end(
    durations: list[int], first_run_ns: int, rule: dict[str, Any]
) -> tuple[int, bool] | None:
    """Return after how many runs warm-up ends and whether it converged, or None."""
    for runs in range(1, len(durations) + 1):
        done = durations[:runs]
        full = windows(done, first_run_ns, rule)
        just_closed = sum(map(len, full)) == runs
        if just_closed and len(full) >= 2 and sum(done) >= rule["min_ns"]:
            before, last = median(full[-2]), median(full[-1])
            if abs(last - before) <= rule["agreement"] * before:
                return runs, True
        if sum(done) >= rule["hard_limit_ns"]:
            return runs, False
        if sum(done) >= rule["max_ns"] and runs >= rule["max_runs"]:
            return runs, False
    return None


def stop_end(durations: list[int], rule: dict[str, Any]) -> tuple[int, str] | None:
    """Return after how many runs measurement ends and why, or None."""
    for runs in range(1, len(durations) + 1):
        elapsed_ns = sum(durations[:runs])
        if runs >= rule["min_runs"] and elapsed_ns >= rule["min_ns"]:
            return runs, "complete"
        if elapsed_ns >= rule["max_ns"] and runs >= rule["floor_runs"]:
            return runs, "too_few_runs" if runs <= rule["floor_runs"] else "time_limit"
    return None


def expand(runs: Runs) -> list[int]:
    return [duration for duration, times in runs for _ in range(times)]


def warm_up_cases() -> Iterable[tuple[str, dict[str, Any], int, Runs]]:
    yield "steady 10 ms", WARM_UP, 10 * MS, [(10 * MS, 200)]
    yield "steady 10 ms after a slow first run", WARM_UP, 80 * MS, [(10 * MS, 200)]
    yield "steady 1 ms", WARM_UP, 1 * MS, [(1 * MS, 1000)]
    yield "steady 100 ms", WARM_UP, 100 * MS, [(100 * MS, 50)]
    yield "steady 900 ms", WARM_UP, 900 * MS, [(900 * MS, 40)]
    yield "steady 4 s: the hard limit inside a window", WARM_UP, 4 * SECOND, [(4 * SECOND, 12)]
    yield "steady 7 s: the hard limit", WARM_UP, 7 * SECOND, [(7 * SECOND, 12)]
    yield "one run as long as the hard limit", WARM_UP, MS, [(30 * SECOND, 1)]
    by_ten = [(900 * MS, 5), (1000 * MS, 6)]
    yield "the time is over, ten runs are not yet", WARM_UP, 900 * MS, by_ten
    yield (
        "getting faster, then steady",
        WARM_UP,
        30 * MS,
        [
            *((30 * MS - at * MS, 10) for at in range(20)),
            (10 * MS, 200),
        ],
    )
    yield (
        "never steady",
        WARM_UP,
        10 * MS,
        [pair for _ in range(40) for pair in ((10 * MS, 25), (11 * MS, 23))],
    )
    yield "undecided", WARM_UP, 10 * MS, [(10 * MS, 30)]
    yield "two windows of three", QUICK, 10, [(100, 6)]
    yield "difference exactly the limit", QUICK, 10, [(100, 3), (102, 3)]
    yield "difference just above the limit", QUICK, 10, [(100, 3), (103, 3), (103, 3)]
    yield "limit taken of the earlier window, slower", QUICK, 10, [(10000, 3), (10201, 3)]
    yield "limit taken of the earlier window, faster", QUICK, 10, [(10204, 3), (10000, 3)]
    yield "agreeing but too early", {**QUICK, "min_ns": 700}, 10, [(100, 9)]
    yield (
        "agreeing and given up at the same run",
        {**QUICK, "max_ns": 600, "max_runs": 6},
        10,
        [(100, 6)],
    )
    yield "given up by runs after the time", QUICK, 10, [(500, 3), (100, 3), (500, 3), (100, 3)]
    yield (
        "given up by time after the runs",
        {**QUICK, "max_ns": 2000},
        10,
        [
            (100, 3),
            (50, 3),
            (100, 3),
            (50, 3),
            (100, 3),
            (900, 3),
        ],
    )
    yield "no duration at all", QUICK, 0, [(0, 6)]
    yield "from nothing to something", QUICK, 0, [(0, 3), (1, 3), (1, 3)]
    even = {**QUICK, "window_min_runs": 2}
    yield "median of two rounded down", even, 10, [(100, 1), (103, 1), (103, 1), (104, 1)]
    yield "an outlier does not move a median", QUICK, 10, [(100, 2), (999, 1), (999, 1), (100, 2)]
    by_time = {**QUICK, "window_ns": 1000, "max_ns": 10**6}
    yield "windows sized by the first run", by_time, 100, [(100, 20)]
    yield "window size rounded up", by_time, 300, [(300, 8)]
    yield "windows resized by the median before", by_time, 1000, [(100, 13)]
    yield "a single run a window", {**QUICK, "window_min_runs": 1}, 5, [(7, 1), (7, 1)]


def stop_cases() -> Iterable[tuple[str, dict[str, Any], Runs]]:
    yield "1 ms: by time", STOP, [(MS, 2100)]
    yield "10 ms: by time", STOP, [(10 * MS, 300)]
    yield "100 ms: by runs", STOP, [(100 * MS, 40)]
    yield "900 ms: thirty runs in 27 s", STOP, [(900 * MS, 40)]
    yield "1 s: thirty runs in 30 s, complete wins", STOP, [(SECOND, 40)]
    yield "1.1 s: the time limit", STOP, [(1100 * MS, 40)]
    yield "7 s: five runs pass the limit", STOP, [(7 * SECOND, 10)]
    yield "20 s: five runs although the limit has passed", STOP, [(20 * SECOND, 10)]
    yield "undecided", STOP, [(10 * MS, 40)]
    yield "both at once", QUICK_STOP, [(25, 4)]
    yield "runs enough, time not", QUICK_STOP, [(10, 9), (11, 1)]
    yield "time enough, runs not", QUICK_STOP, [(99, 2), (5, 2)]
    yield "limit reached exactly", QUICK_STOP, [(300, 2), (400, 1), (1, 1)]
    yield "floor after the limit", QUICK_STOP, [(5000, 3)]
    yield "complete below the floor", {**QUICK_STOP, "floor_runs": 6}, [(400, 9)]
    yield "no duration at all", {**QUICK_STOP, "min_ns": 0}, [(0, 5)]


# ------------------------------------------------------------------------------ tensor files


def _bits_of_bfloat16(value: float) -> int:
    bits = int.from_bytes(struct.pack("<f", value), "little")
    assert bits & 0xFFFF == 0, "choose values that bfloat16 holds exactly"
    return bits >> 16


def pack(element_type: str, values: list[Any]) -> bytes:
    codes = {
        "float": "f", "double": "d", "float16": "e", "bool": "?",
        "int8": "b", "int16": "h", "int32": "i", "int64": "q",
        "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    }  # fmt: skip
    if element_type == "string":
        texts = [value.encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if element_type == "bfloat16":
        return b"".join(struct.pack("<H", _bits_of_bfloat16(value)) for value in values)
    return struct.pack(f"<{len(values)}{codes[element_type]}", *values)


def plain(element_type: str, value: Any) -> Any:
    """Return a value as JSON can hold it in every language: 64 bits and NaN as text."""
    if element_type in {"int64", "uint64"}:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value


def tensor_cases() -> Iterable[tuple[str, str, list[int], list[Any]]]:
    specials = [0.0, -0.0, 1.5, -2.0, math.inf, -math.inf, math.nan, 0.25]
    for element_type in ("float", "double", "float16", "bfloat16"):
        yield f"{element_type} with infinities", element_type, [2, 4], specials
    yield "largest and least float", "float", [2], [3.4028234663852886e38, 1.401298464324817e-45]
    for bits in (8, 16, 32, 64):
        half = 1 << (bits - 1)
        yield f"int{bits}", f"int{bits}", [2, 2], [0, -1, half - 1, -half]
        yield f"uint{bits}", f"uint{bits}", [4, 1], [0, 1, half, 2 * half - 1]
    yield "bool", "bool", [3], [True, False, True]
    texts = ["", "a", "grüße", "日本語", "🎈", "line\nbreak", "\0", "x" * 300]
    yield "string", "string", [2, 4], texts
    yield "scalar", "float", [], [42.0]
    yield "scalar string", "string", [], ["one"]
    yield "no elements", "int64", [0, 3], []
    yield "no strings", "string", [2, 0], []
    yield "rank 6", "int32", [1, 2, 1, 3, 1, 1], [1, 2, 3, 4, 5, 6]


def broken_tensor_cases() -> Iterable[tuple[str, str, list[int], bytes]]:
    yield "a byte too few", "float", [2], bytes(7)
    yield "a byte too many", "float", [2], bytes(9)
    yield "nothing", "uint8", [1], b""
    yield "something for no elements", "uint8", [0], b"\0"
    yield "huge shape", "double", [1 << 40, 1 << 40], bytes(8)
    yield "bool of two", "bool", [2], b"\x01\x02"
    yield "string cut in its text", "string", [1], struct.pack("<I", 3) + b"ab"
    yield "string cut in its length", "string", [1], b"\x01\0\0"
    yield "string longer than the file", "string", [1], struct.pack("<I", 0xFFFFFFFF) + b"a"
    yield "one string too few", "string", [2], struct.pack("<I", 1) + b"a"
    yield "one string too many", "string", [1], struct.pack("<I", 0) * 2
    yield "no UTF-8", "string", [1], struct.pack("<I", 1) + b"\xff"
    yield "half a surrogate", "string", [1], struct.pack("<I", 3) + b"\xed\xa0\x80"


# ------------------------------------------------------------------------------ failures


def models() -> dict[str, bytes]:
    """Return the models of the failure vectors by file name: doubling two by three floats."""
    import onnx
    from onnx import helper

    def doubling(operator: str, ir_version: int) -> bytes:
        node = helper.make_node(operator, ["x", "x"], ["y"], "double")
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [node],
            "doubling",
            [helper.make_tensor_value_info("x", kind, [2, 3])],
            [helper.make_tensor_value_info("y", kind, [2, 3])],
        )
        opset = helper.make_opsetid("", 13)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=ir_version)
        model.producer_name = ""
        return bytes(model.SerializeToString(deterministic=True))

    return {
        "doubling.onnx": doubling("Add", 7),
        "garbage.onnx": bytes(range(256)),
        "unknown_operator.onnx": doubling("DoubleThat", 7),
        "future.onnx": doubling("Add", 9999),
    }


def base_request(model: bytes, tensor: bytes) -> dict[str, Any]:
    return {
        "schema": "ortlab.block_request/1",
        "block_id": "vector",
        "purpose": "parity",
        "model": {
            "path": "doubling.onnx",
            "sha256": hashlib.sha256(model).hexdigest(),
            "load_mode": "path",
            "custom_op_library": None,
        },
        "session": {
            "graph_optimization_level": "all",
            "intra_op_num_threads": 1,
            "inter_op_num_threads": None,
            "execution_mode": "sequential",
            "cpu_memory_arena": None,
            "memory_pattern": None,
            "config_entries": {},
        },
        "providers": [{"name": "CPUExecutionProvider", "options": {}}],
        "inputs": [
            {
                "name": "x",
                "element_type": "float",
                "shape": [2, 3],
                "path": "x.bin",
                "sha256": hashlib.sha256(tensor).hexdigest(),
            }
        ],
        "output_directory": "out",
        "warm_up": {**WARM_UP, "min_ns": MS, "window_ns": MS, "max_ns": 100 * MS},
        "stop": {**STOP, "min_ns": MS, "max_ns": 100 * MS},
        "measured_runs": 2,
        "settle_ns": 0,
        "deadline_s": 60.0,
    }


Change = dict[str, Any]


def put(at: str, value: Any) -> Change:
    return {"at": at.split("."), "value": value}


def drop(at: str) -> Change:
    return {"at": at.split("."), "remove": True}


def failure_cases(files: dict[str, bytes]) -> Iterable[tuple[str, list[Change], str, str]]:
    def model(name: str) -> list[Change]:
        digest = hashlib.sha256(files[name]).hexdigest()
        return [put("model.path", name), put("model.sha256", digest)]

    for field in base_request(b"", b""):
        if field not in {"block_id", "output_directory"}:
            yield f"without {field}", [drop(field)], "start", "invalid_request"
    for at, value in (
        ("schema", "ortlab.block_request/2"),
        ("purpose", "speed"),
        ("model.load_mode", "magic"),
        ("model.sha256", "abc"),
        ("model.path", ""),
        ("session.graph_optimization_level", "ALL"),
        ("session.execution_mode", 0),
        ("session.intra_op_num_threads", -1),
        ("session.intra_op_num_threads", 1.5),
        ("session.intra_op_num_threads", True),
        ("session.memory_pattern", "yes"),
        ("session.config_entries", {"a": 1}),
        ("providers", []),
        ("providers.0.name", None),
        ("providers.0.options", []),
        ("inputs.0.element_type", "int4"),
        ("inputs.0.shape", [-1]),
        ("inputs.0.path", "a\0b"),
        ("warm_up.window_min_runs", 0),
        ("warm_up.agreement", "0.02"),
        ("stop.floor_runs", 0),
        ("measured_runs", 0),
        ("settle_ns", 1 << 62),
        ("deadline_s", -1),
        ("deadline_s", None),
    ):
        name = f"{at} = {json.dumps(value)}"
        yield name, [put(at, value)], "start", "invalid_request"
    twice = put("inputs", [base_request(b"", b"")["inputs"][0]] * 2)
    yield "an input twice", [twice], "start", "invalid_request"
    yield "no time", [put("deadline_s", 0)], "start", "deadline"
    yield "input missing", [put("inputs.0.path", "none.bin")], "start", "input_missing"
    other = put("inputs.0.sha256", "0" * 64)
    yield "input changed", [other], "start", "invalid_input"
    short = [put("inputs.0.sha256", None), put("inputs.0.shape", [2, 4])]
    yield "input of another size", short, "start", "invalid_input"
    yield "model missing", [put("model.path", "none.onnx")], "load_model", "model_missing"
    yield "model changed", [put("model.sha256", "0" * 64)], "load_model", "model_changed"
    direct = [put("model.load_mode", "direct-bytes")]
    yield "direct bytes of ONNX", direct, "load_model", "unsupported"
    nobody = [{"name": "NobodysExecutionProvider", "options": {}}]
    yield "unknown provider", [put("providers", nobody)], "create_session", "provider_unavailable"
    library = [put("model.custom_op_library", "none.so")]
    yield "no custom-op library", library, "create_session", "custom_ops_failed"
    yield "garbage", model("garbage.onnx"), "create_session", "invalid_model"
    unknown = model("unknown_operator.onnx")
    yield "unknown operator", unknown, "create_session", "unsupported"
    yield "model of the future", model("future.onnx"), "create_session", "unsupported"
    renamed = [put("inputs.0.name", "z")]
    yield "input of another name", renamed, "first_run", "invalid_input"
    yield "no input", [put("inputs", [])], "first_run", "invalid_input"
    turned = [put("inputs.0.shape", [3, 2])]
    yield "input of another shape", turned, "first_run", "invalid_input"
    typed = [put("inputs.0.element_type", "int32")]
    yield "input of another type", typed, "first_run", "invalid_input"


# ------------------------------------------------------------------------------ results


def browser_result(complete: dict[str, Any], timing: dict[str, Any]) -> dict[str, Any]:
    language = {"language": "typescript", "language_version": "5.9", "app_build": "release"}
    names = ["CPUExecutionProvider", "WebGpuExecutionProvider"]
    runtime = {**complete["runtime"], **language, "available_providers": names}
    memory = {"metric": "WasmHeap", "kind": "peak", "scope": "page", "phase": "loaded"}
    browser = {
        "cross_origin_isolated": True,
        "clock_step_ns": 5000,
        "threads_asked": 2,
        "threads_got": 2,
        "adapter": None,
        "adapter_is_fallback": None,
        "visible": True,
        "user_agent": "Mozilla/5.0",
    }
    return {
        **complete,
        "runtime": {**runtime, "debugger_attached": None},
        "clock": {"name": "performance.now", "resolution_ns": 5000},
        "timing": timing,
        "memory": [{**memory, "size_bytes": 16 << 20}],
        "browser": browser,
    }


def results() -> Iterable[tuple[str, dict[str, Any]]]:
    providers = [{"name": "CPUExecutionProvider", "options": {}}]
    complete: dict[str, Any] = {
        "schema": "ortlab.block_result/1",
        "block_id": "vector",
        "failure": None,
        "runtime": {
            "ort_version": "1.31.1",
            "language": "python",
            "language_version": "3.11.7",
            "runner_version": "1",
            "available_providers": ["CPUExecutionProvider"],
            "build_info": None,
            "shared_process": False,
            "app_build": None,
            "debugger_attached": False,
        },
        "requested_providers": providers,
        "registered_providers": ["CPUExecutionProvider"],
        "clock": {"name": "clock_gettime(CLOCK_MONOTONIC)", "resolution_ns": 30},
    }
    timing = {
        "environment_ns": 80 * MS,
        "session_creation_ns": 4 * MS,
        "first_run_ns": 300_000,
        "close_ns": 90_000,
    }
    warm = {"warm_up_ns": [51_000] * 10, "warm_up_converged": True}
    measured = {"measured_ns": [50_000] * 30, "stop_reason": "complete"}
    yield "ok-latency", {**complete, "timing": {**timing, **warm, **measured}}
    yield "ok-cold_start", {**complete, "timing": timing}
    points = [
        {"metric": metric, "kind": kind, "scope": "process", "phase": phase, "size_bytes": size}
        for phase, size in (("baseline", 17 << 20), ("loaded", 52 << 20), ("closed", 50 << 20))
        for metric, kind in (("VmRSS", "current"), ("VmHWM", "peak"))
    ]
    runs = {"measured_ns": [50_000, 49_000]}
    yield "ok-memory", {**complete, "timing": {**timing, **runs}, "memory": points}
    profile = {"profile_path": "profile.json"}
    yield "ok-profile", {**complete, "timing": {**timing, **runs}, **profile}
    data = pack("float", [0.5, -0.5])
    output = {
        "name": "y",
        "element_type": "float",
        "shape": [1, 2],
        "path": "output-0.bin",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    yield "ok-parity", {**complete, "timing": timing, "outputs": [output]}
    phone = {
        "battery_percent": 81.5,
        "charging": True,
        "temperature_c": 31.2,
        "thermal_status": "none",
        "low_power_mode": False,
        "foreground": True,
    }
    shared = {**complete["runtime"], "shared_process": True, "app_build": "release"}
    conditions = {"conditions_before": phone, "conditions_after": {**phone, "battery_percent": 81}}
    yield "ok-phone", {**complete, "runtime": shared, "timing": timing, **conditions}
    yield "ok-browser", browser_result(complete, {**timing, "load_model_ns": 3 * MS})
    for kind, stage in (
        ("invalid_request", "start"),
        ("unsupported", "load_model"),
        ("model_missing", "load_model"),
        ("model_changed", "load_model"),
        ("invalid_model", "create_session"),
        ("input_missing", "start"),
        ("invalid_input", "first_run"),
        ("provider_unavailable", "create_session"),
        ("provider_failed", "create_session"),
        ("custom_ops_failed", "create_session"),
        ("out_of_memory", "create_session"),
        ("runtime_error", "measure"),
        ("storage", "read_output"),
        ("deadline", "warm_up"),
    ):
        failure = {"stage": stage, "kind": kind, "message": "the runtime's own words"}
        known = {} if stage == "start" else {"environment_ns": 80 * MS}
        runtime = None if stage == "start" else complete["runtime"]
        yield (
            f"failed-{kind}",
            {
                **complete,
                "failure": failure,
                "runtime": runtime,
                "registered_providers": [],
                "timing": known,
            },
        )


# ------------------------------------------------------------------------------ writing


def text_of(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def warm_up_vectors() -> list[dict[str, Any]]:
    vectors = []
    for name, rule, first_run_ns, runs in warm_up_cases():
        end = warm_up_end(expand(runs), first_run_ns, rule)
        vectors.append(
            {
                "name": name,
                "rule": rule,
                "first_run_ns": first_run_ns,
                "durations_ns": [list(pair) for pair in runs],
                "runs": end and end[0],
                "converged": end and end[1],
            }
        )
    return vectors


def stop_vectors() -> list[dict[str, Any]]:
    vectors = []
    for name, rule, runs in stop_cases():
        end = stop_end(expand(runs), rule)
        vectors.append(
            {
                "name": name,
                "rule": rule,
                "durations_ns": [list(pair) for pair in runs],
                "runs": end and end[0],
                "stop_reason": end and end[1],
            }
        )
    return vectors


def tensor_vectors() -> dict[str, Any]:
    valid = []
    for name, element_type, shape, values in tensor_cases():
        data = pack(element_type, values)
        valid.append(
            {
                "name": name,
                "element_type": element_type,
                "shape": shape,
                "values": [plain(element_type, value) for value in values],
                "hex": data.hex(),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    invalid = [
        {"name": name, "element_type": element_type, "shape": shape, "hex": data.hex()}
        for name, element_type, shape, data in broken_tensor_cases()
    ]
    return {"valid": valid, "invalid": invalid}


def make_files() -> dict[str, bytes]:
    files = models()
    tensor = pack("float", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    made = {f"models/{name}": data for name, data in files.items()}
    made["models/x.bin"] = tensor
    made["warm_up.json"] = text_of({"cases": warm_up_vectors()})
    made["stop.json"] = text_of({"cases": stop_vectors()})
    made["tensor_files/tensors.json"] = text_of(tensor_vectors())
    cases = [
        {"name": name, "changes": changes, "stage": stage, "kind": kind}
        for name, changes, stage, kind in failure_cases(files)
    ]
    base = base_request(files["doubling.onnx"], tensor)
    made["failures.json"] = text_of({"request": base, "cases": cases})
    for name, result in results():
        made[f"results/{name}.json"] = text_of(result)
    return made


def main() -> int:
    made = make_files()
    stored = {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*") if path.is_file()}
    if sys.argv[1:] == ["--check"]:
        stale = sorted(stored - made.keys()) + [
            name
            for name, data in made.items()
            if not (VECTORS / name).is_file() or (VECTORS / name).read_bytes() != data
        ]
        for name in stale:
            print(f"not current: {name}")
        return 1 if stale else 0
    for name, data in made.items():
        path = VECTORS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in sorted(stored - made.keys()):
        (VECTORS / name).unlink()
    print(f"{len(made)} files in {VECTORS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
