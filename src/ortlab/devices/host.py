"""This machine as a device: each block is a fresh process of the benchmark program."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ortlab import codec
from ortlab.domain import Arm, DeviceInfo, DeviceKind
from ortlab.errors import DeviceError, StorageError, ToolchainError
from ortlab.process import Command, Completed, Processes, SystemProcesses
from ortlab.wire import BlockRequest, BlockResult, Conditions, Death, DeathKind, Stage

RUNNER_PATH: Final = Path(__file__).parents[1] / "runner" / "block_runner.py"

_PROBE_DEADLINE_S: Final = 60.0
_GRACE_S: Final = 5.0
_OUTPUT_TAIL_CHARACTERS: Final = 2000
_BUSY_WINDOW_S: Final = 0.2
_ENVIRONMENT: Final = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_OUT_OF_MEMORY_WORDS: Final = ("bad_alloc", "MemoryError", "Cannot allocate memory")


@dataclass(frozen=True, slots=True)
class _Runtime:
    ort_version: str
    available_providers: tuple[str, ...]


class HostDevice:
    """Runs blocks on this machine.

    Args:
        processes: Starts the runner.
        runner_path: The benchmark program.
        memory_limit_bytes: Address space of a block, or None.

    Raises:
        DeviceError: This Python has no onnxruntime.
    """

    def __init__(
        self,
        *,
        processes: Processes | None = None,
        runner_path: Path = RUNNER_PATH,
        memory_limit_bytes: int | None = None,
    ) -> None:
        self._processes = processes or SystemProcesses()
        self._runner_path = runner_path
        self._memory_limit_bytes = memory_limit_bytes
        self._runtimes: dict[str, _Runtime] = {}
        runtime = self._probe(sys.executable)
        self._info = DeviceInfo(
            device_id="host",
            kind=DeviceKind.HOST,
            name=platform.node() or "this machine",
            os_version=_os_version(),
            architecture=platform.machine(),
            cpu=_cpu(),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            ort_version=runtime.ort_version,
            available_providers=runtime.available_providers,
        )

    @property
    def info(self) -> DeviceInfo:
        """The machine as it describes itself."""
        return self._info

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return ORT version and providers of the interpreter that ``arm`` names.

        Raises:
            DeviceError: The interpreter cannot be started, or has no onnxruntime.
        """
        runtime = self._probe(arm.runtime or sys.executable)
        return runtime.ort_version, runtime.available_providers

    def conditions(self) -> Conditions:
        """Read governor, frequencies, temperature, and the load over a fifth of a second."""
        before = _cpu_jiffies()
        time.sleep(_BUSY_WINDOW_S)
        after = _cpu_jiffies()
        busy = None
        if before and after and after[1] > before[1]:
            busy = (after[0] - before[0]) / (after[1] - before[1])
        root = Path("/sys/devices/system/cpu")
        frequencies = (
            _number(root / f"cpu{core}/cpufreq/scaling_cur_freq")
            for core in range(os.cpu_count() or 1)
        )
        return Conditions(
            cpu_governor=_text(root / "cpu0/cpufreq/scaling_governor") or None,
            cpu_frequency_khz=tuple(value for value in frequencies if value is not None),
            busy_fraction=busy,
        )

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh process.

        Raises:
            DeviceError: The runner cannot be started at all.
            StorageError: The request cannot be written.
        """
        directory = Path(request.output_directory)
        request_path = directory / "request.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name in ("result.json", "progress"):
                (directory / name).unlink(missing_ok=True)
            request_path.write_text(codec.to_json(request), encoding="utf-8")
        except OSError as error:
            message = f"cannot write the request of block {request.block_id}: {error.strerror}"
            raise StorageError(
                message, next_step="make room, then run the command again"
            ) from error
        completed = self._start(
            arm.runtime or sys.executable,
            str(request_path),
            deadline_s=request.deadline_s + _GRACE_S,
            memory_limit_bytes=self._memory_limit_bytes,
        )
        return _answer(request, directory, completed)

    def close(self) -> None:
        """Do nothing: nothing of the machine was changed."""

    def _probe(self, interpreter: str) -> _Runtime:
        if interpreter not in self._runtimes:
            completed = self._start(interpreter, "--probe", deadline_s=_PROBE_DEADLINE_S)
            try:
                facts: dict[str, Any] = json.loads(completed.stdout)
                self._runtimes[interpreter] = _Runtime(
                    str(facts["ort_version"]), tuple(facts["available_providers"])
                )
            except (ValueError, KeyError, TypeError) as error:
                words = completed.stderr.strip().splitlines()
                reason = words[-1] if words else "it said nothing"
                message = f"cannot use ONNX Runtime of {interpreter}: {reason}"
                step = f"{interpreter} -m pip install onnxruntime numpy"
                raise DeviceError(message, next_step=step) from error
        return self._runtimes[interpreter]

    def _start(
        self,
        interpreter: str,
        argument: str,
        *,
        deadline_s: float,
        memory_limit_bytes: int | None = None,
        environment: Mapping[str, str] = _ENVIRONMENT,
    ) -> Completed:
        command = Command(
            arguments=(interpreter, str(self._runner_path), argument),
            deadline_s=deadline_s,
            environment=environment,
            memory_limit_bytes=memory_limit_bytes,
        )
        try:
            return self._processes.run(command)
        except ToolchainError as error:
            raise DeviceError(error.message, next_step=error.next_step) from error


def _answer(request: BlockRequest, directory: Path, completed: Completed) -> BlockResult | Death:
    stage = _last_stage(directory)

    def death(kind: DeathKind, message: str) -> Death:
        tail = (completed.stdout + completed.stderr)[-_OUTPUT_TAIL_CHARACTERS:]
        where = f" in stage {stage}" if stage else " before its first stage"
        return Death(
            kind=kind,
            message=f"the runner {message}{where}",
            exit_code=completed.exit_code,
            signal_name=completed.signal_name,
            last_stage=stage,
            output_tail=tail,
        )

    if completed.timed_out:
        return death(DeathKind.DEADLINE, f"was ended after its {request.deadline_s:g} s")
    if not completed.succeeded:
        how = completed.signal_name or f"exit code {completed.exit_code}"
        if any(word in completed.stderr for word in _OUT_OF_MEMORY_WORDS):
            return death(DeathKind.OUT_OF_MEMORY, f"ran out of memory ({how})")
        if completed.signal_name:
            return death(DeathKind.SIGNAL, f"died of {completed.signal_name}")
        return death(DeathKind.EXIT, f"ended with exit code {completed.exit_code}")
    try:
        text = (directory / "result.json").read_bytes()
    except OSError:
        return death(DeathKind.NO_RESULT, "ended without a result")
    try:
        result = codec.from_json(BlockResult, text, source="the runner's result")
    except StorageError as error:
        return death(DeathKind.GARBLED_RESULT, f"left no readable result ({error.message})")
    if result.block_id != request.block_id:
        return death(DeathKind.WRONG_BLOCK, f"answered for block {result.block_id!r}")
    return result


def _last_stage(directory: Path) -> Stage | None:
    marks = _text(directory / "progress").split()
    return Stage(marks[-1]) if marks and marks[-1] in tuple(Stage) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _cpu_jiffies() -> tuple[int, int] | None:
    """Return busy and total jiffies of the machine since it started."""
    words = _text(Path("/proc/stat")).split("\n", 1)[0].split()[1:]
    if len(words) < 8:
        return None
    values = [int(word) for word in words[:8]]
    return sum(values) - values[3] - values[4], sum(values)


def _cpu() -> str:
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware"):
            return f"{value.strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def _os_version() -> str:
    for line in _text(Path("/etc/os-release")).splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return f"{platform.system()} {platform.release()}"
