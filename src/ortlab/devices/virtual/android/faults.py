"""What may go wrong with a virtual phone, by script.

Each fault acts ``times`` times, or for ever when that is None. A phone's faults may be replaced
while it runs; the new ones start counting afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ortlab.devices.virtual.fault_script import Damage, Direction, Fault, Faults
from ortlab.wire import Stage

__all__ = [
    "AppDies",
    "CablePulled",
    "CommandFails",
    "CommandHangs",
    "CrashKind",
    "Damage",
    "Direction",
    "Fault",
    "Faults",
    "InstallRefused",
    "LowBattery",
    "NoHandshake",
    "OtherState",
    "PhoneHangs",
    "ResultDamaged",
    "ScreenLocked",
    "SlowPhone",
    "StorageFull",
    "Unauthorized",
    "WrongContent",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CablePulled(Fault):
    """The connection ends in the middle.

    Attributes:
        after_bytes: Bytes of the stream that still pass; -1 strikes when it is opened.
        direction: Whose bytes are counted.
        service: Regular expression on what adb opened, such as ``^sync:`` or ``am instrument``.
        stays_out: Whether the phone stays unplugged until `plug()` is called; else adb finds it
            again at its next attempt.
        keeps_partial_file: Whether a file that was being received stays as far as it came, as
            when the phone itself goes down.
    """

    after_bytes: int = 0
    direction: Direction = Direction.TO_PHONE
    service: str = ""
    stays_out: bool = False
    keeps_partial_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHangs(Fault):
    """The phone answers nothing more on this connection, which stays open.

    Attributes:
        after_bytes: Bytes of the stream that still pass; -1 strikes when it is opened.
        direction: Whose bytes are counted.
        service: Regular expression on what adb opened.
    """

    after_bytes: int = 0
    direction: Direction = Direction.TO_PHONE
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorized(Fault):
    """Nobody has allowed USB debugging for this computer; acts per connection."""

    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHandshake(Fault):
    """Takes connections and never answers: adb shows ``offline``; acts per connection."""

    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherState(Fault):
    """Has started something other than Android; acts per connection.

    Attributes:
        state: What it says it is.
    """

    state: Literal["recovery", "sideload", "rescue", "bootloader", "host"] = "recovery"
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRefused(Fault):
    """The package manager refuses an app that it could take.

    Attributes:
        code: The platform's own, such as ``INSTALL_FAILED_USER_RESTRICTED``.
        reason: Its words after the code.
    """

    code: str
    reason: str = "refused by the fault script"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFull(Fault):
    """Storage runs out while something is written.

    Attributes:
        after_bytes: Bytes of that file that still fit.
        path: Regular expression on the path that is written.
    """

    after_bytes: int = 0
    path: str = ""


class CrashKind(StrEnum):
    """How an app ends before its time."""

    JAVA = "java"
    NATIVE = "native"
    OUT_OF_MEMORY = "out_of_memory"
    THERMAL = "thermal"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDies(Fault):
    """The benchmark's process is ended when it enters a stage; its process really is.

    Attributes:
        stage: The progress mark.
        crash: What ends it and what the system says of it. ``THERMAL`` also leaves the phone at
            a critical temperature.
    """

    stage: Stage = Stage.MEASURE
    crash: CrashKind = CrashKind.JAVA


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongContent(Fault):
    """Flash storage keeps another byte than was sent.

    Attributes:
        path: Regular expression on the path.
    """

    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowPhone(Fault):
    """Every answer takes longer.

    Attributes:
        delay_s: Before a service starts.
        service: Regular expression on what adb opened.
    """

    delay_s: float = 0.2
    service: str = ""
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandHangs(Fault):
    """A command never ends.

    Attributes:
        command: Regular expression on the command and its arguments.
    """

    command: str
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFails(Fault):
    """A command ends with an error, as some vendors' phones refuse some.

    Attributes:
        command: Regular expression on the command and its arguments.
        exit_code: Of the command.
        message: On standard error.
    """

    command: str
    exit_code: int = 255
    message: str = "java.lang.SecurityException: refused by the fault script"
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LowBattery(Fault):
    """The battery is low, whatever the model of it says, for as long as this is in the script.

    Attributes:
        percent: It shows.
    """

    percent: int = 9
    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenLocked(Fault):
    """The lock screen shows and asks for a secret, for as long as this is in the script."""

    times: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDamaged(Fault):
    """The result of a block is not what the app wrote.

    Attributes:
        damage: What becomes of it.
    """

    damage: Damage = Damage.TRUNCATED
