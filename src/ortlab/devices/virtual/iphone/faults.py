"""What may go wrong with a virtual iPhone, by script.

Each fault acts ``times`` times, or for ever when that is None. A phone's faults may be replaced
while it runs; the new ones start counting afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ortlab.devices.virtual.fault_script import Damage, Direction, Fault, Faults
from ortlab.wire import Stage

__all__ = [
    "AppDies",
    "AppHangs",
    "CablePulled",
    "CablePulledAtStage",
    "CrashKind",
    "Damage",
    "DeveloperModeOff",
    "DeviceLocked",
    "Direction",
    "ExitUnreported",
    "Fault",
    "IPhoneFaults",
    "ImageMissing",
    "InstallRefused",
    "LaunchRefused",
    "LowBattery",
    "OutputLost",
    "PhoneHangs",
    "ResultDamaged",
    "ServiceRefused",
    "SlowPhone",
    "StorageFull",
    "TrustAnswer",
    "TrustDialog",
    "TunnelRefused",
]

IPhoneFaults = Faults
"""A script of faults; safe to use from several threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CablePulled(Fault):
    """The cable is pulled in the middle: every connection to the phone ends.

    Attributes:
        after_bytes: Bytes of one service's stream that still pass; -1 strikes when it is opened.
        direction: Whose bytes are counted.
        service: Regular expression on the service's name, such as ``com.apple.afc``; those inside
            a tunnel have names of their own.
        stays_out: Whether the phone stays unplugged until it is plugged in by the test; else it
            is plugged in again at once, under a new number.
    """

    after_bytes: int = 0
    direction: Direction = Direction.TO_PHONE
    service: str = ""
    stays_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CablePulledAtStage(Fault):
    """The cable is pulled when the program enters a stage; the program goes on.

    Attributes:
        stage: The progress mark.
        stays_out: As for :class:`CablePulled`.
    """

    stage: Stage = Stage.MEASURE
    stays_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHangs(Fault):
    """The phone answers nothing more on this connection, which stays open.

    Attributes:
        after_bytes: Bytes of one service's stream that still pass; -1 strikes when it is opened.
        direction: Whose bytes are counted.
        service: Regular expression on the service's name.
    """

    after_bytes: int = 0
    direction: Direction = Direction.TO_PHONE
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowPhone(Fault):
    """Every service takes longer to begin.

    Attributes:
        delay_s: Before it begins.
        service: Regular expression on the service's name.
    """

    delay_s: float = 0.2
    service: str = ""
    times: int | None = None


class TrustAnswer(StrEnum):
    """What becomes of the question whether this computer is to be trusted."""

    PENDING = "pending"
    DENIED = "denied"
    PASSWORD = "password"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDialog(Fault):
    """Pairing is not granted; acts per request to pair.

    Attributes:
        answer: The dialog still shows, was denied, or the phone asks for its passcode first.
    """

    answer: TrustAnswer = TrustAnswer.PENDING
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLocked(Fault):
    """The lock screen shows, for as long as this is in the script: nothing can be launched.

    Attributes:
        since_start: Whether nobody has unlocked it since it was switched on: services are refused.
    """

    since_start: bool = False
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeveloperModeOff(Fault):
    """Developer Mode is off, for as long as this is in the script."""

    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMissing(Fault):
    """The developer disk image is not there and does not mount, while this is in the script."""

    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRefused(Fault):
    """Lockdown does not start a service.

    Attributes:
        service: Regular expression on its name.
        error: As lockdown says.
    """

    service: str = ""
    error: str = "InvalidService"
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRefused(Fault):
    """The tunnel of iOS 17.4 and later is not granted; acts per attempt.

    Attributes:
        in_handshake: Whether the service starts and closes at the first message; else lockdown
            does not start it.
    """

    in_handshake: bool = False
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRefused(Fault):
    """An app is refused that could be taken.

    Attributes:
        error: As installd names it.
        description: Its words.
        detail: Its number; signed, as it is sent.
    """

    error: str = "ApplicationVerificationFailed"
    description: str = (
        "Failed to verify code signature: 0xe8008018 "
        "(The identity used to sign the executable is no longer valid.)"
    )
    detail: int = 0xE8008018 - (1 << 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFull(Fault):
    """Storage runs out while something is written.

    Attributes:
        after_bytes: Bytes of that file that still fit.
        path: Regular expression on the path that is written, or on the bundle's identifier while
            an app is installed.
    """

    after_bytes: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRefused(Fault):
    """The system does not start an app.

    Attributes:
        code: Of `FBSOpenApplicationErrorDomain`.
        reason: Its word for it.
        explanation: What follows the word, in quotes.
    """

    code: int = 3
    reason: str = "Security"
    explanation: str = (
        "Unable to launch the app because it has an invalid code signature, inadequate "
        "entitlements or its profile has not been explicitly trusted by the user."
    )


class CrashKind(StrEnum):
    """How an app ends before its time."""

    BAD_ACCESS = "bad_access"
    ABORT = "abort"
    JETSAM = "jetsam"
    THERMAL = "thermal"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDies(Fault):
    """The program is ended when it enters a stage; its process really is.

    Attributes:
        stage: The progress mark.
        crash: What ends it and what the system writes of it. ``THERMAL`` also leaves the phone at
            a critical temperature.
    """

    stage: Stage = Stage.MEASURE
    crash: CrashKind = CrashKind.BAD_ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class AppHangs(Fault):
    """The program stops when it enters a stage and goes on only when it is told to.

    Attributes:
        stage: The progress mark.
    """

    stage: Stage = Stage.MEASURE


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLost(Fault):
    """What a program prints does not reach the computer; acts per launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitUnreported(Fault):
    """Nobody is told that a program ended; acts per launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDamaged(Fault):
    """The result of a block is not what the app wrote.

    Attributes:
        damage: What becomes of it.
    """

    damage: Damage = Damage.TRUNCATED


@dataclass(frozen=True, slots=True, kw_only=True)
class LowBattery(Fault):
    """The battery is low, whatever the model of it says, for as long as this is in the script.

    Attributes:
        percent: It shows.
    """

    percent: int = 9
    times: int | None = None
