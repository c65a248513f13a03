"""One phone over adb: shell, files and apps, every call with a total deadline."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ortlab.devices import local_files
from ortlab.devices.android import installing
from ortlab.devices.android.attached import AttachedPhone, PhoneState, is_address, not_ready
from ortlab.devices.android.channel import (
    CALL_ERRORS,
    Channel,
    Deadline,
    RefusedError,
    ServerGoneError,
)
from ortlab.devices.android.quoting import Raw, command_line, device_path, quoted
from ortlab.devices.android.shell import (
    OutputListener,
    ShellResult,
    run_with_marker,
    run_with_packets,
    with_exit_marker,
)
from ortlab.devices.android.sync import Progress, RemoteFile, SyncFailedError, SyncSession
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    InstallError,
    ToolchainError,
    UsageError,
)

_QUESTION_DEADLINE_S = 5.0
_RECONNECTING_S = 5.0
_POLLING_S = 0.05
_LOOK_DEADLINE_S = 1.0
_CLEAN_UP_DEADLINE_S = 2.0
_CLEAN_UP_OF_A_SLOW_PHONE_DEADLINE_S = 0.5
_MAXIMUM_SERVICE_BYTES = 32 << 10


class Server(Protocol):
    """What a phone needs of the adb server; its calls raise one of ``CALL_ERRORS``."""

    @property
    def address(self) -> str:
        """Where it listens."""
        ...

    def start(self, *, deadline_s: float) -> None:
        """See that it answers."""
        ...

    def connect(self, address: str, *, deadline_s: float) -> str:
        """Connect to a phone by network."""
        ...

    def disconnect(self, address: str) -> None:
        """Let go of a phone that was connected by network."""
        ...

    def ask(self, request: str, deadline: Deadline) -> str:
        """Return its answer to a question."""
        ...

    def find(self, serial: str, deadline: Deadline) -> AttachedPhone | None:
        """Return a phone as it stands now; None where it is not listed."""
        ...

    def open_service(self, serial: str, name: str, deadline: Deadline) -> Channel:
        """Open a service of a phone."""
        ...

    def await_ready(self, serial: str, deadline: Deadline) -> None:
        """Return as soon as a phone is ready."""
        ...


@dataclass(frozen=True, slots=True)
class _Call:
    """What is being done, in words that follow "cannot", and until when."""

    task: str
    deadline: Deadline


class AdbPhone:
    """One phone by its serial; may be used from several threads.

    Every call raises, beside what it says itself:
        DeviceLostError: The phone or the adb server went away.
        DeviceNotReadyError: The phone is there, but a person has to do something at it.
        DeviceTimeoutError: The phone is there, but the deadline passed.

    An error comes up to two seconds after the deadline, while the server is asked what became of
    the phone and what was begun is cleared away.

    Args:
        server: Where it is attached.
        serial: adb's name of it.
    """

    def __init__(self, server: Server, serial: str) -> None:
        self.serial = serial
        self._server = server
        self._known_features: frozenset[str] | None = None

    def features(self, *, deadline_s: float = _QUESTION_DEADLINE_S) -> frozenset[str]:
        """Return what both the phone and the adb server announce, such as ``shell_v2``."""
        return self._features(_Call("ask for features", Deadline(deadline_s)))

    def shell(
        self,
        *arguments: str | Raw,
        deadline_s: float,
        on_output: OutputListener | None = None,
        input_bytes: bytes | None = None,
    ) -> ShellResult:
        """Run a command to its end.

        Args:
            arguments: The command; quoted, unless :class:`Raw`.
            deadline_s: Total time, also for a command that keeps talking.
            on_output: Gets standard output as it comes.
            input_bytes: What the command reads on standard input; nothing if None.

        Raises:
            UsageError: An argument cannot be given to a shell.
        """
        line = command_line(arguments)
        call = _Call(f"run {_shortened(line)!r}", Deadline(deadline_s))
        return self._run(call, line, on_output, input_bytes)

    def push(
        self,
        source: Path | bytes,
        destination: str,
        *,
        mode: int = 0o644,
        deadline_s: float,
        progress: Progress | None = None,
        verify: bool = False,
        checksums: Mapping[str, str] | None = None,
    ) -> None:
        """Write a file on the phone, whole or not at all.

        It travels under another name in the same directory, which is made where missing, and takes
        its name when its size, and if asked its content, is known to be right.

        Args:
            source: A file of this machine, or its content.
            destination: Absolute path of the file on the phone; what was there is replaced.
            mode: Permissions.
            deadline_s: Total time.
            progress: Told about once a mebibyte: bytes sent, bytes in all.
            verify: Whether the phone computes a checksum that is compared with ours.
            checksums: Ours as far as they are known, in hexadecimal digits by ``sha256`` and
                ``md5``; computed where they are not.

        Raises:
            UsageError: The destination is no path of a file.
            StorageError: The source cannot be read.
            DeviceNotReadyError: The phone's storage is full.
            DeviceError: The phone refuses, or the file did not arrive as it was sent.
        """
        device_path(destination)
        call = _Call(f"push {_shortened(destination)}", Deadline(deadline_s))
        part = _part_name(destination)
        with local_files.opened(source) as file:
            try:
                self._send(call, file, part, destination, mode, progress)
                if verify:
                    self._compare_content(call, part, source, checksums or {})
                take_name = ("chmod", f"{mode:o}", part, _AND, "mv", "-f", part, destination)
                taken = self._run(call, command_line(take_name))
                if taken.exit_code != 0:
                    raise self._failure(call.task, taken.stderr or taken.stdout)
            except BaseException as error:
                self._remove_quietly(part, after=error)
                raise

    def pull(
        self,
        source: str,
        destination: Path,
        *,
        deadline_s: float,
        progress: Progress | None = None,
    ) -> int:
        """Read a file of the phone; return its size.

        Args:
            source: Absolute path on the phone.
            destination: There whole at the end, or as it was before.
            deadline_s: Total time.
            progress: Told about once a mebibyte: bytes received, bytes in all.

        Raises:
            StorageError: The destination cannot be written.
            DeviceError: There is no such file, or the phone refuses.
        """
        device_path(source)
        with (
            self._sync(_Call(f"pull {_shortened(source)}", Deadline(deadline_s))) as session,
            local_files.staged(destination) as file,
        ):
            there = session.stat(source)
            if there is None or there.is_directory:
                reason = "it is a directory" if there else "no such file"
                raise SyncFailedError(reason)
            size = session.receive(source, file, there.size_bytes, progress=progress)
            if size < there.size_bytes:
                reason = f"only {size} of {there.size_bytes} bytes came"
                raise SyncFailedError(reason)
            return size

    def stat(self, path: str, *, deadline_s: float) -> RemoteFile | None:
        """Return what the phone says of a path; None where there is nothing.

        Raises:
            DeviceError: The phone does not let us look.
        """
        device_path(path)
        with self._sync(_Call(f"look at {_shortened(path)}", Deadline(deadline_s))) as session:
            return session.stat(path)

    def install(
        self,
        apks: Sequence[Path],
        *,
        flags: Sequence[str] = ("-r", "-t"),
        deadline_s: float,
        package: str | None = None,
    ) -> None:
        """Install an app, streamed; several APKs are the splits of one app.

        Args:
            apks: One APK, or the base and its splits.
            flags: Of ``pm install``.
            deadline_s: Total time.
            package: Application id, for the advice of errors.

        Raises:
            StorageError: An APK cannot be read.
            InstallError: The phone refuses; ``code`` is the platform's own.
        """
        what = _shortened(", ".join(apk.name for apk in apks))
        call = _Call(f"install {what}", Deadline(deadline_s))
        if "cmd" not in self._features(call):
            raise installing.too_old(what, serial=self.serial)

        def ask(arguments: Sequence[str], apk: Path | None) -> str:
            return self._ask_package_manager(arguments, apk, call)

        def abandon(arguments: Sequence[str]) -> None:
            limit = _Call(call.task, Deadline(_CLEAN_UP_DEADLINE_S))
            with contextlib.suppress(DeviceError):
                self._ask_package_manager(arguments, None, limit)

        try:
            installing.install(apks, flags, ask=ask, abandon=abandon)
        except installing.RefusedInstallError as error:
            answer = str(error)
            raise installing.refusal(
                answer, what=what, serial=self.serial, package=package
            ) from error

    def uninstall(self, package: str, *, deadline_s: float) -> bool:
        """Remove an app with its data; return whether there was one.

        Raises:
            InstallError: The phone refuses; ``code`` is the platform's own.
        """
        call = _Call(f"uninstall {_shortened(package)}", Deadline(deadline_s))
        result = self._run(call, command_line(("cmd", "package", "uninstall", package)))
        answer = result.stdout + result.stderr
        if installing.succeeded(answer):
            return True
        known = self._run(call, command_line(("cmd", "package", "path", package)))
        if installing.not_installed(answer) and "package:" not in known.stdout:
            return False
        code = installing.failure_code(answer)
        message = f"cannot {call.task} from {self.serial}: {answer.strip()[:500]}"
        raise InstallError(message, code=code, next_step="uninstall it on the phone by hand")

    def wait(self, *, deadline_s: float) -> None:
        """Wait until the phone is there again.

        A server that went away on this machine is started again, and a phone by network is
        connected again.
        """
        deadline = Deadline(deadline_s)
        phone: AttachedPhone | None = None
        problem: Exception | None = None
        while True:
            try:
                phone = self._returned(deadline)
                if phone is not None and phone.state is PhoneState.DEVICE:
                    return
                problem = None
            except (*CALL_ERRORS, ToolchainError, DeviceError) as error:
                problem = error
            try:
                time.sleep(min(_POLLING_S, deadline.remaining_s()))
            except TimeoutError:
                break
        task = "go on"
        if phone is not None and phone.state is not PhoneState.DEVICE:
            raise not_ready(task, phone)
        why = f"it did not come back within {deadline_s:g} s"
        raise self._lost(task, f"{why} ({problem})" if problem else why) from problem

    # -- steps ----------------------------------------------------------------------------------

    def _returned(self, deadline: Deadline) -> AttachedPhone | None:
        """Return the phone as it stands, after a moment's wait where it is not ready."""
        server = self._server
        try:
            phone = server.find(self.serial, deadline.within(_LOOK_DEADLINE_S))
        except (ServerGoneError, EOFError):
            self._known_features = None
            server.start(deadline_s=deadline.remaining_s())
            phone = server.find(self.serial, deadline)
        if phone is not None and phone.state is PhoneState.DEVICE:
            return phone
        if is_address(self.serial) and (phone is None or phone.state is PhoneState.OFFLINE):
            limit = deadline.within(_RECONNECTING_S)
            server.connect(self.serial, deadline_s=limit.remaining_s())
            return server.find(self.serial, limit)
        with contextlib.suppress(*CALL_ERRORS):
            server.await_ready(self.serial, deadline.within(_LOOK_DEADLINE_S))
        return phone

    def _features(self, call: _Call) -> frozenset[str]:
        if self._known_features is None:
            try:
                phone = self._server.find(self.serial, call.deadline)
                if phone is not None and phone.state is not PhoneState.DEVICE:
                    raise not_ready(call.task, phone)
                own = self._server.ask(f"host-serial:{self.serial}:features", call.deadline)
                host = self._server.ask("host:host-features", call.deadline)
            except CALL_ERRORS as error:
                raise self._explained(error, call) from error
            self._known_features = frozenset(own.split(",")) & frozenset(host.split(","))
        return self._known_features

    @contextlib.contextmanager
    def _service(self, name: str, call: _Call) -> Iterator[Channel]:
        """Open a service of the phone; what goes wrong with it is explained."""
        if len(name.encode()) > _MAXIMUM_SERVICE_BYTES:
            message = f"cannot {call.task} on {self.serial}: the command is too long"
            raise UsageError(message)
        try:
            with self._server.open_service(self.serial, name, call.deadline) as channel:
                yield channel
        except CALL_ERRORS as error:
            raise self._explained(error, call) from error

    @contextlib.contextmanager
    def _sync(self, call: _Call) -> Iterator[SyncSession]:
        """Open the file service; what goes wrong with it is explained."""
        features = self._features(call)
        try:
            with self._service("sync:", call) as channel:
                yield SyncSession(channel, features)
        except SyncFailedError as error:
            raise self._failure(call.task, str(error)) from error

    def _send(
        self,
        call: _Call,
        file: local_files.LocalFile,
        part: str,
        destination: str,
        mode: int,
        progress: Progress | None,
    ) -> None:
        with self._sync(call) as session:
            there = session.stat(destination)
            if there is not None and there.is_directory:
                reason = "it is a directory"
                raise SyncFailedError(reason)
            sent = session.send(part, file, file.size_bytes, mode=mode, progress=progress)
            arrived = session.stat(part)
            if arrived is None or not session.same_size(arrived, sent):
                there_now = f"{arrived.size_bytes} bytes" if arrived else "nothing"
                reason = f"{sent} bytes were sent, but {there_now} arrived"
                raise SyncFailedError(reason)

    def _compare_content(
        self, call: _Call, path: str, source: Path | bytes, known: Mapping[str, str]
    ) -> None:
        """Compare checksums of both sides, computed at once; old phones have MD5 only."""

        def ours(algorithm: str) -> str:
            return known.get(algorithm) or local_files.checksum(source, algorithm)

        with ThreadPoolExecutor(1) as worker:
            for algorithm in ("sha256", "md5"):
                expected = worker.submit(ours, algorithm)
                result = self._run(call, command_line((f"{algorithm}sum", path)))
                match = re.match(r"\\?([0-9a-f]{32,64})\b", result.stdout.strip())
                if result.exit_code == 0 and match:
                    if match[1] != expected.result():
                        raise self._failure(call.task, "what arrived is not what was sent")
                    return
        raise self._failure(call.task, "it has neither sha256sum nor md5sum")

    def _remove_quietly(self, path: str, *, after: BaseException | None = None) -> None:
        """Remove a file of ours; a phone that just failed gets little time for it."""
        if isinstance(after, DeviceLostError):
            return
        slow = isinstance(after, DeviceTimeoutError)
        limit_s = _CLEAN_UP_OF_A_SLOW_PHONE_DEADLINE_S if slow else _CLEAN_UP_DEADLINE_S
        with contextlib.suppress(DeviceError):
            self.shell("rm", "-f", path, deadline_s=limit_s)

    def _run(
        self,
        call: _Call,
        line: str,
        on_output: OutputListener | None = None,
        input_bytes: bytes | None = None,
    ) -> ShellResult:
        """Run a command line; its input goes by a file where the shell tells no exit codes."""
        if "shell_v2" in self._features(call):
            with self._service(f"shell,v2,raw:{line}", call) as channel:
                return run_with_packets(channel, on_output=on_output, input_bytes=input_bytes)
        if input_bytes is None:
            marked = with_exit_marker(line)
            with self._service(f"shell:{marked.text}", call) as channel:
                return run_with_marker(channel, marked.marker, on_output=on_output)
        path = _part_name("/data/local/tmp/input")
        with local_files.opened(input_bytes) as file:
            self._send(call, file, path, path, 0o600, None)
        try:
            marked = with_exit_marker(line, input_path=path)
            with self._service(f"shell:{marked.text}", call) as channel:
                return run_with_marker(channel, marked.marker, on_output=on_output)
        finally:
            self._remove_quietly(path)

    def _ask_package_manager(self, arguments: Sequence[str], apk: Path | None, call: _Call) -> str:
        direct = "abb_exec" in self._features(call)
        service = installing.package_service(arguments, direct=direct)
        with contextlib.ExitStack() as files:
            content = files.enter_context(local_files.opened(apk)) if apk else None
            with self._service(service, call) as channel:
                answer = installing.ask(channel, content)
                if not answer.strip():
                    message = "the package manager ended without an answer"
                    raise EOFError(message)
                return answer

    # -- what went wrong ------------------------------------------------------------------------

    def _explained(self, error: Exception, call: _Call) -> DeviceError:
        """Tell a slow phone from one that is gone and one that is not ready."""
        task = call.task
        try:
            phone = self._server.find(self.serial, Deadline(_LOOK_DEADLINE_S))
        except CALL_ERRORS:
            address = self._server.address
            message = f"cannot {task} on {self.serial}: the adb server at {address} is gone"
            return DeviceLostError(message, next_step="adb start-server, then ortlab devices")
        if phone is None:
            return self._lost(task, "it is not connected")
        if phone.state is not PhoneState.DEVICE:
            refused_at_once = isinstance(error, RefusedError)
            if phone.state in (PhoneState.OFFLINE, PhoneState.CONNECTING) and not refused_at_once:
                return self._lost(task, "the connection broke and it does not answer")
            return not_ready(task, phone)
        if isinstance(error, TimeoutError):
            message = f"cannot {task} on {self.serial}: not done within {call.deadline.seconds:g} s"
            step = "look at the phone: it may ask something, be busy or hang; then try again"
            return DeviceTimeoutError(message, next_step=step)
        if isinstance(error, RefusedError):
            return DeviceError(f"cannot {task} on {self.serial}: {error}")
        return self._lost(task, "the connection broke")

    def _lost(self, task: str, why: str) -> DeviceLostError:
        message = f"cannot {task} on {self.serial}: {why}"
        return DeviceLostError(message, next_step="check the cable or network, then ortlab devices")

    def _failure(self, task: str, reason: str) -> DeviceError:
        """Return the error for what the phone itself refused."""
        reason = " ".join(reason.split())[:500] or "the phone gives no reason"
        message = f"cannot {task} on {self.serial}: {reason}"
        if re.search(r"no space left|disk quota exceeded", reason, re.IGNORECASE):
            message = f"cannot {task} on {self.serial}: the phone's storage is full ({reason})"
            step = f"make room; how much there is: adb -s {quoted(self.serial)} shell df /data"
            return DeviceNotReadyError(message, next_step=step)
        step = "run the same command again; where that does not help, restart the phone"
        return DeviceError(message, next_step=step)


_AND = Raw("&&")


def _part_name(destination: str) -> str:
    directory = destination.rpartition("/")[0]
    return device_path(f"{directory}/.{secrets.token_hex(8)}.part")


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
