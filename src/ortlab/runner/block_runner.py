"""Run one block and write its result: ``python block_runner.py REQUEST.json``.

``--probe`` prints the machine and the runtime as JSON, ``--conditions`` the machine's state.
Exit code 0 when every result was written, also that of a failed block; 2 when there is no request
that could be answered.
"""

# ruff: noqa: UP045, PTH (this file runs on Python 3.8 too)

from __future__ import annotations

import time

_PROGRAM_STARTED_NS = time.perf_counter_ns()

import gc  # noqa: E402
import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from typing import Any, Callable, Optional  # noqa: E402

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported

if __package__:
    from ortlab.runner import failures, machine, measuring, request_check, tensor_files
else:  # started as a program: the files lie side by side
    import failures  # type: ignore[import-not-found, no-redef]
    import machine  # type: ignore[import-not-found, no-redef]
    import measuring  # type: ignore[import-not-found, no-redef]
    import request_check  # type: ignore[import-not-found, no-redef]
    import tensor_files  # type: ignore[import-not-found, no-redef]

RESULT_SCHEMA = "ortlab.block_result/1"
RUNNER_VERSION = "1"
CONDITIONS_SAMPLE_S = 0.1
_TEMPORARY = ".part"


class Block:
    """One request on its way through the stages; what is known so far is in ``result``.

    Args:
        request: As parsed; already checked.
        base: Directory that relative paths start from.
        started_ns: Start of its deadline on the clock of the durations.
        shared_process: Whether other blocks run in this process.
    """

    def __init__(
        self, request: dict[str, Any], base: str, started_ns: int, *, shared_process: bool
    ) -> None:
        self.request = request
        self.base = base
        self.purpose = request["purpose"]
        self.output_directory = os.path.join(base, request["output_directory"])
        self.deadline_ns = started_ns + int(request["deadline_s"] * 1e9)
        self.shared_process = shared_process
        self.memory = machine.MemoryReader()
        self.stage = "start"
        self.timing: dict[str, Any] = {}
        self.result = empty_result(request["block_id"], request["providers"])
        self._onnxruntime: Any = None
        self._model_bytes: Optional[bytes] = None  # direct bytes must outlive the session
        self._session: Any = None
        self._outputs: Any = None

    def run(self) -> dict[str, Any]:
        """Go through the stages and return the result, failed or not."""
        try:
            self._go_through_stages()
        except Exception as error:
            traceback.print_exc()
            self.result["failure"] = failures.describe(error, self.stage)
        finally:
            gc.enable()
        self.result["timing"] = self.timing
        self.result["memory"] = self.memory.points
        return self.result

    def _go_through_stages(self) -> None:
        self._enter("start")
        load = machine.LoadMeter()
        self._read_memory("baseline")
        self._start_runtime()
        feeds = self._read_inputs()
        self._read_memory("environment")
        self.result["conditions_before"] = machine.conditions()
        self._enter("load_model")
        source = self._load_model()
        self._enter("create_session")
        options = self._session_options()
        providers = [(item["name"], item["options"]) for item in self.request["providers"]]
        started = time.perf_counter_ns()
        self._session = self._onnxruntime.InferenceSession(
            source, options, providers=providers, enable_fallback=0
        )
        self.timing["session_creation_ns"] = time.perf_counter_ns() - started
        source = None  # bytes are let go of here, as an app would
        self._check_providers()
        self._read_memory("loaded")
        self._run(self._runner(feeds))
        self._enter("close")
        self._close()
        self.result["conditions_after"] = machine.conditions(load.busy_fraction())

    # -------------------------------------------------------------------------- stages

    def _enter(self, stage: str) -> None:
        self.stage = stage
        with open(os.path.join(self.output_directory, "progress"), "a") as stream:
            stream.write(stage + "\n")
        self._check_deadline()

    def _check_deadline(self) -> None:
        if time.perf_counter_ns() >= self.deadline_ns:
            raise measuring.DeadlineReached([])

    def _read_memory(self, phase: str) -> None:
        if self.purpose == "memory":
            self.memory.read(phase)

    def _start_runtime(self) -> None:
        self.result["runtime"], self.timing["environment_ns"] = start_runtime(
            shared_process=self.shared_process
        )
        self._onnxruntime = sys.modules["onnxruntime"]
        available = self.result["runtime"]["available_providers"]
        for provider in self.request["providers"]:
            if provider["name"] not in available:
                message = f"this runtime has no {provider['name']}; it has {', '.join(available)}"
                raise failures.Refused("provider_unavailable", message, "create_session")

    def _read_inputs(self) -> dict[str, Any]:
        feeds = {}
        for tensor in self.request["inputs"]:
            try:
                array = tensor_files.read(tensor, self.base)
            except OSError as error:
                raise failures.Refused("input_missing", f"{tensor['name']}: {error}") from error
            except ValueError as error:
                raise failures.Refused("invalid_input", f"{tensor['name']}: {error}") from error
            if tensor["element_type"] == "bfloat16":
                array = self._bfloat16_value(array)
            feeds[tensor["name"]] = array
        return feeds

    def _bfloat16_value(self, bits: Any) -> Any:
        make = getattr(self._onnxruntime.OrtValue, "ortvalue_from_numpy_with_onnx_type", None)
        if make is None:
            message = "this release's Python API takes no bfloat16"
            raise failures.Refused("unsupported", message)
        return make(bits, 16)  # TensorProto.BFLOAT16

    def _load_model(self) -> Any:
        """Check the model's hash and return what the session is created from."""
        model = self.request["model"]
        path = os.path.join(self.base, model["path"])
        try:
            if _file_sha256(path) != model["sha256"]:
                message = f"{path} was changed since the request was made"
                raise failures.Refused("model_changed", message)
            if model["load_mode"] == "path":
                return path
            if model["load_mode"] == "initializers-from-bytes":
                message = "Python cannot leave the weights in the caller's buffer"
                raise failures.Refused("unsupported", message)
            started = time.perf_counter_ns()
            with open(path, "rb") as stream:
                data = stream.read()
            self.timing["load_model_ns"] = time.perf_counter_ns() - started
        except OSError as error:
            raise failures.Refused("model_missing", str(error)) from error
        if model["load_mode"] == "direct-bytes":
            if data[4:8] != b"ORTM":
                message = "only ORT format can be used directly from its bytes"
                raise failures.Refused("unsupported", message)
            self._model_bytes = data
        return data

    def _session_options(self) -> Any:
        ort, session = self._onnxruntime, self.request["session"]
        options = ort.SessionOptions()
        level = "ORT_" + _LEVELS[session["graph_optimization_level"]]
        _set(options, "graph_optimization_level", _member(ort.GraphOptimizationLevel, level))
        mode = "ORT_" + session["execution_mode"].upper()
        _set(options, "execution_mode", _member(ort.ExecutionMode, mode))
        for key, attribute in _OPTION_ATTRIBUTES:
            if session[key] is not None:
                _set(options, attribute, session[key])
        entries = dict(session["config_entries"])
        if self._model_bytes is not None:
            entries["session.use_ort_model_bytes_directly"] = "1"
        try:
            for key, value in entries.items():
                options.add_session_config_entry(key, value)
        except Exception as error:
            raise failures.Refused("invalid_request", f"config entry: {error}") from error
        if self.purpose == "profile":
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(self.output_directory, "ort")
        library = self.request["model"]["custom_op_library"]
        if library is not None:
            try:
                options.register_custom_ops_library(os.path.join(self.base, library))
            except Exception as error:
                raise failures.Refused("custom_ops_failed", str(error)) from error
        return options

    def _check_providers(self) -> None:
        if hasattr(self._session, "disable_fallback"):
            self._session.disable_fallback()
        registered = list(self._session.get_providers())
        self.result["registered_providers"] = registered
        for provider in self.request["providers"]:
            if provider["name"] not in registered:
                message = f"{provider['name']} was not registered; the session has {registered}"
                raise failures.Refused("provider_failed", message)

    def _runner(self, feeds: dict[str, Any]) -> Callable[[], Any]:
        """Return the model as a function without arguments."""
        session = self._session
        values = [*session.get_inputs(), *session.get_outputs()]
        names = [output.name for output in session.get_outputs()]
        if any("bfloat16" in value.type for value in values):
            make = self._onnxruntime.OrtValue.ortvalue_from_numpy
            ours = {
                name: feed if type(feed).__name__ == "OrtValue" else make(feed)
                for name, feed in feeds.items()
            }
            return lambda: session.run_with_ort_values(names, ours)
        run = session.run
        return lambda: run(names, feeds)

    # -------------------------------------------------------------------------- runs

    def _run(self, run: Callable[[], Any]) -> None:
        self._enter("first_run")
        started = time.perf_counter_ns()
        self._outputs = run()
        self.timing["first_run_ns"] = time.perf_counter_ns() - started
        self._read_memory("first_run")
        if self.purpose == "parity":
            self._enter("read_output")
            self._write_outputs()
        self._outputs = None
        if self.purpose == "latency":
            self._measure_latency(run)
        elif self.purpose == "memory":
            self._enter("measure")
            warm = min(self.request["warm_up"]["window_min_runs"], self.request["measured_runs"])
            self._count_runs(run, warm)
            self._read_memory("warm")
            self._count_runs(run, self.request["measured_runs"] - warm)
            self._read_memory("end")
        elif self.purpose == "profile":
            self._enter("measure")
            self._count_runs(run, self.request["measured_runs"] - 1)
            self._enter("read_output")
            self._end_profiling()

    def _measure_latency(self, run: Callable[[], Any]) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()
        self._enter("warm_up")
        self.timing["warm_up_converged"] = False
        try:
            durations, converged, expected_ns = measuring.warm_up(
                run, self.request["warm_up"], self.timing["first_run_ns"], self.deadline_ns
            )
        except measuring.DeadlineReached as deadline:
            self.timing["warm_up_ns"] = list(deadline.durations)
            raise
        self.timing["warm_up_ns"], self.timing["warm_up_converged"] = durations, converged
        self._enter("measure")
        try:
            samples, reason = measuring.measure_runs(
                run, self.request["stop"], expected_ns, self.deadline_ns
            )
        except measuring.DeadlineReached as deadline:
            self.timing["measured_ns"] = list(deadline.durations)
            raise
        self.timing["measured_ns"], self.timing["stop_reason"] = list(samples), reason
        gc.enable()
        gc.unfreeze()

    def _count_runs(self, run: Callable[[], Any], count: int) -> None:
        durations = self.timing.setdefault("measured_ns", [])
        for _ in range(count):
            started = time.perf_counter_ns()
            run()
            durations.append(time.perf_counter_ns() - started)
            self._check_deadline()

    def _write_outputs(self) -> None:
        outputs = []
        for index, meta in enumerate(self._session.get_outputs()):
            element_type = meta.type[len("tensor(") : -1] if meta.type.startswith("tensor(") else ""
            if element_type not in tensor_files.ELEMENT_TYPES:
                message = f"output {meta.name!r} is a {meta.type}, which has no tensor file"
                raise failures.Refused("unsupported", message)
            array = _as_array(self._outputs[index], element_type)
            if array is None:
                message = f"output {meta.name!r} was not given"
                raise failures.Refused("unsupported", message)
            outputs.append(
                tensor_files.write(self.output_directory, index, meta.name, element_type, array)
            )
        self.result["outputs"] = outputs

    def _end_profiling(self) -> None:
        os.replace(self._session.end_profiling(), os.path.join(self.output_directory, _PROFILE))
        self.result["profile_path"] = _PROFILE

    def _close(self) -> None:
        started = time.perf_counter_ns()
        self._session = None
        self.timing["close_ns"] = time.perf_counter_ns() - started
        self._model_bytes = None
        if self.purpose == "memory":
            left_ns = self.deadline_ns - time.perf_counter_ns()
            time.sleep(max(0, min(self.request["settle_ns"], left_ns)) / 1e9)
            self._read_memory("closed")


