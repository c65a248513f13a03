"""One block request in, one block result out: the benchmark program for Linux boards and the host.

    python3 block_runner.py REQUEST.json     run the block, or each block of a batch
    python3 block_runner.py --probe          print what this Python's ONNX Runtime is

It needs Python 3.8, numpy and any onnxruntime from 1.11 on, and nothing of ortlab: copy this one
file to a board. The protocol is `bench_protocol/README.md`. The result is `result.json` in the
request's output directory, written under another name first; `progress` in it gets the name of
each stage as it begins, so that a death can be placed. Exit code 0 says that a result was
written, also one that tells of a failure.
"""

from __future__ import annotations

import array
import gc
import hashlib
import json
import math
import os
import resource
import statistics
import sys
import time
from typing import Any, Callable

RUNNER_VERSION = "1"
REQUEST_SCHEMA = "ortlab.block_request/1"
BATCH_SCHEMA = "ortlab.batch_request/1"
RESULT_SCHEMA = "ortlab.block_result/1"
CLOCK = "CLOCK_MONOTONIC"
RESULT_MARGIN_S = 2.0
"""Left of the deadline for closing the session and writing the result."""

NUMPY_TYPES = {
    "float": "<f4",
    "double": "<f8",
    "float16": "<f2",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "bool": "?",
}
LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
now_ns = time.monotonic_ns


