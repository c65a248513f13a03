"""A night's verdict: reruns alone decide, nothing is hidden, no cell is called equal."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_lab.night_gate import (
    CellKey,
    CellOutcome,
    NightStatus,
    Rerun,
    Screening,
    claims,
    decide_night,
    is_suspect,
    rerun_specs,
    suspects,
)
from device_lab.values import JobSpec, Requirements
from ortlab.config import BenchSection
from ortlab.errors import UsageError

ROUNDS = 12
RATIOS = st.lists(st.floats(-0.2, 0.2, allow_subnormal=False), min_size=2, max_size=12)
SLOW = (0.05, 0.04, 0.06) * 4
SAME = (0.01, -0.01, 0.005, -0.005) * 3


def screening(model: str = "reader", phone_id: str = "p1", **changes: Any) -> Screening:
    plain = Screening(
        key=CellKey(model=model, setting="", phone_id=phone_id),
        job_id="job",
        model_name=model,
        phone_name=f"Phone {phone_id}",
        log_ratios=SAME,
    )
    return replace(plain, **changes)


def draw(generator: random.Random, effect: float, spread: float = 0.03) -> tuple[float, ...]:
    return tuple(generator.gauss(effect, spread) for _ in range(ROUNDS))


# ---------------------------------------------------------------- screening


def test_a_cell_is_a_suspect_below_five_per_cent_two_sided_and_on_the_slower_side() -> None:
    assert is_suspect(SLOW, limit=0.0)
    assert not is_suspect([-value for value in SLOW], limit=0.0)
    # t(0.975, 3) = 3.182: mean 0.032 with SD 0.02 gives t = 3.2, mean 0.031 gives t = 3.1.
    wiggle = [0.02 * math.sqrt(3) / 2 * sign for sign in (1, -1, 1, -1)]
    assert is_suspect([0.032 + w for w in wiggle], limit=0.0)
    assert not is_suspect([0.031 + w for w in wiggle], limit=0.0)


def test_a_limit_moves_what_is_suspect() -> None:
    assert is_suspect(SLOW, limit=0.03)
    assert not is_suspect(SLOW, limit=0.05)


def test_only_usable_cells_can_be_suspects() -> None:
    broken = screening("broken", log_ratios=SLOW, reason="a virtual device")
    empty = screening("empty", log_ratios=())
    slow = screening("slow", log_ratios=SLOW)
    assert suspects([broken, screening(), slow, empty], limit=0.0) == (slow,)


# ---------------------------------------------------------------- the verdict


def test_the_rerun_alone_decides() -> None:
    slow = screening(log_ratios=(0.3, 0.31, 0.29) * 4)
    (cell,) = decide_night([slow], {slow.key: Rerun(log_ratios=SAME)}, limit=0.0).cells
    assert cell.outcome is CellOutcome.NOT_CONFIRMED
    assert cell.ratio == pytest.approx(1.0)

    barely = screening(log_ratios=SLOW)
    verdict = decide_night([barely], {barely.key: Rerun(log_ratios=SLOW)}, limit=0.0)
    assert verdict.cells[0].outcome is CellOutcome.SLOWER
    assert verdict.status is NightStatus.FAIL
    assert "5.1 % slower than its base" in verdict.cells[0].sentence
    assert "12 rounds" in verdict.cells[0].sentence


def test_a_rerun_of_a_cell_that_is_no_suspect_counts_for_nothing() -> None:
    calm = screening()
    verdict = decide_night([calm], {calm.key: Rerun(log_ratios=SLOW)}, limit=0.0)
    assert verdict.cells[0].outcome is CellOutcome.NO_SLOWDOWN_SEEN
    assert verdict.cells[0].rerun_p is None
    assert verdict.status is NightStatus.PASS


def test_no_cell_is_ever_called_equal_or_fast() -> None:
    verdict = decide_night([screening(log_ratios=(0.0,) * 12)], {}, limit=0.0)
    words = " ".join([verdict.sentence, *(cell.sentence for cell in verdict.cells)]).lower()
    assert "no slowdown" in words
    assert not {"equal", "equivalent", "same", "faster"} & set(words.replace(":", " ").split())


def test_holm_runs_over_the_suspects_and_not_over_all_cells() -> None:
    # A rerun with p = 0.03 stands when it is the only suspect, and falls beside another open one.
    spread = [0.02 * sign for sign in (1, -1, 1, -1)]
    weak = tuple(0.0357 + value for value in spread)
    others = [screening(f"calm{index}") for index in range(100)]
    slow = screening("slow", log_ratios=SLOW)
    (alone,) = decide_night([slow, *others], {slow.key: Rerun(log_ratios=weak)}, limit=0.0).of(
        CellOutcome.SLOWER
    )
    assert alone.rerun_p is not None
    assert 0.025 < alone.rerun_p < 0.05
    second = screening("second", log_ratios=SLOW)
    reruns = {slow.key: Rerun(log_ratios=weak), second.key: Rerun(log_ratios=SAME)}
    beside = decide_night([slow, second, *others], reruns, limit=0.0)
    assert not beside.of(CellOutcome.SLOWER)


@pytest.mark.parametrize(
    "rerun", [None, Rerun(), Rerun(log_ratios=(0.5,)), Rerun(log_ratios=SLOW, reason="throttled")]
)
def test_a_suspect_without_a_usable_rerun_stays_open_and_counts_as_one(rerun: Rerun | None) -> None:
    slow, other = screening(log_ratios=SLOW), screening("other", log_ratios=SLOW)
    reruns = {other.key: Rerun(log_ratios=SLOW)}
    if rerun is not None:
        reruns[slow.key] = rerun
    verdict = decide_night([slow, other], reruns, limit=0.0)
    (cell,) = verdict.of(CellOutcome.NOT_RERUN)
    assert cell.screening is slow
    assert cell.rerun_p == 1.0
    assert [one.screening for one in verdict.of(CellOutcome.SLOWER)] == [other]
    assert decide_night([slow], {}, limit=0.0).status is NightStatus.INCONCLUSIVE


def test_a_claim_exceeds_the_noise_floor_of_its_phone() -> None:
    slow = screening(log_ratios=SLOW, noise_floor=0.08)
    verdict = decide_night([slow], {slow.key: Rerun(log_ratios=SLOW)}, limit=0.0)
    assert verdict.cells[0].outcome is CellOutcome.BELOW_FLOOR
    assert "noise floor of 8 %" in verdict.cells[0].sentence
    assert verdict.status is NightStatus.PASS
    quiet = replace(slow, noise_floor=0.02)
    verdict = decide_night([quiet], {slow.key: Rerun(log_ratios=SLOW)}, limit=0.0)
    assert verdict.status is NightStatus.FAIL


@pytest.mark.parametrize(("complete", "status"), [(False, "pass"), (True, "inconclusive")])
def test_a_missing_cell_is_told_and_decides_when_completeness_is_asked(
    complete: bool, status: str
) -> None:
    missing = screening("lost", log_ratios=(), reason="the phone answers no more.")
    verdict = decide_night([screening(), missing], {}, limit=0.0, complete=complete)
    assert verdict.status == status
    (cell,) = verdict.of(CellOutcome.NOT_MEASURED)
    assert cell.sentence.endswith("no usable result: the phone answers no more.")
    assert "1 cell without a usable result" in verdict.sentence


def test_a_night_without_anything_is_no_pass() -> None:
    assert decide_night([], {}, limit=0.0).status is NightStatus.INCONCLUSIVE
    missing = screening(log_ratios=(), reason="lost")
    assert decide_night([missing], {}, limit=0.0).status is NightStatus.INCONCLUSIVE


def test_a_slow_cell_fails_the_night_whatever_else_is_missing() -> None:
    slow, missing = screening(log_ratios=SLOW), screening("lost", log_ratios=(), reason="lost")
    reruns = {slow.key: Rerun(log_ratios=SLOW)}
    verdict = decide_night([missing, slow], reruns, limit=0.02, complete=True)
    assert verdict.status is NightStatus.FAIL
    assert verdict.sentence.startswith("fail: 1 of 2 cells slower by more than 2 %")


def test_a_cell_stands_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        decide_night([screening(), screening()], {}, limit=0.0)


@given(st.lists(st.tuples(RATIOS, RATIOS), max_size=8), st.floats(0, 0.1))
def test_every_cell_gets_one_outcome_and_claims_need_two_slow_experiments(
    pairs: list[tuple[list[float], list[float]]], limit: float
) -> None:
    cells = [screening(str(i), log_ratios=tuple(first)) for i, (first, _) in enumerate(pairs)]
    reruns = {
        cell.key: Rerun(log_ratios=tuple(second))
        for cell, (_, second) in zip(cells, pairs, strict=True)
    }
    verdict = decide_night(cells, reruns, limit=limit)
    assert [cell.screening for cell in verdict.cells] == cells
    for cell, (first, second) in zip(verdict.cells, pairs, strict=True):
        if cell.outcome is CellOutcome.SLOWER:
            assert math.fsum(first) / len(first) > math.log1p(limit)
            assert math.fsum(second) / len(second) > math.log1p(limit)
            assert cell.rerun_p is not None
            assert cell.rerun_p <= 0.05
        assert cell.screening.name in cell.sentence
    assert (verdict.status is NightStatus.FAIL) == bool(verdict.of(CellOutcome.SLOWER))


@given(st.lists(RATIOS, max_size=6), st.lists(st.floats(0, 0.1), min_size=6, max_size=6))
def test_floors_only_ever_take_claims_away(reruns: list[list[float]], floors: list[float]) -> None:
    without = claims(reruns, [None] * len(reruns), limit=0.0)
    with_floors = claims(reruns, floors[: len(reruns)], limit=0.0)
    assert all(free or not held for free, held in zip(without, with_floors, strict=True))


def test_nights_without_a_slowdown_claim_one_as_seldom_as_they_say(seed: int) -> None:
    generator = random.Random(seed)
    alarms = 0
    for _ in range(300):
        first = [screening(str(i), log_ratios=draw(generator, 0.0)) for i in range(40)]
        chosen = suspects(first, limit=0.0)
        again = {cell.key: Rerun(log_ratios=draw(generator, 0.0)) for cell in chosen}
        alarms += decide_night(first, again, limit=0.0).status is NightStatus.FAIL
    # At most 5 % where there is a suspect (0.63 of nights): 15 ± 4 of 300.
    assert 1 <= alarms <= 27


# ---------------------------------------------------------------- the rerun's jobs


def make_spec(**changes: Any) -> JobSpec:
    plain = JobSpec(
        name="night, screening",
        models=("reader", "detector"),
        bench=BenchSection(against=("base",), seed=7, min_rounds=24, max_rounds=24),
        requirements=Requirements(labels=("rack-1",), phone_count=3),
        priority=4,
    )
    return replace(plain, **changes)


def test_suspects_are_rerun_on_their_phone_with_another_seed_and_nothing_else_changed() -> None:
    spec = make_spec()
    chosen = [
        screening("reader", "p1"),
        screening("detector", "p1"),
        screening("reader", "p2"),
    ]
    planned = rerun_specs(chosen, {"job": spec})
    assert [(one.models, one.requirements.phone_ids) for one, _ in planned] == [
        (("reader", "detector"), ("p1",)),
        (("reader",), ("p2",)),
    ]
    assert [cell for _, group in planned for cell in group] == chosen
    for one, _ in planned:
        assert one.bench.seed != spec.bench.seed
        assert replace(one.bench, seed=7) == spec.bench
        assert one.requirements == replace(
            spec.requirements, phone_count=1, phone_ids=one.requirements.phone_ids
        )
        assert (one.priority, one.retries) == (spec.priority, spec.retries)
    assert len({one.digest for one, _ in planned} | {spec.digest}) == 3


def test_the_same_suspects_give_the_same_jobs() -> None:
    chosen = [screening("reader", "p1"), screening("reader", "p2")]
    first = rerun_specs(chosen, {"job": make_spec()})
    assert [one.digest for one, _ in first] == [
        one.digest for one, _ in rerun_specs(chosen, {"job": make_spec()})
    ]
    assert rerun_specs([], {}) == ()


def test_jobs_of_different_bases_are_rerun_apart() -> None:
    chosen = [screening("reader"), screening("detector", job_id="other")]
    other = make_spec(bench=replace(make_spec().bench, against=("other-base",)))
    planned = rerun_specs(chosen, {"job": make_spec(), "other": other})
    assert [one.bench.against for one, _ in planned] == [("base",), ("other-base",)]
