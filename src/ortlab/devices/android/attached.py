"""Phones as an adb server lists them, and what to press where one is not ready."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ortlab.errors import DeviceNotReadyError


class PhoneState(StrEnum):
    """How a phone stands, in adb's own words."""

    DEVICE = "device"
    UNAUTHORIZED = "unauthorized"
    AUTHORIZING = "authorizing"
    CONNECTING = "connecting"
    OFFLINE = "offline"
    NO_PERMISSIONS = "no permissions"
    RECOVERY = "recovery"
    RESCUE = "rescue"
    SIDELOAD = "sideload"
    BOOTLOADER = "bootloader"
    HOST = "host"
    DETACHED = "detached"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedPhone:
    """One line of an adb server's list.

    Attributes:
        serial: adb's name of the phone; ``host:port`` where it is connected by network.
        state: How it stands.
        model: Such as ``Pixel 8``; empty where adb does not tell.
        product: Such as ``shiba``; empty where adb does not tell.
        transport_id: adb's number of this connection, or None.
        detail: What adb adds to the state, such as the reason of missing permissions.
    """

    serial: str
    state: PhoneState
    model: str = ""
    product: str = ""
    transport_id: int | None = None
    detail: str = ""

    @property
    def by_network(self) -> bool:
        """Whether it is connected by network, so that it can be connected again."""
        return is_address(self.serial)


_STATES = "|".join(sorted((re.escape(state) for state in PhoneState), key=len, reverse=True))
_LINE = re.compile(
    rf"(?P<serial>.*?\S)[ \t]+(?P<state>{_STATES})(?=[ \t;(]|$)"
    r"(?P<detail>.*?)(?P<tags>(?:[ \t]+[a-z_]+:\S*)*)[ \t]*"
)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[\w.-]+):\d{1,5}", re.ASCII)


def is_address(serial: str) -> bool:
    """Whether a serial is a network address: ``host:port`` or ``[IPv6]:port``."""
    return _ADDRESS.fullmatch(serial) is not None


def parse_phones(listing: str) -> tuple[AttachedPhone, ...]:
    """Read the answer to ``host:devices-l``; lines in no known shape are left out."""
    return tuple(
        phone for line in listing.splitlines() if (phone := _parse_line(line.strip())) is not None
    )


def _parse_line(line: str) -> AttachedPhone | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    tags = dict(tag.split(":", 1) for tag in match["tags"].split())
    number = tags.get("transport_id", "")
    return AttachedPhone(
        serial=match["serial"],
        state=PhoneState(match["state"]),
        model=tags.get("model", "").replace("_", " "),
        product=tags.get("product", ""),
        transport_id=int(number) if number.isascii() and number.isdecimal() else None,
        detail=match["detail"].strip(" \t;"),
    )


_ADVICE = {
    PhoneState.UNAUTHORIZED: (
        "has not allowed this computer to debug it",
        (
            'unlock the phone and press Allow on "Allow USB debugging?"; if nothing is asked: '
            "Developer options, Revoke USB debugging authorizations, then plug it in again"
        ),
    ),
    PhoneState.AUTHORIZING: (
        "is asking whether this computer may debug it",
        "unlock the phone and press Allow",
    ),
    PhoneState.CONNECTING: ("is still connecting", "wait a moment, then ortlab devices"),
    PhoneState.OFFLINE: (
        "is listed, but does not answer",
        "unplug it and plug it in again; if that does not help, switch USB debugging off and on",
    ),
    PhoneState.NO_PERMISSIONS: (
        "may not be opened by this user",
        (
            "sudo apt-get install android-sdk-platform-tools-common && sudo usermod -aG plugdev "
            '"$USER", log in anew, then adb kill-server and plug it in again'
        ),
    ),
    PhoneState.RECOVERY: (
        "is in recovery mode",
        "choose Reboot system now on the phone, or run: adb reboot",
    ),
    PhoneState.RESCUE: ("is in rescue mode", "choose Reboot system now on the phone"),
    PhoneState.SIDELOAD: (
        "waits for an update to be sideloaded",
        "cancel it on the phone, then choose Reboot system now",
    ),
    PhoneState.BOOTLOADER: ("is in its bootloader", "run: fastboot reboot"),
    PhoneState.HOST: ("is another computer", "connect a phone"),
    PhoneState.DETACHED: (
        "was taken from adb by another program",
        "run: adb attach, or plug it in again",
    ),
    PhoneState.UNKNOWN: ("is in a state that adb does not know", "plug it in again"),
}
_OFFLINE_BY_NETWORK = (
    "check that the phone is awake and in the same network, then: adb disconnect {serial} && "
    "adb connect {serial}"
)


def describe_attached(phone: AttachedPhone) -> tuple[PhoneState, str, str]:
    """Say how a phone stands and what to press.

    Returns:
        Its state, a sentence, and the next step, which is empty where nothing needs doing.
    """
    name = f"{phone.model} ({phone.serial})" if phone.model else phone.serial
    if phone.state is PhoneState.DEVICE:
        return phone.state, f"{name} is ready", ""
    what, step = _ADVICE[phone.state]
    if phone.state is PhoneState.OFFLINE and phone.by_network:
        step = _OFFLINE_BY_NETWORK.format(serial=phone.serial)
    detail = f" ({phone.detail})" if phone.detail else ""
    return phone.state, f"{name} {what}{detail}", step


def not_ready(task: str, phone: AttachedPhone) -> DeviceNotReadyError:
    """Return the error for a phone on which a person has to do something.

    Args:
        task: What could not be done, such as ``install app.apk``.
        phone: In any state but ``device``.
    """
    _, sentence, next_step = describe_attached(phone)
    return DeviceNotReadyError(f"cannot {task}: {sentence}", next_step=next_step)
