"""What a host finds on its adb and its usbmuxd, how it is told, and that nobody is disturbed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adb_server import OwnAdb
from device_lab.inventory import Inventory, check_devices
from device_lab.planning import ReadinessLimits, unready
from device_lab.values import LabPhone
from lab.lab_host import adb, phone_on
from ortlab.analysis import NoiseFloor, save_floor
from ortlab.devices.virtual import PythonRunner
from ortlab.devices.virtual.iphone.phone import VirtualIPhone
from ortlab.devices.virtual.iphone.session import known_to_clients
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.usbmux import VirtualUsbmux
from ortlab.domain import DeviceKind
from ortlab.errors import DeviceLostError, UsageError
from ortlab.pipeline import state_directory

pytestmark = [pytest.mark.real, pytest.mark.requires("adb")]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=31)


@pytest.fixture(scope="module")
def rack() -> Iterator[OwnAdb]:
    with adb() as running:
        yield running


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("USBMUXD_SOCKET_ADDRESS", raising=False)


def only(phones: tuple[LabPhone, ...]) -> LabPhone:
    (phone,) = phones
    return phone


def test_a_phone_comes_with_its_facts_and_goes(rack: OwnAdb) -> None:
    inventory = Inventory("rack")
    assert inventory.look(NOW) == ()
    with phone_on(rack, "SN1", api_level=33, memory_bytes=6 << 30) as attached:
        phone = only(inventory.look(NOW))
        assert (phone.phone_id, phone.host_id, phone.seen_at) == ("SN1", "rack", NOW)
        assert phone.info.kind is DeviceKind.ANDROID
        assert phone.info.device_id == attached.serial
        assert "Android 13" in phone.info.os_version
        assert phone.soc == "host CPU"
        assert 4 << 30 < phone.info.memory_bytes <= 6 << 30
        assert (phone.battery_percent, phone.blocked) == (87, None)
        assert phone.temperature_c is not None
        assert phone.free_bytes is not None
        assert unready(phone, NOW, ReadinessLimits()) == ()
        assert inventory.device_id("SN1") == attached.serial
    assert inventory.look(NOW) == (), "it is looked for, and not found"
    with pytest.raises(DeviceLostError, match="SN1"):
        inventory.device_id("SN1")


def test_two_phones_of_one_number_do_not_become_one_unnoticed(rack: OwnAdb) -> None:
    numbers = ("unknown", "0123456789ABCDEF", "../x", "a" * 65)
    with contextlib.ExitStack() as attached:
        for number in numbers:
            attached.enter_context(phone_on(rack, number))
        names = {phone.phone_id for phone in Inventory("rack").look(NOW)}
    assert len(names) == 4
    assert all(name.endswith("@rack") for name in names)


def test_a_phone_that_measures_is_asked_nothing(rack: OwnAdb) -> None:
    inventory = Inventory("rack")
    with phone_on(rack, "SN2") as attached:
        inventory.look(NOW)
        asked = len(attached.opened)
        with inventory.in_use("SN2") as device_id:
            assert device_id == attached.serial
            phone = only(inventory.look(LATER))
            assert phone.seen_at == LATER
            assert len(attached.opened) == asked
        inventory.look(LATER)
        assert len(attached.opened) > asked, "what it was before says little"
        asked = len(attached.opened)
        inventory.look(LATER + timedelta(seconds=1))
        assert len(attached.opened) == asked, "it was looked at a second ago"


def test_what_a_person_must_do_is_told_and_looked_at_again_soon(rack: OwnAdb) -> None:
    inventory = Inventory("rack")
    with phone_on(rack, "SN3", locked=True, secure_lock=True) as attached:
        locked = only(inventory.look(NOW))
        assert "only a person can unlock it" in (locked.blocked or "")
        assert "; next: unlock the phone" in (locked.blocked or "")
        assert locked.blocked in unready(locked, NOW, ReadinessLimits())
        asked = len(attached.opened)
        inventory.look(NOW + timedelta(seconds=1))
        assert len(attached.opened) > asked


def test_phones_on_the_network_come_back_when_the_adb_server_is_started_anew() -> None:
    with adb() as own, phone_on(own, "SN6"), phone_on(own, "SN7"):
        inventory = Inventory("rack")
        assert [phone.phone_id for phone in inventory.look(NOW)] == ["SN6", "SN7"]
        own.kill()
        later = inventory.look(NOW + timedelta(seconds=5))
        assert [phone.phone_id for phone in later] == ["SN6", "SN7"]


def test_a_low_battery_blocks(rack: OwnAdb) -> None:
    with phone_on(rack, "SN4", battery_percent=12, charging=False):
        phone = only(Inventory("rack").look(NOW))
    assert phone.battery_percent is not None
    assert 8 <= phone.battery_percent <= 12
    assert "charge the phone" in (phone.blocked or "")
    assert unready(phone, NOW, ReadinessLimits()) != ()


def test_a_noise_floor_is_found_under_the_name_of_the_device(rack: OwnAdb) -> None:
    with phone_on(rack, "SN5") as attached:
        inventory = Inventory("rack")
        assert only(inventory.look(NOW)).noise_floor is None
        floor = NoiseFloor(
            device_id=attached.serial,
            effect=0.013,
            experiments=20,
            created_at=NOW.isoformat(),
            ort_version="1.31.1",
        )
        path = save_floor(state_directory(), floor)
        assert only(inventory.look(NOW)).noise_floor == 0.013
        path.write_text("{")
        said: list[str] = []
        assert only(Inventory("rack", say=said.append).look(NOW)).noise_floor is None
        assert any(str(path) in text for text in said)


def test_this_machine_measures_only_where_that_is_said() -> None:
    assert Inventory("rack").look(NOW) == ()
    host = only(Inventory("rack", ["host"]).look(NOW))
    assert (host.phone_id, host.info.kind) == ("host@rack", DeviceKind.HOST)
    assert host.info.ort_version
    with pytest.raises(UsageError, match="found by themselves"):
        check_devices(["R58M123ABC"])


def test_a_device_that_cannot_be_made_is_said_and_left_out() -> None:
    said: list[str] = []
    assert Inventory("rack", ["virtual:android:9"], say=said.append).look(NOW) == ()
    assert any("virtual:android:9" in text for text in said)


@pytest.mark.requires("ios")
def test_iphones_of_usbmuxd_are_found_and_told_apart_by_trust(tmp_path: Path) -> None:
    with VirtualUsbmux() as mux, known_to_clients(mux, tmp_path / "home"):
        said: list[str] = []
        inventory = Inventory("rack", say=said.append)
        assert inventory.look(NOW) == ()
        spec = VirtualIPhoneSpec()
        with VirtualIPhone(spec, program=PythonRunner(), mux=mux):
            phone = only(inventory.look(NOW))
            assert phone.phone_id == spec.udid
            assert phone.info.kind is DeviceKind.IOS
            assert phone.info.virtual
            assert "trust" in (phone.blocked or "").lower()
            assert "; next: " in (phone.blocked or "")
        assert inventory.look(NOW) == ()
