"""What a virtual iPhone is: its system, its hardware, and the state it starts in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ortlab.bundle import version_key
from ortlab.devices.virtual.power import HeatModel
from ortlab.errors import UsageError

FIRST_TUNNEL_VERSION: Final = (17, 4)
"""From which services for developers are reached through a tunnel over the cable."""

KNOWN_BUILDS: Final = {
    "15.8": "19H370",
    "16.7.2": "20H115",
    "17.5.1": "21F90",
    "18.5": "22F76",
    "26.1": "23B85",
}

_UDID: Final = re.compile(r"[0-9A-F]{8}-[0-9A-F]{16}|[0-9a-f]{40}")
_VERSION: Final = re.compile(r"\d{1,2}(\.\d{1,2}){1,2}")
_LOWEST_MAJOR: Final = 15
_BOARDS: Final = {
    "iPhone10,3": ("D22AP", 0x8015, "arm64"),
    "iPhone14,5": ("D17AP", 0x8110, "arm64e"),
    "iPhone16,1": ("D83AP", 0x8130, "arm64e"),
    "iPhone17,3": ("D47AP", 0x8140, "arm64e"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualIPhoneSpec:
    """An iPhone to play.

    Attributes:
        ios_version: Such as ``16.7.2`` or ``26.1``; 15 or later.
        udid: 8 and 16 hexadecimal digits with a hyphen between, or 40 digits.
        product: Apple's name of the model.
        name: As its owner calls it.
        build: Of the system; a known or likely one if empty.
        memory_bytes: RAM.
        storage_bytes: For apps, their files, and what is uploaded.
        paired: Whether its owner trusts every computer at once, without a dialog.
        developer_mode: Whether Developer Mode is on; from iOS 16.
        image_mounted: Whether the developer disk image is mounted.
        locked: Whether the lock screen shows.
        unsigned_scripts: Whether apps whose program is a script need no signature, as no tool
            of Apple's signs them.
        in_every_profile: Whether every team has registered it for development.
        battery_percent: At start.
        battery_temperature_c: At start.
        charging: Whether the cable gives power.
        heat: How it warms and drains.
    """

    ios_version: str = "16.7.2"
    udid: str = "00008110-000A1B2C3D4E5F60"
    product: str = "iPhone14,5"
    name: str = "Virtual iPhone"
    build: str = ""
    memory_bytes: int = 4 << 30
    storage_bytes: int = 16 << 30
    paired: bool = True
    developer_mode: bool = True
    image_mounted: bool = True
    locked: bool = False
    unsigned_scripts: bool = True
    in_every_profile: bool = False
    battery_percent: int = 87
    battery_temperature_c: float = 26.0
    charging: bool = True
    heat: HeatModel = field(default_factory=HeatModel)

    def __post_init__(self) -> None:  # noqa: D105
        if not _VERSION.fullmatch(self.ios_version) or self.version[0] < _LOWEST_MAJOR:
            message = (
                f"cannot play an iPhone of iOS {self.ios_version!r}: "
                f"{_LOWEST_MAJOR}.0 and later are known"
            )
            raise UsageError(message, next_step="--device virtual:ios:16.7")
        if not _UDID.fullmatch(self.udid):
            message = f"cannot play an iPhone: {self.udid!r} is no UDID"
            raise UsageError(message, next_step="give 8 and 16 digits, 0-9 and A-F")

    @property
    def version(self) -> tuple[int, ...]:
        """Of iOS, for comparing."""
        return version_key(self.ios_version)

    @property
    def has_tunnel(self) -> bool:
        """Whether developers' services are inside a tunnel over the cable."""
        return self.version >= FIRST_TUNNEL_VERSION

    @property
    def has_personalized_image(self) -> bool:
        """Whether the developer disk image is made for each phone."""
        return self.version[0] >= 17

    @property
    def build_version(self) -> str:
        """Of the system."""
        if self.build:
            return self.build
        known = KNOWN_BUILDS.get(self.ios_version)
        major, *rest = (*self.version, 0)
        darwin = major + 4 if major < 20 else major - 3
        return known or f"{darwin}{chr(ord('A') + min(rest[0], 25))}100"

    @property
    def board(self) -> str:
        """Apple's name of the main board."""
        return self._hardware[0]

    @property
    def chip_id(self) -> int:
        """Of the processor."""
        return self._hardware[1]

    @property
    def architecture(self) -> str:
        """Of the processor."""
        return self._hardware[2]

    @property
    def unique_chip_id(self) -> int:
        """Of this phone's processor alone."""
        return int(self.udid.rpartition("-")[2][-16:], 16)

    @property
    def _hardware(self) -> tuple[str, int, str]:
        return _BOARDS.get(self.product, ("D17AP", 0x8110, "arm64e"))
