"""What a phone says of itself, from the text that its tools print.

Makers change these texts and systems add to them, so every reader takes what it knows and leaves
the rest: what is not told is None, never a guess and never zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ortlab.wire import Conditions

THERMAL_WORDS: Final = (
    "none",
    "light",
    "moderate",
    "severe",
    "critical",
    "emergency",
    "shutdown",
)
"""`PowerManager.THERMAL_STATUS_*`, in order."""

AWAKE: Final = "Awake"

_FULL_CHARGE: Final = 5
_CHARGING: Final = 2
_POSSIBLE_TEMPERATURE_C: Final = (-50.0, 150.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneFacts:
    """What does not change while a phone is on.

    Attributes:
        serial: As adb knows it.
        manufacturer: Such as ``Google``.
        model: Such as ``Pixel 8``.
        release: Of the system, such as ``14``.
        api_level: Such as 34; 0 where it is not told.
        abis: Best first.
        cpu: Chip and number of cores, in words.
        memory_bytes: Of the phone; 0 where it is not told.
        fingerprint: Of the system's build.
        emulator: Whether it says that it is one.
        virtual: Whether it is a virtual phone of ours.
        kernel: As `uname -r` says; empty where it is not told.
        serial_number: Of the hardware, whatever adb calls it; empty where it is not told.
        soc: Model of the chip, such as ``SM8650``; empty where it is not told.
    """

    serial: str
    manufacturer: str
    model: str
    release: str
    api_level: int
    abis: tuple[str, ...]
    cpu: str
    memory_bytes: int
    fingerprint: str = ""
    emulator: bool = False
    virtual: bool = False
    kernel: str = ""
    serial_number: str = ""
    soc: str = ""

    @property
    def name(self) -> str:
        """For people, without the maker's name twice."""
        if self.model.lower().startswith(self.manufacturer.lower()):
            return self.model or self.serial
        return f"{self.manufacturer} {self.model}".strip()

    @property
    def system(self) -> str:
        """Name and version of the system."""
        return f"Android {self.release} (API {self.api_level})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """What `dumpsys battery` says; None where it does not."""

    percent: float | None = None
    charging: bool | None = None
    temperature_c: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneStatus:
    """What changes.

    Attributes:
        battery: Level, power and temperature.
        thermal_status: A word of :data:`THERMAL_WORDS`; None before API 29.
        low_power_mode: Whether the system saves power.
        wakefulness: Such as ``Awake``, ``Asleep``, ``Dozing``.
        keyguard_showing: Whether the lock screen is in front.
        keyguard_secure: Whether a PIN, pattern or password is set.
        free_bytes: Where models are put.
    """

    battery: Battery = Battery()
    thermal_status: str | None = None
    low_power_mode: bool | None = None
    wakefulness: str | None = None
    keyguard_showing: bool | None = None
    keyguard_secure: bool | None = None
    free_bytes: int | None = None

    @property
    def screen_on(self) -> bool | None:
        """Whether the screen is on."""
        return None if self.wakefulness is None else self.wakefulness == AWAKE

    def conditions(
        self, governor: str | None = None, frequencies_khz: tuple[int, ...] = ()
    ) -> Conditions:
        """Return it as the protocol has it."""
        return Conditions(
            battery_percent=self.battery.percent,
            charging=self.battery.charging,
            temperature_c=self.battery.temperature_c,
            thermal_status=self.thermal_status,
            low_power_mode=self.low_power_mode,
            cpu_governor=governor,
            cpu_frequency_khz=frequencies_khz,
        )


# ------------------------------------------------------------------------------ facts


def read_facts(
    serial: str,
    getprop: str,
    cpuinfo: str = "",
    meminfo: str = "",
    possible: str = "",
    kernel: str = "",
) -> PhoneFacts:
    """Put together what a phone's properties and `/proc` say.

    Args:
        serial: As adb knows it.
        getprop: Printed by `getprop`.
        cpuinfo: Of `/proc/cpuinfo`.
        meminfo: Of `/proc/meminfo`.
        possible: Of `/sys/devices/system/cpu/possible`.
        kernel: Printed by `uname -r`.
    """
    found = read_getprop(getprop)
    return PhoneFacts(
        serial=serial,
        manufacturer=found.get("ro.product.manufacturer", ""),
        model=found.get("ro.product.model", "") or serial,
        release=found.get("ro.build.version.release", "") or "?",
        api_level=_whole(found.get("ro.build.version.sdk")) or 0,
        abis=_abis(found),
        cpu=_cpu(found, cpuinfo, possible),
        memory_bytes=read_memory_bytes(meminfo) or 0,
        fingerprint=found.get("ro.build.fingerprint", ""),
        emulator=_is_emulator(found),
        virtual=found.get("ro.ortlab.virtual") == "1",
        kernel=kernel.strip(),
        serial_number=_told(found, "ro.serialno", "ro.boot.serialno"),
        soc=_told(found, "ro.soc.model", "ro.board.platform"),
    )


def _told(found: Mapping[str, str], *keys: str) -> str:
    told = (found.get(key, "") for key in keys)
    return next((text for text in told if text.lower() not in ("", "unknown")), "")


def read_getprop(text: str) -> dict[str, str]:
    """Return the properties that `getprop` prints; a value may span lines."""
    found = re.findall(r"^\[([^\]\n]+)\]: \[(.*?)\]\r?$", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def read_memory_bytes(meminfo: str) -> int | None:
    """Return all memory of `/proc/meminfo` in bytes."""
    match = re.search(r"^MemTotal:\s+(\d{1,15}) kB", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _abis(found: Mapping[str, str]) -> tuple[str, ...]:
    listed = found.get("ro.product.cpu.abilist", "") or found.get("ro.product.cpu.abi", "")
    return tuple(name for name in listed.split(",") if name)


def _cpu(found: Mapping[str, str], cpuinfo: str, possible: str) -> str:
    """Return the chip's name and the number of its cores, in words."""
    soc = " ".join(
        found[key]
        for key in ("ro.soc.manufacturer", "ro.soc.model")
        if found.get(key, "").lower() not in ("", "unknown")
    )
    hardware = re.search(r"^(?:Hardware|model name)\s*:\s*(\S.*?)\s*$", cpuinfo, re.MULTILINE)
    candidates = (
        soc,
        hardware[1] if hardware else "",
        found.get("ro.board.platform", ""),
        found.get("ro.hardware", ""),
        "unknown chip",
    )
    name = next(candidate for candidate in candidates if candidate)
    count = _core_count(cpuinfo, possible)
    if not count:
        return name
    return f"{name}, {count} core{'s' * (count != 1)}"


