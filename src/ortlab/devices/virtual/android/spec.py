"""What a virtual phone is: its Android version, memory, storage, and what its adbd announces."""

from __future__ import annotations

from dataclasses import dataclass, field

from ortlab.devices.virtual.power import HeatModel
from ortlab.errors import UsageError

LOWEST_API_LEVEL = 24
HIGHEST_API_LEVEL = 36

ANDROID_RELEASES = {
    24: "7.0",
    25: "7.1.1",
    26: "8.0.0",
    27: "8.1.0",
    28: "9",
    29: "10",
    30: "11",
    31: "12",
    32: "12",
    33: "13",
    34: "14",
    35: "15",
    36: "16",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPhoneSpec:
    """A phone to play.

    Attributes:
        api_level: Of Android, 24 to 36.
        model: As the phone calls itself.
        abis: It runs, best first.
        memory_bytes: RAM.
        storage_bytes: Of `/data`, pushed files and installed apps together.
        battery_percent: At start.
        battery_temperature_c: At start.
        charging: Whether it is powered, as by the cable it hangs on.
        screen_on: At start.
        locked: Whether the lock screen shows.
        secure_lock: Whether the lock screen asks for a secret.
        low_power_mode: Whether battery saver is on.
        user_build: Whether it is a phone as sold; else a debuggable system.
        serial_number: Of the hardware, as the system tells it.
        heat: How it warms and drains.
    """

    api_level: int = 34
    model: str = "Virtual Phone"
    abis: tuple[str, ...] = ("arm64-v8a", "armeabi-v7a", "armeabi")
    memory_bytes: int = 8 << 30
    storage_bytes: int = 16 << 30
    battery_percent: int = 87
    battery_temperature_c: float = 26.0
    charging: bool = True
    screen_on: bool = True
    locked: bool = False
    secure_lock: bool = False
    low_power_mode: bool = False
    user_build: bool = True
    serial_number: str = "VIRTUAL"
    heat: HeatModel = field(default_factory=HeatModel)

    def __post_init__(self) -> None:  # noqa: D105
        if not LOWEST_API_LEVEL <= self.api_level <= HIGHEST_API_LEVEL:
            message = (
                f"cannot play a phone of API level {self.api_level}: "
                f"{LOWEST_API_LEVEL} to {HIGHEST_API_LEVEL} are known"
            )
            raise UsageError(message, next_step="--device virtual:android:34")

    @property
    def release(self) -> str:
        """The Android version as people know it."""
        return ANDROID_RELEASES[self.api_level]

    @property
    def protocol_version(self) -> int:
        """Version of the ADB transport; from 0x01000001 on, packets carry no checksum."""
        return 0x01000001 if self.api_level >= 28 else 0x01000000

    @property
    def largest_payload_bytes(self) -> int:
        """Of one packet."""
        return 1 << 20 if self.api_level >= 28 else 256 << 10

    @property
    def features(self) -> tuple[str, ...]:
        """What adbd of that version announces, as far as this phone does it."""
        announced = ["shell_v2", "cmd"]
        if self.api_level >= 26:
            announced.append("stat_v2")
        if self.api_level >= 29:
            announced += ["fixed_push_mkdir", "apex", "abb", "fixed_push_symlink_timestamp"]
        if self.api_level >= 30:
            announced += ["abb_exec", "ls_v2", "sendrecv_v2"]
        if self.api_level >= 31:
            announced.append("remount_shell")
        return tuple(announced)

    def banner(self, state: str) -> bytes:
        """Return what adbd says of the phone when adb connects."""
        name = self.model.replace(";", " ").replace("=", " ")
        device = name.lower().replace(" ", "_")
        return (
            f"{state}::ro.product.name={device};ro.product.model={name};"
            f"ro.product.device={device};features={','.join(self.features)}"
        ).encode()
