"""The benchmark protocol's values: one block request in, one block result out.

`bench_protocol/` at the root holds the JSON Schemas and the vectors; these types say the same in
Python and tests hold the two together. Durations are integer nanoseconds of one monotonic clock.
Arrays of bytes never travel in JSON: tensors are raw little-endian files (see ``tensors.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

REQUEST_SCHEMA: Final = "ortlab.block_request/1"
RESULT_SCHEMA: Final = "ortlab.block_result/1"
BATCH_SCHEMA: Final = "ortlab.batch_request/1"


class Purpose(StrEnum):
    """Why a block is run; one process serves one purpose."""

    LATENCY = "latency"
    MEMORY = "memory"
    PROFILE = "profile"
    PARITY = "parity"
    COLD_START = "cold_start"


class LoadMode(StrEnum):
    """How the runtime gets the model.

    ``BYTES`` lets the runtime copy; ``DIRECT_BYTES`` keeps the caller's buffer in use
    (``session.use_ort_model_bytes_directly``); ``INITIALIZERS_FROM_BYTES`` also leaves the weights
    in it (``session.use_ort_model_bytes_for_initializers``; not from Python).
    """

    PATH = "path"
    BYTES = "bytes"
    DIRECT_BYTES = "direct-bytes"
    INITIALIZERS_FROM_BYTES = "initializers-from-bytes"


class GraphOptimizationLevel(StrEnum):
    """ORT's graph optimization level, under its own names."""

    DISABLED = "disabled"
    BASIC = "basic"
    EXTENDED = "extended"
    LAYOUT = "layout"
    ALL = "all"


class ExecutionMode(StrEnum):
    """Whether independent nodes may run at once."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"


class Stage(StrEnum):
    """Where in a block something failed."""

    START = "start"
    LOAD_MODEL = "load_model"
    CREATE_SESSION = "create_session"
    FIRST_RUN = "first_run"
    WARM_UP = "warm_up"
    MEASURE = "measure"
    READ_OUTPUT = "read_output"
    CLOSE = "close"


class FailureKind(StrEnum):
    """What went wrong, as the runner could tell."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    MODEL_MISSING = "model_missing"
    MODEL_CHANGED = "model_changed"
    INVALID_MODEL = "invalid_model"
    INPUT_MISSING = "input_missing"
    INVALID_INPUT = "invalid_input"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_FAILED = "provider_failed"
    CUSTOM_OPS_FAILED = "custom_ops_failed"
    OUT_OF_MEMORY = "out_of_memory"
    RUNTIME_ERROR = "runtime_error"
    STORAGE = "storage"
    DEADLINE = "deadline"


class DeathKind(StrEnum):
    """What the driver saw of a runner that left no valid result."""

    SIGNAL = "signal"
    EXIT = "exit"
    OUT_OF_MEMORY = "out_of_memory"
    DEADLINE = "deadline"
    NO_RESULT = "no_result"
    GARBLED_RESULT = "garbled_result"
    WRONG_BLOCK = "wrong_block"
    DEVICE_LOST = "device_lost"


class MemoryKind(StrEnum):
    """Whether a memory figure is the value at that moment or the largest so far."""

    CURRENT = "current"
    PEAK = "peak"


class MemoryPhase(StrEnum):
    """When a memory figure was read."""

    BASELINE = "baseline"
    ENVIRONMENT = "environment"
    LOADED = "loaded"
    FIRST_RUN = "first_run"
    WARM = "warm"
    END = "end"
    CLOSED = "closed"


