"""What is attached, and what is missing."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.pipeline.models import Say
from ortlab.pipeline.places import state_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ortlab.devices.ios import AttachedIphone
    from ortlab.devices.readiness import PhoneFinding
    from ortlab.doctor import Finding
    from ortlab.domain import AttachedDevice, DeviceKind


def devices(*, say: Say = lambda _: None) -> tuple[AttachedDevice, ...]:
    """Return the devices that are attached, ready or not; this machine first.

    Args:
        say: Told why devices of a kind cannot be listed.

    Raises:
        DeviceError: This machine cannot run blocks.
    """
    return (_host(), *_browsers(), *_phones(), *_iphones(say))


def _host() -> AttachedDevice:
    from ortlab.devices import open_device
    from ortlab.domain import AttachedDevice

    with closing(open_device("host")) as device:
        info = device.info
    return AttachedDevice(
        device_id=info.device_id,
        kind=info.kind,
        name=info.name,
        ready=True,
        detail=f"{info.os_version}, {info.architecture}, ORT {info.ort_version}",
        info=info,
    )


def _browsers() -> tuple[AttachedDevice, ...]:
    """Return this machine's Chromium, where it is installed; it is not started for that."""
    from ortlab.devices.web import DEVICE_ID, attached_browser, missing_for_browser
    from ortlab.domain import AttachedDevice, DeviceKind

    program = attached_browser()
    if program is None:
        return ()
    missing = missing_for_browser(with_page=False)
    return (
        AttachedDevice(
            device_id=DEVICE_ID,
            kind=DeviceKind.WEB,
            name="Chromium",
            ready=missing is None,
            detail=program if missing is None else missing[0],
            next_step="" if missing is None else missing[1],
        ),
    )


def _phones() -> tuple[AttachedDevice, ...]:
    """Return the phones that adb lists; none where there is no adb."""
    from ortlab.devices.android import attached_phones, phone_findings
    from ortlab.domain import DeviceKind
    from ortlab.errors import ToolchainError

    try:
        listed = attached_phones()
    except ToolchainError:  # `ortlab doctor` says what is missing
        return ()
    return tuple(
        _attached(
            phone.serial,
            DeviceKind.ANDROID,
            phone.model,
            phone_findings(phone, state_directory=state_directory()),
        )
        for phone in listed
    )


def _iphones(say: Say) -> tuple[AttachedDevice, ...]:
    """Return the iPhones that usbmuxd lists; none where there is no usbmuxd."""
    from ortlab.domain import DeviceKind

    return tuple(
        _attached(phone.udid, DeviceKind.IOS, phone.name, findings)
        for phone, findings in _examined_iphones(say)
    )


def _examined_iphones(
    say: Say = lambda _: None,
) -> Iterator[tuple[AttachedIphone, Sequence[PhoneFinding]]]:
    from ortlab.doctor import has_usbmuxd

    if not has_usbmuxd():  # so that nothing of what speaks to iPhones is loaded in vain
        return
    from ortlab.devices.ios import attached_iphones, iphone_findings
    from ortlab.errors import OrtlabError

    try:
        listed = attached_iphones()
    except OrtlabError as error:
        step = f"; next: {error.next_step}" if error.next_step else ""
        say(f"note: iPhones cannot be listed: {error.message}{step}")
        return
    for phone in listed:
        yield phone, iphone_findings(phone, state_directory=state_directory())


def _attached(
    device_id: str, kind: DeviceKind, name: str, findings: Sequence[PhoneFinding]
) -> AttachedDevice:
    from ortlab.devices.readiness import Readiness
    from ortlab.domain import AttachedDevice

    wrong = [finding for finding in findings if finding.state is Readiness.BLOCKED]
    return AttachedDevice(
        device_id=device_id,
        kind=kind,
        name=name or device_id,
        ready=not wrong,
        detail="; ".join(finding.detail for finding in wrong or findings[:1]),
        next_step=wrong[0].next_step if wrong else "",
    )


def doctor() -> tuple[Finding, ...]:
    """Return what is there, what is missing, and what installs it; each phone attached included."""
    from ortlab.devices import open_device
    from ortlab.devices.web import attached_browser
    from ortlab.doctor import examine
    from ortlab.errors import DeviceError

    try:
        with closing(open_device("host")) as device:
            conditions = device.conditions()
    except DeviceError:
        conditions = None
    here = examine(
        conditions,
        Path.cwd(),
        _java_version(),
        _said("xcodebuild", "-version"),
        _said("pod", "--version"),
        _said("node", "--version"),
        attached_browser(),
    )
    return (*here, *_phone_findings(), *_iphone_findings())


def _phone_findings() -> tuple[Finding, ...]:
    from ortlab.devices.android import attached_phones, phone_findings
    from ortlab.errors import ToolchainError

    try:
        listed = attached_phones()
    except ToolchainError:
        return ()
    return tuple(
        _as_finding(phone.serial, finding)
        for phone in listed
        for finding in phone_findings(phone, state_directory=state_directory())
    )


def _iphone_findings() -> tuple[Finding, ...]:
    return tuple(
        _as_finding(phone.udid, finding)
        for phone, findings in _examined_iphones()
        for finding in findings
    )


def _as_finding(device_id: str, finding: PhoneFinding) -> Finding:
    from ortlab.devices.readiness import Readiness
    from ortlab.doctor import Finding, State

    return Finding(
        subject=f"{device_id}: {finding.subject}",
        state=State.OK if finding.state is Readiness.OK else State.WARNING,
        detail=finding.detail,
        next_step=finding.next_step,
    )


def _java_version() -> str | None:
    """Return what Java says of itself."""
    home = os.environ.get("JAVA_HOME")
    return _said(str(Path(home) / "bin" / "java") if home else "java", "-version")


def _said(program: str, *arguments: str) -> str | None:
    """Return what a program prints, on whichever output; None where it is missing or fails."""
    from ortlab.errors import ToolchainError
    from ortlab.process import Command, SystemProcesses

    command = Command(arguments=(program, *arguments), deadline_s=20.0)
    try:
        completed = SystemProcesses().run(command)
    except ToolchainError:
        return None
    return completed.stdout + completed.stderr if completed.succeeded else None
