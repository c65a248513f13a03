"""A host of the lab for tests: its commands, its agent as a process, phones on real adb."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

sys.path.insert(0, str(Path(__file__).parents[1] / "real"))

from small_models import convolutions

from adb_server import OwnAdb, adb_programs, own_adb
from apk_writer import Writer, make_apk, manifest, signing_block
from device_lab.store import LabStore
from ortlab.devices.virtual import PythonRunner, VirtualAndroidPhone, VirtualPhoneSpec
from ortlab.process import Command, Completed, SystemProcesses

__all__ = [
    "BENCH",
    "Agent",
    "LabHost",
    "adb",
    "bench_apk",
    "convolutions",
    "phone_on",
    "wait_until",
]

CERTIFICATE = b"\x30\x03\x02\x01\x2a"
DEADLINE_S = 240.0

BENCH = """
[bench]
style = ["onnx"]
threads = [1, 2]
min_rounds = 2
max_rounds = 2
block_s = 0.05
memory_blocks = 1
cold_start_blocks = 1
"""


def bench_apk(path: Path) -> Path:
    """Write an APK with the benchmark's instrumentation; virtual phones take it."""
    written = manifest("com.example.reader.bench")
    return make_apk(path, Writer().write(written), block=signing_block(0x7109871A, CERTIFICATE))


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Return what the condition gives once it holds."""
    deadline = time.monotonic() + deadline_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.05)
    return answer


@dataclass
class Agent:
    """`ortlab lab agent` as a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def end(self) -> int:
        """End it as Ctrl-C does; return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_S)


@dataclass(frozen=True)
class LabHost:
    """A machine of the lab: a directory with state of its own."""

    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"XDG_STATE_HOME": str(self.directory / "state")}

    @property
    def lab(self) -> Path:
        return self.directory / "state" / "ortlab" / "lab"

    @property
    def store(self) -> LabStore:
        return LabStore(f"sqlite:///{self.lab / 'lab.db'}")

    @property
    def runs(self) -> Path:
        return self.lab / "runs"

    def run(self, *arguments: str) -> Completed:
        """Run an ortlab command as a user does."""
        return SystemProcesses().run(
            Command(
                arguments=(sys.executable, "-m", "ortlab", *arguments),
                working_directory=self.directory,
                environment=self.environment,
                deadline_s=DEADLINE_S,
            )
        )

    def answer(self, *arguments: str) -> dict[str, Any]:
        """Run a command that answers in JSON."""
        done = self.run("lab", *arguments, "--json")
        assert done.succeeded, done.stderr + done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def prepare(self, *models: onnx.ModelProto) -> None:
        """Prepare models as ``models/prepared/model-0`` and so on."""
        (self.directory / "models").mkdir(parents=True, exist_ok=True)
        for number, model in enumerate(models):
            onnx.save(model, self.directory / f"models/model-{number}.onnx")
        done = self.run("prepare", "models", "-o", "models/prepared", "--no-predictions")
        assert done.succeeded, done.stderr

    def job(self, text: str, name: str = "nightly") -> Path:
        """Write a job file beside the models, so that its paths start from there."""
        path = self.directory / "models" / f"{name}.toml"
        path.write_text(f'name = "{name}"\n{text}')
        return path

    @contextlib.contextmanager
    def agent(self, *arguments: str) -> Iterator[Agent]:
        log = self.directory / f"agent-{time.monotonic_ns()}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "ortlab", "lab", "agent", *arguments],
                cwd=self.directory,
                env={**_inherited(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Agent(process, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(DEADLINE_S)


def _inherited() -> dict[str, str]:
    return dict(os.environ)


@contextlib.contextmanager
def adb() -> Iterator[OwnAdb]:
    """Run an adb server of our own; the environment names it."""
    with own_adb(next(iter(adb_programs().values()))) as running:
        yield running


@contextlib.contextmanager
def phone_on(running: OwnAdb, serial_number: str, **spec: Any) -> Iterator[VirtualAndroidPhone]:
    """Run a virtual phone and connect adb to it, as a phone in the rack is."""
    given = VirtualPhoneSpec(serial_number=serial_number, **spec)
    with VirtualAndroidPhone(given, program=PythonRunner(sys.executable)) as phone:
        running.server.connect(phone.address, deadline_s=20)
        try:
            yield phone
        finally:
            running.server.disconnect(phone.address)
