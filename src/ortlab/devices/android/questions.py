"""What a phone is asked about itself, each in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ortlab.devices.android import properties
from ortlab.devices.android.asking import THEN, Words, answers, joined, questions
from ortlab.devices.android.properties import PhoneFacts, PhoneStatus
from ortlab.devices.android.quoting import Raw
from ortlab.errors import DeviceError
from ortlab.wire import Conditions

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

_DEADLINE_S: Final = 30.0

_FACTS: Final[Mapping[str, Words]] = {
    "getprop": ("getprop",),
    "cpuinfo": ("cat", "/proc/cpuinfo"),
    "meminfo": ("cat", "/proc/meminfo"),
    "possible": ("cat", "/sys/devices/system/cpu/possible"),
    "kernel": ("uname", "-r"),
}
_STATUS: Final[Mapping[str, Words]] = {
    "time": ("date", "+%Y-%m-%d %H:%M:%S"),
    "battery": ("dumpsys", "battery"),
    "thermal": ("dumpsys", "thermalservice"),
    "low_power": ("settings", "get", "global", "low_power"),
    "power": ("dumpsys", "power"),
    "policy": ("dumpsys", "window", "policy"),
    "room": ("df", "-k", "/data/local/tmp"),
}
_CPU: Final[Mapping[str, Words]] = {
    "governor": ("cat", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    "frequencies": ("cat", Raw("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")),
}


def ask_facts(phone: AdbPhone) -> PhoneFacts:
    """Ask what does not change.

    Raises:
        DeviceError: It is no Android system that answers.
    """
    found = _ask(phone, _FACTS)
    facts = properties.read_facts(
        phone.serial,
        found["getprop"],
        found["cpuinfo"],
        found["meminfo"],
        found["possible"],
        found["kernel"],
    )
    if not facts.api_level:
        message = f"cannot use {phone.serial}: what answers there tells no Android version"
        raise DeviceError(message, next_step="ortlab devices")
    return facts


def ask_status(phone: AdbPhone, *, before: Sequence[Words] = ()) -> tuple[PhoneStatus, str]:
    """Ask what changes.

    Args:
        phone: To ask.
        before: Commands to run first in the same round trip.

    Returns:
        The status, and the phone's own local time, such as ``2026-01-31 10:20:30``.
    """
    found = _ask(phone, _STATUS, before)
    return _status(found), found["time"].strip()


def ask_conditions(phone: AdbPhone) -> Conditions:
    """Ask for the conditions that a result may carry."""
    found = _ask(phone, {**_STATUS, **_CPU})
    governor = found["governor"].strip()
    known = governor.replace("_", "").isalnum()
    return _status(found).conditions(
        governor if known else None, properties.read_frequencies_khz(found["frequencies"])
    )


def _status(found: Mapping[str, str]) -> PhoneStatus:
    showing, secure = properties.read_keyguard(found["policy"])
    return PhoneStatus(
        battery=properties.read_battery(found["battery"]),
        thermal_status=properties.read_thermal_status(found["thermal"]),
        low_power_mode=properties.read_low_power(found["low_power"]),
        wakefulness=properties.read_wakefulness(found["power"]),
        keyguard_showing=showing,
        keyguard_secure=secure,
        free_bytes=properties.read_free_bytes(found["room"]),
    )


def _ask(
    phone: AdbPhone, commands: Mapping[str, Words], before: Sequence[Words] = ()
) -> dict[str, str]:
    first = (*joined(before), THEN) if before else ()
    done = phone.shell(*first, *questions(commands), deadline_s=_DEADLINE_S)
    return answers(commands, done.stdout)