class BlockError(Exception):
    """A failure with its kind; the stage is the one under way."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# ------------------------------------------------------------------- rules: pure, held to vectors


def warm_up_window(rule: dict[str, Any], last_median_ns: float) -> int:
    """Return the runs of the next window: ``max(window_min_runs, ceil(window_ns ÷ median))``."""
    if last_median_ns <= 0:
        return int(rule["window_min_runs"])
    return max(int(rule["window_min_runs"]), math.ceil(float(rule["window_ns"]) / last_median_ns))


class WarmUp:
    """Decides when warm-up ends; durations in nanoseconds, elapsed time is their sum."""

    def __init__(self, rule: dict[str, Any], first_run_ns: int) -> None:
        self.rule = rule
        self.converged = False
        self.samples_ns: list[int] = []
        self._elapsed_ns = 0
        self._window_start = 0
        self._window_runs = warm_up_window(rule, first_run_ns)
        self._last_median_ns: float | None = None

    def add(self, duration_ns: int) -> bool:
        """Record a run; return whether warm-up is over."""
        rule = self.rule
        self.samples_ns.append(duration_ns)
        self._elapsed_ns += duration_ns
        if len(self.samples_ns) - self._window_start >= self._window_runs:
            median_ns = statistics.median(self.samples_ns[self._window_start :])
            last = self._last_median_ns
            agree = last is not None and abs(median_ns - last) <= rule["agreement"] * last
            if agree and self._elapsed_ns >= rule["min_ns"]:
                self.converged = True
                return True
            self._last_median_ns = median_ns
            self._window_start = len(self.samples_ns)
            self._window_runs = warm_up_window(rule, median_ns)
        late = self._elapsed_ns >= rule["max_ns"] and len(self.samples_ns) >= rule["max_runs"]
        return bool(late or self._elapsed_ns >= rule["hard_limit_ns"])


def stop_reason(rule: dict[str, Any], run_count: int, elapsed_ns: int) -> str | None:
    """Return why the measured loop ends after ``run_count`` runs, or None to go on."""
    if elapsed_ns >= rule["max_ns"]:
        if run_count < rule["floor_runs"]:
            return None
        if run_count >= rule["min_runs"]:
            return "complete"
        return "too_few_runs" if run_count == rule["floor_runs"] else "time_limit"
    if run_count >= rule["min_runs"] and elapsed_ns >= rule["min_ns"]:
        return "complete"
    return None


def measure_chunk(
    run: Callable[[], object], samples: array.array[int], start: int, count: int
) -> None:
    """Time ``count`` calls of ``run``; nothing but two clock reads and a store around each.

    Args:
        run: Called without arguments.
        samples: Preallocated array of 64-bit integers, filled from ``start``.
        start: First index to fill.
        count: Calls to make.
    """
    clock = now_ns
    for index in range(start, start + count):
        before = clock()
        run()
        samples[index] = clock() - before


def measure(
    run: Callable[[], object], rule: dict[str, Any], typical_ns: float, give_up_ns: int
) -> tuple[array.array[int], str]:
    """Run until the stop rule says so.

    The rule is asked between chunks of runs, not between runs: asking costs as much as a fast
    run. A chunk is as many runs as fit into a twentieth of the shortest block.

    Returns:
        The samples in nanoseconds and the reason to stop.
    """
    per_chunk = max(1, min(1000, int(rule["min_ns"] / 20 / max(1, typical_ns))))
    capacity = 4096
    samples = array.array("q", bytes(8 * capacity))
    count, elapsed_ns = 0, 0
    gc.collect()
    gc.disable()
    try:
        while True:
            wanted = per_chunk
            if count < rule["min_runs"]:
                wanted = min(per_chunk, rule["min_runs"] - count)
            if elapsed_ns + wanted * typical_ns > rule["max_ns"]:
                wanted = 1
            if count + wanted > capacity:
                samples.frombytes(bytes(8 * capacity))
                capacity *= 2
            measure_chunk(run, samples, count, wanted)
            elapsed_ns += sum(samples[count : count + wanted])
            count += wanted
            reason = stop_reason(rule, count, elapsed_ns)
            if reason:
                return samples[:count], reason
            if now_ns() >= give_up_ns:
                raise BlockError("deadline", f"stopped after {count} runs: the deadline is near")
    finally:
        gc.enable()


# ---------------------------------------------------------------------------- machine


def clock_resolution_ns() -> int:
    """Return the smallest step seen of the clock."""
    steps = []
    for _ in range(200):
        before = now_ns()
        after = now_ns()
        while after == before:
            after = now_ns()
        steps.append(after - before)
    return min(steps)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _read(path).strip()
    try:
        return int(text)
    except ValueError:
        return None


def cpu_times() -> tuple[int, int, float] | None:
    """Return busy and total jiffies of the machine, and those of this process; None elsewhere."""
    fields = _read("/proc/stat").split("\n", 1)[0].split()[1:]
    if len(fields) < 5:
        return None
    total = sum(int(value) for value in fields[:8])
    idle = int(fields[3]) + int(fields[4])
    own = os.times()
    ticks = (own.user + own.system) * os.sysconf("SC_CLK_TCK")
    return total - idle, total, ticks


def busy_fraction(
    before: tuple[int, int, float] | None, after: tuple[int, int, float] | None
) -> float | None:
    """Return the share of the machine's CPU time that other processes used, or None."""
    if not before or not after or after[1] <= before[1]:
        return None
    others = (after[0] - before[0]) - (after[2] - before[2])
    return round(min(1.0, max(0.0, others / (after[1] - before[1]))), 4)


def conditions(busy: float | None = None) -> dict[str, Any]:
    """Return what the machine tells of itself; None where it does not."""
    root = "/sys/devices/system/cpu"
    frequencies = []
    for core in range(os.cpu_count() or 1):
        value = _number(f"{root}/cpu{core}/cpufreq/scaling_cur_freq")
        if value is not None:
            frequencies.append(value)
    temperatures = []
    for zone in range(32):
        value = _number(f"/sys/class/thermal/thermal_zone{zone}/temp")
        if value is not None and 0 < value < 200_000:
            temperatures.append(value / 1000)
    battery = "/sys/class/power_supply/BAT0"
    status = _read(battery + "/status").strip()
    percent = _number(battery + "/capacity")
    return {
        "battery_percent": None if percent is None else float(percent),
        "charging": None if not status else status != "Discharging",
        "temperature_c": max(temperatures) if temperatures else None,
        "thermal_status": None,
        "low_power_mode": None,
        "foreground": None,
        "cpu_governor": _read(f"{root}/cpu0/cpufreq/scaling_governor").strip() or None,
        "cpu_frequency_khz": frequencies,
        "busy_fraction": busy,
    }