def _core_count(cpuinfo: str, possible: str) -> int:
    """Count the cores: `possible` names those that sleep too, such as ``0-7`` or ``0,2-3``."""
    if re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", possible.strip()):
        ranges = [part.split("-") for part in possible.strip().split(",")]
        return sum(max(0, int(item[-1]) - int(item[0]) + 1) for item in ranges)
    return len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE))


def _is_emulator(found: Mapping[str, str]) -> bool:
    return (
        found.get("ro.kernel.qemu") == "1"
        or found.get("ro.boot.qemu") == "1"
        or found.get("ro.hardware") in ("goldfish", "ranchu")
    )


# ------------------------------------------------------------------------------ state


def read_battery(text: str) -> Battery:
    """Read `dumpsys battery`; temperature comes in tenths of a degree."""
    fields = dict(re.findall(r"^\s*([A-Za-z][\w ]*?)\s*:\s*(\S+)\s*$", text, re.MULTILINE))
    level, scale = _whole(fields.get("level")), _whole(fields.get("scale")) or 100
    powered = [value == "true" for key, value in fields.items() if key.endswith(" powered")]
    status = _whole(fields.get("status"))
    charging = any(powered) if powered else None
    if charging is None and status is not None:
        charging = status in (_CHARGING, _FULL_CHARGE)
    tenths = _whole(fields.get("temperature"))
    percent = None if level is None or scale <= 0 else 100.0 * level / scale
    return Battery(
        percent=percent if percent is not None and 0 <= percent <= 100 else None,
        charging=charging,
        temperature_c=None if tenths is None else _possible_temperature(tenths / 10),
    )


