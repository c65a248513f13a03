"""A small seeded simulation; `benchmarks/simulate_*.py` are the large ones with the figures."""

from __future__ import annotations

import math

import pytest
import simulated

from ortlab.analysis import GateStatus, analyze, gate
from ortlab.domain import BlockCounts, Experiment, Verdict

EXPERIMENTS = 200


def experiment(seed: int, floor: float | None, *, name: str = "simulated") -> Experiment:
    return simulated.make_experiment(
        [simulated.make_arm("control"), simulated.make_arm("candidate")],
        experiment_id=name,
        rule=simulated.make_rule(floor=floor),
        seed=seed,
        counts=BlockCounts(parity=1, profile=1, memory=0, cold_start=0),
    )


@pytest.mark.parametrize(
    ("slowdown", "floor", "lowest", "highest"),
    [(0.0, None, 0.01, 0.09), (0.0, 0.02, 0.0, 0.05), (0.03, None, 0.95, 1.0)],
    ids=["A/A, floor off", "A/A, floor 2 %", "+3 %"],
)
def test_claims(
    seed: int, slowdown: float, floor: float | None, lowest: float, highest: float
) -> None:
    claims = 0
    for index in range(EXPERIMENTS):
        device = simulated.SimulatedDevice(
            noise=simulated.Noise(),
            seed=seed + index,
            effects={"candidate": math.log1p(slowdown)},
        )
        run = simulated.simulate(experiment(seed + index, floor), device)
        (comparison,) = analyze(run, checks=False).comparisons
        claims += comparison.verdict in (Verdict.FASTER, Verdict.SLOWER)
    assert lowest <= claims / EXPERIMENTS <= highest


def test_stored_sessions_claim_nothing_false(seed: int) -> None:
    """The new side is slower by exactly the limit: both pass and fail are false."""
    limit, false = 0.02, {"control": 0, "sessions": 0}
    trials = EXPERIMENTS // 4
    for trial in range(trials):
        sides = []
        for side, slowdown in (("base", 0.0), ("new", limit)):
            runs = []
            for index in range(3):
                own = seed + 100 * trial + 10 * len(side) + index
                device = simulated.SimulatedDevice(
                    noise=simulated.Noise(session=0.01),
                    seed=own,
                    effects={"candidate": math.log1p(slowdown)},
                )
                plan = experiment(own, 0.02, name=f"{side}-{index}")
                runs.append(simulated.simulate(plan, device))
            sides.append(runs)
        base, new = sides
        assert gate(new[:1], base=base[:1], max_slowdown=limit).status is GateStatus.REFUSED
        assert gate(new[:2], base=base[:2], max_slowdown=limit).status is GateStatus.REFUSED
        by_control = gate(new[:1], base=base[:1], control="control", max_slowdown=limit)
        by_session = gate(new, base=base, arms=["candidate"], max_slowdown=limit)
        decided = (GateStatus.PASS, GateStatus.FAIL)
        false["control"] += by_control.status in decided
        false["sessions"] += by_session.status in decided
    assert false["control"] <= 0.12 * trials
    assert false["sessions"] <= 0.12 * trials
