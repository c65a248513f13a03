"""What an iPhone tells of itself, as values; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ortlab.wire import Conditions

_CHIPS: Final = {
    0x8000: "A9",
    0x8003: "A9",
    0x8010: "A10 Fusion",
    0x8015: "A11 Bionic",
    0x8020: "A12 Bionic",
    0x8030: "A13 Bionic",
    0x8101: "A14 Bionic",
    0x8110: "A15 Bionic",
    0x8120: "A16 Bionic",
    0x8130: "A17 Pro",
    0x8140: "A18",
    0x8150: "A19",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IphoneFacts:
    """What does not change while it is attached.

    Attributes:
        udid: Of the phone.
        name: As its owner calls it.
        product: Apple's name of the model, such as ``iPhone14,5``.
        version: Of iOS.
        build: Of iOS.
        architecture: Such as ``arm64e``.
        chip: Apple's name of the processor, where it is known.
        paired: Whether it trusts this computer.
        virtual: Whether it is a program.
    """

    udid: str
    name: str
    product: str
    version: str
    build: str
    architecture: str
    chip: str
    paired: bool
    virtual: bool

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} ({self.product})" if self.name else self.product or self.udid

    @property
    def system(self) -> str:
        """Name and version of the system."""
        return f"iOS {self.version} ({self.build})" if self.build else f"iOS {self.version}"

    @property
    def version_key(self) -> tuple[int, ...]:
        """For comparing."""
        return version_numbers(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class IphoneStatus:
    """What changes; None where it does not tell.

    Attributes:
        percent: Of the battery.
        charging: Whether external power is attached.
        temperature_c: Of the battery.
        free_bytes: Of its storage.
        locked: Whether only its passcode opens it.
        developer_mode: Whether it is on; None also before iOS 16, which has none.
        image_mounted: Whether the developer disk image is.
        app: What the app reported last.
    """

    percent: float | None = None
    charging: bool | None = None
    temperature_c: float | None = None
    free_bytes: int | None = None
    locked: bool | None = None
    developer_mode: bool | None = None
    image_mounted: bool | None = None
    app: Conditions | None = None


def version_numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers; what is no number ends it."""
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def facts_of(udid: str, values: Mapping[str, Any]) -> IphoneFacts:
    """Read what lockdownd tells."""

    def text(key: str) -> str:
        value = values.get(key)
        return value if isinstance(value, str) else ""

    chip = values.get("ChipID")
    return IphoneFacts(
        udid=udid,
        name=text("DeviceName"),
        product=text("ProductType"),
        version=text("ProductVersion"),
        build=text("BuildVersion"),
        architecture=text("CPUArchitecture"),
        chip=_CHIPS.get(chip, "") if isinstance(chip, int) else "",
        paired=values.get("paired") is True,
        virtual=values.get("OrtlabVirtual") is True,
    )


def status_of(values: Mapping[str, Any], app: Conditions | None = None) -> IphoneStatus:
    """Read what the worker tells of a phone's state."""

    def number(key: str) -> float | None:
        value = values.get(key)
        return float(value) if isinstance(value, int | float) else None

    def switch(key: str) -> bool | None:
        value = values.get(key)
        return bool(value) if isinstance(value, bool | int) else None

    free = number("free_bytes")
    return IphoneStatus(
        percent=number("percent"),
        charging=switch("charging"),
        temperature_c=number("temperature_c"),
        free_bytes=None if free is None else int(free),
        locked=switch("locked"),
        developer_mode=switch("developer_mode"),
        image_mounted=switch("image_mounted"),
        app=app,
    )
