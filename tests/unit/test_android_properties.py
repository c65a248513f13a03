"""Phones' own words: what they tell is read, what they do not tell stays unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.android import properties
from ortlab.devices.android.asking import answers, questions
from ortlab.devices.android.properties import (
    THERMAL_WORDS,
    read_battery,
    read_facts,
    read_free_bytes,
    read_frequencies_khz,
    read_getprop,
    read_keyguard,
    read_low_power,
    read_memory_bytes,
    read_package,
    read_thermal_status,
    read_wakefulness,
)
from ortlab.devices.android.quoting import command_line

GETPROP = """[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor G3]
[persist.note]: [two
lines]
[ro.kernel.qemu]: []
"""
CPUINFO = """processor\t: 0
BogoMIPS\t: 49.15

processor\t: 1
Hardware\t: Qualcomm Technologies, Inc SM8250
"""
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  present: true
  level: 85
  scale: 100
  voltage: 4200
  temperature: 285
  technology: Li-ion
"""
THERMAL = """IsStatusOverride: false
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=41.2, mType=3, mName=skin, mStatus=2}
"""
POLICY = """WINDOW MANAGER POLICY STATE (dumpsys window policy)
    KeyguardServiceDelegate
      showing=true
      showingAndNotOccluded=true
      occluded=false
      secure=false
"""
DF = """Filesystem     1K-blocks     Used Available Use% Mounted on
/dev/block/dm-9 116372484 60000000  56241412  52% /data
"""
PACKAGE = """Packages:
  Package [com.example.reader.bench] (9a1b2c):
    userId=10234
    versionCode=7 minSdk=24 targetSdk=36
    versionName=1.2
    lastUpdateTime=2026-01-31 10:20:30
  Package [com.example.reader] (11):
    versionCode=9
"""


def test_facts() -> None:
    facts = read_facts("S1", GETPROP, CPUINFO, "MemTotal:  7890123 kB\n", "0-7\n", "6.1.0\n")
    assert facts.name == "Google Pixel 8"
    assert facts.system == "Android 14 (API 34)"
    assert facts.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert facts.cpu == "Google Tensor G3, 8 cores"
    assert facts.memory_bytes == 7890123 * 1024
    assert not facts.emulator
    assert not facts.virtual


def test_facts_of_a_phone_that_tells_little() -> None:
    facts = read_facts("S1", "[ro.build.version.sdk]: [24]\n", CPUINFO)
    assert facts.cpu == "Qualcomm Technologies, Inc SM8250, 2 cores"
    assert facts.name == "S1"
    assert facts.memory_bytes == 0
    assert facts.abis == ()


@pytest.mark.parametrize(
    ("line", "emulator", "virtual"),
    [
        ("[ro.kernel.qemu]: [1]", True, False),
        ("[ro.hardware]: [ranchu]", True, False),
        ("[ro.ortlab.virtual]: [1]", False, True),
        ("[ro.hardware]: [qcom]", False, False),
    ],
)
def test_what_is_no_phone_says_so(line: str, emulator: bool, virtual: bool) -> None:
    facts = read_facts("S1", line)
    assert (facts.emulator, facts.virtual) == (emulator, virtual)


def test_the_makers_name_is_not_said_twice() -> None:
    text = "[ro.product.manufacturer]: [OnePlus]\n[ro.product.model]: [ONEPLUS A6013]\n"
    assert read_facts("S1", text).name == "ONEPLUS A6013"


def test_a_property_may_span_lines() -> None:
    assert read_getprop(GETPROP)["persist.note"] == "two\nlines"
    assert read_getprop("[a]: [b]\r\n[c]: [d]\r\n") == {"a": "b", "c": "d"}


def test_battery() -> None:
    battery = read_battery(BATTERY)
    assert (battery.percent, battery.charging, battery.temperature_c) == (85.0, True, 28.5)
    assert (
        read_battery(BATTERY.replace("USB powered: true", "USB powered: false")).charging is False
    )
    assert read_battery("status: 5\nlevel: 3\nscale: 10\n").percent == 30.0
    assert read_battery("status: 5").charging is True
    nothing = read_battery("Can't find service: battery")
    assert (nothing.percent, nothing.charging, nothing.temperature_c) == (None, None, None)
    assert read_battery("temperature: 99999").temperature_c is None


