"""The process that speaks to one iPhone: the only importer of pymobiledevice3.

``python -m ortlab.devices.ios.worker UDID`` answers questions on its standard input until that
ends. A process of its own, since a tunnel to an iPhone can be open only once in a process, and
since what it imports is under the GPL and large. Connections are kept between questions; one that
broke is opened anew by the next question.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from ortlab.devices.ios.messages import (
    Action,
    Answer,
    BadMessageError,
    Event,
    EventKind,
    Problem,
    Question,
    question_of,
    to_line,
)
from ortlab.devices.ios.uploading import upload
from ortlab.devices.local_files import opened, staged
from ortlab.errors import StorageError

Value = TypeVar("Value")

STAGE_MARK: Final = "ORTLAB stage="
DONE_MARK: Final = "ORTLAB done "

_KILL: Final = 9  # on Darwin; a plain number, since enumerations do not travel
_CONNECT_S: Final = 30.0
_TUNNEL_S: Final = 30.0
_CALL_S: Final = 20.0
_LOOK_S: Final = 3.0
_STAGING: Final = "/PublicStaging/ortlab"
_END_S: Final = 5.0
_POLL_S: Final = 1.0
_QUIET_S: Final = 0.3
_CHUNK_BYTES: Final = 4 << 20
_TAIL_CHARACTERS: Final = 4000
_LARGEST_REPORT_BYTES: Final = 8 << 20
_SAMPLE_MS: Final = 200
_STALE_S: Final = 20.0
_TUNNEL_FROM: Final = (17, 0)
_OWN_TUNNEL_FROM: Final = (17, 4)
_NO_SPACE: Final = 18  # AFC's status for it
_FACTS: Final = (
    "BuildVersion",
    "CPUArchitecture",
    "ChipID",
    "DeviceClass",
    "DeviceName",
    "HardwareModel",
    "OrtlabVirtual",
    "PasswordProtected",
    "ProductType",
    "ProductVersion",
    "UniqueDeviceID",
)


class CannotLaunchError(Exception):
    """The phone does not start an app; the text is all it said."""


class NoTunnelError(Exception):
    """Another program must open the tunnel and has not."""


class PhoneFullError(Exception):
    """The phone has no room."""


class VerifyFailedError(Exception):
    """What is on the phone is not what was sent."""


class LocalFileError(Exception):
    """A file of this computer cannot be read or written."""


class Phone:
    """Connections to one iPhone, each opened when it is first needed.

    Args:
        udid: Of the phone.
    """

    def __init__(self, udid: str) -> None:
        self.udid = udid
        self.doing = "connecting"
        self.used_at_s = 0.0
        self._lockdown: Any = None
        self._tunnel: Any = None
        self._provider: Any = None
        self._files: dict[str, Any] = {}
        self._instruments: tuple[Any, Any, Any] | None = None
        self._opened = contextlib.AsyncExitStack()

    async def within(self, seconds: float, work: Awaitable[Value], doing: str) -> Value:
        """Wait for something, not longer than so many seconds."""
        self.doing = doing
        return await asyncio.wait_for(work, seconds)

    async def is_attached(self) -> bool | None:
        """Whether usbmuxd lists the phone now; None where that cannot be told."""
        try:
            return any(item["udid"] == self.udid for item in await attached())
        except Exception:  # the question at hand has failed already; this only explains it
            return None

    async def reset(self) -> None:
        """Let go of every connection."""
        opened, self._opened = self._opened, contextlib.AsyncExitStack()
        self._lockdown = self._tunnel = self._provider = self._instruments = None
        self._files = {}
        with contextlib.suppress(Exception):
            await asyncio.wait_for(opened.aclose(), _END_S)

    # -- connections ----------------------------------------------------------------------------

    async def lockdown(
        self, *, pair_s: float = 0.0, say: Callable[[str], None] | None = None
    ) -> Any:
        """Return the connection to lockdownd, trusted unless nobody is to be asked."""
        from pymobiledevice3.lockdown import create_using_usbmux

        if self._lockdown is None:
            client = await self.within(
                _CONNECT_S,
                create_using_usbmux(serial=self.udid, autopair=False),
                "connecting",
            )
            self._opened.push_async_callback(client.close)
            self._lockdown = client
        client = self._lockdown
        if not client.paired and pair_s > 0:
            if say is not None:
                say("the iPhone asks whether it may trust this computer: unlock it and tap Trust")
            await self.within(pair_s + _CALL_S, client.pair(timeout=pair_s), "pairing")
            if not await self.within(_CALL_S, client.validate_pairing(), "pairing"):
                from pymobiledevice3.exceptions import FatalPairingError

                raise FatalPairingError
        return client

    async def trusted(self) -> Any:
        """Return the connection to lockdownd of a phone that trusts this computer."""
        from pymobiledevice3.exceptions import NotPairedError

        client = await self.lockdown()
        if not client.paired:
            raise NotPairedError
        return client

    async def files(self, bundle_id: str) -> Any:
        """Return the documents of an app, as AFC shows them."""
        from pymobiledevice3.services.house_arrest import HouseArrestService

        if bundle_id not in self._files:
            client = await self.trusted()
            service = await self.within(
                _CONNECT_S,
                HouseArrestService.create(client, bundle_id, documents_only=True),
                "opening the app's documents",
            )
            self._files[bundle_id] = await self._opened.enter_async_context(service)
        return self._files[bundle_id]

    def forget_files(self, bundle_id: str) -> None:
        """Open an app's documents anew the next time, as its container may be another."""
        self._files.pop(bundle_id, None)

    async def provider(self) -> Any:
        """Return where developers' services are: lockdownd, or a tunnel from iOS 17."""
        if self._provider is not None:
            return self._provider
        client = await self.trusted()
        version = tuple(int(part) for part in client.product_version.split(".")[:2])
        if version < _TUNNEL_FROM:
            self._provider = client
        elif version < _OWN_TUNNEL_FROM:
            self._provider = await self._foreign_tunnel()
        else:
            from pymobiledevice3.remote.userspace_tunnel import UserspaceRsdTunnel

            tunnel = UserspaceRsdTunnel(
                serial=self.udid, autopair=False, remotepairing_fallback=False
            )
            self._opened.push_async_callback(tunnel.aclose)
            self._provider = await self.within(_TUNNEL_S, tunnel.aopen(), "opening the tunnel")
        return self._provider

    async def _foreign_tunnel(self) -> Any:
        from pymobiledevice3.tunneld.api import get_tunneld_device_by_udid

        found = await self.within(
            _TUNNEL_S, get_tunneld_device_by_udid(self.udid), "asking tunneld"
        )
        if found is None:
            raise NoTunnelError
        self._opened.push_async_callback(found.close)
        return found

    async def instruments(self) -> tuple[Any, Any, Any]:
        """Return Instruments, its control of processes and what tells of them."""
        if self._instruments is None:
            from pymobiledevice3.services.dvt.instruments.device_info import DeviceInfo
            from pymobiledevice3.services.dvt.instruments.dvt_provider import DvtProvider

            provider = await self.provider()
            self.doing = "opening Instruments"
            enter = self._opened.enter_async_context
            dvt = await self.within(_CONNECT_S, enter(DvtProvider(provider)), self.doing)
            control = await self.within(_CALL_S, enter(_control_class()(dvt)), self.doing)
            info = await self.within(_CALL_S, enter(DeviceInfo(dvt)), self.doing)
            self._instruments = (dvt, control, info)
        return self._instruments