_PROFILE = "profile.json"
_LEVELS = {
    "disabled": "DISABLE_ALL",
    "basic": "ENABLE_BASIC",
    "extended": "ENABLE_EXTENDED",
    "layout": "ENABLE_LAYOUT",
    "all": "ENABLE_ALL",
}
_OPTION_ATTRIBUTES = (
    ("intra_op_num_threads", "intra_op_num_threads"),
    ("inter_op_num_threads", "inter_op_num_threads"),
    ("cpu_memory_arena", "enable_cpu_mem_arena"),
    ("memory_pattern", "enable_mem_pattern"),
)


def _set(options: Any, attribute: str, value: Any) -> None:
    if not hasattr(options, attribute):
        raise failures.Refused("unsupported", f"this release has no session option {attribute}")
    setattr(options, attribute, value)


def _member(kind: Any, name: str) -> Any:
    if not hasattr(kind, name):
        raise failures.Refused("unsupported", f"this release has no {name}")
    return getattr(kind, name)


def _as_array(output: Any, element_type: str) -> Any:
    """Return an output as an array; of bfloat16, which numpy cannot hold, the bits."""
    if type(output).__name__ != "OrtValue":
        return output
    if element_type != "bfloat16":
        return output.numpy()
    import ctypes

    import numpy as np

    shape = output.shape()
    count = 1
    for size in shape:
        count *= size
    bits = ctypes.string_at(output.data_ptr(), 2 * count) if count else b""
    return np.frombuffer(bits, dtype=np.uint16).reshape(shape)


