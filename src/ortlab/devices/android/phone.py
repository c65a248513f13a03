"""One phone over adb: shell, files and apps, every call with a total deadline."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ortlab.devices.android import installing, local_files
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

    def start(self) -> None:
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


class AdbPhone:
    """One phone by its serial.

    Every call raises, beside what it says itself:
        DeviceLostError: The phone or the adb server went away.
        DeviceNotReadyError: The phone is there, but a person has to do something at it.
        DeviceTimeoutError: The phone is there, but the deadline passed.

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
        return self._features(Deadline(deadline_s), "ask for features")

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
        deadline = Deadline(deadline_s)
        task = f"run {_shortened(line)!r}"
        if "shell_v2" in self._features(deadline, task):
            with self._service(f"shell,v2,raw:{line}", task, deadline) as channel:
                return run_with_packets(channel, on_output=on_output, input_bytes=input_bytes)
        return self._shell_with_marker(line, task, deadline, on_output, input_bytes)

    def push(
        self,
        source: Path | bytes,
        destination: str,
        *,
        mode: int = 0o644,
        deadline_s: float,
        progress: Progress | None = None,
        verify: bool = False,
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

        Raises:
            UsageError: The destination is no path of a file.
            StorageError: The source cannot be read.
            DeviceNotReadyError: The phone's storage is full.
            DeviceError: The phone refuses, or the file did not arrive as it was sent.
        """
        device_path(destination)
        deadline = Deadline(deadline_s)
        part = _part_name(destination)
        task = f"push {_shortened(destination)}"
        with local_files.opened(source) as (file, size):
            hashed = _Hashed(file) if verify else file
            try:
                self._send(part, destination, hashed, size, mode, progress, task, deadline)
                if isinstance(hashed, _Hashed):
                    self._compare_content(part, hashed, task, deadline)
                moved = self._follow_up(
                    ("chmod", f"{mode:o}", part, Raw("&&"), "mv", "-f", part, destination),
                    task,
                    deadline,
                )
                if moved.exit_code != 0:
                    raise self._failure(task, moved.stderr or moved.stdout)
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
        deadline = Deadline(deadline_s)
        task = f"pull {_shortened(source)}"
        features = self._features(deadline, task)
        with (
            self._service("sync:", task, deadline) as channel,
            self._sync_failures(task),
        ):
            session = SyncSession(channel, features)
            there = session.stat(source)
            if there is None:
                reason = "no such file"
                raise SyncFailedError(reason)
            if there.is_directory:
                reason = "it is a directory"
                raise SyncFailedError(reason)
            with local_files.staged(destination) as file:
                size = session.receive(source, file, progress=progress)
                if size < there.size_bytes:
                    reason = f"{size} bytes came of {there.size_bytes}"
                    raise SyncFailedError(reason)
            return size

    def stat(self, path: str, *, deadline_s: float) -> RemoteFile | None:
        """Return what the phone says of a path; None where there is nothing.

        Raises:
            DeviceError: The phone does not let us look.
        """
        device_path(path)
        deadline = Deadline(deadline_s)
        task = f"look at {_shortened(path)}"
        features = self._features(deadline, task)
        with (
            self._service("sync:", task, deadline) as channel,
            self._sync_failures(task),
        ):
            return SyncSession(channel, features).stat(path)

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
        deadline = Deadline(deadline_s)
        what = ", ".join(apk.name for apk in apks)
        task = f"install {_shortened(what)}"
        features = self._features(deadline, task)
        if "cmd" not in features:
            message = f"cannot {task} on {self.serial}: its Android is older than 7.0"
            raise InstallError(
                message,
                code="INSTALL_FAILED_OLDER_SDK",
                next_step="use a phone with Android 7.0 (API level 24) or newer",
            )

        def ask(arguments: tuple[str, ...], apk: Path | None, limit: Deadline) -> str:
            return self._ask_package_manager(arguments, apk, features, task, limit)

        def refuse(answer: str) -> InstallError:
            return installing.refusal(
                answer, what=_shortened(what), serial=self.serial, package=package
            )

        if len(apks) == 1:
            size = _size(apks[0])
            answer = ask(("install", *flags, "-S", str(size)), apks[0], deadline)
            if not installing.succeeded(answer):
                raise refuse(answer)
        else:
            self._install_session(apks, flags, deadline, ask, refuse)

    def uninstall(self, package: str, *, deadline_s: float) -> bool:
        """Remove an app with its data; return whether there was one.

        Raises:
            InstallError: The phone refuses; ``code`` is the platform's own.
        """
        deadline = Deadline(deadline_s)
        manager = ("cmd", "package")
        left = deadline.remaining_s
        result = self.shell(*manager, "uninstall", package, deadline_s=left())
        answer = result.stdout + result.stderr
        if installing.succeeded(answer):
            return True
        known = self.shell(*manager, "path", package, deadline_s=left())
        if installing.not_installed(answer) and "package:" not in known.stdout:
            return False
        code = installing.failure_code(answer)
        message = f"cannot uninstall {package} from {self.serial}: {answer.strip()[:500]}"
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
                phone, problem = self._returned(Deadline(min(1.0, deadline.remaining_s()))), None
                if phone is not None and phone.state is PhoneState.DEVICE:
                    return
            except (TimeoutError, ToolchainError, DeviceError) as error:
                problem = error
            try:
                time.sleep(min(0.05, deadline.remaining_s()))
            except TimeoutError:
                break
        if phone is not None:
            task = f"use {self.serial}"
            raise not_ready(task, phone)
        task = "go on"
        raise self._lost(task, "it did not come back") from problem

    # -- steps ----------------------------------------------------------------------------------

    def _returned(self, slice_: Deadline) -> AttachedPhone | None:
        """Return the phone as it stands, after a moment's wait where it is not ready."""
        server = self._server
        try:
            phone = server.find(self.serial, slice_)
        except (ServerGoneError, EOFError):
            self._known_features = None
            server.start()
            phone = server.find(self.serial, slice_)
        if phone is not None and phone.state is PhoneState.DEVICE:
            return phone
        if is_address(self.serial) and (phone is None or phone.state is PhoneState.OFFLINE):
            if phone is not None:
                server.disconnect(self.serial)
            server.connect(self.serial, deadline_s=slice_.remaining_s())
            return server.find(self.serial, slice_)
        with contextlib.suppress(*CALL_ERRORS):
            server.await_ready(self.serial, slice_)
        return phone

    def _features(self, deadline: Deadline, task: str) -> frozenset[str]:
        if self._known_features is None:
            try:
                own = self._server.ask(f"host-serial:{self.serial}:features", deadline)
                host = self._server.ask("host:host-features", deadline)
            except CALL_ERRORS as error:
                raise self._explained(error, task, deadline, opened=False) from error
            self._known_features = frozenset(own.split(",")) & frozenset(host.split(","))
        return self._known_features

    @contextlib.contextmanager
    def _service(self, name: str, task: str, deadline: Deadline) -> Iterator[Channel]:
        """Open a service of the phone; what goes wrong with it is explained."""
        if len(name.encode()) > _MAXIMUM_SERVICE_BYTES:
            message = f"cannot {task} on {self.serial}: the command is too long"
            raise UsageError(message)
        opened = False
        try:
            with self._server.open_service(self.serial, name, deadline) as channel:
                opened = True
                yield channel
        except CALL_ERRORS as error:
            raise self._explained(error, task, deadline, opened=opened) from error

    @contextlib.contextmanager
    def _sync_failures(self, task: str) -> Iterator[None]:
        try:
            yield
        except SyncFailedError as error:
            raise self._failure(task, str(error)) from error

    def _send(
        self,
        part: str,
        destination: str,
        source: local_files.LocalFile | _Hashed,
        size: int,
        mode: int,
        progress: Progress | None,
        task: str,
        deadline: Deadline,
    ) -> None:
        features = self._features(deadline, task)
        with (
            self._service("sync:", task, deadline) as channel,
            self._sync_failures(task),
        ):
            session = SyncSession(channel, features)
            there = session.stat(destination)
            if there is not None and there.is_directory:
                reason = "it is a directory"
                raise SyncFailedError(reason)
            sent = session.send(part, source, size, mode=mode, progress=progress)
            arrived = session.stat(part)
            if arrived is None or not session.same_size(arrived, sent):
                there_now = "nothing" if arrived is None else f"{arrived.size_bytes} bytes"
                reason = f"{sent} bytes were sent, but {there_now} arrived"
                raise SyncFailedError(reason)

    def _compare_content(self, path: str, sent: _Hashed, task: str, deadline: Deadline) -> None:
        """Let the phone compute a checksum; old ones have MD5 only."""
        for program, expected in (("sha256sum", sent.sha256), ("md5sum", sent.md5)):
            result = self._follow_up((program, path), task, deadline)
            match = re.match(r"\\?([0-9a-f]{32,64})\b", result.stdout.strip())
            if result.exit_code == 0 and match:
                if match[1] != expected.hexdigest():
                    raise self._failure(task, "what arrived is not what was sent")
                return
        raise self._failure(task, "the phone computes no checksum: it has no sha256sum or md5sum")

    def _follow_up(
        self, arguments: tuple[str | Raw, ...], task: str, deadline: Deadline
    ) -> ShellResult:
        """Run a command within what is left of a call's deadline."""
        try:
            left = deadline.remaining_s()
        except TimeoutError as error:
            raise self._explained(error, task, deadline, opened=True) from error
        return self.shell(*arguments, deadline_s=left)

    def _remove_quietly(self, path: str, *, after: BaseException | None = None) -> None:
        """Remove a file of ours; a phone that just failed gets little time for it."""
        if isinstance(after, DeviceLostError):
            return
        slow = isinstance(after, DeviceTimeoutError)
        limit_s = _CLEAN_UP_OF_A_SLOW_PHONE_DEADLINE_S if slow else _CLEAN_UP_DEADLINE_S
        with contextlib.suppress(DeviceError):
            self.shell("rm", "-f", path, deadline_s=limit_s)

    def _shell_with_marker(
        self,
        line: str,
        task: str,
        deadline: Deadline,
        on_output: OutputListener | None,
        input_bytes: bytes | None,
    ) -> ShellResult:
        """Run a command on a phone that tells no exit codes; its input goes by a file."""
        if input_bytes is None:
            marked = with_exit_marker(line)
            with self._service(f"shell:{marked.text}", task, deadline) as channel:
                return run_with_marker(channel, marked.marker, on_output=on_output)
        path = _part_name("/data/local/tmp/input")
        self.push(input_bytes, path, deadline_s=deadline.remaining_s())
        try:
            marked = with_exit_marker(line, input_path=path)
            with self._service(f"shell:{marked.text}", task, deadline) as channel:
                return run_with_marker(channel, marked.marker, on_output=on_output)
        finally:
            self._remove_quietly(path)

    def _ask_package_manager(
        self,
        arguments: tuple[str, ...],
        apk: Path | None,
        features: frozenset[str],
        task: str,
        deadline: Deadline,
    ) -> str:
        service = installing.package_service(
            arguments, command_line(arguments), direct="abb_exec" in features
        )
        with contextlib.ExitStack() as files:
            content = files.enter_context(local_files.opened(apk))[0] if apk else None
            with self._service(service, task, deadline) as channel:
                answer = installing.ask(channel, content)
                if not answer.strip():
                    message = "the package manager ended without an answer"
                    raise EOFError(message)
                return answer

    def _install_session(
        self,
        apks: Sequence[Path],
        flags: Sequence[str],
        deadline: Deadline,
        ask: Callable[[tuple[str, ...], Path | None, Deadline], str],
        refuse: Callable[[str], InstallError],
    ) -> None:
        sizes = [_size(apk) for apk in apks]
        answer = ask(("install-create", *flags, "-S", str(sum(sizes))), None, deadline)
        session = installing.session_number(answer)
        if session is None:
            raise refuse(answer)
        try:
            for apk, name, size in zip(apks, installing.split_names(apks), sizes, strict=True):
                write = ("install-write", "-S", str(size), session, name, "-")
                answer = ask(write, apk, deadline)
                if not installing.succeeded(answer):
                    raise refuse(answer)
            answer = ask(("install-commit", session), None, deadline)
            if not installing.succeeded(answer):
                raise refuse(answer)
        except BaseException:
            with contextlib.suppress(DeviceError):
                ask(("install-abandon", session), None, Deadline(_CLEAN_UP_DEADLINE_S))
            raise

    # -- what went wrong ------------------------------------------------------------------------

    def _explained(
        self, error: Exception, task: str, deadline: Deadline, *, opened: bool
    ) -> DeviceError:
        """Tell a slow phone from one that is gone and one that is not ready."""
        try:
            phone = self._server.find(self.serial, Deadline(_LOOK_DEADLINE_S))
        except CALL_ERRORS:
            return self._lost(task, f"the adb server at {self._server.address} does not answer")
        if phone is None:
            return self._lost(task, "it is not connected")
        gone_midway = opened and phone.state in (PhoneState.OFFLINE, PhoneState.CONNECTING)
        if phone.state is not PhoneState.DEVICE:
            if gone_midway:
                return self._lost(task, "the connection broke and it does not answer")
            return not_ready(task, phone)
        if isinstance(error, TimeoutError):
            message = f"cannot {task} on {self.serial}: not done within {deadline.seconds:g} s"
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
        return DeviceError(message)


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: local_files.LocalFile) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._file.readinto(buffer)
        self.sha256.update(buffer[:size])
        self.md5.update(buffer[:size])
        return size


def _size(apk: Path) -> int:
    with local_files.opened(apk) as (_, size):
        return size


def _part_name(destination: str) -> str:
    directory = destination.rpartition("/")[0]
    return device_path(f"{directory}/.{secrets.token_hex(8)}.part")


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
