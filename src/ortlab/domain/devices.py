"""Where blocks run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ortlab.domain.experiments import Arm
    from ortlab.wire import BlockRequest, BlockResult, Conditions, Death


class DeviceKind(StrEnum):
    """Platform of a device."""

    HOST = "host"
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo:
    """A device as it describes itself.

    Attributes:
        device_id: ``host``, an adb serial, a UDID, ``virtual:android`` …
        kind: Platform.
        name: For people.
        os_version: Name and version of the system.
        architecture: Such as ``x86_64``, ``arm64-v8a``.
        cpu: Model name and core count, in words.
        memory_bytes: Of the machine.
        ort_version: Of the runtime that blocks use, when the arm does not bring its own.
        available_providers: As that runtime answers.
        virtual: Whether it is a virtual device; its results support no verdict on phones.
        emulator: Whether it is an emulator.
        absent_providers: Why a provider is not there, by ORT's name, where the device tells.
    """

    device_id: str
    kind: DeviceKind
    name: str
    os_version: str
    architecture: str
    cpu: str
    memory_bytes: int
    ort_version: str
    available_providers: tuple[str, ...]
    virtual: bool = False
    emulator: bool = False
    absent_providers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDevice:
    """A device that is there, ready or not.

    Attributes:
        device_id: What ``--device`` takes.
        kind: Platform.
        name: For people.
        ready: Whether blocks can be run on it.
        detail: What was seen, in words.
        next_step: What to do or to press; empty when nothing needs doing.
        info: How it describes itself; None where that needs an app.
    """

    device_id: str
    kind: DeviceKind
    name: str
    ready: bool
    detail: str
    next_step: str = ""
    info: DeviceInfo | None = None


class Device(Protocol):
    """Something that runs blocks; adapters are the host, Android, iOS, web and virtual ones."""

    @property
    def info(self) -> DeviceInfo:
        """The device as it describes itself."""
        ...

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return the ORT version and the available providers that ``arm`` will run with.

        Raises:
            DeviceError: The arm's runtime cannot be started here.
        """
        ...

    def conditions(self) -> Conditions:
        """Read the machine's state now."""
        ...

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh process; never longer than ``request.deadline_s`` and a bit.

        Paths in ``request`` are the driver's; the adapter moves files to the device and back,
        so that the result's paths are the driver's too.

        Raises:
            DeviceError: The device was lost or cannot run blocks at all.
        """
        ...

    def close(self) -> None:
        """Restore what was changed and let go of the device; safe to call twice."""
        ...
