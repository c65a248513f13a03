"""Which cell goes where: never to a wrong phone, the urgent first, and honest words otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_lab.forecast import estimate, forecast, grouped
from device_lab.planning import (
    OpenCell,
    ReadinessLimits,
    assign,
    choose_cell,
    order,
    unmet,
    unready,
    why_nowhere,
)
from device_lab.values import LabPhone, Requirements
from ortlab.domain import DeviceInfo, DeviceKind

NOW = datetime(2026, 11, 21, 22, tzinfo=UTC)
LIMITS = ReadinessLimits()


def make_phone(phone_id: str = "p", **changes: Any) -> LabPhone:
    info = DeviceInfo(
        device_id=phone_id,
        kind=changes.pop("platform", DeviceKind.ANDROID),
        name="a phone",
        os_version=changes.pop("os_version", "Android 14"),
        architecture="arm64-v8a",
        cpu="8 cores",
        memory_bytes=changes.pop("memory_bytes", 8 << 30),
        ort_version="1.31.1",
        available_providers=(),
    )
    phone = LabPhone(
        phone_id=phone_id,
        host_id="host-1",
        info=info,
        soc="SM8650",
        labels=("rack-1",),
        battery_percent=90.0,
        temperature_c=25.0,
        free_bytes=10 << 30,
        noise_floor=None,
        seen_at=NOW,
    )
    return replace(phone, **changes)


def make_cell(cell_id: str = "c", **changes: Any) -> OpenCell:
    cell = OpenCell(
        cell_id=cell_id,
        job_id="job",
        model="reader",
        requirements=Requirements(),
        priority=0,
        deadline=None,
        submitted_at=NOW,
    )
    return replace(cell, **changes)


@pytest.mark.parametrize(
    ("required", "word"),
    [
        ({"platform": DeviceKind.IOS}, "platform"),
        ({"soc": "Tensor G4"}, "SoC"),
        ({"min_os": "14.1"}, "older"),
        ({"max_os": "13"}, "newer"),
        ({"min_memory_bytes": 9 << 30}, "memory"),
        ({"labels": ("rack-1", "rack-9")}, "rack-9"),
    ],
)
def test_every_requirement_can_keep_a_phone_out(required: dict[str, Any], word: str) -> None:
    (reason,) = unmet(make_phone(), Requirements(**required))
    assert word in reason


def test_a_phone_that_meets_everything_is_kept_out_by_nothing() -> None:
    required = Requirements(
        platform=DeviceKind.ANDROID,
        soc="sm8650",
        min_os="14",
        max_os="14",
        min_memory_bytes=8 << 30,
        labels=("rack-1",),
    )
    assert unmet(make_phone(), required) == ()
    assert unmet(make_phone(os_version="Android 14.0.3"), required) == ()
    assert unmet(make_phone(os_version="Android"), required) != ()


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"battery_percent": 29.0}, "battery"),
        ({"temperature_c": 38.5}, "warmer"),
        ({"free_bytes": 1000}, "free space"),
        ({"seen_at": NOW - timedelta(minutes=3)}, "not seen"),
    ],
)
def test_a_phone_that_is_not_ready_gets_no_cell(state: dict[str, Any], word: str) -> None:
    phone = make_phone(**state)
    (reason,) = unready(phone, NOW, LIMITS)
    assert word in reason
    assert choose_cell(phone, [make_cell()], NOW, LIMITS) is None
    assert assign([phone], [make_cell()], NOW, LIMITS) == {}


def test_what_a_phone_does_not_tell_is_not_held_against_it() -> None:
    phone = make_phone(battery_percent=None, temperature_c=None, free_bytes=None)
    assert unready(phone, NOW, LIMITS) == ()


def test_priority_goes_before_deadline_before_age() -> None:
    cells = [
        make_cell("old", submitted_at=NOW - timedelta(days=1)),
        make_cell("later", deadline=NOW + timedelta(hours=2)),
        make_cell("sooner", deadline=NOW + timedelta(hours=1)),
        make_cell("first", priority=1),
        make_cell("new"),
    ]
    assert [cell.cell_id for cell in order(cells)] == ["first", "sooner", "later", "old", "new"]


def test_nothing_is_given_out_past_its_deadline() -> None:
    late, open_yet = make_cell("late", deadline=NOW), make_cell("open")
    in_time = make_cell("in time", deadline=NOW + timedelta(microseconds=1))
    phone, limits = make_phone("p"), ReadinessLimits()
    assert choose_cell(phone, [late], NOW, limits) is None
    assert choose_cell(phone, [late, open_yet], NOW, limits) == open_yet
    assert assign([phone], [late], NOW, limits) == {}
    assert assign([phone], [late, open_yet, in_time], NOW, limits) == {"in time": "p"}


def test_an_unknown_memory_is_called_unknown() -> None:
    phone = make_phone("p", memory_bytes=0)
    (words,) = unmet(phone, Requirements(min_memory_bytes=1))
    assert words == "its memory is not known yet: it tells it when it first measures"
    assert unmet(phone, Requirements()) == ()


def test_a_rare_phone_is_kept_for_the_cells_that_need_it() -> None:
    phones = [make_phone("a-rare", labels=("rare",)), make_phone("b-common")]
    picky = Requirements(labels=("rare",))
    cells = [make_cell("any"), make_cell("picky", requirements=picky, job_id="other")]
    assert assign(phones, cells, NOW, LIMITS) == {"any": "b-common", "picky": "a-rare"}


LABELS = ("x", "y", "z")
LABEL_SETS = st.sets(st.sampled_from(LABELS)).map(sorted).map(tuple)


@st.composite
def labs(draw: st.DrawFn) -> tuple[list[LabPhone], list[OpenCell]]:
    phones = [
        make_phone(
            f"p{at}",
            labels=draw(LABEL_SETS),
            battery_percent=draw(st.sampled_from([None, 10.0, 80.0])),
        )
        for at in range(draw(st.integers(0, 6)))
    ]
    required = {job: Requirements(labels=draw(LABEL_SETS)) for job in ("j0", "j1", "j2")}
    cells = []
    for at in range(draw(st.integers(0, 10))):
        job = draw(st.sampled_from(sorted(required)))
        cells.append(
            make_cell(
                f"c{at}",
                job_id=job,
                requirements=required[job],
                priority=draw(st.integers(-1, 1)),
                taken_phone_ids=frozenset(draw(st.sets(st.sampled_from(["p0", "p1", "p2"])))),
                home_phone_id=draw(st.sampled_from([None, None, "p3", "p4", "p9"])),
            )
        )
    return phones, cells


@given(labs())
def test_an_assignment_breaks_no_rule_and_leaves_no_phone_idle_for_nothing(
    lab: tuple[list[LabPhone], list[OpenCell]],
) -> None:
    phones, cells = lab
    by_phone = {phone.phone_id: phone for phone in phones}
    given_phones = assign(phones, cells, NOW, LIMITS)
    assert len(set(given_phones.values())) == len(given_phones)
    for cell in cells:
        phone_id = given_phones.get(cell.cell_id)
        if phone_id is None:
            idle = [p for p in phones if p.phone_id not in given_phones.values()]
            assert all(choose_cell(phone, [cell], NOW, LIMITS) is None for phone in idle)
        else:
            assert phone_id not in cell.taken_phone_ids
            assert cell.home_phone_id in (None, phone_id)
            assert unmet(by_phone[phone_id], cell.requirements) == ()
            assert unready(by_phone[phone_id], NOW, LIMITS) == ()
    assert given_phones == assign(phones[::-1], cells[::-1], NOW, LIMITS)


@given(labs())
def test_a_phone_is_given_the_first_cell_in_order_that_fits(
    lab: tuple[list[LabPhone], list[OpenCell]],
) -> None:
    phones, cells = lab
    for phone in phones:
        chosen = choose_cell(phone, cells, NOW, LIMITS)
        fitting = [c for c in order(cells) if choose_cell(phone, [c], NOW, LIMITS)]
        assert chosen == (fitting[0] if fitting else None)


def test_a_cell_that_was_begun_waits_for_its_phone_and_goes_first_there() -> None:
    fresh, begun = make_cell("c0"), make_cell("c1", home_phone_id="b")
    phones = [make_phone("a"), make_phone("b")]
    assert choose_cell(phones[0], [begun], NOW, LIMITS) is None
    assert choose_cell(phones[1], [fresh, begun], NOW, LIMITS) == begun
    assert assign(phones, [fresh, begun], NOW, LIMITS) == {"c0": "a", "c1": "b"}
    assert assign(phones[:1], [begun], NOW, LIMITS) == {}
    urgent = make_cell("c2", job_id="urgent", priority=1)
    assert choose_cell(phones[1], [begun, urgent], NOW, LIMITS) == urgent


def test_what_a_person_must_do_at_a_phone_keeps_it_from_cells() -> None:
    phone = make_phone(blocked="its screen is locked")
    assert unready(phone, NOW, LIMITS) == ("its screen is locked",)
    assert choose_cell(phone, [make_cell()], NOW, LIMITS) is None


def test_without_a_past_there_is_no_estimate() -> None:
    assert estimate([make_cell()], [make_phone()], {}) is None
    assert estimate([make_cell()], [make_phone()], {"reader": []}) is None


def test_an_estimate_counts_phones_what_runs_and_what_can_run_nowhere() -> None:
    past = {"reader": [10.0, 10.0, 40.0]}
    cells = [make_cell(f"c{at}", job_id=f"j{at}") for at in range(4)]
    lost = make_cell("lost", requirements=Requirements(labels=("none",)))
    told = estimate([*cells, lost], [make_phone("a"), make_phone("b")], past)
    assert told is not None
    assert (told.typical_s, told.cautious_s) == (20.0, 80.0)
    assert (told.counted_cells, told.unplaced_cells, told.past_durations) == (4, 1, 3)
    busy = estimate(cells, [make_phone("a"), make_phone("b")], past, {"a": 100.0})
    assert busy is not None
    assert busy.typical_s == 40.0


@given(labs(), st.lists(st.floats(1, 1000), min_size=1, max_size=20))
def test_an_estimate_lies_between_perfect_sharing_and_one_after_the_other(
    lab: tuple[list[LabPhone], list[OpenCell]], past: list[float]
) -> None:
    phones, cells = lab
    told = estimate(cells, phones, {"another": past})
    assert told is not None
    assert told.counted_cells + told.unplaced_cells == len(cells)
    assert told.typical_s <= told.cautious_s <= max(past) * told.counted_cells * (1 + 1e-9)
    if phones:
        assert told.typical_s >= min(past) * told.counted_cells / len(phones) * (1 - 1e-9)


@given(labs(), st.lists(st.floats(1, 1000), min_size=1, max_size=5))
def test_a_forecast_is_that_of_placing_one_cell_after_the_other(
    lab: tuple[list[LabPhone], list[OpenCell]], past: list[float]
) -> None:
    phones, cells = lab
    groups = grouped(cells)
    told = forecast(groups, phones, {"reader": past}, {"p0": 7.0})
    assert told is not None
    span_s = median(past)
    free_s = {"p0": 7.0}
    ends: dict[str, float] = {}
    for group in sorted(groups, key=lambda group: (group.rank, group.job_id)):
        used: set[str] = set(group.taken_phone_ids)
        fresh = [None] * (group.cell_count - len(group.home_phone_ids))
        for home in [*group.home_phone_ids, *fresh]:
            usable = [
                phone.phone_id
                for phone in phones
                if not unmet(phone, group.requirements)
                and (phone.phone_id == home if home else phone.phone_id not in used)
            ]
            if usable:
                chosen = min(usable, key=lambda one: (free_s.get(one, 0.0), one))
                free_s[chosen] = free_s.get(chosen, 0.0) + span_s
                used.add(chosen)
                ends[group.job_id] = max(ends.get(group.job_id, 0.0), free_s[chosen])
    assert {job_id: job.typical_s for job_id, job in told.items()} == {
        job_id: pytest.approx(ends.get(job_id, 0.0)) for job_id in told
    }


def test_it_is_said_why_a_job_can_run_nowhere() -> None:
    phones = [make_phone("a"), make_phone("b", platform=DeviceKind.IOS)]
    assert why_nowhere(Requirements(), phones) is None
    assert why_nowhere(Requirements(), []) == "the lab knows no phone yet"
    told = why_nowhere(Requirements(platform=DeviceKind.IOS, phone_count=2), phones)
    assert told is not None
    assert "1 of 2 known phones" in told
    assert "android, not ios" in told
    many = why_nowhere(Requirements(phone_count=3), phones)
    assert many is not None
    assert "3 distinct" in many
