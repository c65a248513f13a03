"""From a UDID to a device, and what stands in the way, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.devices.ios.client import NO_PHONE, IphoneClient
from ortlab.devices.ios.device import IosDevice, IosOptions
from ortlab.devices.ios.facts import IphoneFacts, facts_of, status_of
from ortlab.devices.ios.failures import TRUST, no_such_iphone
from ortlab.devices.ios.messages import Action
from ortlab.devices.ios.preflight import findings
from ortlab.devices.journal import IOS
from ortlab.devices.readiness import Limits, PhoneFinding, PhoneLook, Readiness
from ortlab.domain import BuiltApp, DeviceInfo, DeviceKind
from ortlab.errors import OrtlabError

_LIST_S: Final = 20.0
_LOOK_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedIphone:
    """An iPhone that usbmuxd lists.

    Attributes:
        udid: What ``--device`` takes.
        name: As its owner calls it; empty where it does not tell.
        paired: Whether it trusts this computer.
    """

    udid: str
    name: str = ""
    paired: bool = False


def open_ios(
    udid: str,
    *,
    app: BuiltApp | None,
    state_directory: Path,
    say: Callable[[str], None] = lambda _: None,
    options: IosOptions | None = None,
    environment: Mapping[str, str] | None = None,
    device_id: str | None = None,
) -> IosDevice:
    """Open an iPhone; the caller closes it.

    Args:
        udid: 8 and 16 hexadecimal digits with a hyphen between, or 40 digits.
        app: Benchmark app that it runs; None where every arm brings its own.
        state_directory: Where it is kept what was installed on the phone.
        say: Told what is sent and waited for.
        options: What the user decided.
        environment: Variables for what speaks to the phone, such as ``USBMUXD_SOCKET_ADDRESS``.
        device_id: What the device is called in results; the UDID if None.

    Raises:
        UsageError: There is no such iPhone.
        ToolchainError: The extra ``ios`` is not installed, or there is no usbmuxd.
        DeviceNotReadyError: A person has to do something at the phone.
        DeviceError: The phone does not answer.
        StorageError: The state directory cannot be written.
    """
    client = IphoneClient(
        udid,
        environment=environment,
        log_path=state_directory / IOS / f"{udid}.log",
        say=say,
    )
    try:
        known = _listed(client)
        if udid not in known:
            raise no_such_iphone(udid, known)
        return IosDevice(
            client, app, state_directory, say=say, options=options, device_id=device_id
        )
    except BaseException:
        client.close()
        raise


def attached_iphones(
    environment: Mapping[str, str] | None = None,
) -> tuple[AttachedIphone, ...]:
    """Return the iPhones that usbmuxd lists, whatever their state.

    Raises:
        ToolchainError: The extra ``ios`` is not installed, or there is no usbmuxd.
    """
    with closing(IphoneClient(NO_PHONE, environment=environment)) as client:
        known = _listed(client)
    found = []
    for udid in known:
        with closing(IphoneClient(udid, environment=environment)) as client:
            try:
                facts = facts_of(udid, _asked(client))
                found.append(AttachedIphone(udid=udid, name=facts.name, paired=facts.paired))
            except OrtlabError:  # `iphone_findings` says why
                found.append(AttachedIphone(udid=udid))
    return tuple(found)


def listed_iphones(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the UDIDs that usbmuxd lists; no phone is asked anything.

    Raises:
        ToolchainError: The extra ``ios`` is not installed, or there is no usbmuxd.
    """
    with closing(IphoneClient(NO_PHONE, environment=environment)) as client:
        return _listed(client)


def iphone_findings(
    phone: AttachedIphone,
    *,
    state_directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[PhoneFinding, ...]:
    """Look at one iPhone: what is wrong with it and what to press; nobody is asked for trust.

    Args:
        phone: As it is listed.
        state_directory: Unused: nothing of an iPhone's settings is changed.
        environment: Variables for what speaks to the phone.
    """
    del state_directory
    return look_at_iphone(phone, environment=environment).findings


def look_at_iphone(
    phone: AttachedIphone, *, environment: Mapping[str, str] | None = None
) -> PhoneLook:
    """Look at one iPhone: what it is, how it stands, and what to press.

    Args:
        phone: As it is listed.
        environment: Variables for what speaks to the phone.
    """
    with closing(IphoneClient(phone.udid, environment=environment)) as client:
        client.name = phone.name or phone.udid
        try:
            facts = facts_of(phone.udid, _asked(client))
            if not facts.paired:
                wrong = _blocked("connection", "it does not trust this computer", TRUST)
                return PhoneLook(
                    device_id=phone.udid,
                    findings=(wrong,),
                    info=_info(facts),
                    serial_number=phone.udid,
                )
            values = client.ask(Action.STATUS, deadline_s=_LOOK_S, doing="ask for its state")
        except OrtlabError as error:
            wrong = _blocked("connection", error.message, error.next_step or "ortlab devices")
            return PhoneLook(device_id=phone.udid, findings=(wrong,))
    named = PhoneFinding(subject="connection", state=Readiness.OK, detail=facts.title)
    status = status_of(values)
    return PhoneLook(
        device_id=phone.udid,
        findings=(named, *findings(facts, status, Limits())),
        info=_info(facts),
        serial_number=phone.udid,
        soc=facts.chip or None,
        battery_percent=status.percent,
        temperature_c=status.temperature_c,
        free_bytes=status.free_bytes,
    )


def _info(facts: IphoneFacts) -> DeviceInfo:
    return DeviceInfo(
        device_id=facts.udid,
        kind=DeviceKind.IOS,
        name=facts.title,
        os_version=facts.system,
        architecture=facts.architecture or "unknown",
        cpu=facts.chip or facts.product,
        memory_bytes=0,  # only an app on it is told
        ort_version="",
        available_providers=(),
        virtual=facts.virtual,
    )


def _asked(client: IphoneClient) -> Mapping[str, object]:
    values: Mapping[str, object] = client.ask(
        Action.CONNECT, deadline_s=_LOOK_S, doing="connect", pair_s=0.0
    )
    return values


def _listed(client: IphoneClient) -> tuple[str, ...]:
    listed = client.ask(Action.ATTACHED, deadline_s=_LIST_S, doing="list iPhones")
    return tuple(dict.fromkeys(item["udid"] for item in listed))


def _blocked(subject: str, detail: str, next_step: str) -> PhoneFinding:
    return PhoneFinding(
        subject=subject, state=Readiness.BLOCKED, detail=detail, next_step=next_step
    )
