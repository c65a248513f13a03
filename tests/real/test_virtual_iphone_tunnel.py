"""Instruments and the tunnel of the virtual iPhone, as a client written for real ones sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from ortlab.devices.virtual.iphone import (
    IPhoneFaults,
    VirtualIPhone,
    VirtualIPhoneSpec,
    VirtualUsbmux,
    known_to_clients,
    runner_bundle,
)
from ortlab.devices.virtual.iphone.faults import (
    CablePulled,
    DeviceLocked,
    Direction,
    ImageMissing,
    LaunchRefused,
    PhoneHangs,
    ServiceRefused,
    TunnelRefused,
)
from ortlab.devices.virtual.iphone.streams import Handler, Stream, StreamClosedError
from ortlab.devices.virtual.iphone.tcp_endpoint import TcpEndpoint
from ortlab.devices.virtual.iphone.tcp_segment import (
    IP_HEADER_BYTES,
    Flag,
    Segment,
    decode_packet,
)
from ortlab.devices.virtual.programs import PythonRunner
from ortlab.process import Command, SystemProcesses

OLD = VirtualIPhoneSpec(ios_version="16.7.2", udid="00008110-000A1B2C3D4E5F60", name="Old one")
MIDDLE = VirtualIPhoneSpec(ios_version="17.5.1", udid="00008110-000A1B2C3D4E5F61")
NEW = VirtualIPhoneSpec(
    ios_version="26.1", udid="00008130-001122334455667F", product="iPhone16,1", name="New one"
)
BOTH = [pytest.param(OLD, id="16.7"), pytest.param(NEW, id="26.1")]
APP = "com.example.bench"
DEADLINE_S = 60.0
ALLOCATED_BYTES = 48 << 20

SCRIPT = f"""#!{sys.executable} -IS
import os, sys, time
say = lambda *words: print(*words, flush=True)
say("arguments", sys.argv[1:])
say("given", os.environ.get("GIVEN", ""))
say("größer")
held = b"x" * int(os.environ.get("HOLD", "0"))
if "COUNT" in os.environ:
    say("variables", sum(name.startswith("MANY") for name in os.environ))
for number in range(int(os.environ.get("LINES", "0"))):
    say("line", number)
    time.sleep(0.005)
if "CRASH" in os.environ:
    os.kill(os.getpid(), int(os.environ["CRASH"]))
if "LINGER" in os.environ:
    say("waiting")
    time.sleep(60)
