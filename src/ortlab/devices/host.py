"""This machine: every block is a fresh Python process with ONNX Runtime.

The runner gets a small environment of its own instead of the caller's: variables such as
``OMP_NUM_THREADS`` or ``LD_PRELOAD`` would change what is measured without a trace.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ortlab import codec
from ortlab.devices.answers import PROGRESS, RESULT, BadAnswerError, last_stage, read_result
from ortlab.domain import Arm, DeviceInfo, DeviceKind
from ortlab.errors import DeviceError, OrtlabError, StorageError, ToolchainError
from ortlab.process import Command, Completed, Processes
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Conditions,
    Death,
    DeathKind,
    RuntimeFacts,
)

DEVICE_ID: Final = "host"
RUNNER_PATH: Final = Path(__file__).parents[1] / "runner" / "block_runner.py"
KEPT_VARIABLES: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
GRACE_S: Final = 3.0
"""Time beyond a block's deadline for a runner to notice it and answer by itself."""

_PROBE_DEADLINE_S: Final = 60.0
_REQUEST, _COMMAND = "request.json", "command.txt"
_TAIL_CHARACTERS: Final = 4000
_MEMORY_WORDS: Final = (
    "memoryerror",
    "bad_alloc",
    "cannot allocate memory",
    "memory allocation",
    "out of memory",
    "failed to map segment",
)


class HostDevice:
    """Runs blocks on this machine; see :class:`ortlab.domain.Device`.

    Args:
        processes: How programs are started.
        runner_path: The benchmark program.
        memory_limit_bytes: Limit of a block's address space, or None.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        runner_path: Path = RUNNER_PATH,
        memory_limit_bytes: int | None = None,
    ) -> None:
        self._processes = processes
        self._runner_path = runner_path
        self._memory_limit_bytes = memory_limit_bytes
        self._probes: dict[str, tuple[dict[str, Any], RuntimeFacts]] = {}

    @cached_property
    def info(self) -> DeviceInfo:
        """The machine and the onnxruntime that ortlab itself is installed with.

        Raises:
            DeviceError: That runtime cannot be started.
        """
        machine, runtime = self._probe(sys.executable)
        return DeviceInfo(
            device_id=DEVICE_ID,
            kind=DeviceKind.HOST,
            name=str(machine["name"]),
            os_version=str(machine["os_version"]),
            architecture=str(machine["architecture"]),
            cpu=str(machine["cpu"]),
            memory_bytes=int(machine["memory_bytes"]),
            ort_version=runtime.ort_version,
            available_providers=runtime.available_providers,
        )

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return ORT version and available providers of the arm's Python interpreter.

        Raises:
            DeviceError: It cannot be started, or has no onnxruntime.
        """
        _, runtime = self._probe(_interpreter_of(arm))
        return runtime.ort_version, runtime.available_providers

    def conditions(self) -> Conditions:
        """Read the machine's state; it takes a tenth of a second to see how busy others are.

        Raises:
            DeviceError: The benchmark program does not answer.
        """
        completed = self._ask(sys.executable, "--conditions")
        try:
            return codec.from_json(Conditions, completed.stdout, source="the machine's state")
        except StorageError as error:
            message = f"cannot read the machine's state: {error.message}"
            raise DeviceError(message, next_step="ortlab doctor") from error

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh process; see :class:`ortlab.domain.Device`.

        The request, the command that repeats it, progress marks and the result stay in
        ``request.output_directory``, which is made if needed.

        Raises:
            DeviceError: The interpreter cannot be started.
            StorageError: The output directory cannot be written.
        """
        directory = Path(request.output_directory).absolute()
        command = self._command(
            _interpreter_of(arm), str(directory / _REQUEST), request.deadline_s + GRACE_S
        )
        command = replace(
            command,
            working_directory=directory,
            memory_limit_bytes=self._memory_limit_bytes,
        )
        _lay_out(directory, replace(request, output_directory=str(directory)), command)
        try:
            completed = self._processes.run(command)
        except ToolchainError as error:
            raise DeviceError(error.message, next_step=error.next_step) from error
        return _read_answer(directory, request.block_id, completed)

    def close(self) -> None:
        """Nothing was changed, so there is nothing to restore."""

    def _probe(self, interpreter: str) -> tuple[dict[str, Any], RuntimeFacts]:
        """Ask an interpreter once what it runs on and with."""
        if interpreter not in self._probes:
            completed = self._ask(interpreter, "--probe")
            try:
                machine = json.loads(completed.stdout.splitlines()[-1])
                runtime = json.dumps(machine.pop("runtime"))
                facts = codec.from_json(RuntimeFacts, runtime, source="the runtime")
            except (IndexError, KeyError, TypeError, ValueError, OrtlabError) as error:
                message = f"cannot tell what {interpreter} runs: its answer cannot be read"
                raise DeviceError(message, next_step="ortlab doctor") from error
            self._probes[interpreter] = (machine, facts)
        return self._probes[interpreter]

    def _ask(self, interpreter: str, question: str) -> Completed:
        try:
            completed = self._processes.run(self._command(interpreter, question, _PROBE_DEADLINE_S))
        except ToolchainError as error:
            raise DeviceError(error.message, next_step=error.next_step) from error
        if not completed.succeeded:
            last = (completed.stderr.strip().splitlines() or ["it said nothing"])[-1]
            message = f"cannot run blocks with {interpreter}: {last}"
            step = f"{interpreter} -m pip install onnxruntime numpy"
            raise DeviceError(message, next_step=step)
        return completed

    def _command(self, interpreter: str, argument: str, deadline_s: float) -> Command:
        env = shutil.which("env") or "/usr/bin/env"
        kept = [f"{name}={os.environ[name]}" for name in KEPT_VARIABLES if name in os.environ]
        return Command(
            arguments=(
                *(env, "-i", *kept, "ORT_DISABLE_TELEMETRY=1", "ORTLAB_END_WITH_PARENT=1"),
                *(interpreter, "-X", "faulthandler", str(self._runner_path), argument),
            ),
            deadline_s=deadline_s,
        )


def _interpreter_of(arm: Arm) -> str:
    """Return the Python interpreter of an arm.

    Raises:
        DeviceError: It is not a program.
    """
    if arm.runtime is None:
        return sys.executable
    found = shutil.which(arm.runtime)
    if found is None:
        message = f"cannot run arm {arm.arm_id!r}: {arm.runtime} is no Python interpreter here"
        raise DeviceError(message, next_step="ortlab doctor")
    return str(Path(found).absolute())


def _lay_out(directory: Path, request: BlockRequest, command: Command) -> None:
    """Write the request and the command that repeats it; remove an older answer."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, PROGRESS):
            (directory / name).unlink(missing_ok=True)
        (directory / _REQUEST).write_text(codec.to_json(request, indent=2), encoding="utf-8")
        (directory / _COMMAND).write_text(command.line() + "\n", encoding="utf-8")
    except OSError as error:
        message = f"cannot write the block's request to {directory}: {error.strerror}"
        raise StorageError(message) from error


