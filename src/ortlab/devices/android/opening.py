"""From a serial to a device, and what stands in the way, for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.attached import (
    AttachedPhone,
    PhoneState,
    describe_attached,
    is_address,
    not_ready,
)
from ortlab.devices.android.device import AndroidDevice, AndroidOptions
from ortlab.devices.android.preflight import findings
from ortlab.devices.android.properties import PhoneFacts
from ortlab.devices.android.questions import ask_facts, ask_status
from ortlab.devices.journal import changes_left
from ortlab.devices.readiness import Limits, PhoneFinding, PhoneLook, Readiness
from ortlab.domain import BuiltApp, DeviceInfo, DeviceKind
from ortlab.errors import OrtlabError, UsageError

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbServer

_CONNECT_DEADLINE_S: Final = 20.0
_CONNECTIONS: Final = 8


def open_android(
    serial: str,
    *,
    app: BuiltApp | None,
    state_directory: Path,
    say: Callable[[str], None] = lambda _: None,
    options: AndroidOptions | None = None,
    server: AdbServer | None = None,
) -> AndroidDevice:
    """Open a phone; the caller closes it.

    Args:
        serial: As `adb devices` shows it; ``host:port`` is connected to if it is not yet.
        app: Benchmark app that it runs; None where every arm brings its own.
        state_directory: Where it is kept which settings of the phone were changed.
        say: Told what is sent, waited for, and what could not be put back.
        options: What the user decided.
        server: adb server; that of the environment if None.

    Raises:
        UsageError: There is no such phone.
        ToolchainError: There is no adb.
        DeviceNotReadyError: A person has to do something at the phone.
        DeviceError: The phone does not answer.
        StorageError: The state directory cannot be written.
    """
    server = server or _started_server()
    attached = {phone.serial: phone for phone in server.phones()}
    if serial not in attached or (
        is_address(serial) and attached[serial].state is PhoneState.OFFLINE
    ):
        if not is_address(serial):
            raise _no_such_phone(serial, tuple(attached))
        serial = server.connect(serial, deadline_s=_CONNECT_DEADLINE_S)
    elif attached[serial].state is not PhoneState.DEVICE:
        task = "run blocks"
        raise not_ready(task, attached[serial])
    return AndroidDevice(server.phone(serial), app, state_directory, say=say, options=options)


def attached_phones(server: AdbServer | None = None) -> tuple[AttachedPhone, ...]:
    """Return the phones that adb sees, in any state.

    Raises:
        ToolchainError: There is no adb.
    """
    return (server or _started_server()).phones()


def connect_again(
    addresses: Sequence[str], server: AdbServer | None = None, *, deadline_s: float
) -> tuple[str, ...]:
    """Connect to phones by network, all at once, as after the adb server was started anew.

    Args:
        addresses: ``host:port``.
        server: adb server; that of the environment if None.
        deadline_s: Total time of each.

    Returns:
        The serials of those that answer.

    Raises:
        ToolchainError: There is no adb.
    """
    asked = server or _started_server()

    def connect(address: str) -> str | None:
        try:
            return asked.connect(address, deadline_s=deadline_s)
        except OrtlabError:
            return None

    if not addresses:
        return ()
    with ThreadPoolExecutor(min(len(addresses), _CONNECTIONS)) as pool:
        return tuple(serial for serial in pool.map(connect, addresses) if serial is not None)


def phone_findings(
    phone: AttachedPhone, *, state_directory: Path | None = None, server: AdbServer | None = None
) -> tuple[PhoneFinding, ...]:
    """Look at one phone: what is wrong with it and what to press.

    Args:
        phone: As adb lists it.
        state_directory: Where it is kept which settings were changed; None leaves that out.
        server: adb server; that of the environment if None.
    """
    return look_at_phone(phone, state_directory=state_directory, server=server).findings


def look_at_phone(
    phone: AttachedPhone, *, state_directory: Path | None = None, server: AdbServer | None = None
) -> PhoneLook:
    """Look at one phone: what it is, how it stands, and what to press; two round trips.

    Args:
        phone: As adb lists it.
        state_directory: Where it is kept which settings were changed; None leaves that out.
        server: adb server; that of the environment if None.
    """
    state, sentence, step = describe_attached(phone)
    if state is not PhoneState.DEVICE:
        return PhoneLook(device_id=phone.serial, findings=(_blocked("connection", sentence, step),))
    asked = (server or _started_server()).phone(phone.serial)
    try:
        facts = ask_facts(asked)
        status, _ = ask_status(asked)
    except OrtlabError as error:
        blocked = _blocked("connection", error.message, error.next_step or "ortlab devices")
        return PhoneLook(device_id=phone.serial, findings=(blocked,))
    named = PhoneFinding(subject="connection", state=Readiness.OK, detail=facts.name)
    left = changes_left(state_directory, phone.serial) if state_directory else ()
    return PhoneLook(
        device_id=phone.serial,
        findings=(named, *findings(facts, status, Limits()), *((_left(left),) if left else ())),
        info=_info(facts),
        serial_number=facts.serial_number,
        soc=facts.soc or None,
        battery_percent=status.battery.percent,
        temperature_c=status.battery.temperature_c,
        free_bytes=status.free_bytes,
    )


def _info(facts: PhoneFacts) -> DeviceInfo:
    return DeviceInfo(
        device_id=facts.serial,
        kind=DeviceKind.ANDROID,
        name=facts.name,
        os_version=facts.system,
        architecture=facts.abis[0] if facts.abis else "unknown",
        cpu=facts.cpu,
        memory_bytes=facts.memory_bytes,
        ort_version="",
        available_providers=(),
        virtual=facts.virtual,
        emulator=facts.emulator,
    )


def _left(settings: tuple[str, ...]) -> PhoneFinding:
    return PhoneFinding(
        subject="settings",
        state=Readiness.WARNING,
        detail=f"a run that was cut off left these changed: {', '.join(settings)}",
        next_step="run any command on this phone; it puts them back first",
    )


def _blocked(subject: str, detail: str, next_step: str) -> PhoneFinding:
    return PhoneFinding(
        subject=subject, state=Readiness.BLOCKED, detail=detail, next_step=next_step
    )


def _started_server() -> AdbServer:
    from ortlab.devices.android.adb import AdbServer

    server = AdbServer()
    server.start()
    return server


def _no_such_phone(serial: str, known: tuple[str, ...]) -> UsageError:
    there = ", ".join(known) or "none"
    message = f"cannot open device {serial!r}: adb sees no such phone (attached: {there})"
    return UsageError(message, next_step="ortlab devices")
