"""Everything that speaks to ONNX Runtime: its start, a session's options, one run.

Releases from 1.11 on differ in what their Python API has; what a release lacks is refused as
``unsupported`` when it is asked for, never left out in silence.
"""

# ruff: noqa: UP045, PTH (this file runs on Python 3.8 too)

from __future__ import annotations

import hashlib
import os
import platform
import time
from typing import Any, Callable, Mapping, Optional

if __package__:
    from ortlab.runner import machine, tensor_files
    from ortlab.runner.failures import Refused
else:
    import machine  # type: ignore[import-not-found, no-redef]
    import tensor_files  # type: ignore[import-not-found, no-redef]
    from failures import Refused  # type: ignore[import-not-found, no-redef]

RUNNER_VERSION = "1"

_ORT_FILE_IDENTIFIER = b"ORTM"  # at bytes 4 to 7
_BFLOAT16 = 16  # TensorProto.DataType
_CPU = "CPUExecutionProvider"
_ARENA = "use_arena"
_DIRECT_BYTES = "session.use_ort_model_bytes_directly"
_INITIALIZERS_FROM_BYTES = "session.use_ort_model_bytes_for_initializers"
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
_MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
_ATTRIBUTES = {
    "intra_op_num_threads": "intra_op_num_threads",
    "inter_op_num_threads": "inter_op_num_threads",
    "cpu_memory_arena": "enable_cpu_mem_arena",
    "memory_pattern": "enable_mem_pattern",
}

Json = Mapping[str, Any]


def start_runtime(*, shared_process: bool = False) -> tuple[Any, dict[str, Any], int]:
    """Import ONNX Runtime; return it, what it says of itself, and the nanoseconds it took."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # is read at the import
    started = time.perf_counter_ns()
    import onnxruntime

    environment_ns = time.perf_counter_ns() - started
    build_info = getattr(onnxruntime, "get_build_info", None)
    facts = {
        "ort_version": onnxruntime.__version__,
        "language": "python",
        "language_version": platform.python_version(),
        "runner_version": RUNNER_VERSION,
        "available_providers": list(onnxruntime.get_available_providers()),
        "build_info": build_info() if build_info else None,
        "shared_process": shared_process,
        "app_build": None,
        "debugger_attached": machine.debugger_attached(),
    }
    return onnxruntime, facts, environment_ns


def check_available(providers: list[dict[str, Any]], available: list[str]) -> None:
    """Refuse providers that the runtime lacks: ORT itself would go on with the CPU."""
    for provider in providers:
        if provider["name"] not in available:
            message = f"this runtime has no {provider['name']}; it has {', '.join(available)}"
            raise Refused("provider_unavailable", message, "create_session")


def check_registered(session: Any, providers: list[dict[str, Any]]) -> None:
    """Refuse a session that lacks a provider that was asked for."""
    session.disable_fallback()
    registered = session.get_providers()
    for provider in providers:
        if provider["name"] not in registered:
            message = f"{provider['name']} was not registered; the session has {registered}"
            raise Refused("provider_failed", message)


def apply_cpu_options(options: Any, providers: list[dict[str, Any]]) -> None:
    """Set what a request says of the CPU; the Python API would ignore it in silence."""
    for provider in providers:
        if provider["name"] != _CPU:
            continue
        for key, value in provider["options"].items():
            if key != _ARENA or value not in ("0", "1"):
                message = f"the only option of {_CPU} is {_ARENA}, 0 or 1; it has no {key}={value}"
                raise Refused("provider_failed", message)
            options.enable_cpu_mem_arena = value == "1"


def read_inputs(onnxruntime: Any, tensors: list[dict[str, Any]], base: str) -> dict[str, Any]:
    """Return input name to what ``session.run`` takes."""
    feeds = {}
    for tensor in tensors:
        try:
            array = tensor_files.read(tensor, base)
        except OSError as error:
            raise Refused("input_missing", f"{tensor['name']}: {error}") from error
        except (ValueError, OverflowError) as error:
            raise Refused("invalid_input", f"{tensor['name']}: {error}") from error
        if tensor["element_type"] == "bfloat16":
            array = _bfloat16_value(onnxruntime, array)
        feeds[tensor["name"]] = array
    return feeds


def read_model(model: Json, base: str) -> tuple[Any, Optional[int]]:
    """Check the model's hash; return what a session is created from, and the time to read it."""
    path, mode = os.path.join(base, model["path"]), model["load_mode"]
    if mode == "initializers-from-bytes":
        raise Refused("unsupported", "Python cannot leave the weights in the caller's buffer")
    try:
        if _file_sha256(path) != model["sha256"]:
            raise Refused("model_changed", f"{path} was changed since the request was made")
        if mode == "path":
            return path, None
        started = time.perf_counter_ns()
        with open(path, "rb") as stream:
            data = stream.read()
        load_ns = time.perf_counter_ns() - started
    except OSError as error:
        raise Refused("model_missing", str(error)) from error
    if mode == "direct-bytes" and data[4:8] != _ORT_FILE_IDENTIFIER:
        raise Refused("unsupported", "only a model in ORT format can be used from its bytes")
    return data, load_ns


