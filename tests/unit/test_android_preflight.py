"""What a phone must be like before a block, and waiting until it is cool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ortlab.devices.android.preflight import check_fits, findings, warmth_of
from ortlab.devices.android.properties import Battery, PhoneFacts, PhoneStatus
from ortlab.devices.readiness import CoolDown, Limits, Readiness, check_ready
from ortlab.doctor import State
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import DeviceNotReadyError, InstallError

FACTS = PhoneFacts(
    serial="S1",
    manufacturer="Google",
    model="Pixel 8",
    release="14",
    api_level=34,
    abis=("arm64-v8a", "armeabi-v7a"),
    cpu="Tensor, 8 cores",
    memory_bytes=8 << 30,
)
READY = PhoneStatus(
    battery=Battery(percent=80.0, charging=True, temperature_c=28.0),
    thermal_status="none",
    low_power_mode=False,
    wakefulness="Awake",
    keyguard_showing=False,
    keyguard_secure=False,
    free_bytes=4 << 30,
)
APP = BuiltApp(
    platform=AppPlatform.ANDROID,
    files=(Path("bench.apk"),),
    sha256="0",
    application_id="com.example.reader.bench",
    version_code=1,
    version_name="1",
    abis=("arm64-v8a",),
    debuggable=False,
    size_by_part={},
    minimum_api_level=24,
)


def hot(celsius: float, status: str | None = "none") -> PhoneStatus:
    return replace(
        READY, battery=replace(READY.battery, temperature_c=celsius), thermal_status=status
    )


# ------------------------------------------------------------------------------ findings


def test_a_phone_that_is_ready() -> None:
    found = findings(FACTS, READY, Limits())
    assert {item.state for item in found} == {Readiness.OK}
    said: list[str] = []
    check_ready(found, "phone", said.append)
    assert said == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keyguard_showing": True, "keyguard_secure": True}, "locked"),
        ({"battery": Battery(percent=9.0, charging=False)}, "9 %"),
        ({"low_power_mode": True}, "Battery Saver"),
        ({"free_bytes": 1 << 20}, "GiB"),
    ],
)
def test_what_needs_a_person(changes: dict[str, Any], words: str) -> None:
    found = findings(FACTS, replace(READY, **changes), Limits())
    with pytest.raises(DeviceNotReadyError, match=words) as caught:
        check_ready(found, "phone", lambda _: None)
    assert caught.value.next_step


def test_a_screen_that_does_not_obey_needs_a_person() -> None:
    for status in (replace(READY, wakefulness="Asleep"), replace(READY, keyguard_showing=True)):
        check_ready(findings(FACTS, status, Limits()), "phone", lambda _: None)
        with pytest.raises(DeviceNotReadyError):
            check_ready(findings(FACTS, status, Limits(), woken=True), "phone", lambda _: None)


def test_a_phone_that_tells_nothing_is_warned_about_and_used() -> None:
    said: list[str] = []
    check_ready(findings(FACTS, PhoneStatus(), Limits()), "phone", said.append)
    assert len(said) == 5
    assert all(line.startswith("warning: phone: ") for line in said)


def test_a_system_that_is_too_old() -> None:
    old = replace(FACTS, api_level=23, release="6.0")
    with pytest.raises(DeviceNotReadyError, match="too old"):
        check_ready(findings(old, READY, Limits()), "phone", lambda _: None)


def test_the_words_are_those_of_the_doctor() -> None:
    assert {str(item) for item in Readiness} <= {str(state) for state in State}


def test_an_app_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    check_fits(APP, FACTS)
    check_fits(replace(APP, abis=()), FACTS)
    with pytest.raises(InstallError, match="x86_64") as caught:
        check_fits(replace(APP, abis=("x86_64",)), FACTS)
    assert caught.value.code == "INSTALL_FAILED_NO_MATCHING_ABIS"
    with pytest.raises(InstallError, match="API level 35") as caught:
        check_fits(replace(APP, minimum_api_level=35), FACTS)
    assert caught.value.code == "INSTALL_FAILED_OLDER_SDK"


# ------------------------------------------------------------------------------ cool-down


@dataclass
class Story:
    """Statuses a phone goes through, a step for each look."""

    statuses: list[PhoneStatus]
    said: list[str] = field(default_factory=list)
    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next: Iterator[PhoneStatus] = iter(self.statuses)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def read(self) -> PhoneStatus:
        return next(self._next, self.statuses[-1])

    def cool_down(self, limits: Limits) -> CoolDown[PhoneStatus]:
        return CoolDown(
            limits,
            read=self.read,
            warmth=warmth_of,
            say=self.said.append,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


LIMITS = Limits(cool_down_s=60, margin_c=3, poll_s=5)


def test_a_cool_phone_is_not_waited_for() -> None:
    story = Story([READY])
    cool_down = story.cool_down(LIMITS)
    for _ in range(3):
        assert cool_down.wait(READY) == READY
    assert (story.slept, story.said) == ([], [])


def test_throttling_is_waited_out() -> None:
    story = Story([hot(36, "moderate"), hot(33, "light"), hot(30, "none")])
    cool_down = story.cool_down(LIMITS)
    cool_down.wait(READY)
    assert cool_down.wait(hot(38, "severe")).thermal_status == "none"
    assert story.slept == [5, 5, 5]
    assert "thermal status severe" in story.said[0]
    assert "battery at 38.0 °C, wanted 31.0 °C" in story.said[0]


def test_warmth_alone_is_waited_for_at_most_once_as_long() -> None:
    story = Story([hot(34)])
    cool_down = story.cool_down(LIMITS)
    cool_down.wait(READY)
    cool_down.wait(hot(34))
    assert story.now == pytest.approx(60)
    assert "going on" in story.said[-1]
    cool_down.wait(hot(35))  # the new start is what it reached
    assert story.now == pytest.approx(60)


def test_a_phone_that_stays_too_hot_ends_the_run() -> None:
    story = Story([hot(48, "critical")])
    cool_down = story.cool_down(LIMITS)
    with pytest.raises(DeviceNotReadyError, match="still too hot"):
        cool_down.wait(hot(48, "critical"))
    assert story.now == pytest.approx(60)


def test_light_throttling_that_stays_is_said_and_marked_by_the_result() -> None:
    story = Story([hot(33, "light")])
    story.cool_down(LIMITS).wait(hot(33, "light"))
    assert story.now == pytest.approx(60)
    assert story.said[-1].startswith("warning:")


def test_a_phone_that_does_not_tell_is_warned_about_once() -> None:
    story = Story([READY])
    cool_down = story.cool_down(LIMITS)
    for _ in range(3):
        cool_down.wait(PhoneStatus())
    assert len(story.said) == 1
    assert story.slept == []
