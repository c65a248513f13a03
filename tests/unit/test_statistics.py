from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import StoppingRule, Verdict
from ortlab.errors import BenchmarkError, UsageError
from ortlab.statistics import (
    POCOCK_TABLE,
    balanced_order,
    bootstrap_median,
    decide,
    default_looks,
    effect,
    holm,
    interval,
    median,
    noise_floor,
    percentile,
    pocock_alpha,
    sign_flip_p,
    simulate_pocock_alpha,
    slowdown_p,
    square_size,
    tukey_outlier_count,
)

LOG_RATIOS = st.lists(st.floats(-0.5, 0.5, allow_subnormal=False), min_size=2, max_size=30)
OPPOSITE = {
    Verdict.FASTER: Verdict.SLOWER,
    Verdict.SLOWER: Verdict.FASTER,
    Verdict.EQUIVALENT: Verdict.EQUIVALENT,
    Verdict.INCONCLUSIVE: Verdict.INCONCLUSIVE,
}


def rule(*, floor: float | None = None, comparisons: int = 1) -> StoppingRule:
    looks = default_looks(2)
    return StoppingRule(
        looks=looks,
        family_alpha=0.05,
        look_alpha=pocock_alpha(looks),
        comparisons=comparisons,
        floor=floor,
    )


# ---------------------------------------------------------------- looks


@pytest.mark.parametrize(
    ("arms", "looks"),
    [
        (2, (8, 12, 16, 24)),
        (3, (6, 12, 18, 24)),
        (4, (8, 12, 16, 24)),
        (5, (10, 20, 30)),
        (1, (8,)),
    ],
)
def test_looks_are_those_of_the_method(arms: int, looks: tuple[int, ...]) -> None:
    assert default_looks(arms) == looks


@given(arms=st.integers(2, 12), first=st.integers(2, 24), extra=st.integers(0, 40))
def test_looks_ascend_by_whole_squares_and_reach_the_last(
    arms: int, first: int, extra: int
) -> None:
    looks = default_looks(arms, first=first, last=first + extra)
    assert list(looks) == sorted(set(looks))
    assert all(look % square_size(arms) == 0 for look in looks)
    assert first + extra <= looks[-1] < first + extra + square_size(arms)


@pytest.mark.parametrize(("first", "last"), [(1, 8), (9, 8)])
def test_looks_that_mean_nothing_are_refused(first: int, last: int) -> None:
    with pytest.raises(UsageError):
        default_looks(2, first=first, last=last)


@pytest.mark.parametrize("looks", list(POCOCK_TABLE))
def test_table_agrees_with_a_simulation(looks: tuple[int, ...]) -> None:
    # 100,000 experiments know the family rate to ± 0.0007 (one SD): 4 SD in alpha are some 6 %.
    simulated = simulate_pocock_alpha(looks, 0.05, experiments=100_000)
    assert simulated == pytest.approx(POCOCK_TABLE[looks], rel=0.06)


def test_alpha_of_the_default_looks_is_pococks() -> None:
    assert pocock_alpha((8, 12, 16, 24)) == pytest.approx(0.018, abs=0.0005)


@pytest.mark.parametrize("arms", range(2, 9))
def test_every_default_plan_stands_in_the_table(arms: int) -> None:
    looks = default_looks(arms)
    assert len(looks) == 1 or looks in POCOCK_TABLE


def test_one_look_spends_all_of_alpha() -> None:
    assert pocock_alpha((8,), 0.05) == 0.05


def test_other_looks_are_simulated_the_same_each_time() -> None:
    first = simulate_pocock_alpha((4, 6), 0.1, experiments=20_000)
    simulate_pocock_alpha.cache_clear()
    assert simulate_pocock_alpha((4, 6), 0.1, experiments=20_000) == first
    assert 0.05 < first < 0.1


@pytest.mark.parametrize(("looks", "alpha"), [((), 0.05), ((1, 8), 0.05), ((8, 8), 0.05)])
def test_alpha_of_impossible_looks_is_refused(looks: tuple[int, ...], alpha: float) -> None:
    with pytest.raises(UsageError):
        pocock_alpha(looks, alpha)


# ---------------------------------------------------------------- order


@given(arms=st.integers(1, 8), seed=st.integers(0, 2**32), square=st.integers(0, 50))
def test_each_square_is_balanced(arms: int, seed: int, square: int) -> None:
    size = square_size(arms)
    rows = [balanced_order(arms, square * size + row, seed) for row in range(size)]
    assert all(sorted(row) == list(range(arms)) for row in rows)
    places = Counter((place, arm) for row in rows for place, arm in enumerate(row))
    follows = Counter((row[i], row[i + 1]) for row in rows for i in range(arms - 1))
    assert set(places.values()) == {size // max(arms, 1)}
    assert len(set(follows.values())) <= 1
    assert len(follows) == arms * (arms - 1)


def test_two_arms_alternate_at_random() -> None:
    starts = [balanced_order(2, 2 * pair, 5)[0] for pair in range(40)]
    assert set(starts) == {0, 1}
    for pair in range(40):
        assert balanced_order(2, 2 * pair, 5) == balanced_order(2, 2 * pair + 1, 5)[::-1]


# ---------------------------------------------------------------- effects and verdicts


@given(LOG_RATIOS)
def test_exchanging_arm_and_baseline_mirrors_everything(ratios: list[float]) -> None:
    mirrored = [-value for value in ratios]
    there, back = effect(ratios, alpha=0.02), effect(mirrored, alpha=0.02)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high)
    assert there.sign_flip_p == pytest.approx(back.sign_flip_p, abs=0.01)
    for floor in (None, 0.03):
        assert decide(mirrored, rule(floor=floor)) is OPPOSITE[decide(ratios, rule(floor=floor))]


