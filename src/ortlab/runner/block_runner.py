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
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from typing import Any, Callable, Optional  # noqa: E402

if __package__:
    from ortlab.runner import failures, machine, measuring, request_check, sessions
else:  # started as a program: the files lie side by side
    import failures  # type: ignore[import-not-found, no-redef]
    import machine  # type: ignore[import-not-found, no-redef]
    import measuring  # type: ignore[import-not-found, no-redef]
    import request_check  # type: ignore[import-not-found, no-redef]
    import sessions  # type: ignore[import-not-found, no-redef]

RESULT_SCHEMA = "ortlab.block_result/1"
CONDITIONS_SAMPLE_S = 0.1
_PROFILE = "profile.json"
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
        self._model_bytes: Optional[bytes] = None  # direct bytes must outlive the session
        self._session: Any = None

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
        onnxruntime = self._start_runtime()
        feeds = sessions.read_inputs(onnxruntime, self.request["inputs"], self.base)
        self._read_memory("environment")
        self.result["conditions_before"] = machine.conditions()
        self._session = self._create_session(onnxruntime)
        self._read_memory("loaded")
        self._run(sessions.make_run(onnxruntime, self._session, feeds))
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

    def _start_runtime(self) -> Any:
        onnxruntime, facts, environment_ns = sessions.start_runtime(
            shared_process=self.shared_process
        )
        self.result["runtime"], self.timing["environment_ns"] = facts, environment_ns
        sessions.check_available(self.request["providers"], facts["available_providers"])
        return onnxruntime

    def _create_session(self, onnxruntime: Any) -> Any:
        self._enter("load_model")
        request = self.request
        source, load_ns = sessions.read_model(request["model"], self.base)
        self.timing["load_model_ns"] = load_ns
        if request["model"]["load_mode"] == "direct-bytes":
            self._model_bytes = source
        self._enter("create_session")
        prefix = os.path.join(self.output_directory, "ort") if self.purpose == "profile" else None
        options = sessions.make_options(
            onnxruntime, request["session"], request["model"], self.base, prefix
        )
        sessions.apply_cpu_options(options, request["providers"])
        providers = [(item["name"], item["options"]) for item in request["providers"]]
        started = time.perf_counter_ns()
        session = onnxruntime.InferenceSession(
            source, options, providers=providers, enable_fallback=0
        )
        self.timing["session_creation_ns"] = time.perf_counter_ns() - started
        self.result["registered_providers"] = list(session.get_providers())
        sessions.check_registered(session, request["providers"])
        return session

    # -------------------------------------------------------------------------- runs

    def _run(self, run: Callable[[], Any]) -> None:
        self._enter("first_run")
        started = time.perf_counter_ns()
        outputs = run()
        self.timing["first_run_ns"] = time.perf_counter_ns() - started
        self._read_memory("first_run")
        if self.purpose == "parity":
            self._enter("read_output")
            self.result["outputs"] = sessions.write_outputs(
                self._session, outputs, self.output_directory
            )
        del outputs
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
    if os.environ.get("ORTLAB_END_WITH_PARENT"):
        machine.end_with_parent()
    if arguments == ["--conditions"]:
        load = machine.LoadMeter()
        time.sleep(CONDITIONS_SAMPLE_S)
        print(json.dumps(machine.conditions(load.busy_fraction())))
        return 0
    if arguments == ["--probe"]:
        print(json.dumps({**machine.describe(), "runtime": sessions.start_runtime()[1]}))
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
