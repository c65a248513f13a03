"""This machine: every block is a fresh Python process with ONNX Runtime.

The runner gets a small environment of its own instead of the caller's: variables such as
``OMP_NUM_THREADS`` or ``LD_PRELOAD`` would change what is measured without a trace.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ortlab import codec
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
    Stage,
    TensorFile,
)

DEVICE_ID: Final = "host"
RUNNER_PATH: Final = Path(__file__).parents[1] / "runner" / "block_runner.py"
KEPT_VARIABLES: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
GRACE_S: Final = 3.0
"""Time beyond a block's deadline for a runner to notice it and answer by itself."""

_PROBE_DEADLINE_S: Final = 60.0
_REQUEST, _RESULT, _PROGRESS, _COMMAND = "request.json", "result.json", "progress", "command.txt"
_LARGEST_RESULT_BYTES: Final = 256 << 20
_TAIL_CHARACTERS: Final = 4000
_MEMORY_WORDS: Final = (
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
    "Out of memory",
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
                *(env, "-i", *kept, "ORT_DISABLE_TELEMETRY=1"),
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
        for name in (_RESULT, _PROGRESS):
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
        return _death_of(directory, completed)
    path = directory / _RESULT
    try:
        if path.stat().st_size > _LARGEST_RESULT_BYTES:
            return _death(directory, completed, DeathKind.GARBLED_RESULT, "its result is too large")
        text = path.read_bytes()
    except OSError:
        message = "the runner ended without an answer"
        return _death(directory, completed, DeathKind.NO_RESULT, message)
    try:
        result = codec.from_json(BlockResult, text, source=f"the answer to {block_id}")
    except StorageError as error:
        return _death(directory, completed, DeathKind.GARBLED_RESULT, error.message)
    if result.block_id != block_id:
        message = f"the runner answered for block {result.block_id!r}, not for {block_id!r}"
        return _death(directory, completed, DeathKind.WRONG_BLOCK, message)
    located = _locate(directory, result)
    if located is None:
        message = "its result names files outside of its directory, or that are not there"
        return _death(directory, completed, DeathKind.GARBLED_RESULT, message)
    return located


def _locate(directory: Path, result: BlockResult) -> BlockResult | None:
    """Make the result's paths absolute; None when one leaves the directory."""
    outputs: list[TensorFile] = []
    for output in result.outputs:
        path = _inside(directory, output.path)
        if path is None:
            return None
        outputs.append(replace(output, path=path))
    profile = None
    if result.profile_path is not None:
        profile = _inside(directory, result.profile_path)
        if profile is None:
            return None
    return replace(result, outputs=tuple(outputs), profile_path=profile)


def _inside(directory: Path, name: str) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        path = (directory / name).resolve(strict=True)
        if path.is_relative_to(directory.resolve()):
            return str(directory / name)
    return None


def _death_of(directory: Path, completed: Completed) -> Death:
    """Say what became of a runner that did not end well."""
    limit = f"{completed.command.deadline_s:g} s"
    said = completed.stderr + completed.stdout
    if completed.timed_out:
        message = f"the runner was ended after {limit}, the block's deadline"
        return _death(directory, completed, DeathKind.DEADLINE, message)
    if any(word in said for word in _MEMORY_WORDS):
        message = "the runner ran out of memory"
        return _death(directory, completed, DeathKind.OUT_OF_MEMORY, message)
    if completed.signal_name == "SIGKILL":
        # Nobody else ends a process of ours that way: it is what the kernel does when it runs out.
        message = "the runner was killed, as the system does when memory runs out"
        return _death(directory, completed, DeathKind.OUT_OF_MEMORY, message)
    if completed.signal_name is not None:
        message = f"the runner was ended by {completed.signal_name}"
        return _death(directory, completed, DeathKind.SIGNAL, message)
    message = f"the runner ended with exit code {completed.exit_code}"
    return _death(directory, completed, DeathKind.EXIT, message)


def _death(directory: Path, completed: Completed, kind: DeathKind, message: str) -> Death:
    tail = (completed.stdout + completed.stderr)[-_TAIL_CHARACTERS:]
    return Death(
        kind=kind,
        message=message,
        exit_code=None if completed.timed_out else completed.exit_code,
        signal_name=completed.signal_name,
        last_stage=_last_stage(directory),
        output_tail=tail,
    )


def _last_stage(directory: Path) -> Stage | None:
    """Return the newest progress mark; a torn or unknown one does not count."""
    last = None
    with contextlib.suppress(OSError):
        for line in (directory / _PROGRESS).read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                last = Stage(line)
    return last