def _control_class() -> Any:
    """Return process control that also keeps how processes ended."""
    from pymobiledevice3.dtx import DTXContext, dtx_on_invoke
    from pymobiledevice3.dtx_service import DtxService
    from pymobiledevice3.services.dvt.instruments.process_control import ProcessControlService

    class EndKeepingService(ProcessControlService):
        def __init__(self, ctx: DTXContext) -> None:
            super().__init__(ctx)
            self.ends: dict[int, tuple[int | None, int | None]] = {}
            self.ended = asyncio.Event()

        @dtx_on_invoke("processWithPID:terminatedWithExitCode:orCrashingSignal:")
        async def _keep_end(self, pid: Any, code: Any, number: Any) -> None:
            self.ends[_plain(pid) or 0] = (_plain(code), _plain(number))
            self.ended.set()

    class EndKeepingControl(DtxService[EndKeepingService]):
        pass

    return EndKeepingControl


def _plain(value: Any) -> int | None:
    number = getattr(value, "value", value)
    return int(number) if isinstance(number, int) else None


async def attached() -> list[dict[str, str]]:
    """Return the phones that usbmuxd lists, each once, those with a cable alone."""
    from pymobiledevice3.usbmux import list_devices

    found = await asyncio.wait_for(list_devices(), _LOOK_S)
    return [
        {"udid": device.serial, "connection": device.connection_type}
        for device in found
        if device.is_usb
    ]


