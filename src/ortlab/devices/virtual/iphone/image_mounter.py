"""`com.apple.mobile.mobile_image_mounter`: the developer disk image, old style or made for a phone.

Up to iOS 16 the image is ``Developer`` with a signature; from iOS 17 it is ``Personalized`` with a
manifest that Apple makes for one phone. Nothing in an image is looked at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any, Final, Protocol

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.faults import ImageMissing
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.streams import (
    ProtocolError,
    Stream,
    receive_plist,
    send_plist,
)

_LARGEST_IMAGE_BYTES: Final = 256 << 20
_NONCE_BYTES: Final = 32
_MANIFEST: Final = b"IM4M of a virtual iPhone"


class MountingPhone(Protocol):
    """What the mounter needs of the phone."""

    spec: VirtualIPhoneSpec

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        ...

    @property
    def locked(self) -> bool:
        """Whether the lock screen shows."""
        ...

    @property
    def developer_mode(self) -> bool:
        """Whether it is on."""
        ...

    @property
    def image_mounted(self) -> bool:
        """Whether the developer disk image is mounted."""
        ...

    def mount_image(self, *, mounted: bool) -> None:
        """Mount or unmount it."""
        ...

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class ImageMounter:
    """One connection.

    Args:
        phone: The phone.
        stream: From the computer.
    """

    def __init__(self, phone: MountingPhone, stream: Stream) -> None:
        self._phone = phone
        self._stream = stream
        personalized = phone.spec.has_personalized_image
        self._kind = "Personalized" if personalized else "Developer"
        self._place = "/System/Developer" if personalized else "/Developer"
        self._commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "LookupImage": self._look_up,
            "CopyDevices": self._copy_devices,
            "QueryDeveloperModeStatus": lambda _: {"DeveloperModeStatus": phone.developer_mode},
            "QueryNonce": lambda _: {"PersonalizationNonce": os.urandom(_NONCE_BYTES)},
            "QueryPersonalizationIdentifiers": self._identifiers,
            "QueryPersonalizationManifest": self._manifest,
            "ReceiveBytes": self._receive,
            "MountImage": self._mount,
            "UnmountImage": self._unmount,
        }

    def serve(self) -> None:
        """Answer commands until one side ends it."""
        while True:
            request = receive_plist(self._stream)
            name = str(request.get("Command"))
            self._phone.note("image", name)
            if name == "Hangup":
                send_plist(self._stream, {"Goodbye": True})
                return
            command = self._commands.get(name)
            if command is None:
                send_plist(self._stream, {"Error": "UnknownCommand"})
                return
            send_plist(self._stream, command(request))

    def _look_up(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("ImageType") != self._kind or not self._phone.image_mounted:
            return {"ImagePresent": False, "Status": "Complete"}
        return {"ImagePresent": True, "ImageSignature": [_SIGNATURE], "Status": "Complete"}

    def _copy_devices(self, _: dict[str, Any]) -> dict[str, Any]:
        entry = {
            "DeviceType": "SIM",
            "DiskImageType": self._kind,
            "ImageSignature": _SIGNATURE,
            "IsMounted": True,
            "MountPath": self._place,
        }
        mounted = self._phone.image_mounted
        return {"EntryList": [entry] if mounted else [], "Status": "Complete"}

    def _identifiers(self, _: dict[str, Any]) -> dict[str, Any]:
        spec = self._phone.spec
        identifiers = {
            "BoardId": 1,
            "ChipID": spec.chip_id,
            "SecurityDomain": 1,
            "UniqueChipID": spec.unique_chip_id,
        }
        return {"PersonalizationIdentifiers": identifiers, "Status": "Complete"}

    def _manifest(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._phone.spec.has_personalized_image or not request.get("ImageSignature"):
            return {"Error": "MissingManifest"}
        return {"ImageSignature": _MANIFEST, "Status": "Complete"}

    def _receive(self, request: dict[str, Any]) -> dict[str, Any]:
        size = request.get("ImageSize")
        if not isinstance(size, int) or not 0 <= size <= _LARGEST_IMAGE_BYTES:
            message = f"an image of {size!r} bytes"
            raise ProtocolError(message)
        send_plist(self._stream, {"Status": "ReceiveBytesAck"})
        self._stream.receive_exactly(size)
        return {"Status": "Complete"}

    def _mount(self, request: dict[str, Any]) -> dict[str, Any]:
        phone = self._phone
        if phone.image_mounted:
            return _failed(f"The image of type {self._kind} is already mounted.")
        if phone.spec.version[0] >= 16 and not phone.developer_mode:
            return _failed("Developer mode is not enabled.")
        if phone.locked:
            return {"Error": "DeviceLocked"}
        if request.get("ImageType") != self._kind or phone.faults.find(ImageMissing):
            return _failed("Failed to verify the image.")
        phone.mount_image(mounted=True)
        return {"Status": "Complete"}

    def _unmount(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("MountPath") != self._place or not self._phone.image_mounted:
            return _failed("There is no matching entry in the device map.")
        self._phone.mount_image(mounted=False)
        return {"Status": "Complete"}


_SIGNATURE: Final = hashlib.sha384(b"a virtual iPhone's developer disk image").digest()


def _failed(detail: str) -> dict[str, Any]:
    return {"Error": "InternalError", "DetailedError": detail}
