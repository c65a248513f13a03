"""What must hold before a phone runs a block, and waiting until it is cool again.

The same rules answer `ortlab doctor` and `ortlab devices`: what is wrong and what to press.
"""

from __future__ import annotations

from typing import Final

from ortlab.devices.android.properties import THERMAL_WORDS, PhoneFacts, PhoneStatus, words
from ortlab.devices.readiness import Limits, PhoneFinding, Readiness, Warmth
from ortlab.domain import BuiltApp
from ortlab.errors import InstallError

LEAST_API_LEVEL: Final = 24
LEAST_FREE_BYTES: Final = 200 << 20
"""Beside what is pushed: results, the app's own files, and the system's need for some room."""

_COOL: Final = THERMAL_WORDS[0]


# ------------------------------------------------------------------------------ findings


def findings(
    facts: PhoneFacts,
    status: PhoneStatus,
    limits: Limits,
    *,
    needed_bytes: int = LEAST_FREE_BYTES,
    woken: bool = False,
) -> tuple[PhoneFinding, ...]:
    """Look at a phone that adb can talk to; pure.

    Args:
        facts: Of the phone.
        status: Its state now.
        limits: What it is held to.
        needed_bytes: Room that a run needs.
        woken: Whether the screen was just switched on and the lock screen put away, so that one
            that did not obey needs a person.
    """
    return (
        _system(facts),
        _screen(status, woken=woken),
        _battery(status, limits),
        _saver(status),
        _heat(status),
        _room(facts, status, needed_bytes),
    )


def check_fits(app: BuiltApp, facts: PhoneFacts) -> None:
    """Hold an app against a phone before anything is sent.

    Raises:
        InstallError: It has native code, but none for this phone, or needs a newer Android.
    """
    if app.abis and facts.abis and not set(app.abis) & set(facts.abis):
        message = (
            f"cannot install {app.application_id} on {facts.name}: it has native code for"
            f" {words(app.abis)}, and the phone takes {words(facts.abis)}"
        )
        step = f"build the app for {facts.abis[0]}"
        raise InstallError(message, code="INSTALL_FAILED_NO_MATCHING_ABIS", next_step=step)
    least = app.minimum_api_level
    if least is not None and 0 < facts.api_level < least:
        message = (
            f"cannot install {app.application_id} on {facts.name}: it needs API level {least},"
            f" and this is {facts.system}"
        )
        step = "use a phone with a newer Android"
        raise InstallError(message, code="INSTALL_FAILED_OLDER_SDK", next_step=step)


def _system(facts: PhoneFacts) -> PhoneFinding:
    detail = f"{facts.system}, {words(facts.abis)}"
    if 0 < facts.api_level < LEAST_API_LEVEL:
        return PhoneFinding(
            subject="system",
            state=Readiness.BLOCKED,
            detail=f"{facts.system} is too old; ONNX Runtime needs API level {LEAST_API_LEVEL}",
            next_step="use a phone with Android 7.0 or newer",
        )
    return PhoneFinding(subject="system", state=Readiness.OK, detail=detail)


def _screen(status: PhoneStatus, *, woken: bool) -> PhoneFinding:
    locked = bool(status.keyguard_showing)
    if locked and (status.keyguard_secure or woken):
        return PhoneFinding(
            subject="screen",
            state=Readiness.BLOCKED,
            detail="it is locked, and only a person can unlock it",
            next_step="unlock the phone; for a device lab: set the screen lock to None",
        )
    if status.screen_on is False and woken:
        return PhoneFinding(
            subject="screen",
            state=Readiness.BLOCKED,
            detail="its screen stays off",
            next_step="press the power button; on Xiaomi phones also switch on Developer options,"
            " USB debugging (Security settings)",
        )
    if status.screen_on is None:
        detail = "it does not tell whether its screen is on"
        return PhoneFinding(subject="screen", state=Readiness.WARNING, detail=detail)
    detail = "on and unlocked"
    if locked or not status.screen_on:
        what = "off" if not status.screen_on else "at the lock screen, which has no secret"
        detail = f"{what}; it is woken before a block"
    return PhoneFinding(subject="screen", state=Readiness.OK, detail=detail)


def _battery(status: PhoneStatus, limits: Limits) -> PhoneFinding:
    percent, charging = status.battery.percent, status.battery.charging
    if percent is None:
        detail = "it does not tell its battery level"
        return PhoneFinding(subject="battery", state=Readiness.WARNING, detail=detail)
    power = {True: ", charging", False: ", not charging", None: ""}[charging]
    detail = f"the battery is at {percent:.0f} %{power}"
    if percent < limits.least_battery_percent:
        return PhoneFinding(
            subject="battery",
            state=Readiness.BLOCKED,
            detail=f"{detail}; below {limits.least_battery_percent:.0f} % phones slow down",
            next_step="charge the phone, then run the same command again",
        )
    return PhoneFinding(subject="battery", state=Readiness.OK, detail=detail)


def _saver(status: PhoneStatus) -> PhoneFinding:
    if status.low_power_mode:
        return PhoneFinding(
            subject="battery saver",
            state=Readiness.BLOCKED,
            detail="Battery Saver is on; it lowers the CPU's clock",
            next_step="switch it off: Settings, Battery, Battery Saver",
        )
    detail = "off" if status.low_power_mode is False else "it does not tell"
    state = Readiness.OK if status.low_power_mode is False else Readiness.WARNING
    if state is Readiness.WARNING:
        detail = "it does not tell whether Battery Saver is on"
    return PhoneFinding(subject="battery saver", state=state, detail=detail)


def _heat(status: PhoneStatus) -> PhoneFinding:
    degrees = status.battery.temperature_c
    warmth = "" if degrees is None else f", battery at {degrees:.1f} °C"
    if status.thermal_status is None:
        if degrees is None:
            detail = "it tells neither its thermal status nor its temperature"
            return PhoneFinding(subject="heat", state=Readiness.WARNING, detail=detail)
        detail = f"it tells no thermal status (Android 10 and newer do){warmth}"
        return PhoneFinding(subject="heat", state=Readiness.OK, detail=detail)
    if status.thermal_status != _COOL:
        return PhoneFinding(
            subject="heat",
            state=Readiness.WARNING,
            detail=f"it is throttled (thermal status {status.thermal_status}{warmth})",
            next_step="let it cool down; a run waits for that",
        )
    detail = f"thermal status {status.thermal_status}{warmth}"
    return PhoneFinding(subject="heat", state=Readiness.OK, detail=detail)


def _room(facts: PhoneFacts, status: PhoneStatus, needed_bytes: int) -> PhoneFinding:
    free = status.free_bytes
    if free is None:
        detail = "it does not tell how much room it has"
        return PhoneFinding(subject="storage", state=Readiness.WARNING, detail=detail)
    detail = f"{free / 2**30:.1f} GiB free"
    if free < needed_bytes:
        return PhoneFinding(
            subject="storage",
            state=Readiness.BLOCKED,
            detail=f"{detail}, and {needed_bytes / 2**30:.1f} GiB are needed",
            next_step=f"make room; how much there is: adb -s {facts.serial} shell df /data",
        )
    return PhoneFinding(subject="storage", state=Readiness.OK, detail=detail)


def warmth_of(status: PhoneStatus) -> Warmth:
    """Return how warm a phone says it is."""
    return Warmth(thermal_status=status.thermal_status, temperature_c=status.battery.temperature_c)
