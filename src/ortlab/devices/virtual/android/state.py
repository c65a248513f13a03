"""What a phone is set to: properties, settings, screen and lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ortlab.devices.virtual.android.faults import Faults, ScreenLocked
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec

_WAKE_UP, _SLEEP, _POWER, _MENU = "224", "223", "26", "82"
_KERNELS: Final = {24: "3.18.31", 26: "4.4.78", 28: "4.9.96", 29: "4.14.117", 30: "4.19.110"}
_NEWEST_KERNEL: Final = "5.15.148-android14-11"
_MACHINES: Final = {"arm64-v8a": "aarch64", "armeabi-v7a": "armv7l", "x86_64": "x86_64"}


@dataclass(slots=True)
class PhoneState:
    """Settings of one phone.

    Args:
        spec: The phone.
        faults: Those that concern its screen.
        note_unmodelled: Told of commands that a real phone may know and this one does not.
    """

    spec: VirtualPhoneSpec
    faults: Faults
    note_unmodelled: Callable[[str], None]
    own_properties: dict[str, str] = field(default_factory=dict)
    fixed_performance: bool = False
    thermal_override: int | None = None
    screen_on: bool = field(init=False)
    keyguard_showing: bool = field(init=False)
    _settings: dict[tuple[str, str], str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:  # noqa: D105
        self.screen_on = self.spec.screen_on
        self.keyguard_showing = self.spec.locked
        self.put_setting("global", "low_power", str(int(self.spec.low_power_mode)))
        self.put_setting("global", "adb_enabled", "1")
        self.put_setting("global", "stay_on_while_plugged_in", "0")
        self.put_setting("system", "screen_off_timeout", "60000")

    # -------------------------------------------------------------------------- properties

    @property
    def kernel_release(self) -> str:
        """As `uname -r` says."""
        return _KERNELS.get(self.spec.api_level, _NEWEST_KERNEL) + "-virtual"

    @property
    def machine(self) -> str:
        """As `uname -m` says."""
        return _MACHINES.get(self.spec.abis[0], "aarch64")

    def properties(self) -> dict[str, str]:
        """Return what `getprop` prints."""
        spec = self.spec
        device = spec.model.lower().replace(" ", "_")
        kind = "user" if spec.user_build else "userdebug"
        wide = [abi for abi in spec.abis if "64" in abi]
        narrow = [abi for abi in spec.abis if "64" not in abi]
        found = {
            "ro.ortlab.virtual": "1",
            "ro.board.platform": "virtual",
            "ro.boot.serialno": self.spec.serial_number,
            "ro.build.characteristics": "default",
            "ro.build.fingerprint": (
                f"ortlab/{device}/{device}:{spec.release}/V/1:{kind}/release-keys"
            ),
            "ro.build.tags": "release-keys",
            "ro.build.type": kind,
            "ro.build.version.release": spec.release,
            "ro.build.version.sdk": str(spec.api_level),
            "ro.build.version.security_patch": "2024-01-05",
            "ro.debuggable": str(int(not spec.user_build)),
            "ro.hardware": "virtual",
            "ro.product.brand": "ortlab",
            "ro.product.cpu.abi": spec.abis[0],
            "ro.product.cpu.abilist": ",".join(spec.abis),
            "ro.product.cpu.abilist32": ",".join(narrow),
            "ro.product.cpu.abilist64": ",".join(wide),
            "ro.product.device": device,
            "ro.product.manufacturer": "ortlab",
            "ro.product.model": spec.model,
            "ro.product.name": device,
            "ro.secure": "1",
            "sys.boot_completed": "1",
        }
        if spec.api_level >= 31:
            found |= {"ro.soc.manufacturer": "ortlab", "ro.soc.model": "host CPU"}
        return {**found, **self.own_properties}

    # -------------------------------------------------------------------------- settings

    def setting(self, namespace: str, name: str) -> str | None:
        """Return a setting, or None where it was never set."""
        return self._settings.get((namespace, name))

    def put_setting(self, namespace: str, name: str, value: str) -> None:
        """Set a setting."""
        self._settings[namespace, name] = value

    def delete_setting(self, namespace: str, name: str) -> bool:
        """Remove a setting; return whether it was there."""
        return self._settings.pop((namespace, name), None) is not None

    def settings_of(self, namespace: str) -> tuple[tuple[str, str], ...]:
        """Return the settings of a namespace, sorted."""
        return tuple(sorted((k, v) for (n, k), v in self._settings.items() if n == namespace))

    # -------------------------------------------------------------------------- screen

    def press(self, key: str) -> None:
        """Press a key by its number."""
        if key == _WAKE_UP:
            self.screen_on = True
        elif key == _SLEEP:
            self.screen_on = False
            self.keyguard_showing |= self.spec.secure_lock
        elif key == _POWER:
            self.press(_SLEEP if self.screen_on else _WAKE_UP)
        elif key == _MENU and self.screen_on:
            self.dismiss_keyguard()

    def dismiss_keyguard(self) -> None:
        """Put the lock screen away unless it asks for a secret."""
        if not self.spec.secure_lock:
            self.keyguard_showing = False

    def power_text(self) -> str:
        """Return the part of `dumpsys power` that tells of the screen."""
        wakefulness = "Awake" if self.screen_on else "Asleep"
        stays_on = self.setting("global", "stay_on_while_plugged_in") not in (None, "0")
        low_power = self.setting("global", "low_power") == "1"
        return (
            f"POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness={wakefulness}\n"
            f"  mIsPowered=true\n  mStayOn={str(stays_on).lower()}\n\n"
            f"Settings and Configuration:\n  mLowPowerModeEnabled={str(low_power).lower()}"
        )

    def window_text(self) -> str:
        """Return the part of `dumpsys window policy` that tells of the lock screen."""
        fault = self.faults.find(ScreenLocked)
        showing = str(self.keyguard_showing or fault is not None).lower()
        secure = str(self.spec.secure_lock or fault is not None).lower()
        awake = "SCREEN_STATE_ON" if self.screen_on else "SCREEN_STATE_OFF"
        return (
            "WINDOW MANAGER POLICY STATE (dumpsys window policy)\n"
            f"    KeyguardServiceDelegate\n      showing={showing}\n      secure={secure}\n"
            f"      screenState={awake}\n      interactiveState=INTERACTIVE_STATE_AWAKE"
        )


def proc_files(spec: VirtualPhoneSpec) -> dict[str, str]:
    """Return files of `/proc` and `/sys` that a shell user reads; cores are this machine's."""
    cores = os.cpu_count() or 1
    kib = spec.memory_bytes // 1024
    processors = "".join(
        f"processor\t: {number}\nBogoMIPS\t: 38.40\nCPU architecture: 8\n\n"
        for number in range(cores)
    )
    return {
        "/proc/cpuinfo": f"{processors}Hardware\t: virtual phone on this computer's CPU\n",
        "/proc/meminfo": (
            f"MemTotal:       {kib} kB\nMemFree:        {kib // 4} kB\n"
            f"MemAvailable:   {kib // 2} kB\n"
        ),
        "/proc/version": "Linux version virtual (ortlab)\n",
        "/sys/devices/system/cpu/possible": f"0-{cores - 1}\n" if cores > 1 else "0\n",
        "/sys/devices/system/cpu/online": f"0-{cores - 1}\n" if cores > 1 else "0\n",
    }