# ------------------------------------------------------------------------------ what is asked


class Work:
    """Carries out one question after the other.

    Args:
        phone: To ask.
        tell: Sends an event.
    """

    def __init__(self, phone: Phone, tell: Callable[[EventKind, str], None]) -> None:
        self._phone = phone
        self._tell = tell
        self._actions: dict[Action, Callable[..., Awaitable[Any]]] = {
            Action.ATTACHED: attached,
            Action.CONNECT: self.connect,
            Action.STATUS: self.status,
            Action.MOUNT: self.mount,
            Action.APP: self.app,
            Action.INSTALL: self.install,
            Action.UNINSTALL: self.uninstall,
            Action.SIZES: self.sizes,
            Action.HASHES: self.hashes,
            Action.SEND: self.send,
            Action.FETCH: self.fetch,
            Action.REMOVE: self.remove,
            Action.RUN: self.run,
            Action.REPORTS: self.reports,
        }

    async def carry_out(self, question: Question) -> Any:
        """Return the answer to a question."""
        phone = self._phone
        if time.monotonic() - phone.used_at_s > _STALE_S:
            await phone.reset()  # a phone closes what is idle, and nobody is told
        phone.doing = str(question.action)
        work = self._actions[question.action](**question.arguments)
        answer = await asyncio.wait_for(work, question.deadline_s)
        phone.used_at_s = time.monotonic()
        return answer

    async def connect(self, pair_s: float) -> dict[str, Any]:
        """Return what lockdownd tells of the phone; ask for trust if nobody was asked yet."""
        client = await self._phone.lockdown(
            pair_s=pair_s, say=lambda text: self._tell(EventKind.SAY, text)
        )
        values = client.all_values
        told = {name: values[name] for name in _FACTS if isinstance(values.get(name), str | int)}
        return {**told, "paired": bool(client.paired)}

    async def status(self) -> dict[str, Any]:
        """Return what changes: power, room, lock, Developer Mode, disk image."""
        phone = self._phone
        client = await phone.trusted()

        async def value(domain: str | None, key: str | None) -> Any:
            from pymobiledevice3.exceptions import LockdownError

            try:
                return await phone.within(_CALL_S, client.get_value(domain, key), "asking lockdown")
            except LockdownError:  # one that is not told is not known
                return None

        battery = await value("com.apple.mobile.battery", None) or {}
        mode = None
        if int(client.product_version.split(".")[0]) >= 16:
            mode = await value("com.apple.security.mac.amfi", "DeveloperModeStatus")
        return {
            "percent": battery.get("BatteryCurrentCapacity"),
            "charging": battery.get("ExternalConnected", battery.get("BatteryIsCharging")),
            "free_bytes": await value("com.apple.disk_usage", "AmountDataAvailable"),
            "locked": await value(None, "PasswordProtected"),
            "developer_mode": mode,
            "image_mounted": await self._image_mounted(client),
            "temperature_c": await self._temperature_c(client),
        }

    async def _image_mounted(self, client: Any) -> bool | None:
        from pymobiledevice3.services.mobile_image_mounter import (
            MobileImageMounterService,
            image_type_for_device,
        )

        async def ask() -> bool:
            async with MobileImageMounterService(client) as mounter:
                return bool(await mounter.is_image_mounted(image_type_for_device(client)))

        return await self._asked(ask, "asking for the developer disk image")

    async def _temperature_c(self, client: Any) -> float | None:
        from pymobiledevice3.services.diagnostics import DiagnosticsService

        async def ask() -> float | None:
            async with DiagnosticsService(client) as diagnostics:
                told = await diagnostics.get_battery() or {}
            value = told.get("Temperature")
            return value / 100 if isinstance(value, int) and value > 0 else None

        return await self._asked(ask, "asking for the battery's temperature")

    async def _asked(self, ask: Callable[[], Awaitable[Value]], doing: str) -> Value | None:
        """Return an answer that a phone may refuse; a broken connection is not a refusal."""
        from pymobiledevice3.exceptions import ConnectionTerminatedError, PyMobileDevice3Exception

        try:
            return await self._phone.within(_CALL_S, ask(), doing)
        except ConnectionTerminatedError:
            raise
        except PyMobileDevice3Exception:
            return None

    async def mount(self) -> bool:
        """Mount the developer disk image; it is downloaded where it is not on this computer."""
        from pymobiledevice3.exceptions import (
            AlreadyMountedError,
            DeveloperDiskImageNotFoundError,
            DeveloperModeIsNotEnabledError,
            PyMobileDevice3Exception,
        )
        from pymobiledevice3.services.mobile_image_mounter import auto_mount

        client = await self._phone.trusted()
        self._phone.doing = "mounting the developer disk image"
        try:
            await auto_mount(client)
        except AlreadyMountedError:
            return True
        except DeveloperModeIsNotEnabledError:
            raise
        except (PyMobileDevice3Exception, OSError, ValueError, KeyError) as error:
            if await self._phone.is_attached() is False:
                raise
            raise DeveloperDiskImageNotFoundError(str(error)) from error
        return True

    # -- apps -----------------------------------------------------------------------------------

    async def app(self, bundle_id: str) -> dict[str, str] | None:
        """Return what is installed under a bundle id."""
        from pymobiledevice3.services.installation_proxy import InstallationProxyService

        client = await self._phone.trusted()
        async with InstallationProxyService(client) as proxy:
            found = await self._phone.within(
                _CALL_S,
                proxy.get_apps(bundle_identifiers=[bundle_id]),
                "asking for installed apps",
            )
        entry = found.get(bundle_id)
        if entry is None:
            return None
        return {
            "place": str(entry.get("Path", "")),
            "version": str(entry.get("CFBundleVersion", "")),
            "name": str(entry.get("CFBundleExecutable", "")),
        }

    async def install(self, path: str, bundle_id: str) -> None:
        """Install an `.ipa` or an `.app`."""
        from pymobiledevice3.services.installation_proxy import InstallationProxyService

        client = await self._phone.trusted()
        self._phone.forget_files(bundle_id)
        self._phone.doing = "installing"
        last = -10

        def progress(percent: float, *_: object) -> None:
            nonlocal last
            if percent >= last + 10:
                last = int(percent)
                self._tell(EventKind.PERCENT, str(last))

        try:
            async with InstallationProxyService(client) as proxy:
                if Path(path).is_dir():
                    await proxy.install_from_local(Path(path), developer=True, handler=progress)
                else:
                    await self._install_package(client, proxy, Path(path), progress)
        except OSError as error:
            _raise_if_full(error)
            raise

    async def _install_package(
        self, client: Any, proxy: Any, path: Path, progress: Callable[..., None]
    ) -> None:
        """Send an `.ipa` in parts, as a whole it would lie in memory, and install it."""
        from pymobiledevice3.services.afc import AfcService

        place = f"{_STAGING}/{uuid.uuid4()}.ipa"
        async with AfcService(client) as files:
            try:
                await files.makedirs(_STAGING)
                with path.open("rb") as source:
                    handle = await files.fopen(place, "w")
                    await upload(files, source, handle)
                    await files.fclose(handle)
                await proxy.send_package("Install", {"PackageType": "Developer"}, progress, place)
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(files.rm_single(place, force=True), _LOOK_S)

    async def uninstall(self, bundle_id: str) -> None:
        """Remove an app and its data."""
        from pymobiledevice3.services.installation_proxy import InstallationProxyService

        client = await self._phone.trusted()
        self._phone.forget_files(bundle_id)
        async with InstallationProxyService(client) as proxy:
            await proxy.uninstall(bundle_id)

    # -- files ----------------------------------------------------------------------------------

    async def sizes(self, bundle_id: str, paths: list[str]) -> list[int | None]:
        """Return how large files are; None for one that is not there."""
        files = await self._phone.files(bundle_id)
        return [await self._size(files, path) for path in paths]

    async def hashes(self, bundle_id: str, paths: list[str]) -> list[str | None]:
        """Read files back and return their SHA-256; None for one that is not there."""
        files = await self._phone.files(bundle_id)
        found: list[str | None] = []
        for path in paths:
            size = await self._size(files, path)
            if size is None:
                found.append(None)
                continue
            digest = hashlib.sha256()
            await self._read(files, path, size, digest.update)
            found.append(digest.hexdigest())
        return found

    async def send(self, bundle_id: str, items: list[list[str]], remove: list[str]) -> None:
        """Remove paths, then write files: each ``[path here, path there]``, whole or not at all."""
        files = await self._phone.files(bundle_id)
        await self._remove(files, remove)
        made: set[str] = set()
        for here, there in items:
            directory = there.rpartition("/")[0]
            if directory not in made:
                await self._phone.within(_CALL_S, files.makedirs(directory), "making directories")
                made.add(directory)
            await self._write(files, Path(here), there)

    async def fetch(self, bundle_id: str, items: list[list[str]]) -> list[bool]:
        """Bring files, each ``[path there, path here]``; tell which are there."""
        files = await self._phone.files(bundle_id)
        found = []
        for there, here in items:
            size = await self._size(files, there)
            found.append(size is not None)
            if size is None:
                continue
            try:
                with staged(Path(here)) as file:
                    await self._read(files, there, size, file.write)
            except StorageError as error:
                raise LocalFileError(error.message) from error
        return found

    async def remove(self, bundle_id: str, paths: list[str]) -> None:
        """Remove files and directories, whether they are there or not."""
        await self._remove(await self._phone.files(bundle_id), paths)

    async def _remove(self, files: Any, paths: Iterable[str]) -> None:
        for path in paths:
            if await self._exists(files, path):
                self._phone.doing = "removing files"
                await files.rm(path, force=True)

    async def _exists(self, files: Any, path: str) -> bool:
        from pymobiledevice3.exceptions import AfcFileNotFoundError

        try:
            await self._phone.within(_CALL_S, files.stat(path), "looking at files")
        except AfcFileNotFoundError:
            return False
        return True

    async def _size(self, files: Any, path: str) -> int | None:
        from pymobiledevice3.exceptions import AfcFileNotFoundError

        try:
            told = await self._phone.within(_CALL_S, files.stat(path), "looking at files")
        except AfcFileNotFoundError:
            return None
        return int(told["st_size"]) if told.get("st_ifmt") == "S_IFREG" else None

    async def _read(
        self, files: Any, path: str, size: int, take: Callable[[bytes], object]
    ) -> None:
        self._phone.doing = "fetching files"
        handle = await files.fopen(path)
        try:
            while size > 0:
                data = await files.fread(handle, min(size, _CHUNK_BYTES))
                if not data:
                    message = f"{path} ended early"
                    raise VerifyFailedError(message)
                take(data)
                size -= len(data)
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(files.fclose(handle), _CALL_S)

    async def _write(self, files: Any, here: Path, there: str) -> None:
        """Write a file under another name, look at its size, and give it its name."""
        self._phone.doing = "sending files"
        part = f"{there}.part"
        sent = 0
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        try:
            with opened(here) as source:
                handle = await files.fopen(part, "w")
                while size := source.readinto(buffer):
                    await files.fwrite(handle, bytes(buffer[:size]))
                    sent += size
                await files.fclose(handle)
        except StorageError as error:
            raise LocalFileError(error.message) from error
        except OSError as error:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(files.rm_single(part, force=True), _LOOK_S)
            _raise_if_full(error)
            raise
        if await self._size(files, part) != sent:
            await files.rm_single(part, force=True)
            raise VerifyFailedError(there)
        await files.rm_single(there, force=True)
        await files.rename(part, there)

    # -- running --------------------------------------------------------------------------------

    async def run(
        self,
        bundle_id: str,
        arguments: list[str],
        environment: dict[str, str],
        limit_s: float,
        *,
        sample: bool,
        leave: bool,
    ) -> dict[str, Any]:
        """Start an app and follow it to its end, for so many seconds at most.

        Args:
            bundle_id: Of the app.
            arguments: Of its program.
            environment: Beside what the phone sets.
            limit_s: Then it is stopped.
            sample: Whether to look at its memory.
            leave: Whether it goes on after that time instead.
        """
        dvt, control, info = await self._phone.instruments()
        service = control.service
        service.ends.clear()
        service.ended.clear()
        while not service.output_events.empty():
            service.output_events.get_nowait()
        pid = await self._launch(dvt, service, bundle_id, arguments, environment)
        run = Run(pid, self._tell)
        self._phone.doing = "running the app"
        follow = asyncio.create_task(run.follow(service.output_events))
        watch = asyncio.create_task(_sampled(dvt, run)) if sample else None
        try:
            await self._phone.within(_CALL_S, service.startObservingPid_(pid), "watching the app")
            self._phone.doing = "running the app"
            finished = await self._wait_for_end(service, info, run, follow, limit_s)
            if not finished and not leave:
                await self._kill(service, pid)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(service.send_signal_to_pid_(_KILL, pid), _LOOK_S)
            raise
        finally:
            for task in (follow, watch):
                if task is not None:
                    task.cancel()
        code, number = service.ends.get(pid, (None, None))
        return {
            "pid": pid,
            "timed_out": not finished,
            "exit_code": code,
            "signal": number or None,
            "output": run.output,
            "footprint_bytes": run.footprint_bytes,
        }

    async def _launch(
        self,
        dvt: Any,
        service: Any,
        bundle_id: str,
        arguments: list[str],
        environment: dict[str, str],
    ) -> int:
        from pymobiledevice3.dtx.exceptions import DTXNsError
        from pymobiledevice3.services.dvt.instruments.process_control import ProcessControl

        starter = ProcessControl(dvt, service)
        try:
            pid = await self._phone.within(
                _CONNECT_S,
                starter.launch(bundle_id, arguments=arguments, environment=environment),
                "starting the app",
            )
        except DTXNsError as error:
            raise CannotLaunchError(_words(error)) from error
        except AssertionError as error:
            message = "it gives no process number"
            raise CannotLaunchError(message) from error
        return _plain(pid) or 0

    async def _wait_for_end(
        self, service: Any, info: Any, run: Run, follow: asyncio.Task[None], limit_s: float
    ) -> bool:
        """Return whether the app ended by itself."""
        deadline = time.monotonic() + limit_s
        looked_at = time.monotonic()
        ended = asyncio.create_task(service.ended.wait())
        try:
            while time.monotonic() < deadline:
                left = max(0.01, min(_POLL_S, deadline - time.monotonic()))
                await asyncio.wait({ended, follow}, timeout=left, return_when="FIRST_COMPLETED")
                if follow.done():
                    follow.result()
                if run.pid in service.ends:
                    await run.settle()
                    return True
                if time.monotonic() - looked_at >= _POLL_S:
                    looked_at = time.monotonic()
                    look = info.is_running_pid(run.pid)
                    if not await self._phone.within(_CALL_S, look, "looking at the app"):
                        await run.settle()
                        return True
                    self._phone.doing = "running the app"
        finally:
            ended.cancel()
        return False

    async def _kill(self, service: Any, pid: int) -> None:
        from pymobiledevice3.dtx.exceptions import DTXNsError

        with contextlib.suppress(DTXNsError):  # it ended meanwhile
            stop = service.send_signal_to_pid_(_KILL, pid)
            await self._phone.within(_CALL_S, stop, "stopping the app")

    # -- what the system wrote of a crash ---------------------------------------------------------

    async def reports(self, names: list[str], known: list[str] | None, directory: str) -> list[str]:
        """Bring reports of crashes whose names begin so and that are not known yet.

        Args:
            names: Beginnings of the names of reports.
            known: Those that are not wanted; None only tells what is there.
            directory: Of this computer.
        """
        from pymobiledevice3.services.crash_reports import CrashReportsManager

        client = await self._phone.trusted()
        async with CrashReportsManager(client) as manager:
            if known is not None:
                with contextlib.suppress(TimeoutError):
                    await self._phone.within(_END_S, manager.flush(), "collecting crash reports")
            self._phone.doing = "fetching crash reports"
            there = [path.lstrip("/") for path in await manager.ls("/", depth=1)]
            wanted = [path for path in there if path.startswith(tuple(names))]
            if known is None:
                return wanted
            fresh = sorted(set(wanted) - set(known))
            for name in fresh:
                data = await manager.afc.get_file_contents(f"/{name}")
                try:
                    with staged(Path(directory) / name) as file:
                        file.write(data[:_LARGEST_REPORT_BYTES])
                except StorageError as error:
                    raise LocalFileError(error.message) from error
        return fresh