class Memory:
    """Reads this process's memory at each phase; the peak starts anew with each phase."""

    CURRENT = ("VmRSS", "RssAnon", "RssFile")
    ROLLUP = ("Pss", "Private_Dirty", "SwapPss")

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self._peak_resets = False

    def start_phase(self) -> None:
        """Set the peak back to the current value, where the kernel allows it."""
        try:
            with open("/proc/self/clear_refs", "w") as stream:
                stream.write("5")
            self._peak_resets = True
        except OSError:
            self._peak_resets = False

    def read(self, phase: str) -> None:
        """Record the figures of a phase that ends now, and start the next."""
        status = self._table("/proc/self/status")
        if not status:
            usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            unit = 1 if sys.platform == "darwin" else 1024
            self._add("ru_maxrss", "peak", "process", phase, usage * unit)
            return
        for name in self.CURRENT:
            if name in status:
                self._add(name, "current", "process", phase, status[name])
        if "VmHWM" in status:
            scope = "process, this phase" if self._peak_resets else "process, since its start"
            self._add("VmHWM", "peak", scope, phase, status["VmHWM"])
        rollup = self._table("/proc/self/smaps_rollup")
        for name in self.ROLLUP:
            if name in rollup:
                self._add(name, "current", "process", phase, rollup[name])
        self.start_phase()

    def _add(self, metric: str, kind: str, scope: str, phase: str, size_bytes: int) -> None:
        point = {"metric": metric, "kind": kind, "scope": scope, "phase": phase}
        self.points.append({**point, "size_bytes": int(size_bytes)})

    @staticmethod
    def _table(path: str) -> dict[str, int]:
        table = {}
        for line in _read(path).splitlines():
            name, _, value = line.partition(":")
            words = value.split()
            if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
                table[name] = int(words[0]) * 1024
        return table


# ---------------------------------------------------------------------------- tensors


def read_tensor(tensor: dict[str, Any], base: str) -> Any:
    """Return the array of a tensor file."""
    import numpy as np

    path = os.path.join(base, tensor["path"])
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise BlockError("input_missing", f"input {tensor['name']!r}: {error}") from error
    if tensor.get("sha256") and hashlib.sha256(data).hexdigest() != tensor["sha256"]:
        raise BlockError("invalid_input", f"input {tensor['name']!r}: the file was changed")
    shape = tuple(tensor["shape"])
    try:
        if tensor["element_type"] == "string":
            return _strings(data, shape)
        kind = np.dtype(NUMPY_TYPES[tensor["element_type"]])
        return np.frombuffer(data, dtype=kind).reshape(shape).copy()
    except KeyError as error:
        raise BlockError("unsupported", f"input element type {error} from Python") from error
    except ValueError as error:
        raise BlockError("invalid_input", f"input {tensor['name']!r}: {error}") from error


def _strings(data: bytes, shape: tuple[int, ...]) -> Any:
    import numpy as np

    texts, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        at += 4 + length
        if at > len(data):
            raise ValueError("a string runs past the end of the file")
        texts.append(data[at - length : at].decode("utf-8"))
    array_of_texts = np.empty(len(texts), dtype=object)
    array_of_texts[:] = texts
    return array_of_texts.reshape(shape)


