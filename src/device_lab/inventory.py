"""The phones of this host, as the lab sees them: found on adb and usbmuxd, looked at, named.

A phone that measures is not asked anything, for every question costs it time: while it is listed
it counts as seen. The others are looked at again from time to time.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from device_lab.values import LabPhone
from ortlab.config import BenchSection
from ortlab.devices import is_virtual, kind_of
from ortlab.devices.readiness import PhoneFinding, PhoneLook, Readiness
from ortlab.domain import DeviceInfo, DeviceKind
from ortlab.errors import DeviceLostError, OrtlabError, ToolchainError, UsageError
from ortlab.pipeline import open_for, state_directory

Say = Callable[[str], None]

LOOK_AGAIN_S: Final = 30.0
_CONNECT_AGAIN_S: Final = 30.0
_CONNECT_DEADLINE_S: Final = 5.0
_AT_ONCE: Final = 8
_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", re.ASCII)
# What systems tell that have no number, and makers who gave all of theirs the same one.
_NO_NUMBERS: Final = frozenset({"", "unknown", "virtual", "0123456789abcdef", "00000000"})


@dataclass(frozen=True, slots=True)
class _Listed:
    """A device that is there, and how to look at it."""

    device_id: str
    state: str
    look: Callable[[], PhoneLook]


class Inventory:
    """Looks at the devices of this host; may be used from several threads.

    Args:
        host_id: Of this machine, in the lab.
        devices: Beside the phones that are attached: ``host``, ``virtual:android`` …
        look_again_s: How old what is known of a ready phone may become.
        say: Told what cannot be listed.
    """

    def __init__(
        self,
        host_id: str,
        devices: Sequence[str] = (),
        *,
        look_again_s: float = LOOK_AGAIN_S,
        say: Say = lambda _: None,
    ) -> None:
        self.host_id = host_id
        self._devices = tuple(devices)
        self._look_again_s = look_again_s
        self._say = say
        self._said: set[str] = set()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._busy: set[str] = set()
        self._stale: set[str] = set()
        self._connected: dict[str, datetime] = {}  # addresses that are gone, and when to try
        self._known: dict[str, tuple[str, LabPhone, datetime]] = {}
        self._memory_bytes: dict[str, int] = {}  # of phones that tell it only while they measure

    def look(self, now: datetime) -> tuple[LabPhone, ...]:
        """Return the phones that are here, by id; those that cannot be named yet are left out.

        A phone that was never seen ready, such as one that allows no debugging, has no facts; it
        is said, and comes in once it tells what it is.
        """
        with self._looking:
            listed = self._listed(now)
            due = [item for item in listed if self._is_due(item, now)]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for item, seen in zip(due, pool.map(lambda one: one.look(), due), strict=True):
                    self._note(item, seen, now)
            return self._phones(listed, now)

    def device_id(self, phone_id: str) -> str:
        """Return what a phone of the lab is called on this host now.

        Raises:
            DeviceLostError: It is not here.
        """
        with self._lock:
            for device_id, (_, phone, _) in self._known.items():
                if phone.phone_id == phone_id:
                    return device_id
        message = f"cannot measure on {phone_id}: it is not attached to {self.host_id}"
        raise DeviceLostError(message, next_step="ortlab lab phones")

    @contextlib.contextmanager
    def in_use(self, phone_id: str) -> Iterator[str]:
        """Ask a phone nothing while it is used; gives its device id.

        Raises:
            DeviceLostError: It is not here.
        """
        device_id = self.device_id(phone_id)
        with self._lock:
            self._busy.add(device_id)
        try:
            yield device_id
        finally:
            with self._lock:
                self._busy.discard(device_id)
                if device_id not in self._devices:
                    self._stale.add(device_id)  # what it was says little of what it is now

    def learn(self, phone_id: str, info: DeviceInfo) -> None:
        """Remember what a phone told while it was used and no look at it tells: its memory."""
        if not info.memory_bytes:
            return
        with self._lock:
            self._memory_bytes[phone_id] = info.memory_bytes
            for device_id, (state, phone, at) in self._known.items():
                if phone.phone_id == phone_id and not phone.info.memory_bytes:
                    self._known[device_id] = (state, self._with_memory(phone), at)

    # -- what is there --------------------------------------------------------------------------

    def _listed(self, now: datetime) -> list[_Listed]:
        extra = [_Listed(name, "", partial(self._look_inside, name)) for name in self._devices]
        return [*extra, *self._android(now), *self._iphones()]

    def _android(self, now: datetime) -> list[_Listed]:
        from ortlab.devices.android import attached_phones, connect_again, look_at_phone

        try:
            phones = attached_phones()
            if connect_again(
                self._lost({phone.serial for phone in phones if phone.state == "device"}, now),
                deadline_s=_CONNECT_DEADLINE_S,
            ):
                phones = attached_phones()
        except ToolchainError as error:  # a host of iPhones needs no adb
            self._tell_once(f"Android phones cannot be listed: {error.message}")
            return []
        look_at = partial(look_at_phone, state_directory=state_directory())
        return [
            _Listed(phone.serial, str(phone.state), partial(look_at, phone)) for phone in phones
        ]

    def _lost(self, here: set[str], now: datetime) -> tuple[str, ...]:
        """Return the phones on the network to connect to again: a new adb server forgot them."""
        for serial in here:
            self._connected.pop(serial, None)
        with self._lock:
            ready = {name for name, known in self._known.items() if known[1].blocked is None}
        for serial in ready - here - set(self._devices):
            if _is_address(serial):
                self._connected.setdefault(serial, now)
        due = [serial for serial, at in self._connected.items() if at <= now]
        again_at = now + timedelta(seconds=_CONNECT_AGAIN_S)
        self._connected.update(dict.fromkeys(due, again_at))
        return tuple(due)

    def _iphones(self) -> list[_Listed]:
        from ortlab.doctor import has_usbmuxd

        if not has_usbmuxd():
            return []
        from ortlab.devices.ios import AttachedIphone, listed_iphones, look_at_iphone

        try:
            udids = listed_iphones()
        except OrtlabError as error:
            self._tell_once(f"iPhones cannot be listed: {error.message}")
            return []
        return [
            _Listed(udid, "", partial(look_at_iphone, AttachedIphone(udid=udid))) for udid in udids
        ]

    def _look_inside(self, name: str) -> PhoneLook:
        """Open this machine or a virtual phone once to learn what it is."""
        try:
            with contextlib.closing(open_for(name, BenchSection(), say=lambda _: None)) as device:
                return PhoneLook(device_id=name, findings=(), info=device.info)
        except OrtlabError as error:
            wrong = PhoneFinding(
                subject="device",
                state=Readiness.BLOCKED,
                detail=error.message,
                next_step=error.next_step or "ortlab doctor",
            )
            return PhoneLook(device_id=name, findings=(wrong,))

    # -- what is known --------------------------------------------------------------------------

    def _is_due(self, item: _Listed, now: datetime) -> bool:
        with self._lock:
            if item.device_id in self._busy:
                return False
            known = self._known.get(item.device_id)
            stale = item.device_id in self._stale
        if known is None or stale or known[0] != item.state or known[1].blocked is not None:
            return True
        if item.device_id in self._devices:  # opening it is all there is to learn
            return False
        age_s = (now - known[2]).total_seconds()
        return not 0 <= age_s < self._look_again_s

    def _note(self, item: _Listed, seen: PhoneLook, now: datetime) -> None:
        wrong = seen.blocking
        words = None if wrong is None else _in_words(wrong)
        with self._lock:
            known = self._known.get(item.device_id)
            if seen.info is None and known is None:
                self._tell_once(f"{item.device_id} is left out: {words or 'it tells nothing'}")
                return
            if known is not None and seen.info is None:
                phone = replace(known[1], blocked=words)
            else:
                assert seen.info is not None
                phone = self._with_memory(self._phone(seen, seen.info, words, now))
            self._known[item.device_id] = (item.state, phone, now)
            self._stale.discard(item.device_id)

    def _phone(
        self, seen: PhoneLook, info: DeviceInfo, blocked: str | None, now: datetime
    ) -> LabPhone:
        return LabPhone(
            phone_id=phone_id(seen, info, self.host_id),
            host_id=self.host_id,
            info=info,
            soc=seen.soc,
            labels=(),
            battery_percent=seen.battery_percent,
            temperature_c=seen.temperature_c,
            free_bytes=seen.free_bytes,
            noise_floor=None,
            seen_at=now,
            blocked=blocked,
        )

    def _with_memory(self, phone: LabPhone) -> LabPhone:
        memory_bytes = phone.info.memory_bytes or self._memory_bytes.get(phone.phone_id, 0)
        return replace(phone, info=replace(phone.info, memory_bytes=memory_bytes))

    def _phones(self, listed: Sequence[_Listed], now: datetime) -> tuple[LabPhone, ...]:
        here = {item.device_id for item in listed}
        found: dict[str, LabPhone] = {}
        with self._lock:
            for gone in self._known.keys() - here - self._busy:
                del self._known[gone]
            for device_id in sorted(self._known.keys() & here):
                phone = self._known[device_id][1]
                # One phone on a cable and on the network is one phone; the cable sorts last.
                if phone.phone_id not in found or ":" in found[phone.phone_id].info.device_id:
                    floor = self._noise_floor(device_id)
                    found[phone.phone_id] = replace(phone, seen_at=now, noise_floor=floor)
        return tuple(found[name] for name in sorted(found))

    def _noise_floor(self, device_id: str) -> float | None:
        from ortlab.analysis import load_floor

        try:
            floor = load_floor(state_directory(), device_id)
        except OrtlabError as error:
            self._tell_once(error.message)
            return None
        return None if floor is None else floor.effect

    def _tell_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"note: {text}")


def phone_id(seen: PhoneLook, info: DeviceInfo, host_id: str) -> str:
    """Return what a phone is called in the whole lab, so that it keeps its name when it moves.

    What has no number of its own is told apart by the host it belongs to.
    """
    number = seen.serial_number
    usable = _NUMBER.fullmatch(number) and number.lower() not in _NO_NUMBERS
    if usable and info.kind is not DeviceKind.HOST and not info.emulator:
        return number
    return f"{seen.device_id}@{host_id}"


def _is_address(serial: str) -> bool:
    from ortlab.devices.android.attached import is_address

    return is_address(serial)


def check_devices(names: Sequence[str]) -> tuple[str, ...]:
    """Return the devices that an operator adds to the phones that are attached.

    Raises:
        UsageError: One is no device that can be added.
    """
    for name in names:
        if not is_virtual(name) and kind_of(name) is not DeviceKind.HOST:
            message = f"cannot add {name!r} to the lab: attached phones are found by themselves"
            raise UsageError(message, next_step="name host, virtual:android or virtual:ios")
    return tuple(dict.fromkeys(names))


def look(host_id: str, now: datetime, devices: Sequence[str] = ()) -> tuple[LabPhone, ...]:
    """Look at this host's phones once; see `Inventory.look`."""
    return Inventory(host_id, devices).look(now)


def _in_words(finding: PhoneFinding) -> str:
    return f"{finding.detail}; next: {finding.next_step}" if finding.next_step else finding.detail