@given(
    st.lists(st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)), min_size=2, max_size=24),
    st.floats(1e-6, 1e6),
)
def test_units_do_not_matter(pairs: list[tuple[float, float]], scale: float) -> None:
    plain = [math.log(arm / base) for arm, base in pairs]
    scaled = [math.log(arm * scale / (base * scale)) for arm, base in pairs]
    assert effect(plain, alpha=0.05, checks=False).ratio == pytest.approx(
        effect(scaled, alpha=0.05, checks=False).ratio
    )


@given(LOG_RATIOS, st.floats(0.001, 0.2))
def test_interval_holds_the_mean_and_narrows_with_alpha(ratios: list[float], alpha: float) -> None:
    mean, low, high = interval(ratios, alpha=alpha)
    _, wide_low, wide_high = interval(ratios, alpha=alpha / 2)
    assert wide_low <= low <= mean <= high <= wide_high


def test_interval_covers_as_often_as_it_says(seed: int) -> None:
    generator = random.Random(seed)
    covered = 0
    for _ in range(4000):
        values = [generator.gauss(0.01, 0.03) for _ in range(8)]
        _, low, high = interval(values, alpha=0.05)
        covered += low <= 0.01 <= high
    assert covered / 4000 == pytest.approx(0.95, abs=0.012)


def test_interval_is_the_textbook_one() -> None:
    # t(0.975, 3) = 3.18245; the values have mean 0.025 and SD 0.0129099.
    mean, low, high = interval([0.01, 0.02, 0.03, 0.04], alpha=0.05)
    half = 3.182446 * 0.01290994 / 2
    expected = (0.025, 0.025 - half, 0.025 + half)
    assert (mean, low, high) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("values", [[], [0.1]])
def test_an_interval_needs_two_rounds(values: list[float]) -> None:
    with pytest.raises(BenchmarkError):
        interval(values, alpha=0.05)
    assert decide(values, rule()) is Verdict.INCONCLUSIVE


def test_verdicts() -> None:
    wiggle = [0.001, -0.001] * 4
    assert decide([0.05 + w for w in wiggle], rule()) is Verdict.SLOWER
    assert decide([-0.05 + w for w in wiggle], rule()) is Verdict.FASTER
    assert decide(wiggle, rule()) is Verdict.EQUIVALENT
    assert decide([0.05, -0.04] * 4, rule()) is Verdict.INCONCLUSIVE


def test_a_floor_turns_a_small_proven_effect_into_equivalence() -> None:
    small = [0.015 + w for w in [0.001, -0.001] * 4]
    assert decide(small, rule()) is Verdict.SLOWER
    assert decide(small, rule(floor=0.03)) is Verdict.EQUIVALENT


def test_more_comparisons_ask_for_more() -> None:
    ratios = [0.04 + w for w in [0.03, -0.03] * 4]
    assert decide(ratios, rule()) is Verdict.SLOWER
    assert decide(ratios, rule(comparisons=10)) is Verdict.INCONCLUSIVE


def test_rounds_without_spread_do_not_divide_by_zero() -> None:
    assert decide([0.0] * 8, rule()) is Verdict.EQUIVALENT
    assert decide([0.1] * 8, rule()) is Verdict.SLOWER


def test_sign_flip_is_exact_for_few_rounds() -> None:
    assert sign_flip_p([0.01] * 8) == 2 / 256
    assert sign_flip_p([0.01, -0.01]) == 1.0


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=9))
def test_sign_flip_equals_brute_force(thousandths: list[int]) -> None:
    count = 0
    for pattern in range(1 << len(thousandths)):
        flipped = [v if pattern >> i & 1 else -v for i, v in enumerate(thousandths)]
        count += abs(sum(flipped)) >= abs(sum(thousandths))
    values = [value / 1000 for value in thousandths]
    assert sign_flip_p(values) == count / (1 << len(values))


def test_sampled_sign_flip_is_near_the_exact_one_and_repeats() -> None:
    values = [0.01 * (1 + i % 5) * (-1) ** (i % 3 == 0) for i in range(17)]
    exact = np.array([1.0])
    for value in values:
        exact = np.concatenate([exact + value, exact - value])
    share = (abs(exact - 1.0) >= abs(sum(values)) - 1e-12).mean()
    assert sign_flip_p(values) == pytest.approx(share, abs=0.01)
    assert sign_flip_p(values) == sign_flip_p(values)


