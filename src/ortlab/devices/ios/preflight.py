"""What must hold before an iPhone runs a block: what is wrong, and what to press; pure."""

from __future__ import annotations

from typing import Final

from ortlab.devices.ios.facts import IphoneFacts, IphoneStatus, version_numbers
from ortlab.devices.ios.failures import DEVELOPER_MODE, IMAGE, UNLOCK
from ortlab.devices.readiness import Limits, PhoneFinding, Readiness, Warmth
from ortlab.domain import BuiltApp
from ortlab.errors import InstallError

LEAST_FREE_BYTES: Final = 300 << 20
LEAST_VERSION: Final = (15, 1)

_HAS_DEVELOPER_MODE_FROM: Final = (16,)
_COOL: Final = (None, "none", "nominal")


def findings(
    facts: IphoneFacts, status: IphoneStatus, limits: Limits, *, by_hand: bool = False
) -> tuple[PhoneFinding, ...]:
    """Look at a phone that trusts this computer.

    Args:
        facts: Of the phone.
        status: Its state now.
        limits: What it is held to.
        by_hand: Whether a person opens the app, which needs nothing of what developers need.
    """
    found = [_system(facts)]
    if not by_hand:
        found += [_developer_mode(facts, status), _image(status)]
    return (
        *found,
        _lock(status),
        _battery(status, limits),
        _saver(status),
        _heat(status),
        _room(status),
    )


def _finding(
    subject: str, detail: str, next_step: str = "", state: Readiness = Readiness.OK
) -> PhoneFinding:
    return PhoneFinding(subject=subject, state=state, detail=detail, next_step=next_step)


def _system(facts: IphoneFacts) -> PhoneFinding:
    if facts.version_key < LEAST_VERSION:
        detail = f"{facts.system} is too old; ONNX Runtime needs iOS 15.1"
        step = "update it: Settings, General, Software Update; or use another iPhone"
        return _finding("system", detail, step, Readiness.BLOCKED)
    return _finding("system", f"{facts.system}, {facts.product}")


def _developer_mode(facts: IphoneFacts, status: IphoneStatus) -> PhoneFinding:
    subject = "Developer Mode"
    if facts.version_key < _HAS_DEVELOPER_MODE_FROM:
        return _finding(subject, "not needed before iOS 16")
    if status.developer_mode is False:
        return _finding(subject, "its Developer Mode is off", DEVELOPER_MODE, Readiness.BLOCKED)
    if status.developer_mode is None:
        detail = "it does not tell whether Developer Mode is on"
        return _finding(subject, detail, state=Readiness.WARNING)
    return _finding(subject, "on")


def _image(status: IphoneStatus) -> PhoneFinding:
    subject = "disk image"
    if status.image_mounted is False:
        detail = "the developer disk image is not mounted; it is mounted before a block"
        return _finding(subject, detail, IMAGE, Readiness.WARNING)
    if status.image_mounted is None:
        detail = "it does not tell whether the developer disk image is mounted"
        return _finding(subject, detail, state=Readiness.WARNING)
    return _finding(subject, "mounted")


def _lock(status: IphoneStatus) -> PhoneFinding:
    if status.locked:
        return _finding("screen", "it is locked", UNLOCK, Readiness.BLOCKED)
    return _finding("screen", "unlocked")


def _battery(status: IphoneStatus, limits: Limits) -> PhoneFinding:
    if status.percent is None:
        detail = "it does not tell its battery level"
        return _finding("battery", detail, state=Readiness.WARNING)
    power = {True: ", charging", False: ", not charging", None: ""}[status.charging]
    detail = f"the battery is at {status.percent:.0f} %{power}"
    if status.percent < limits.least_battery_percent:
        why = f"{detail}; below {limits.least_battery_percent:.0f} % phones slow down"
        step = "charge the iPhone, then run the same command again"
        return _finding("battery", why, step, Readiness.BLOCKED)
    return _finding("battery", detail)


def _saver(status: IphoneStatus) -> PhoneFinding:
    mode = status.app.low_power_mode if status.app is not None else None
    if mode:
        detail = "Low Power Mode is on; it lowers the CPU's clock"
        step = "switch it off: Settings, Battery, Low Power Mode"
        return _finding("low power mode", detail, step, Readiness.BLOCKED)
    return _finding("low power mode", "off" if mode is False else "the app tells, when it runs")


def _heat(status: IphoneStatus) -> PhoneFinding:
    warmth = warmth_of(status)
    degrees = warmth.temperature_c
    seen = "" if degrees is None else f"battery at {degrees:.1f} °C"
    if warmth.thermal_status not in _COOL:
        detail = f"it is throttled (thermal state {warmth.thermal_status}; {seen})"
        return _finding("heat", detail, "let it cool down; a run waits for that", Readiness.WARNING)
    return _finding("heat", seen or "the app tells, when it runs")


def _room(status: IphoneStatus) -> PhoneFinding:
    free = status.free_bytes
    if free is None:
        return _finding("storage", "it does not tell how much room it has")
    detail = f"{free / 2**30:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        step = "make room: Settings, General, iPhone Storage"
        need = f"{detail}, and {LEAST_FREE_BYTES / 2**30:.1f} GiB are needed"
        return _finding("storage", need, step, Readiness.BLOCKED)
    return _finding("storage", detail)


def warmth_of(status: IphoneStatus) -> Warmth:
    """Return how warm a phone and the app on it say that it is."""
    app = status.app
    return Warmth(
        thermal_status=app.thermal_status if app is not None else None,
        temperature_c=status.temperature_c,
    )


def check_fits(app: BuiltApp, facts: IphoneFacts) -> None:
    """Hold an app against a phone before anything is sent.

    Raises:
        InstallError: It is not signed, or needs a newer iOS.
    """
    least = version_numbers(app.minimum_os)
    if least and facts.version_key < least:
        message = (
            f"cannot install {app.application_id} on {facts.title}: it needs iOS"
            f" {app.minimum_os}, and this is {facts.system}"
        )
        step = "use an iPhone with a newer iOS, or lower the app's deployment target"
        raise InstallError(message, code="DeviceOSVersionTooLow", next_step=step)
    if not app.signed and not facts.virtual:
        message = f"cannot install {app.application_id} on {facts.title}: it is not signed"
        step = "set app.team and build it again on the Mac"
        raise InstallError(message, code="0xe800801c", next_step=step)