class StopReason(StrEnum):
    """Why the measured loop ended."""

    COMPLETE = "complete"
    TIME_LIMIT = "time_limit"
    TOO_FEW_RUNS = "too_few_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """A tensor in a raw file.

    Attributes:
        name: ONNX value name.
        element_type: ONNX element type in lower case, such as ``float`` or ``int64``.
        shape: Concrete dimensions.
        path: Of the file; relative to the request's directory unless absolute.
        sha256: Of the file's bytes, or None where not yet computed.
    """

    name: str
    element_type: str
    shape: tuple[int, ...]
    path: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """The model a block runs.

    Attributes:
        path: ``.onnx`` or ``.ort`` file.
        sha256: Of the file; the runner refuses another.
        load_mode: How the runtime gets it.
        custom_op_library: Shared library to register first, or None.
    """

    path: str
    sha256: str
    load_mode: LoadMode = LoadMode.PATH
    custom_op_library: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Session options that are API calls, and the config entries; None leaves ORT's default."""

    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ALL
    intra_op_num_threads: int | None = None
    inter_op_num_threads: int | None = None
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    cpu_memory_arena: bool | None = None
    memory_pattern: bool | None = None
    config_entries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """An execution provider by ORT's name, with its options."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpRule:
    """When warm-up ends; source: `bench_protocol/README.md`, "Warm-up".

    After the first run, windows of ``max(window_min_runs, ceil(window_ns / last median))`` runs;
    it has converged when the medians of two successive windows differ by at most ``agreement``
    and ``min_ns`` have passed; it gives up after ``max_ns`` or ``max_runs``, whichever is later,
    and never lasts longer than ``hard_limit_ns``.
    """

    window_min_runs: int = 5
    window_ns: int = 250_000_000
    agreement: float = 0.02
    min_ns: int = 500_000_000
    max_ns: int = 8_000_000_000
    max_runs: int = 10
    hard_limit_ns: int = 30_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When the measured loop ends.

    At least ``min_runs`` and ``min_ns``; at most ``max_ns``, which wins, but never fewer than
    ``floor_runs`` runs, and then the result is marked.
    """

    min_runs: int = 30
    min_ns: int = 2_000_000_000
    max_ns: int = 30_000_000_000
    floor_runs: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRequest:
    """One block: one fresh process, one purpose, one result.

    Attributes:
        block_id: Unique in the run; the result must repeat it.
        purpose: Latency blocks warm up and measure; memory blocks read memory at each phase
            around ``measured_runs`` runs; profile blocks run ``measured_runs`` times with
            profiling on; parity blocks run once and write the outputs; cold-start blocks create
            a session and run once.
        model: What to load.
        session: Session options.
        providers: In order; CPU last.
        inputs: One tensor per model input.
        warm_up: For latency blocks.
        stop: For latency blocks.
        measured_runs: For memory and profile blocks.
        settle_ns: Wait after closing the session before the last memory reading.
        output_directory: Where result, outputs, profile and progress marks go.
        deadline_s: Total time the block may take.
    """

    block_id: str
    purpose: Purpose
    model: ModelReference
    session: SessionSettings
    providers: tuple[ProviderRequest, ...]
    inputs: tuple[TensorFile, ...]
    output_directory: str
    warm_up: WarmUpRule = field(default_factory=WarmUpRule)
    stop: StopRule = field(default_factory=StopRule)
    measured_runs: int = 1
    settle_ns: int = 2_000_000_000
    deadline_s: float = 120.0
    schema: Literal["ortlab.block_request/1"] = REQUEST_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """Several blocks in one process, for phones whose app a person must open.

    Its results are marked ``shared_process`` and support no verdict.
    """

    batch_id: str
    requests: tuple[BlockRequest, ...]
    schema: Literal["ortlab.batch_request/1"] = BATCH_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure the runner lived to tell.

    Attributes:
        stage: Where.
        kind: What.
        message: The runtime's own words.
    """

    stage: Stage
    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """What ran: runtime, language, build.

    Attributes:
        ort_version: As the runtime itself answers.
        build_info: ORT's build string, where the language offers it.
        language: Such as ``python``.
        language_version: Such as ``3.11.7``.
        runner_version: Of the benchmark program.
        available_providers: As the runtime itself answers.
        shared_process: Whether other blocks ran in the same process.
        app_build: Such as ``release``, ``debug``; None where there is no app.
        debugger_attached: Where the platform tells.
    """

    ort_version: str
    language: str
    language_version: str
    runner_version: str
    available_providers: tuple[str, ...]
    build_info: str | None = None
    shared_process: bool = False
    app_build: str | None = None
    debugger_attached: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The clock of all durations, and its resolution."""

    name: str
    resolution_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations in nanoseconds; None where the purpose does not measure it.

    Attributes:
        environment_ns: Importing and starting the runtime.
        load_model_ns: Reading the model's bytes; None for ``path``, where creation includes it.
        session_creation_ns: Creating the session.
        first_run_ns: The first run, recorded apart.
        warm_up_ns: Each warm-up run.
        warm_up_converged: Whether the warm-up rule was met.
        measured_ns: Each measured run, in order.
        stop_reason: Why the measured loop ended.
        close_ns: Destroying the session.
    """

    environment_ns: int | None = None
    load_model_ns: int | None = None
    session_creation_ns: int | None = None
    first_run_ns: int | None = None
    warm_up_ns: tuple[int, ...] = ()
    warm_up_converged: bool | None = None
    measured_ns: tuple[int, ...] = ()
    stop_reason: StopReason | None = None
    close_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """One memory figure.

    Attributes:
        metric: Such as ``VmRSS``, ``VmHWM``, ``RssAnon``, ``Pss``.
        kind: Value at that moment, or largest so far.
        scope: ``process``, or what else it counts.
        phase: When it was read.
        size_bytes: The figure.
    """

    metric: str
    kind: MemoryKind
    scope: str
    phase: MemoryPhase
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The state of the machine at one moment; None where it does not tell.

    Attributes:
        battery_percent: 0 to 100.
        charging: Whether external power is attached.
        temperature_c: Battery on phones, the warmest CPU zone elsewhere.
        thermal_status: Platform's own word; ``none`` or ``nominal`` is cool.
        low_power_mode: Whether the system saves power.
        foreground: Whether the app is in front with the screen on.
        cpu_governor: Linux frequency governor.
        cpu_frequency_khz: Current frequency of each core.
        busy_fraction: Share of the machine's CPU time used by others, 0 to 1.
    """

    battery_percent: float | None = None
    charging: bool | None = None
    temperature_c: float | None = None
    thermal_status: str | None = None
    low_power_mode: bool | None = None
    foreground: bool | None = None
    cpu_governor: str | None = None
    cpu_frequency_khz: tuple[int, ...] = ()
    busy_fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserFacts:
    """What a page can tell of the browser that a block ran in; None where it does not tell.

    Attributes:
        cross_origin_isolated: Whether threads and the fine clock are there.
        clock_step_ns: Smallest difference other than 0 between readings of ``performance.now``.
        threads_asked: Of the wasm backend, where the request names a number.
        threads_got: What the wasm backend says after the session was created.
        adapter: Of WebGPU, in words; None where it was not asked for.
        adapter_is_fallback: Whether that adapter is software.
        visible: Whether the page was to be seen from the start of the block to its end.
        user_agent: As the browser says it.
    """

    cross_origin_isolated: bool
    clock_step_ns: int
    threads_asked: int | None
    threads_got: int | None
    adapter: str | None
    adapter_is_fallback: bool | None
    visible: bool
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockResult:
    """What a runner answers.

    Attributes:
        block_id: Of the request.
        failure: None when the block succeeded.
        runtime: What ran; None when the runtime could not even start.
        requested_providers: As asked.
        registered_providers: As the session reports them, in order.
        clock: Of all durations.
        timing: Durations.
        memory: Memory figures in the order they were read.
        conditions_before: Before the session was created.
        conditions_after: After the session was closed.
        outputs: Output tensors, for parity blocks.
        profile_path: ORT's profile, for profile blocks.
        browser: For blocks that ran in a page.
    """

    block_id: str
    failure: Failure | None
    runtime: RuntimeFacts | None
    requested_providers: tuple[ProviderRequest, ...]
    registered_providers: tuple[str, ...]
    clock: Clock
    timing: Timing
    memory: tuple[MemoryPoint, ...] = ()
    conditions_before: Conditions | None = None
    conditions_after: Conditions | None = None
    outputs: tuple[TensorFile, ...] = ()
    profile_path: str | None = None
    browser: BrowserFacts | None = None
    schema: Literal["ortlab.block_result/1"] = RESULT_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """What is known of a runner that left no valid result.

    Attributes:
        kind: What the driver saw.
        message: In a sentence.
        exit_code: Where the process ended by itself.
        signal_name: Where a signal ended it.
        last_stage: The last progress mark.
        output_tail: The end of what it printed.
    """

    kind: DeathKind
    message: str
    exit_code: int | None = None
    signal_name: str | None = None
    last_stage: Stage | None = None
    output_tail: str = ""