sys.exit(int(os.environ.get("CODE", "0")))
"""

pytestmark = pytest.mark.requires("ios")


@pytest.fixture
def mux(tmp_path: Path) -> Iterator[VirtualUsbmux]:
    with VirtualUsbmux() as running, known_to_clients(running, tmp_path / "home"):
        yield running


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return runner_bundle(tmp_path / "a.ipa", PythonRunner(), bundle_id=APP, script=SCRIPT)


@pytest.fixture
def phone_of(mux: VirtualUsbmux) -> Iterator[Callable[..., VirtualIPhone]]:
    """Make phones that are plugged in until the test ends; nothing of them may stay."""
    threads = threading.active_count()
    made: list[VirtualIPhone] = []

    def make(spec: VirtualIPhoneSpec, *faults: Any) -> VirtualIPhone:
        phone = VirtualIPhone(spec, program=PythonRunner(), faults=IPhoneFaults(*faults), mux=mux)
        made.append(phone.start())
        return phone

    yield make
    for phone in made:
        numbers = phone.process_numbers
        phone.stop()
        assert not [n for n in numbers if Path(f"/proc/{n}").exists()]
        assert not [r.text for r in phone.requests if r.kind == "bug"]
    wait_for(lambda: threading.active_count() <= threads)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ask(question: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(question, DEADLINE_S))


# ------------------------------------------------------------------------------ the client


@contextlib.asynccontextmanager
async def reached(spec: VirtualIPhoneSpec) -> AsyncIterator[Any]:
    """Give what services are asked of: lockdown, or a tunnel where the phone has one."""
    from pymobiledevice3.lockdown import create_using_usbmux
    from pymobiledevice3.remote.userspace_tunnel import UserspaceRsdTunnel

    if spec.has_tunnel:
        async with UserspaceRsdTunnel(spec.udid, remotepairing_fallback=False) as found:
            yield found
    else:
        async with await create_using_usbmux(serial=spec.udid) as found:
            yield found


async def install(provider: Any, bundle: Path) -> None:
    from pymobiledevice3.services.installation_proxy import InstallationProxyService

    async with InstallationProxyService(provider) as proxy:
        await proxy.install_from_local(bundle)


class Control:
    """Process control of the client, which also keeps how processes ended."""

    def __init__(self, control: Any, dvt: Any, ends: asyncio.Queue[tuple[Any, ...]]) -> None:
        self.control = control
        self.dvt = dvt
        self.ends = ends

    async def observed(self, **environment: str) -> int:
        """Launch so that no end can be missed; the first instruction comes last."""
        pid = await self.control.launch(APP, environment=environment, start_suspended=True)
        await self.control.service.startObservingPid_(pid)
        await self.control.resume(pid)
        return int(pid)

    async def lines(self, last: str) -> list[str]:
        """Return what is printed, up to a line."""
        text: str = ""
        async for event in self.control:
            text += event.message
            if f"{last}\n" in text:
                return text.splitlines()
        raise AssertionError(text)

    async def exists(self, pid: int) -> bool:
        from pymobiledevice3.services.dvt.instruments.device_info import DeviceInfo

        async with DeviceInfo(self.dvt) as information:
            return bool(await information.is_running_pid(pid))


@contextlib.asynccontextmanager
async def controlled(provider: Any) -> AsyncIterator[Control]:
    from pymobiledevice3.dtx import dtx_on_invoke
    from pymobiledevice3.services.dvt.instruments.dvt_provider import DvtProvider
    from pymobiledevice3.services.dvt.instruments.process_control import (
        ProcessControl,
        ProcessControlService,
    )

    ends: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    class Service(ProcessControlService):
        @dtx_on_invoke("processWithPID:terminatedWithExitCode:orCrashingSignal:")
        async def _ended(self, pid: int, code: int | None, number: int | None) -> None:
            await ends.put((pid, code, number))

    class Watched(ProcessControl):
        pass

    Watched._inferred_service_class = Service
    async with DvtProvider(provider) as dvt, Watched(dvt) as control:
        yield Control(control, dvt, ends)


# ------------------------------------------------------------------------------ Instruments


@pytest.mark.parametrize("spec", BOTH)
def test_an_app_gets_arguments_and_environment_and_its_output_and_end_are_told(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                pid = await control.control.launch(
                    APP, arguments=["--one", "zwei ü"], environment={"GIVEN": "a b"}
                )
                assert await control.lines("größer") == [
                    "arguments ['--one', 'zwei ü']",
                    "given a b",
                    "größer",
                ]
                wait_for(lambda: phone.processes.find(pid) is None)
                assert not await control.exists(pid)
                pid = await control.observed(CODE="7")
                assert await control.ends.get() == (pid, 7, None)

    ask(question())
    assert phone.unmodelled == ()


@pytest.mark.parametrize("spec", BOTH)
def test_crashes_kills_and_pauses_are_seen(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                pid = await control.observed(CRASH="11")
                assert await control.ends.get() == (pid, None, 11)
                pid = await control.observed(CRASH=str(int(signal.SIGBUS)))
                assert await control.ends.get() == (pid, None, 10), "SIGBUS has another number"
                pid = await control.observed(LINGER="1")
                await control.lines("waiting")
                found = phone.processes.find(pid)
                assert found is not None
                await control.control.suspend(pid)
                wait_for(lambda: state(found.host_pid) == "T")
                await control.control.resume(pid)
                wait_for(lambda: state(found.host_pid) != "T")
                await control.control.signal(pid, 17)
                wait_for(lambda: state(found.host_pid) == "T")
                await control.control.signal(pid, 19)
                wait_for(lambda: state(found.host_pid) != "T")
                await control.control.disable_memory_limit_for_pid(pid)
                named = await control.control.process_identifier_for_bundle_identifier(APP)
                assert named == pid
                await control.control.kill(pid)
                assert await control.ends.get() == (pid, None, 9)
                assert not await control.control.process_identifier_for_bundle_identifier(APP)

    ask(question())
    assert phone.unmodelled == ()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("spec", BOTH)
def test_memory_processes_and_apps_are_those_of_the_phone(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    from pymobiledevice3.services.dvt.instruments.application_listing import ApplicationListing
    from pymobiledevice3.services.dvt.instruments.device_info import DeviceInfo
    from pymobiledevice3.services.dvt.instruments.sysmontap import Sysmontap

    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                pid = await control.observed(LINGER="1", HOLD=str(ALLOCATED_BYTES))
                await control.lines("waiting")
                async with DeviceInfo(control.dvt) as information:
                    [process] = await information.proclist()
                assert (process["pid"], process["name"]) == (pid, "Bench")
                async with await Sysmontap.create(control.dvt, interval=20) as tap:
                    seen = 0
                    async for [sample] in tap.iter_processes():
                        assert sample["pid"] == pid
                        footprint = sample["physFootprint"]
                        assert ALLOCATED_BYTES <= footprint < ALLOCATED_BYTES + (32 << 20)
                        seen += 1
                        if seen == 3:
                            break
                async with ApplicationListing(control.dvt) as listing:
                    [app] = await listing.applist()
                assert app["CFBundleIdentifier"] == APP

    ask(question())
    assert phone.unmodelled == ()


@pytest.mark.parametrize("spec", BOTH)
def test_launches_that_are_refused_say_why(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    from pymobiledevice3.dtx import DTXNsError

    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                with pytest.raises(DTXNsError, match="FBSApplicationLibrary"):
                    await control.control.launch("com.example.absent")
                phone.faults = IPhoneFaults(LaunchRefused())
                with pytest.raises(DTXNsError, match="invalid code signature"):
                    await control.control.launch(APP)
                phone.faults = IPhoneFaults(DeviceLocked())
                with pytest.raises(DTXNsError, match="Locked"):
                    await control.control.launch(APP)
                phone.faults = IPhoneFaults()
                with pytest.raises(DTXNsError, match="No such process"):
                    await control.control.kill(4711)
                assert await control.control.launch(APP)

    ask(question())


@pytest.mark.parametrize("spec", BOTH)
def test_a_call_that_is_not_known_is_refused_and_the_connection_goes_on(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone]
) -> None:
    from pymobiledevice3.dtx import DTXNsError
    from pymobiledevice3.services.dvt.instruments.device_info import DeviceInfo
    from pymobiledevice3.services.dvt.instruments.dvt_provider import DvtProvider
    from pymobiledevice3.services.dvt.instruments.graphics import Graphics

    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider, DvtProvider(provider) as dvt:
            async with DeviceInfo(dvt) as information:
                with pytest.raises(DTXNsError, match="machTimeInfo"):
                    await information.mach_time_info()
                assert await information.proclist() == []
            with pytest.raises(DTXNsError, match="Unable to find service"):
                async with Graphics(dvt):
                    pass
            async with DeviceInfo(dvt) as information:
                assert (await information.system_information())["_productVersion"] == (
                    spec.ios_version
                )

    ask(question())
    assert any("machTimeInfo" in text for text in phone.unmodelled)
    assert any("graphics" in text for text in phone.unmodelled)


@pytest.mark.parametrize("spec", BOTH)
def test_messages_that_are_larger_than_a_fragment_arrive(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone_of(spec)
    many = {f"MANY{number}": "x" * 1000 for number in range(300)}

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                await control.control.launch(APP, environment={**many, "COUNT": "1"})
                await control.lines("variables 300")

    ask(question())


@pytest.mark.parametrize("spec", BOTH)
def test_many_launches_in_one_connection_and_in_many(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                for number in range(10):
                    pid = await control.observed(GIVEN=str(number), CODE=str(number))
                    assert f"given {number}" in await control.lines("größer")
                    assert await control.ends.get() == (pid, number, None)
            threads = threading.active_count()
            for number in range(10):
                async with controlled(provider) as control:
                    pid = await control.observed(CODE=str(number))
                    assert await control.ends.get() == (pid, number, None)
            wait_for(lambda: threading.active_count() <= threads)

    ask(question())
    assert phone.unmodelled == ()
    assert phone.process_numbers == ()


@pytest.mark.parametrize("spec", BOTH)
def test_an_app_that_runs_is_ended_or_kept_by_a_second_launch(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                first = await control.observed(LINGER="1")
                assert await control.control.launch(APP, kill_existing=False) == first
                second = await control.control.launch(APP, environment={"LINGER": "1"})
                assert await control.ends.get() == (first, None, 9)
                assert second != first
                assert await control.exists(second)

    ask(question())


# ------------------------------------------------------------------------------ two phones


def test_two_phones_run_apps_at_once(phone_of: Callable[..., VirtualIPhone], bundle: Path) -> None:
    phones = [phone_of(OLD), phone_of(NEW)]

    async def one(spec: VirtualIPhoneSpec) -> list[str]:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                await control.observed(GIVEN=spec.name, LINES="50")
                return await control.lines("line 49")

    async def question() -> None:
        for spec, lines in zip((OLD, NEW), await asyncio.gather(one(OLD), one(NEW)), strict=True):
            assert f"given {spec.name}" in lines
            assert [line for line in lines if line.startswith("line")] == [
                f"line {number}" for number in range(50)
            ]

    ask(question())
    assert all(phone.unmodelled == () for phone in phones)


# ------------------------------------------------------------------------------ the cable


@pytest.mark.parametrize("spec", BOTH)
def test_the_cable_is_pulled_while_output_streams_and_the_app_goes_on(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone = phone_of(spec)

    async def listen() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with controlled(provider) as control:
                await control.control.launch(APP, environment={"LINES": "100", "LINGER": "1"})
                async for event in control.control:
                    if "line 3" in event.message:
                        phone.unplug()

    async def again() -> None:
        async with reached(spec) as provider, controlled(provider) as control:
            [process] = phone.processes.running()
            assert await control.exists(process.pid)
            await control.control.kill(process.pid)

    with pytest.raises(Exception) as raised:  # noqa: PT011
        ask(listen())
    assert not isinstance(raised.value, TimeoutError)
    phone.plug()
    ask(again())


@pytest.mark.parametrize("spec", BOTH)
def test_faults_strike_the_services_for_developers_by_name(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone]
) -> None:
    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider, controlled(provider) as control:
            await control.exists(1)

    for fault in (
        CablePulled(service="com.apple.instruments", after_bytes=500),
        CablePulled(
            service="com.apple.instruments", after_bytes=100, direction=Direction.FROM_PHONE
        ),
    ):
        phone.faults = IPhoneFaults(fault)
        with pytest.raises(Exception) as raised:  # noqa: PT011
            ask(question())
        assert not isinstance(raised.value, TimeoutError)
    phone.faults = IPhoneFaults(PhoneHangs(service="com.apple.instruments", after_bytes=300))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(question(), 1.0))
    ask(question())
    assert phone.unmodelled == ()


# ------------------------------------------------------------------------------ the tunnel


@pytest.mark.parametrize("version", ["16.7.2", "17.3"])
def test_there_is_no_tunnel_before_17_4(
    version: str, phone_of: Callable[..., VirtualIPhone]
) -> None:
    from pymobiledevice3.exceptions import UserspaceTunnelUnavailableError
    from pymobiledevice3.remote.userspace_tunnel import UserspaceRsdTunnel

    spec = VirtualIPhoneSpec(ios_version=version)
    phone_of(spec)

    async def question() -> None:
        async with UserspaceRsdTunnel(spec.udid, remotepairing_fallback=False):
            pass

    with pytest.raises(UserspaceTunnelUnavailableError):
        ask(question())


@pytest.mark.parametrize("in_handshake", [False, True])
def test_a_tunnel_that_is_refused_opens_at_the_next_attempt(
    in_handshake: bool, phone_of: Callable[..., VirtualIPhone]
) -> None:
    phone = phone_of(NEW, TunnelRefused(in_handshake=in_handshake, times=1))

    async def question() -> str:
        async with reached(NEW) as provider:
            return str(provider.product_version)

    with pytest.raises(Exception) as raised:  # noqa: PT011
        ask(question())
    assert not isinstance(raised.value, TimeoutError)
    assert ask(question()) == "26.1"
    assert phone.unmodelled == ()


def test_services_in_the_tunnel_are_those_that_the_phone_has_now(
    phone_of: Callable[..., VirtualIPhone],
) -> None:
    from pymobiledevice3.exceptions import InvalidServiceError, StartServiceError
    from pymobiledevice3.services.installation_proxy import InstallationProxyService

    phone = phone_of(NEW, ImageMissing())
    hub = "com.apple.instruments.dtservicehub"

    async def names() -> set[str]:
        async with reached(NEW) as provider:
            assert await provider.get_value(key="OrtlabVirtual") is True
            assert await provider.get_developer_mode_status()
            return set(provider.peer_info["Services"])

    async def apps() -> None:
        async with reached(NEW) as provider, InstallationProxyService(provider) as proxy:
            await proxy.get_apps()

    missing = ask(names())
    assert "com.apple.mobile.installation_proxy.shim.remote" in missing
    assert hub not in missing
    phone.faults = IPhoneFaults()
    assert ask(names()) - missing == {
        hub,
        "com.apple.coredevice.appservice",
        "com.apple.coredevice.openstdiosocket",
    }
    phone.faults = IPhoneFaults(ServiceRefused(service="installation_proxy"))
    with pytest.raises(InvalidServiceError):
        ask(apps())
    phone.faults = IPhoneFaults(
        ServiceRefused(service="installation_proxy", error="PasswordProtected", times=1)
    )
    with pytest.raises(StartServiceError, match="PasswordProtected"):
        ask(apps())
    ask(apps())
    assert phone.unmodelled == ()


@pytest.mark.parametrize("spec", [pytest.param(MIDDLE, id="17.5"), pytest.param(NEW, id="26.1")])
def test_the_app_service_lists_launches_and_ends_apps(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    from pymobiledevice3.exceptions import CoreDeviceError
    from pymobiledevice3.remote.core_device.app_service import AppServiceService
    from pymobiledevice3.remote.core_device.open_stdio_socket import OpenStdioSocketService

    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)
            async with AppServiceService(provider) as service:
                assert [app["bundleIdentifier"] for app in await service.list_apps()] == [APP]
                async with OpenStdioSocketService(provider) as output:
                    await service.launch_application(
                        APP,
                        arguments=["a"],
                        environment={"GIVEN": "b"},
                        stdio_identifier=output.identifier,
                    )
                    said = b""
                    while piece := await output.read():
                        said += piece
                assert said.decode() == "arguments ['a']\r\ngiven b\r\ngrößer\r\n"
                token = await service.launch_application(APP, environment={"LINGER": "1"})
                pid = token["processToken"]["processIdentifier"]
                [listed] = await service.list_processes()
                assert listed["processIdentifier"] == pid
                assert listed["executableURL"]["relative"].endswith("/Bench.app/Bench")
                await service.send_signal_to_process(pid, 9)
                wait_for(lambda: not phone.processes.running())
                with pytest.raises(CoreDeviceError, match="No process"):
                    await service.send_signal_to_process(pid, 9)
                with pytest.raises(CoreDeviceError, match="FBSApplicationLibrary"):
                    await service.launch_application("com.example.absent")
                assert await service.list_processes() == []

    ask(question())
    assert phone.unmodelled == ()


def test_files_pass_through_the_tunnel_whole_and_several_at_once(
    phone_of: Callable[..., VirtualIPhone], bundle: Path, tmp_path: Path
) -> None:
    from pymobiledevice3.services.house_arrest import HouseArrestService

    phone = phone_of(NEW)
    chosen = random.Random(20261121)
    contents = [chosen.randbytes(size) for size in (0, 1, 15_940, 3_000_001, 20_000_000)]

    async def there_and_back(provider: Any, content: bytes) -> bytes:
        name = f"/Documents/{len(content)}.bin"
        there = tmp_path / f"{len(content)}.bin"
        there.write_bytes(content)
        async with await HouseArrestService.create(provider, APP, documents_only=True) as files:
            await files.push(str(there), name)
            return bytes(await files.get_file_contents(name))

    async def question() -> list[bytes]:
        async with reached(NEW) as provider:
            await install(provider, bundle)
            ways = (there_and_back(provider, content) for content in contents)
            return list(await asyncio.gather(*ways))

    assert ask(question()) == contents
    assert phone.unmodelled == ()


def test_a_port_without_service_refuses(phone_of: Callable[..., VirtualIPhone]) -> None:
    phone_of(NEW)

    async def question() -> bytes:
        async with reached(NEW) as provider:
            connection = await provider.create_service_connection(7)
            return bytes(await connection.recv_any(1))

    with contextlib.suppress(OSError):
        assert ask(question()) == b""


# ------------------------------------------------------------------------------ hostile computers


@pytest.mark.parametrize("spec", BOTH)
def test_noise_ends_one_connection_and_nothing_else(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone]
) -> None:
    from pymobiledevice3.lockdown import create_using_usbmux

    phone = phone_of(spec)
    name = (
        "com.apple.internal.devicecompute.CoreDeviceProxy"
        if spec.has_tunnel
        else "com.apple.instruments.remoteserver.DVTSecureSocketProxy"
    )
    chosen = random.Random(20261121)
    beginnings = (b"", b"CDTunnel\0\2{}", b"\x79\x5b\x3d\x1f\x20\0\0\0\0\0\1\0\x10\0\0\0")

    async def question() -> None:
        async with await create_using_usbmux(serial=spec.udid) as lockdown:
            for beginning in beginnings:
                service = await lockdown.start_lockdown_service(name)
                with contextlib.suppress(OSError, ssl.SSLError):
                    await service.sendall(beginning + chosen.randbytes(5000))
                    while await service.recv_any(4096):
                        pass
                await service.close()
        async with reached(spec) as provider, controlled(provider) as control:
            assert not await control.exists(1)

    ask(question())
    assert phone.unmodelled


def test_noise_inside_the_tunnel_ends_one_connection_and_nothing_else(
    phone_of: Callable[..., VirtualIPhone],
) -> None:
    phone = phone_of(NEW)
    chosen = random.Random(20261121)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    beginnings = (b"", preface, preface + b"\0\x10\0\0\0\0\0\0\1", b"\0\0\x04\0bplist00")

    async def question() -> None:
        async with reached(NEW) as provider:
            services = provider.peer_info["Services"]
            ports = [int(service["Port"]) for service in services.values()]
            for port in (*ports, provider.service.address[1]):
                for beginning in beginnings:
                    connection = await provider.create_service_connection(port)
                    with contextlib.suppress(OSError):
                        await connection.sendall(beginning + chosen.randbytes(2000))
                    await connection.close()
            async with controlled(provider) as control:
                assert not await control.exists(1)

    ask(question())
    assert phone.unmodelled


@pytest.mark.parametrize("spec", BOTH)
def test_the_clients_own_command_launches_and_lists(
    spec: VirtualIPhoneSpec, phone_of: Callable[..., VirtualIPhone], bundle: Path
) -> None:
    phone = phone_of(spec)

    async def question() -> None:
        async with reached(spec) as provider:
            await install(provider, bundle)

    ask(question())
    tunnel = ("--userspace",) if spec.has_tunnel else ()
    said = command("developer", "dvt", "launch", *tunnel, "--env", "LINGER=1", f"{APP} one")
    [process] = phone.processes.running()
    assert str(process.pid) in said
    listed = json.loads(command("--no-color", "developer", "dvt", "proclist", *tunnel))
    assert [entry["pid"] for entry in listed] == [process.pid]
    command("developer", "dvt", "kill", *tunnel, str(process.pid))
    wait_for(lambda: not phone.processes.running())
    assert phone.unmodelled == ()


def command(*arguments: str) -> str:
    full = (sys.executable, "-m", "pymobiledevice3", *arguments)
    done = SystemProcesses().run(Command(arguments=full, deadline_s=DEADLINE_S))
    assert done.succeeded, done.stdout + done.stderr
    return done.stdout


# ------------------------------------------------------------------------------ TCP

PHONE = bytes(15) + b"\1"
COMPUTER = bytes(15) + b"\2"
PORT = 7


class LossyComputer:
    """The other end of a connection, which loses what comes to it at random.

    It acknowledges what it has in order, keeps nothing that comes too early, and reports what
    it read; what it says itself always arrives.
    """

    def __init__(self, handler: Handler, loss: float) -> None:
        self.read = bytearray()
        self.ended = threading.Event()
        self.refused = threading.Event()
        self._loss = loss
        self._chosen = random.Random(20261121)
        self._expected: int | None = None
        self._next = 1000
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.endpoint = TcpEndpoint(
            phone_address=PHONE,
            computer_address=COMPUTER,
            packet_bytes=1400,
            send_packet=self._send_packet,
            listener=lambda port: handler if port == PORT else None,
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def say(self, flags: int, data: bytes = b"", *, sequence: int | None = None) -> None:
        opening = bool(flags & Flag.SYNCHRONIZE)
        self.endpoint.receive(
            Segment(
                source_port=50_000,
                target_port=PORT,
                sequence=self._next if sequence is None else sequence,
                acknowledged=self._expected or 0,
                flags=flags,
                window=1000,
                data=data,
                largest_segment=1340 if opening else None,
                window_shift=7 if opening else None,
            )
        )
        if sequence is None:
            self._next += len(data) + bool(flags & (Flag.SYNCHRONIZE | Flag.FINISH))

    def _send_packet(self, packet: bytes) -> None:
        self._theirs.send(packet)

    def close(self) -> None:
        self.endpoint.close()
        self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._ours.close()
        self._theirs.close()

    def _run(self) -> None:
        while packet := self._ours.recv(1 << 16):
            segment = decode_packet(packet[:IP_HEADER_BYTES], packet[IP_HEADER_BYTES:], COMPUTER)
            assert segment is not None
            if self._chosen.random() < self._loss:
                continue
            if segment.flags & Flag.RESET:
                self.refused.set()
            elif segment.flags & Flag.SYNCHRONIZE:
                self._expected = (segment.sequence + 1) % (1 << 32)
                self.say(Flag.ACKNOWLEDGE)
            elif segment.data or segment.flags & Flag.FINISH:
                self._take(segment)

    def _take(self, segment: Segment) -> None:
        if segment.sequence == self._expected:
            self.read += segment.data
            self._expected = (segment.sequence + len(segment.data)) % (1 << 32)
            if segment.flags & Flag.FINISH:
                self._expected = (self._expected + 1) % (1 << 32)
                self.ended.set()
        self.say(Flag.ACKNOWLEDGE)


@pytest.fixture
def computer_of() -> Iterator[Callable[..., LossyComputer]]:
    made: list[LossyComputer] = []

    def make(handler: Handler, loss: float = 0.0) -> LossyComputer:
        made.append(LossyComputer(handler, loss))
        return made[-1]

    yield make
    for computer in made:
        computer.close()


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.3])
def test_what_is_lost_is_sent_again(loss: float, computer_of: Callable[..., LossyComputer]) -> None:
    content = os.urandom(100_000)
    computer = computer_of(lambda stream: stream.send(content), loss)
    computer.say(Flag.SYNCHRONIZE)
    assert computer.ended.wait(DEADLINE_S)
    assert bytes(computer.read) == content


def test_bytes_arrive_once_and_in_order_whatever_the_segments(
    computer_of: Callable[..., LossyComputer],
) -> None:
    """Segments are repeated, overlap, and come too early; what comes too early is said again."""
    content = os.urandom(50_000)

    def echo(stream: Stream) -> None:
        stream.send(stream.receive_exactly(len(content)))

    computer = computer_of(echo)
    computer.say(Flag.SYNCHRONIZE)
    start, position, chosen = computer._next, 0, random.Random(20261121)
    while position < len(content):
        early = position + chosen.randint(1, 3000)
        computer.say(Flag.ACKNOWLEDGE, content[early : early + 100], sequence=start + early)
        first = max(0, position - chosen.randint(0, 500))
        last = position + chosen.randint(1, 1300)
        piece = content[first:last]
        computer.say(Flag.ACKNOWLEDGE, piece, sequence=start + first)
        position = first + len(piece)
    assert computer.ended.wait(DEADLINE_S)
    assert bytes(computer.read) == content


def test_a_reset_wakes_whoever_reads_and_whoever_sends(
    computer_of: Callable[..., LossyComputer],
) -> None:
    ended: list[str] = []

    def read(stream: Stream) -> None:
        with contextlib.suppress(StreamClosedError):
            stream.receive_exactly(1 << 20)
        ended.append("read")

    computer = computer_of(read)
    computer.say(Flag.SYNCHRONIZE)
    computer.say(Flag.RESET)
    wait_for(lambda: ended == ["read"])

    def write(stream: Stream) -> None:
        with pytest.raises(StreamClosedError):
            stream.send(bytes(100 << 20))
        ended.append("sent")

    computer = computer_of(write, 1.0)
    computer.say(Flag.SYNCHRONIZE)
    computer.say(Flag.RESET)
    wait_for(lambda: ended == ["read", "sent"])


def test_a_closed_port_resets(computer_of: Callable[..., LossyComputer]) -> None:
    computer = computer_of(lambda _: None)
    computer.endpoint.receive(
        Segment(
            source_port=1,
            target_port=PORT + 1,
            sequence=1,
            acknowledged=0,
            flags=Flag.SYNCHRONIZE,
            window=0,
        )
    )
    assert computer.refused.wait(DEADLINE_S)