# ------------------------------------------------------------------------------ answers


def _read_answer(directory: Path, block_id: str, completed: Completed) -> BlockResult | Death:
    """Return the result, or what is known of a runner that left no valid one."""
    if not completed.succeeded:
        return _death(directory, completed, *_end_of(completed))
    try:
        return read_result(directory, block_id)
    except BadAnswerError as error:
        return _death(directory, completed, error.kind, error.message)


def _end_of(completed: Completed) -> tuple[DeathKind, str]:
    """Say what became of a runner that did not end well."""
    if completed.timed_out:
        seconds = completed.command.deadline_s - GRACE_S
        return DeathKind.DEADLINE, f"the runner did not end within the block's {seconds:g} s"
    said = (completed.stderr + completed.stdout).lower()
    if any(word in said for word in _MEMORY_WORDS):
        return DeathKind.OUT_OF_MEMORY, "the runner ran out of memory"
    if completed.signal_name == "SIGKILL":
        # Nobody else ends a process of ours that way: it is what the kernel does when it runs out.
        message = "the runner was killed, as the system does when memory runs out"
        return DeathKind.OUT_OF_MEMORY, message
    if completed.signal_name is not None:
        return DeathKind.SIGNAL, f"the runner was ended by {completed.signal_name}"
    return DeathKind.EXIT, f"the runner ended with exit code {completed.exit_code}"


def _death(directory: Path, completed: Completed, kind: DeathKind, message: str) -> Death:
    return Death(
        kind=kind,
        message=message,
        exit_code=completed.exit_code,
        signal_name=None if completed.timed_out else completed.signal_name,
        last_stage=last_stage(directory),
        output_tail=(completed.stdout + completed.stderr)[-_TAIL_CHARACTERS:],
    )