def read_thermal_status(text: str) -> str | None:
    """Read `dumpsys thermalservice`; None where the system has no such service."""
    match = re.search(r"^\s*Thermal Status:\s*(\d{1,3})\s*$", text, re.MULTILINE)
    if match is None:
        return None
    number = int(match[1])
    return THERMAL_WORDS[number] if number < len(THERMAL_WORDS) else f"status {number}"


def read_low_power(text: str) -> bool | None:
    """Read `settings get global low_power`; never set means off."""
    return {"1": True, "0": False, "null": False}.get(text.strip())


def read_wakefulness(text: str) -> str | None:
    """Read `dumpsys power`."""
    match = re.search(r"\bmWakefulness=(\w+)", text)
    return match[1] if match else None


def read_keyguard(text: str) -> tuple[bool | None, bool | None]:
    """Read `dumpsys window policy`.

    Returns:
        Whether the lock screen shows, and whether it asks for a PIN, pattern or password.
    """
    _, found, delegate = text.partition("KeyguardServiceDelegate")
    part = delegate if found else text
    showing = _flag(part, ("showing", "mIsShowing", "mShowingLockscreen", "isStatusBarKeyguard"))
    if showing is None:
        showing = _flag(text, ("mShowingLockscreen", "isStatusBarKeyguard"))
    return showing, _flag(part, ("secure", "mIsSecure"))


def read_free_bytes(text: str) -> int | None:
    """Read `df -k PATH`: the fourth column of its last line, in blocks of 1024 bytes."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not any("vailable" in word for word in lines[0]):
        return None
    words = lines[-1]
    place = next((index for index, word in enumerate(words) if word.endswith("%")), 0)
    free = _whole(words[place - 1]) if place > 1 else None
    return None if free is None else free * 1024


def read_frequencies_khz(text: str) -> tuple[int, ...]:
    """Read `scaling_cur_freq` of each core; what may not be read is left out."""
    return tuple(
        int(line) for line in text.split() if line.isascii() and line.isdecimal() and len(line) < 12
    )


# ------------------------------------------------------------------------------ packages


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """What `dumpsys package NAME` says of an installed app.

    Attributes:
        version_code: Or None where it is not told.
        last_update_time: As the system prints it; changes with every install.
    """

    version_code: int | None
    last_update_time: str | None


def read_package(text: str, name: str) -> InstalledPackage | None:
    """Read `dumpsys package NAME`; None when it is not installed."""
    _, found, rest = text.partition(f"Package [{name}]")
    if not found:
        return None
    part = rest.partition("\n  Package [")[0]
    code = re.search(r"\bversionCode=(\d{1,18})", part)
    updated = re.search(r"\blastUpdateTime=([^\r\n]+)", part)
    return InstalledPackage(
        version_code=int(code[1]) if code else None,
        last_update_time=updated[1].strip() if updated else None,
    )


# ------------------------------------------------------------------------------ helpers


def hash_lines(text: str) -> dict[str, str]:
    """Read what `sha256sum` and its kin print: path to hexadecimal digest."""
    found = {}
    for line in text.splitlines():
        digest, _, path = line.partition(" ")
        if re.fullmatch(r"[0-9a-f]{32,64}", digest) and path:
            found[path.removeprefix(" ").removeprefix("*")] = digest
    return found


def words(items: Iterable[str]) -> str:
    """Join for a sentence."""
    listed: Sequence[str] = tuple(items)
    return ", ".join(listed) if listed else "none"


def _flag(text: str, names: Sequence[str]) -> bool | None:
    for name in names:
        match = re.search(rf"(?<![\w.]){name}\s*[=:]\s*(true|false)\b", text)
        if match:
            return match[1] == "true"
    return None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


def _possible_temperature(degrees: float) -> float | None:
    low, high = _POSSIBLE_TEMPERATURE_C
    return degrees if low < degrees < high else None
