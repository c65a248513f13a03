"""Nights against their control arm: never as if interleaved, never across controls."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_lab.history import (
    FEWEST_NIGHTS,
    History,
    Place,
    compare_periods,
    histories,
    night_of,
)
from device_lab.values import CellResult, Comparison

FIRST = datetime(2026, 11, 1, 23, tzinfo=UTC)


def make_result(number: int, log_ratio: float = 0.0, **changes: Any) -> CellResult:
    """Return the result of one night; the rounds scatter around the given log ratio."""
    arm, verdict = changes.pop("arm", "new"), changes.pop("verdict", "inconclusive")
    rounds = changes.pop("rounds", 4)
    comparison = Comparison(
        arm=arm,
        baseline="base",
        ratio=math.exp(log_ratio),
        low=0.9,
        high=1.1,
        verdict=verdict,
        sentence="",
        log_ratios=tuple(log_ratio + 0.02 * (-1) ** i for i in range(rounds)),
    )
    plain = CellResult(
        cell_id=f"cell-{number}",
        job_id="job",
        model="/models/reader",
        model_name="reader",
        phone_id="p1",
        phone_name="Phone 1",
        virtual=False,
        finished_at=FIRST + timedelta(days=number),
        control="a" * 64,
        control_label="base: .onnx",
        trust="A",
        comparisons=(comparison,),
        sentences=(),
    )
    return replace(plain, **changes)


def only(results: list[CellResult]) -> History:
    (history,) = histories(results)
    return history


# ---------------------------------------------------------------- nights


@pytest.mark.parametrize(
    ("at", "night"),
    [
        (datetime(2026, 11, 21, 22, tzinfo=UTC), date(2026, 11, 21)),
        (datetime(2026, 11, 22, 6, tzinfo=UTC), date(2026, 11, 21)),
        (datetime(2026, 11, 22, 12, tzinfo=UTC), date(2026, 11, 22)),
    ],
)
def test_a_night_ends_at_noon(at: datetime, night: date) -> None:
    assert night_of(at) == night


def test_a_night_ends_at_noon_where_the_lab_is() -> None:
    pacific = timezone(timedelta(hours=-8))
    evening = make_result(0, 0.02, finished_at=datetime(2026, 11, 22, 5, tzinfo=UTC))
    morning = make_result(1, 0.04, finished_at=datetime(2026, 11, 22, 14, tzinfo=UTC))
    (history,) = histories([evening, morning], zone=pacific)
    assert [night.night for night in history.segments[0].nights] == [date(2026, 11, 21)]
    assert len(only([evening, morning]).segments[0].nights) == 2


def test_experiments_of_one_night_are_one_value() -> None:
    evening = make_result(0, 0.02)
    morning = make_result(9, 0.04, finished_at=FIRST + timedelta(hours=5), trust="B")
    (night,) = only([morning, evening]).segments[0].nights
    assert night.ratio == pytest.approx(math.exp(0.03))
    assert (night.experiments, night.rounds, night.trust) == (2, 8, ("A", "B"))
    assert night.finished_at == morning.finished_at


def test_what_stands_twice_counts_once() -> None:
    assert histories([make_result(0), make_result(0)]) == histories([make_result(0)])


def test_arms_models_and_phones_have_histories_of_their_own() -> None:
    results = [
        make_result(0),
        make_result(1, arm="new, 2 threads"),
        make_result(2, phone_id="p2"),
        make_result(3, model_name="detector"),
    ]
    assert [(one.model_name, one.phone_id, one.arm) for one in histories(results)] == [
        ("detector", "p1", "new"),
        ("reader", "p1", "new"),
        ("reader", "p1", "new, 2 threads"),
        ("reader", "p2", "new"),
    ]


def test_nights_without_a_verdict_are_left_out_and_counted() -> None:
    history = only([make_result(0), make_result(1, verdict="no verdict"), make_result(2, rounds=1)])
    assert [night.night for night in history.segments[0].nights] == [FIRST.date()]
    assert history.left_out == 2
    assert "2 experiments support no verdict and are left out." in history.sentences
    nothing = only([make_result(0, verdict="no verdict")])
    assert nothing.segments == ()
    assert nothing.sentences[-1] == "No night supports a verdict."


def test_a_virtual_phone_is_shown_and_said_to_mean_nothing() -> None:
    history = only([make_result(0, verdict="no verdict", virtual=True)])
    assert history.virtual
    assert len(history.segments[0].nights) == 1
    assert "virtual device" in history.sentences[0]


# ---------------------------------------------------------------- the band


def test_the_band_is_the_prediction_interval_of_strictly_earlier_nights() -> None:
    logs = [0.01, 0.02, 0.03, 0.5]
    nights = only([make_result(i, log) for i, log in enumerate(logs)]).segments[0].nights
    assert [night.band is None for night in nights] == [True, True, True, False]
    assert [night.place for night in nights[:3]] == [Place.WITHOUT_BAND] * 3
    band = nights[3].band
    assert band is not None
    # t(0.975, 2) = 4.302653; mean 0.02, SD 0.01, 3 nights.
    half = 4.302653 * 0.01 * math.sqrt(1 + 1 / 3)
    assert (band.low, band.high) == pytest.approx((math.exp(0.02 - half), math.exp(0.02 + half)))
    assert band.nights == 3
    assert nights[3].place is Place.ABOVE
    assert only([make_result(i, -log) for i, log in enumerate(logs)]).segments[0].nights[
        3
    ].place is (Place.BELOW)


@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=10), st.floats(-0.3, 0.3))
def test_no_later_night_changes_what_is_said_of_an_earlier_one(
    logs: list[float], last: float
) -> None:
    results = [make_result(i, log) for i, log in enumerate(logs)]
    before = only(results).segments[0].nights
    after = only([*results, make_result(len(logs), last)]).segments[0].nights
    assert after[:-1] == before
    assert all((night.band is None) == (i < FEWEST_NIGHTS) for i, night in enumerate(after))


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_results_does_not_matter(shuffler: random.Random) -> None:
    results = [make_result(i, 0.01 * i, control="ab"[i % 2] * 64) for i in range(8)]
    expected = histories(results)
    shuffler.shuffle(results)
    assert histories(results) == expected


def test_nights_without_spread_have_a_band_without_width() -> None:
    nights = only([make_result(i, 0.01) for i in range(5)]).segments[0].nights
    assert [night.place for night in nights[3:]] == [Place.INSIDE] * 2


def test_a_night_lies_in_its_band_as_often_as_it_says(seed: int) -> None:
    generator = random.Random(seed)
    inside = 0
    for _ in range(400):
        results = [make_result(i, generator.gauss(0.02, 0.01)) for i in range(6)]
        inside += only(results).segments[0].nights[5].place is Place.INSIDE
    assert inside / 400 == pytest.approx(0.95, abs=0.035)


# ---------------------------------------------------------------- segments


def test_another_control_begins_another_segment_with_a_band_of_its_own() -> None:
    results = [make_result(i, 0.01 * (i % 2)) for i in range(4)]
    results += [make_result(i, 0.3, control="b" * 64) for i in range(4, 7)]
    history = only(results)
    assert [segment.control[0] for segment in history.segments] == ["a", "b"]
    assert [len(segment.nights) for segment in history.segments] == [4, 3]
    assert all(night.band is None for night in history.segments[1].nights)
    assert any("do not compare" in sentence for sentence in history.sentences)


# ---------------------------------------------------------------- periods


def days(first: int, last: int) -> tuple[date, date]:
    return FIRST.date() + timedelta(days=first), FIRST.date() + timedelta(days=last)


def test_periods_compare_with_nights_as_units() -> None:
    # Within a night the rounds scatter by 2 %, which must not count: nights are the units.
    earlier = [make_result(i, 0.001 * (i % 2), rounds=2) for i in range(4)]
    later = [make_result(4 + i, 0.05 + 0.001 * (i % 2), rounds=200) for i in range(4)]
    found = compare_periods(only(earlier + later), days(0, 3), days(4, 7))
    assert found.effect is not None
    assert found.effect.ratio == pytest.approx(math.exp(0.05))
    assert found.effect.low > 1
    assert found.effect.rounds == 4
    assert "slower" in found.sentence
    assert "4 and 4 nights" in found.sentence


def test_rounds_do_not_make_up_for_nights() -> None:
    results = [make_result(i, rounds=2) for i in range(3)]
    more = [make_result(3 + i, 0.05, rounds=1000) for i in range(2)]
    found = compare_periods(only(results + more), days(0, 2), days(3, 4))
    assert found.effect is None
    assert "3 and 2 nights" in found.sentence
    assert "at least 3 a side" in found.sentence


def test_periods_with_different_controls_do_not_compare() -> None:
    results = [make_result(i) for i in range(4)]
    results += [make_result(4 + i, control="b" * 64) for i in range(4)]
    found = compare_periods(only(results), days(0, 3), days(4, 7))
    assert found.effect is None
    assert "control arm changed" in found.sentence


@pytest.mark.parametrize(
    ("earlier", "later"), [((3, 0), (4, 7)), ((0, 3), (3, 7)), ((4, 7), (0, 3))]
)
def test_periods_that_overlap_or_run_backwards_are_refused(
    earlier: tuple[int, int], later: tuple[int, int]
) -> None:
    history = only([make_result(i) for i in range(8)])
    found = compare_periods(history, days(*earlier), days(*later))
    assert found.effect is None
    assert found.sentence.startswith("cannot compare these periods")


def test_sessions_alone_raise_no_alarm_between_periods(seed: int) -> None:
    # 1 % of every night its own: pooled rounds would claim a difference in a third of the cases.
    generator = random.Random(seed)
    claimed = 0
    for _ in range(300):
        results = [make_result(i, generator.gauss(0.0, 0.01), rounds=24) for i in range(8)]
        found = compare_periods(only(results), days(0, 3), days(4, 7)).effect
        assert found is not None
        claimed += not found.low <= 1 <= found.high
    assert claimed / 300 <= 0.09