class Run:
    """What is seen of a process.

    Args:
        pid: Of the phone.
        tell: Sends an event.
    """

    def __init__(self, pid: int, tell: Callable[[EventKind, str], None]) -> None:
        self.pid = pid
        self.output = ""
        self.footprint_bytes = 0
        self._tell = tell
        self._line = ""
        self._done = asyncio.Event()

    async def follow(self, events: Any) -> None:
        """Take its output until the connection ends."""
        while True:
            message, pid, _ = await events.get()
            if _plain(pid) == self.pid:
                self.take(str(getattr(message, "value", message)))

    def take(self, text: str) -> None:
        """Take some of its output; stages are told as soon as their line is whole."""
        self.output = (self.output + text)[-_TAIL_CHARACTERS:]
        *lines, self._line = (self._line + text).split("\n")
        self._line = self._line[-_TAIL_CHARACTERS:]
        for line in lines:
            if line.startswith(STAGE_MARK):
                self._tell(EventKind.STAGE, line.removeprefix(STAGE_MARK).strip())
            elif line.startswith((DONE_MARK, "{")):
                self._done.set()

    async def settle(self) -> None:
        """Give its last output a moment, unless it was seen."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), _QUIET_S)


async def _sampled(dvt: Any, run: Run) -> None:
    """Keep the largest footprint that the system tells of a process; it may not tell."""
    from pymobiledevice3.services.dvt.instruments.sysmontap import Sysmontap

    with contextlib.suppress(Exception):
        async with await Sysmontap.create(dvt, interval=_SAMPLE_MS) as tap:
            async for processes in tap.iter_processes():
                for process in processes:
                    if process.get("pid") == run.pid:
                        size = _plain(process.get("physFootprint")) or 0
                        run.footprint_bytes = max(run.footprint_bytes, size)


def _words(error: Any) -> str:
    """Return what an `NSError` says, with those below it."""
    parts: list[str] = []
    told = getattr(error, "error", None)
    while told is not None and len(parts) < 16:
        information = getattr(told, "user_info", None) or {}
        for key in ("NSLocalizedDescription", "NSLocalizedFailureReason"):
            text = str(information.get(key) or "")
            if text and text not in parts:
                parts.append(text)
        told = information.get("NSUnderlyingError")
    return " ".join(parts) or str(error)


def _raise_if_full(error: OSError) -> None:
    status = getattr(error, "status", None)
    if status is not None and int(status) == _NO_SPACE:
        raise PhoneFullError from error


# ------------------------------------------------------------------------------ the loop


async def serve(udid: str, questions: asyncio.Queue[Question | int | None], send: Any) -> None:
    """Answer questions, one at a time, until there are no more."""
    phone = Phone(udid)
    current: tuple[int, asyncio.Task[None]] | None = None
    while (said := await questions.get()) is not None:
        if isinstance(said, int):
            if current is not None and current[0] == said:
                current[1].cancel()
            continue
        if current is not None:
            await asyncio.wait({current[1]})
        current = (said.number, asyncio.create_task(_answer(phone, said, send)))
    if current is not None:
        current[1].cancel()
        await asyncio.wait({current[1]}, timeout=_END_S)
    await phone.reset()


async def _answer(phone: Phone, question: Question, send: Callable[[bytes], None]) -> None:
    def tell(kind: EventKind, text: str) -> None:
        send(to_line(Event(number=question.number, kind=kind, text=text)))

    try:
        value = await Work(phone, tell).carry_out(question)
        answer = Answer(number=question.number, value=value)
    except (Exception, asyncio.CancelledError) as error:
        problem = await _problem(phone, error)
        answer = Answer(number=question.number, problem=problem)
    send(to_line(answer))


async def _problem(phone: Phone, error: BaseException) -> Problem:
    attached_now = None
    doing = phone.doing
    if not isinstance(error, CannotLaunchError | LocalFileError):
        attached_now = await phone.is_attached()
        await phone.reset()
    names = tuple(kind.__name__ for kind in type(error).__mro__ if kind is not object)
    return Problem(names=names, words=str(error), doing=doing, attached=attached_now)


def main(udid: str) -> int:
    """Answer the questions of standard input; return an exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks decides when to end
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not be among the answers

    def send(line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(output, line) if len(line) < 4096 else _write_all(output, line)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        questions: asyncio.Queue[Question | int | None] = asyncio.Queue()

        def read() -> None:
            for line in sys.stdin.buffer:
                with contextlib.suppress(BadMessageError):
                    loop.call_soon_threadsafe(questions.put_nowait, question_of(line))
            loop.call_soon_threadsafe(questions.put_nowait, None)
            time.sleep(3 * _END_S)
            os._exit(1)  # something does not let go; nobody listens any more

        threading.Thread(target=read, daemon=True).start()
        await serve(udid, questions, send)

    asyncio.run(run())
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main(sys.argv[1]))
