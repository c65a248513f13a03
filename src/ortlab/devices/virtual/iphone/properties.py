"""What lockdownd tells of a virtual iPhone, by domain."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.pairing import PairingStore
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.storage import Storage
from ortlab.devices.virtual.power import Power

DEVELOPER_MODE_FROM: Final = 16
"""Of iOS; before it there is no such mode, and no switch."""


class DescribedPhone(Protocol):
    """What is told of."""

    spec: VirtualIPhoneSpec
    pairings: PairingStore
    power: Power
    storage: Storage
    name: str

    @property
    def locked(self) -> bool:
        """Whether the lock screen shows."""
        ...

    @property
    def developer_mode(self) -> bool:
        """Whether it is on."""
        ...

    @property
    def battery_percent(self) -> int:
        """That it shows."""
        ...


def property_values(phone: DescribedPhone, domain: str) -> Mapping[str, Any] | None:
    """Return the properties of a domain, or None; the empty name is the default one."""
    makers: dict[str, Callable[[DescribedPhone], Mapping[str, Any]]] = {
        "": _default_values,
        "com.apple.disk_usage": _disk_usage,
        "com.apple.disk_usage.factory": _disk_usage,
        "com.apple.mobile.battery": _battery,
        "com.apple.mobile.chaperone": lambda _: {},
        "com.apple.mobile.iTunes": lambda _: {},
    }
    if phone.spec.version[0] >= DEVELOPER_MODE_FROM:
        makers["com.apple.security.mac.amfi"] = lambda p: {"DeveloperModeStatus": p.developer_mode}
    make = makers.get(domain)
    return None if make is None else make(phone)


def _default_values(phone: DescribedPhone) -> dict[str, Any]:
    spec = phone.spec
    return {
        "ActivationState": "Activated",
        "BuildVersion": spec.build_version,
        "CPUArchitecture": spec.architecture,
        "ChipID": spec.chip_id,
        "DeviceClass": "iPhone",
        "DeviceName": phone.name,
        "DevicePublicKey": phone.pairings.public_key,
        "HardwareModel": spec.board,
        "ModelNumber": "MVRT1",
        "OrtlabVirtual": True,
        "PasswordProtected": phone.locked,
        "ProductName": "iPhone OS",
        "ProductType": spec.product,
        "ProductVersion": spec.ios_version,
        "SerialNumber": "VIRTUAL0001",
        "TimeIntervalSince1970": time.time(),
        "TotalDiskCapacity": spec.storage_bytes,
        "UniqueChipID": spec.unique_chip_id,
        "UniqueDeviceID": spec.udid,
        "WiFiAddress": "02:00:00:00:00:01",
    }


def _disk_usage(phone: DescribedPhone) -> dict[str, Any]:
    free = phone.storage.free_bytes
    return {
        "AmountDataAvailable": free,
        "TotalDataAvailable": free,
        "TotalDataCapacity": phone.spec.storage_bytes,
        "TotalDiskCapacity": phone.spec.storage_bytes,
    }


def _battery(phone: DescribedPhone) -> dict[str, Any]:
    percent, charging = phone.battery_percent, phone.power.charging
    return {
        "BatteryCurrentCapacity": percent,
        "BatteryIsCharging": charging and percent < 100,
        "ExternalChargeCapable": charging,
        "ExternalConnected": charging,
        "FullyCharged": percent >= 100,
        "GasGaugeCapability": True,
        "HasBattery": True,
    }