def make_options(
    onnxruntime: Any, settings: Json, model: Json, base: str, profile_prefix: Optional[str]
) -> Any:
    """Return session options as the request wants them; what it leaves open stays ORT's default."""
    options = onnxruntime.SessionOptions()
    level = _LEVELS[settings["graph_optimization_level"]]
    options.graph_optimization_level = _member(onnxruntime.GraphOptimizationLevel, level)
    mode = _MODES[settings["execution_mode"]]
    options.execution_mode = _member(onnxruntime.ExecutionMode, mode)
    for key, attribute in _ATTRIBUTES.items():
        if settings[key] is not None:
            _member(options, attribute)
            setattr(options, attribute, settings[key])
    for key, value in _config_entries(settings, model).items():
        _add_entry(options, key, value)
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    if model["custom_op_library"] is not None:
        try:
            options.register_custom_ops_library(os.path.join(base, model["custom_op_library"]))
        except Exception as error:
            raise Refused("custom_ops_failed", str(error)) from error
    return options


def make_run(onnxruntime: Any, session: Any, feeds: dict[str, Any]) -> Callable[[], list[Any]]:
    """Return one run of the model as a function without arguments; inputs are fixed."""
    values = [*session.get_inputs(), *session.get_outputs()]
    names = [output.name for output in session.get_outputs()]
    if any(value.type == "tensor(bfloat16)" for value in values):
        make = onnxruntime.OrtValue.ortvalue_from_numpy
        ours = {
            name: feed if isinstance(feed, onnxruntime.OrtValue) else make(feed)
            for name, feed in feeds.items()
        }
        return lambda: list(session.run_with_ort_values(names, ours))
    run = session.run
    return lambda: run(names, feeds)


def write_outputs(session: Any, outputs: list[Any], directory: str) -> list[dict[str, Any]]:
    """Write the outputs of a run as tensor files and return their descriptions."""
    written = []
    for index, (meta, output) in enumerate(zip(session.get_outputs(), outputs)):
        kind = meta.type[len("tensor(") : -1] if meta.type.startswith("tensor(") else ""
        if kind not in tensor_files.ELEMENT_TYPES or output is None:
            message = f"output {meta.name!r} of type {meta.type} cannot be kept in a tensor file"
            raise Refused("unsupported", message)
        array = output if hasattr(output, "dtype") else _array_of(output, kind)
        written.append(tensor_files.write(directory, index, meta.name, kind, array))
    return written


def _config_entries(settings: Json, model: Json) -> dict[str, str]:
    entries = dict(settings["config_entries"])
    if model["load_mode"] == "direct-bytes":
        entries[_DIRECT_BYTES] = "1"
    if model["load_mode"] != "path" and entries.get(_INITIALIZERS_FROM_BYTES) == "1":
        message = f"with {_INITIALIZERS_FROM_BYTES} set, Python would use freed memory"
        raise Refused("unsupported", message)
    return entries


def _add_entry(options: Any, key: str, value: str) -> None:
    try:
        options.add_session_config_entry(key, value)
    except Exception as error:
        raise Refused("invalid_request", f"config entry {key}: {error}", "start") from error


def _member(owner: Any, name: str) -> Any:
    if not hasattr(owner, name):
        raise Refused("unsupported", f"this release of ONNX Runtime has no {name}")
    return getattr(owner, name)


def _bfloat16_value(onnxruntime: Any, bits: Any) -> Any:
    kind = onnxruntime.OrtValue
    return _member(kind, "ortvalue_from_numpy_with_onnx_type")(bits, _BFLOAT16)


def _array_of(value: Any, element_type: str) -> Any:
    """Return an ``OrtValue`` as an array; of bfloat16, which numpy cannot hold, the bits."""
    if element_type != "bfloat16":
        return value.numpy()
    import ctypes

    import numpy as np

    shape = value.shape()
    count = 1
    for size in shape:
        count *= size
    bits = ctypes.string_at(value.data_ptr(), 2 * count) if count else b""
    return np.frombuffer(bits, dtype=np.uint16).reshape(shape)


def _file_sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