def _file_sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def start_runtime(*, shared_process: bool = False) -> tuple[dict[str, Any], int]:
    """Import ONNX Runtime; return what it says of itself and the nanoseconds it took."""
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
    return facts, environment_ns


def empty_result(block_id: str, providers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a result in which nothing is known yet."""
    return {
        "schema": RESULT_SCHEMA,
        "block_id": block_id,
        "failure": None,
        "runtime": None,
        "requested_providers": providers,
        "registered_providers": [],
        "clock": machine.clock(),
        "timing": {},
        "memory": [],
        "conditions_before": None,
        "conditions_after": None,
        "outputs": [],
        "profile_path": None,
    }


def write_result(directory: str, result: dict[str, Any]) -> None:
    """Write ``result.json`` so that it is there whole or not at all."""
    path = os.path.join(directory, "result.json")
    with open(path + _TEMPORARY, "w", encoding="utf-8") as stream:
        json.dump(result, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + _TEMPORARY, path)


def answer(
    request: Any, base: str, started_ns: int, *, shared_process: bool = False
) -> Optional[str]:
    """Run one block and write its result; return why that was impossible, or None."""
    target = request_check.answerable(request)
    if target is None:
        return "the request has no block_id and output_directory to answer to"
    directory = os.path.join(base, target["output_directory"])
    try:
        os.makedirs(directory, exist_ok=True)
        problem = request_check.find_problem(request)
        if problem:
            result = empty_result(target["block_id"], [])
            refusal = failures.Refused("invalid_request", problem)
            result["failure"] = failures.describe(refusal, "start")
        else:
            block = Block(request, base, started_ns, shared_process=shared_process)
            result = block.run()
        write_result(directory, result)
    except (OSError, ValueError) as error:
        return f"the result cannot be written: {error}"
    return None


def main(arguments: list[str]) -> int:
    """Answer the request in a file; return the exit code."""
    if arguments == ["--conditions"]:
        load = machine.LoadMeter()
        time.sleep(CONDITIONS_SAMPLE_S)
        print(json.dumps(machine.conditions(load.busy_fraction())))
        return 0
    if arguments == ["--probe"]:
        print(json.dumps({**machine.describe(), "runtime": start_runtime()[0]}))
        return 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = os.path.abspath(arguments[0])
    try:
        with open(path, encoding="utf-8") as stream:
            request = json.load(stream)
    except (OSError, ValueError) as error:
        print(f"cannot read the request {path}: {error}", file=sys.stderr)
        return 2
    base = os.path.dirname(path)
    batch = request_check.batch_of(request)
    if batch is None:
        problems = [answer(request, base, _PROGRAM_STARTED_NS)]
    else:
        problems = [
            answer(item, base, time.perf_counter_ns(), shared_process=True) for item in batch
        ]
    for problem in filter(None, problems):
        print(problem, file=sys.stderr)
    return 2 if any(problems) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
