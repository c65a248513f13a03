"""What is attached, and what is missing."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.pipeline.places import state_directory

if TYPE_CHECKING:
    from ortlab.devices.android import PhoneFinding
    from ortlab.doctor import Finding
    from ortlab.domain import AttachedDevice


def devices() -> tuple[AttachedDevice, ...]:
    """Return the devices that are attached, ready or not; this machine first.

    Raises:
        DeviceError: This machine cannot run blocks.
    """
    return (_host(), *_phones())


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


def _phones() -> tuple[AttachedDevice, ...]:
    """Return the phones that adb lists; none where there is no adb."""
    from ortlab.devices.android import Readiness, attached_phones, phone_findings
    from ortlab.domain import AttachedDevice, DeviceKind
    from ortlab.errors import ToolchainError

    try:
        listed = attached_phones()
    except ToolchainError:  # `ortlab doctor` says what is missing
        return ()
    phones = []
    for phone in listed:
        findings = phone_findings(phone, state_directory=state_directory())
        wrong = [finding for finding in findings if finding.state is Readiness.BLOCKED]
        phones.append(
            AttachedDevice(
                device_id=phone.serial,
                kind=DeviceKind.ANDROID,
                name=phone.model or phone.serial,
                ready=not wrong,
                detail="; ".join(finding.detail for finding in wrong or findings[:1]),
                next_step=wrong[0].next_step if wrong else "",
            )
        )
    return tuple(phones)


def doctor() -> tuple[Finding, ...]:
    """Return what is there, what is missing, and what installs it; each phone attached included."""
    from ortlab.devices import open_device
    from ortlab.doctor import examine
    from ortlab.errors import DeviceError

    try:
        with closing(open_device("host")) as device:
            conditions = device.conditions()
    except DeviceError:
        conditions = None
    return (*examine(conditions, Path.cwd(), _java_version()), *_phone_findings())


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


def _as_finding(serial: str, finding: PhoneFinding) -> Finding:
    from ortlab.devices.android import Readiness
    from ortlab.doctor import Finding, State

    return Finding(
        subject=f"{serial}: {finding.subject}",
        state=State.OK if finding.state is Readiness.OK else State.WARNING,
        detail=finding.detail,
        next_step=finding.next_step,
    )


def _java_version() -> str | None:
    """Return what Java says of itself, which is on standard error."""
    from ortlab.errors import ToolchainError
    from ortlab.process import Command, SystemProcesses

    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    command = Command(arguments=(program, "-version"), deadline_s=20.0)
    try:
        completed = SystemProcesses().run(command)
    except ToolchainError:
        return None
    return completed.stderr if completed.succeeded else None