def test_bootstrap_holds_the_median_and_repeats() -> None:
    values = [0.01 * i for i in range(12)]
    low, high = bootstrap_median(values)
    assert low < math.exp(median(values)) < high
    assert bootstrap_median(values) == (low, high)


# ---------------------------------------------------------------- slower than a limit?


def test_slowdown_p_is_the_textbook_one() -> None:
    # Mean 0.025, SD 0.0129099, 4 rounds: t = 3.872983; P(T > t), 3 degrees of freedom = 0.015233.
    assert slowdown_p([0.01, 0.02, 0.03, 0.04], limit=0.0) == pytest.approx(0.015233, rel=1e-3)


@given(LOG_RATIOS, st.floats(0, 0.5))
def test_slowdown_p_agrees_with_scipys_own_test(ratios: list[float], limit: float) -> None:
    from scipy.stats import ttest_1samp

    if np.std(ratios) > 1e-6:
        expected = ttest_1samp(ratios, math.log1p(limit), alternative="greater").pvalue
        assert slowdown_p(ratios, limit=limit) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(LOG_RATIOS, st.floats(0, 0.2), st.floats(0, 0.2))
def test_a_higher_limit_never_lowers_the_p_of_a_slowdown(
    ratios: list[float], limit: float, more: float
) -> None:
    assert 0 <= slowdown_p(ratios, limit=limit) <= slowdown_p(ratios, limit=limit + more) <= 1


@given(LOG_RATIOS, st.floats(0.001, 0.05))
def test_slowdown_p_and_the_two_sided_interval_say_the_same(
    ratios: list[float], alpha: float
) -> None:
    _, low, _ = interval(ratios, alpha=alpha)
    if abs(low) > 1e-9:
        assert (slowdown_p(ratios, limit=0.0) < alpha / 2) == (low > 0)


@given(LOG_RATIOS)
def test_slower_one_way_is_faster_the_other(ratios: list[float]) -> None:
    if np.std(ratios) > 1e-6:
        mirrored = slowdown_p([-value for value in ratios], limit=0.0)
        assert slowdown_p(ratios, limit=0.0) + mirrored == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ratios", "p"), [([], 1.0), ([0.5], 1.0), ([0.1] * 8, 0.0), ([0.0] * 8, 1.0), ([-0.1] * 8, 1)]
)
def test_slowdown_p_without_spread_or_rounds(ratios: list[float], p: float) -> None:
    assert slowdown_p(ratios, limit=0.0) == p


def test_rounds_exactly_at_the_limit_are_no_slowdown_beyond_it() -> None:
    assert slowdown_p([math.log1p(0.02)] * 8, limit=0.02) == 1.0


@pytest.mark.parametrize(
    ("ratios", "limit"),
    [([math.nan, 0.0], 0.0), ([math.inf, 0.0], 0.0), ([1e200] * 2, 0.0), ([0.0] * 3, math.nan)],
)
def test_slowdown_p_of_what_is_no_number_is_refused(ratios: list[float], limit: float) -> None:
    with pytest.raises(UsageError):
        slowdown_p(ratios, limit=limit)


def test_slowdown_p_is_uniform_when_nothing_changed(seed: int) -> None:
    generator = random.Random(seed)
    below = sum(
        slowdown_p([generator.gauss(0.0, 0.03) for _ in range(12)], limit=0.0) < 0.025
        for _ in range(4000)
    )
    assert below / 4000 == pytest.approx(0.025, abs=0.008)


# ---------------------------------------------------------------- corrections, description


def test_holm_steps_down_and_stops() -> None:
    assert holm([0.01, 0.04, 0.03], 0.05) == (True, False, False)
    assert holm([0.001, 0.02, 0.03], 0.05) == (True, True, True)
    assert holm([], 0.05) == ()


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_all_that_bonferroni_does_and_never_more_than_no_correction(
    p_values: list[float],
) -> None:
    for p, rejected in zip(p_values, holm(p_values, 0.05), strict=True):
        assert rejected or p > 0.05 / len(p_values)
        assert not rejected or p <= 0.05


def test_noise_floor_is_the_95th_percentile_of_sizes() -> None:
    effects = [(-1) ** i * i / 1000 for i in range(21)]
    assert noise_floor(effects) == pytest.approx(math.expm1(0.019))
    with pytest.raises(BenchmarkError, match="20"):
        noise_floor(effects[:19])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40), st.floats(0, 100))
def test_order_statistics_agree_with_numpy(values: list[float], percent: float) -> None:
    assert median(values) == pytest.approx(float(np.median(values)))
    assert percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)))


def test_outliers_lie_beyond_tukeys_fences() -> None:
    assert tukey_outlier_count([1.0] * 10 + [2.0]) == 1
    assert tukey_outlier_count(list(range(20))) == 0
    assert tukey_outlier_count([]) == 0


def test_nothing_has_no_median() -> None:
    with pytest.raises(BenchmarkError):
        median([])
    with pytest.raises(BenchmarkError):
        percentile([], 50)