def test_thermal_status() -> None:
    assert read_thermal_status(THERMAL) == "moderate"
    assert read_thermal_status("Can't find service: thermalservice") is None
    assert read_thermal_status("Thermal Status: 9") == "status 9"
    for number, word in enumerate(THERMAL_WORDS):
        assert read_thermal_status(f"Thermal Status: {number}\n") == word


def test_screen_and_lock() -> None:
    assert read_wakefulness("  mWakefulness=Dozing\n  mOther=1") == "Dozing"
    assert read_wakefulness("") is None
    assert read_keyguard(POLICY) == (True, False)
    assert read_keyguard(POLICY.replace("secure=false", "secure=true")) == (True, True)
    assert read_keyguard("mShowingLockscreen=false mDreamingLockscreen=true") == (False, None)
    assert read_keyguard("") == (None, None)


def test_low_power() -> None:
    assert [read_low_power(text) for text in ("1\n", "0\n", "null\n", "error")] == [
        True,
        False,
        False,
        None,
    ]


def test_room() -> None:
    assert read_free_bytes(DF) == 56241412 * 1024
    wrapped = DF.replace("/dev/block/dm-9 ", "/dev/block/a/very/long/name\n                ")
    assert read_free_bytes(wrapped) == 56241412 * 1024
    assert read_free_bytes("df: /data: Permission denied") is None


def test_frequencies_that_may_not_be_read_are_left_out() -> None:
    assert read_frequencies_khz("1800000\ncat: Permission denied\n2400000\n") == (1800000, 2400000)


def test_an_installed_package() -> None:
    found = read_package(PACKAGE, "com.example.reader.bench")
    assert found is not None
    assert (found.version_code, found.last_update_time) == (7, "2026-01-31 10:20:30")
    other = read_package(PACKAGE, "com.example.reader")
    assert other is not None
    assert (other.version_code, other.last_update_time) == (9, None)
    assert read_package(PACKAGE, "com.example") is None


def test_hashes_of_files_with_odd_names() -> None:
    digest = "a" * 64
    assert properties.hash_lines(f"{digest}  /data/a b'c.onnx\nsha256sum: /x: No such file\n") == {
        "/data/a b'c.onnx": digest
    }


READERS = (
    read_getprop,
    read_battery,
    read_thermal_status,
    read_low_power,
    read_wakefulness,
    read_keyguard,
    read_free_bytes,
    read_frequencies_khz,
    read_memory_bytes,
    properties.hash_lines,
    lambda text: read_package(text, "a.b"),
    lambda text: read_facts("S1", text, text, text, text, text),
)
GROUNDS = (GETPROP, CPUINFO, BATTERY, THERMAL, POLICY, DF, PACKAGE)


@given(
    st.sampled_from(GROUNDS),
    st.lists(st.tuples(st.integers(0, 400), st.text(max_size=6)), max_size=6),
)
def test_damaged_words_are_no_error(ground: str, changes: list[tuple[int, str]]) -> None:
    for place, text in changes:
        ground = ground[:place] + text + ground[place + len(text) :]
    for read in READERS:
        read(ground)
    battery = read_battery(ground)
    assert battery.percent is None or 0 <= battery.percent <= 100
    assert battery.temperature_c is None or -50 < battery.temperature_c < 150


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=5))
def test_answers_to_several_questions_are_told_apart(said: list[str]) -> None:
    said = [text.replace("=ortlab=", "") for text in said]
    commands = {str(number): ("true",) for number in range(len(said))}
    assert command_line(questions(commands)).count("echo") == len(said)
    stdout = "".join(f"=ortlab={number}=\n{text}" for number, text in enumerate(said))
    found = answers(commands, stdout)
    for number, text in enumerate(said):
        assert found[str(number)].rstrip("\n") == text.rstrip("\n")


def test_what_was_not_reached_is_empty() -> None:
    assert answers({"a": ("x",), "b": ("y",)}, "=ortlab=0=\nfound\n") == {"a": "found\n", "b": ""}