def write_tensor(value: Any, name: str, element_type: str, path: str) -> dict[str, Any]:
    """Write an output and return its description."""
    import numpy as np

    value = np.asarray(value)
    if element_type == "string":
        parts = []
        for item in value.ravel():
            text = item if isinstance(item, bytes) else str(item).encode("utf-8")
            parts += [len(text).to_bytes(4, "little"), text]
        data = b"".join(parts)
    else:
        kind = NUMPY_TYPES.get(element_type)
        if kind is None:
            raise BlockError("unsupported", f"output element type {element_type} from Python")
        data = np.ascontiguousarray(value, dtype=kind).tobytes()
    with open(path, "wb") as stream:
        stream.write(data)
    return {
        "name": name,
        "element_type": element_type,
        "shape": [int(size) for size in value.shape],
        "path": os.path.abspath(path),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


# ---------------------------------------------------------------------------- the block


class BlockRun:
    """One block, from request to result."""

    def __init__(
        self, request: dict[str, Any], base: str, started_ns: int, *, shared_process: bool
    ) -> None:
        self.request = request
        self.base = base
        self.directory = os.path.join(base, request["output_directory"])
        self.shared_process = shared_process
        self.give_up_ns = started_ns + int((request["deadline_s"] - RESULT_MARGIN_S) * 1e9)
        self.stage = "start"
        self.timing: dict[str, Any] = {}
        self.memory = Memory()
        self.result: dict[str, Any] = {
            "schema": RESULT_SCHEMA,
            "block_id": request["block_id"],
            "failure": None,
            "runtime": None,
            "requested_providers": request["providers"],
            "registered_providers": [],
            "clock": {"name": CLOCK, "resolution_ns": clock_resolution_ns()},
            "timing": self.timing,
            "memory": self.memory.points,
            "conditions_before": None,
            "conditions_after": None,
            "outputs": [],
            "profile_path": None,
        }

    def enter(self, stage: str) -> None:
        """Mark the stage that begins, so that a death can be placed."""
        self.stage = stage
        with open(os.path.join(self.directory, "progress"), "a", encoding="utf-8") as stream:
            stream.write(stage + "\n")

    def execute(self) -> dict[str, Any]:
        """Run the block; a failure becomes part of the result."""
        os.makedirs(self.directory, exist_ok=True)
        self.enter("start")
        before = cpu_times()
        self.result["conditions_before"] = conditions()
        try:
            self._execute()
        except BlockError as failure:
            self._fail(failure.kind, str(failure))
        except MemoryError as error:
            self._fail("out_of_memory", str(error) or "MemoryError")
        except OSError as error:
            self._fail("storage", str(error))
        except Exception as error:
            self._fail(self._kind(error), str(error))
        self.result["conditions_after"] = conditions(busy_fraction(before, cpu_times()))
        return self.result

    def _fail(self, kind: str, message: str) -> None:
        failure = {"stage": self.stage, "kind": kind, "message": message[:4000]}
        self.result["failure"] = failure

    def _kind(self, error: Exception) -> str:
        name, text = type(error).__name__, str(error)
        if "bad_alloc" in text or "Failed to allocate memory" in text:
            return "out_of_memory"
        if self.stage == "create_session":
            if name == "EPFail":
                return "provider_failed"
            if name in ("InvalidGraph", "InvalidProtobuf", "NoModel", "Fail", "NotImplemented"):
                return "invalid_model"
            if name == "NoSuchFile":
                return "model_missing"
        if name in ("InvalidArgument", "ValueError"):
            return "invalid_input"
        return "runtime_error"

    def _execute(self) -> None:
        request, purpose = self.request, self.request["purpose"]
        if purpose == "memory":
            self.memory.start_phase()
            self.memory.read("baseline")
        self._start_runtime()
        if purpose == "memory":
            self.memory.read("environment")
        self.enter("load_model")
        model = self._load_model()
        self.enter("create_session")
        session = self._create_session(model)
        feed = {tensor["name"]: read_tensor(tensor, self.base) for tensor in request["inputs"]}
        if purpose == "memory":
            self.memory.read("loaded")
        self.enter("first_run")
        outputs = self._first_run(session, feed)
        if purpose == "latency":
            self._latency(session, feed)
        elif purpose == "memory":
            self._memory(session, feed)
        elif purpose == "profile":
            self._profile(session, feed)
        elif purpose == "parity":
            self._parity(session, outputs)
        self.enter("close")
        before = now_ns()
        del session, model, outputs
        gc.collect()
        self.timing["close_ns"] = now_ns() - before
        if purpose == "memory":
            time.sleep(request["settle_ns"] / 1e9)
            self.memory.read("closed")

    def _start_runtime(self) -> None:
        before = now_ns()
        try:
            import onnxruntime
        except ImportError as error:
            raise BlockError("unsupported", f"no onnxruntime in {sys.executable}") from error
        self.timing["environment_ns"] = now_ns() - before
        onnxruntime.set_default_logger_severity(3)
        self.result["runtime"] = dict(probe(onnxruntime), shared_process=self.shared_process)
        available = self.result["runtime"]["available_providers"]
        for provider in self.request["providers"]:
            if provider["name"] not in available:
                listed = ", ".join(available)
                message = f"{provider['name']} is not in this ONNX Runtime; it has {listed}"
                raise BlockError("provider_unavailable", message)

    def _load_model(self) -> str | bytes:
        model = self.request["model"]
        path, mode = os.path.join(self.base, model["path"]), model["load_mode"]
        self._options = self._session_options(mode, path)
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as stream:
                for part in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(part)
        except OSError as error:
            raise BlockError("model_missing", f"{path}: {error.strerror}") from error
        if digest.hexdigest() != model["sha256"]:
            raise BlockError("model_changed", f"{path} is not the file of the request")
        if mode == "path":
            return path
        before = now_ns()
        with open(path, "rb") as stream:
            data = stream.read()
        self.timing["load_model_ns"] = now_ns() - before
        return data

    def _session_options(self, mode: str, path: str) -> Any:
        import onnxruntime

        wanted = self.request["session"]
        if mode == "initializers-from-bytes":
            raise BlockError("unsupported", "initializers from bytes crash the Python API")
        if mode == "direct-bytes" and not path.endswith(".ort"):
            raise BlockError("unsupported", "only .ort files can be used from direct bytes")
        options = onnxruntime.SessionOptions()
        level = LEVELS[wanted["graph_optimization_level"]]
        levels = onnxruntime.GraphOptimizationLevel
        if not hasattr(levels, level):
            raise BlockError("unsupported", f"{level} is not known to this ONNX Runtime")
        options.graph_optimization_level = getattr(levels, level)
        modes = onnxruntime.ExecutionMode
        parallel = wanted["execution_mode"] == "parallel"
        options.execution_mode = modes.ORT_PARALLEL if parallel else modes.ORT_SEQUENTIAL
        for key, attribute in (
            ("intra_op_num_threads", "intra_op_num_threads"),
            ("inter_op_num_threads", "inter_op_num_threads"),
            ("cpu_memory_arena", "enable_cpu_mem_arena"),
            ("memory_pattern", "enable_mem_pattern"),
        ):
            if wanted.get(key) is not None:
                setattr(options, attribute, wanted[key])
        for key, value in wanted["config_entries"].items():
            options.add_session_config_entry(key, value)
        if mode == "direct-bytes":
            options.add_session_config_entry("session.use_ort_model_bytes_directly", "1")
        if self.request["purpose"] == "profile":
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(self.directory, "profile")
        library = self.request["model"].get("custom_op_library")
        if library:
            try:
                options.register_custom_ops_library(os.path.join(self.base, library))
            except Exception as error:
                raise BlockError("custom_ops_failed", str(error)) from error
        return options

    def _create_session(self, model: str | bytes) -> Any:
        import onnxruntime

        providers = [(item["name"], dict(item["options"])) for item in self.request["providers"]]
        before = now_ns()
        session = onnxruntime.InferenceSession(
            model, sess_options=self._options, providers=providers
        )
        self.timing["session_creation_ns"] = now_ns() - before
        self.result["registered_providers"] = list(session.get_providers())
        return session

    def _first_run(self, session: Any, feed: dict[str, Any]) -> Any:
        before = now_ns()
        outputs = session.run(None, feed)
        self.timing["first_run_ns"] = now_ns() - before
        return outputs

    def _latency(self, session: Any, feed: dict[str, Any]) -> None:
        run_session, names = session.run, None

        def run() -> None:
            run_session(names, feed)

        self.enter("warm_up")
        warm_up = WarmUp(self.request["warm_up"], self.timing["first_run_ns"])
        self.timing["warm_up_ns"] = warm_up.samples_ns
        one = array.array("q", [0])
        over = False
        while not over:
            measure_chunk(run, one, 0, 1)
            over = warm_up.add(one[0])
            if now_ns() >= self.give_up_ns:
                raise BlockError("deadline", "stopped in warm-up: the deadline is near")
        self.timing["warm_up_converged"] = warm_up.converged
        self.enter("measure")
        recent_ns = statistics.median(warm_up.samples_ns[-5:])
        samples, reason = measure(run, self.request["stop"], recent_ns, self.give_up_ns)
        self.timing["measured_ns"] = samples.tolist()
        self.timing["stop_reason"] = reason

    def _memory(self, session: Any, feed: dict[str, Any]) -> None:
        self.memory.read("first_run")
        self.enter("warm_up")
        for _ in range(3):
            session.run(None, feed)
        self.memory.read("warm")
        self.enter("measure")
        for _ in range(self.request["measured_runs"]):
            session.run(None, feed)
        self.memory.read("end")

    def _profile(self, session: Any, feed: dict[str, Any]) -> None:
        self.enter("measure")
        for _ in range(self.request["measured_runs"]):
            session.run(None, feed)
        self.enter("read_output")
        self.result["profile_path"] = os.path.abspath(session.end_profiling())

    def _parity(self, session: Any, outputs: Any) -> None:
        self.enter("read_output")
        for index, (spec, value) in enumerate(zip(session.get_outputs(), outputs)):
            kind = spec.type
            if not kind.startswith("tensor("):
                raise BlockError("unsupported", f"output {spec.name!r} is a {kind}")
            path = os.path.join(self.directory, f"output-{index}.bin")
            described = write_tensor(value, spec.name, kind[len("tensor(") : -1], path)
            self.result["outputs"].append(described)


def probe(onnxruntime: Any) -> dict[str, Any]:
    """Return the runtime facts of this Python."""
    return {
        "ort_version": onnxruntime.__version__,
        "build_info": getattr(onnxruntime, "get_build_info", lambda: None)(),
        "language": "python",
        "language_version": sys.version.split()[0],
        "runner_version": RUNNER_VERSION,
        "available_providers": list(onnxruntime.get_available_providers()),
        "shared_process": False,
        "app_build": None,
        "debugger_attached": None if sys.gettrace() is None else True,
    }


def write_result(result: dict[str, Any], directory: str) -> None:
    """Write `result.json` so that a reader sees all of it or nothing."""
    path = os.path.join(directory, "result.json")
    with open(path + ".part", "w", encoding="utf-8") as stream:
        json.dump(result, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".part", path)


def main(arguments: list[str]) -> int:
    """Run the program; see the module's text."""
    started_ns = now_ns()
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    if arguments[0] == "--probe":
        import onnxruntime

        print(json.dumps(probe(onnxruntime)))
        return 0
    with open(arguments[0], encoding="utf-8") as stream:
        request = json.load(stream)
    base = os.path.dirname(os.path.abspath(arguments[0]))
    schema = request.get("schema")
    if schema not in (REQUEST_SCHEMA, BATCH_SCHEMA):
        print(f"unknown request schema {schema!r}", file=sys.stderr)
        return 2
    batch = request["requests"] if schema == BATCH_SCHEMA else [request]
    for one in batch:
        block = BlockRun(one, base, started_ns, shared_process=schema == BATCH_SCHEMA)
        write_result(block.execute(), block.directory)
        started_ns = now_ns()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
