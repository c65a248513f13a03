"""One phone over adb: shell, files and apps, every call with a total deadline."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ortlab.devices import local_files
from ortlab.devices.android import installing
from ortlab.devices.android.channel import Deadline
from ortlab.devices.android.connection import Call, PhoneConnection, Server
from ortlab.devices.android.quoting import Raw, command_line, device_path
from ortlab.devices.android.shell import (
    OutputListener,
    ShellResult,
    run_with_marker,
    run_with_packets,
    with_exit_marker,
)
from ortlab.devices.android.sync import Progress, RemoteFile, SyncFailedError
from ortlab.errors import DeviceError, DeviceLostError, DeviceTimeoutError, InstallError

_QUESTION_DEADLINE_S = 5.0
_CLEAN_UP_DEADLINE_S = 2.0
_CLEAN_UP_OF_A_SLOW_PHONE_DEADLINE_S = 0.5


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
        self._connection = PhoneConnection(server, serial)

    def features(self, *, deadline_s: float = _QUESTION_DEADLINE_S) -> frozenset[str]:
        """Return what both the phone and the adb server announce, such as ``shell_v2``."""
        return self._connection.features(Call("ask for features", Deadline(deadline_s)))

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
        call = Call(f"run {_shortened(line)!r}", Deadline(deadline_s))
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
        call = Call(f"push {_shortened(destination)}", Deadline(deadline_s))
        part = _part_name(destination)
        with local_files.opened(source) as file:
            try:
                self._send(call, file, part, destination, mode, progress)
                if verify:
                    self._compare_content(call, part, source, checksums or {})
                take_name = ("chmod", f"{mode:o}", part, _AND, "mv", "-f", part, destination)
                taken = self._run(call, command_line(take_name))
                if taken.exit_code != 0:
                    raise self._connection.failure(call, taken.stderr or taken.stdout)
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
        call = Call(f"pull {_shortened(source)}", Deadline(deadline_s))
        with (
            self._connection.sync(call) as session,
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
        call = Call(f"look at {_shortened(path)}", Deadline(deadline_s))
        with self._connection.sync(call) as session:
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
        call = Call(f"install {what}", Deadline(deadline_s))
        if "cmd" not in self._connection.features(call):
            raise installing.too_old(what, serial=self.serial)

        def ask(arguments: Sequence[str], apk: Path | None) -> str:
            return self._ask_package_manager(arguments, apk, call)

        def abandon(arguments: Sequence[str]) -> None:
            limit = Call(call.task, Deadline(_CLEAN_UP_DEADLINE_S))
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
        call = Call(f"uninstall {_shortened(package)}", Deadline(deadline_s))
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
        self._connection.await_return(deadline_s=deadline_s)

    # -- steps ----------------------------------------------------------------------------------

    def _send(
        self,
        call: Call,
        file: local_files.LocalFile,
        part: str,
        destination: str,
        mode: int,
        progress: Progress | None,
    ) -> None:
        with self._connection.sync(call) as session:
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
        self, call: Call, path: str, source: Path | bytes, known: Mapping[str, str]
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
                        raise self._connection.failure(call, "what arrived is not what was sent")
                    return
        raise self._connection.failure(call, "it has neither sha256sum nor md5sum")

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
        call: Call,
        line: str,
        on_output: OutputListener | None = None,
        input_bytes: bytes | None = None,
    ) -> ShellResult:
        """Run a command line; its input goes by a file where the shell tells no exit codes."""
        if "shell_v2" in self._connection.features(call):
            with self._connection.service(f"shell,v2,raw:{line}", call) as channel:
                return run_with_packets(channel, on_output=on_output, input_bytes=input_bytes)
        if input_bytes is None:
            marked = with_exit_marker(line)
            with self._connection.service(f"shell:{marked.text}", call) as channel:
                return run_with_marker(channel, marked.marker, on_output=on_output)
        path = _part_name("/data/local/tmp/input")
        with local_files.opened(input_bytes) as file:
            self._send(call, file, path, path, 0o600, None)
        try:
            marked = with_exit_marker(line, input_path=path)
            with self._connection.service(f"shell:{marked.text}", call) as channel:
                return run_with_marker(channel, marked.marker, on_output=on_output)
        finally:
            self._remove_quietly(path)

    def _ask_package_manager(self, arguments: Sequence[str], apk: Path | None, call: Call) -> str:
        direct = "abb_exec" in self._connection.features(call)
        service = installing.package_service(arguments, direct=direct)
        with contextlib.ExitStack() as files:
            content = files.enter_context(local_files.opened(apk)) if apk else None
            with self._connection.service(service, call) as channel:
                answer = installing.ask(channel, content)
                if not answer.strip():
                    message = "the package manager ended without an answer"
                    raise EOFError(message)
                return answer


_AND = Raw("&&")


def _part_name(destination: str) -> str:
    directory = destination.rpartition("/")[0]
    return device_path(f"{directory}/.{secrets.token_hex(8)}.part")


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
