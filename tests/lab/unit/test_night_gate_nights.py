"""The simulated nights of `benchmarks/simulate_nights.py`: their draws, and few of them."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def nights() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    import simulate_nights

    return simulate_nights


def test_draws_are_those_of_the_noise_model(nights: Any, seed: int) -> None:
    simulated = nights.simulated
    from ortlab.rounds import log_ratios

    arms = [simulated.make_arm("base"), simulated.make_arm("new")]
    rule = simulated.make_rule(looks=(24,), look_alpha=0.05)
    counts = simulated.BlockCounts(parity=1, profile=1, memory=0, cold_start=0)
    one_by_one = []
    for number in range(60):
        experiment = simulated.make_experiment(arms, rule=rule, seed=number, counts=counts)
        device = simulated.SimulatedDevice(
            noise=nights.NOISE, seed=seed + number, effects={"new": math.log1p(0.03)}
        )
        run = simulated.simulate(experiment, device)
        one_by_one.append(log_ratios(experiment, run.blocks, "new"))
    at_once = nights.draw_log_ratios(np.random.default_rng(seed), [math.log1p(0.03)] * 2000, 24)
    assert np.shape(one_by_one) == (60, 24)
    # 1,440 ratios know the mean to 0.0008 and the SD to 2 %, one SD each; these are four.
    assert np.mean(one_by_one) == pytest.approx(at_once.mean(), abs=0.0032)
    assert np.std(one_by_one) == pytest.approx(at_once.std(), rel=0.08)
    # And so do the means of whole experiments, in which the drift cancels: 60 know theirs to 9 %.
    assert np.std(np.mean(one_by_one, axis=1)) == pytest.approx(at_once.mean(1).std(), rel=0.37)


def test_the_order_of_the_draws_is_balanced(nights: Any, seed: int) -> None:
    quiet = nights.simulated.Noise(process=0, iteration=0, spike_share=0, drift=0.1, session=0.5)
    noisy, nights.NOISE = nights.NOISE, quiet
    try:
        ratios = nights.draw_log_ratios(np.random.default_rng(seed), [0.0] * 50, 24)
    finally:
        nights.NOISE = noisy
    # Only the drift is left: AB and BA in each square, so that it cancels in every two rounds.
    assert np.abs(ratios) == pytest.approx(np.full((50, 24), 0.1), abs=1e-3)
    pairs = ratios.reshape(50, 12, 2).sum(axis=2)
    assert pairs == pytest.approx(np.zeros((50, 12)), abs=1e-3)
    assert 0.4 < (ratios[:, 0] > 0).mean() < 0.6 or len(ratios) < 50


def test_slowdowns_are_found_and_little_else(nights: Any, seed: int) -> None:
    row = nights.Row(name="", slower=5, effect=0.03)
    outcome = nights.run_row(row, nights=6, cells=150, rounds=24, seed=seed)
    assert outcome.power >= 0.8
    assert outcome.false_alarms <= 0.5


def test_sessions_apart_are_what_the_lab_does_not_do(nights: Any, seed: int) -> None:
    apart = nights.Row(name="", interleaved=False)
    together = nights.Row(name="")
    wrong = nights.run_row(apart, nights=2, cells=150, rounds=24, seed=seed)
    right = nights.run_row(together, nights=2, cells=150, rounds=24, seed=seed)
    assert wrong.suspects > 3 * right.suspects
