"""Simulated stored sessions through the real planner, analysis and gate.

    python benchmarks/simulate_sessions.py [--experiments 2000] [--seed 20261121]

Each trial simulates three sessions a side; every session has an effect of its own (1 %) on all its
latencies, and measures the arm under test beside a control arm. The new side is slower by exactly
the gate's limit, so that both "pass" and "fail" are false. Takes about three minutes on one core
for 2,000 trials.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))

import simulated

from ortlab.analysis import GateResult, GateStatus, gate
from ortlab.analysis.power import welch_effect
from ortlab.domain import Arm, BlockCounts, Run
from ortlab.rounds import block_medians

DEFAULT_SEED = 20261121
LIMIT = 0.02
SESSION_EFFECT = 0.01
MOST_FALSE = 0.06
VERDICTS = (GateStatus.PASS, GateStatus.FAIL)
SIDE = 3


def simulate_session(name: str, arms: tuple[Arm, Arm], slowdown: float, seed: int) -> Run:
    """Simulate one stored run of the control arm and the arm under test."""
    experiment = simulated.make_experiment(
        arms,
        experiment_id=name,
        seed=seed,
        counts=BlockCounts(parity=1, profile=1, memory=0, cold_start=0),
    )
    device = simulated.SimulatedDevice(
        noise=simulated.Noise(session=SESSION_EFFECT),
        seed=seed,
        effects={"candidate": math.log1p(slowdown)},
    )
    return simulated.simulate(experiment, device)


def claims_without_refusal(base: Run, new: Run) -> bool:
    """Tell whether a plain test on the blocks of two stored runs would have claimed something."""
    sides = [
        [math.log(v) for v in block_medians(run.experiment, run.blocks, "candidate").values()]
        for run in (new, base)
    ]
    effect = welch_effect(sides[0], sides[1], alpha=0.05)
    return effect.low > 1 + LIMIT or effect.high < 1 + LIMIT


def trial(seed: int) -> dict[str, GateResult | bool]:
    """Simulate three sessions a side and gate them in every way."""
    control = simulated.make_arm("control")
    before = simulated.make_arm("candidate")
    after = simulated.make_arm("candidate", model_sha256="f" * 64)
    base = [
        simulate_session(f"base-{index}", (control, before), 0.0, seed + index)
        for index in range(SIDE)
    ]
    new = [
        simulate_session(f"new-{index}", (control, after), LIMIT, seed + SIDE + index)
        for index in range(SIDE)
    ]
    return {
        "no control, 1 a side": gate(new[:1], base=base[:1], max_slowdown=LIMIT),
        "no control, 2 a side": gate(new[:2], base=base[:2], max_slowdown=LIMIT),
        "control, 1 a side": gate(new[:1], base=base[:1], control="control", max_slowdown=LIMIT),
        "control, 3 a side": gate(new, base=base, control="control", max_slowdown=LIMIT),
        "no control, 3 a side": gate(new, base=base, arms=["candidate"], max_slowdown=LIMIT),
        "plain test, not offered": claims_without_refusal(base[0], new[0]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    arguments = parser.parse_args()
    started, false, refused = time.monotonic(), Counter[str](), Counter[str]()
    names: tuple[str, ...] = ()
    for index in range(arguments.experiments):
        results = trial(arguments.seed + 1_000 * index)
        names = tuple(results)
        for name, result in results.items():
            if isinstance(result, bool):
                false[name] += result
            else:
                false[name] += result.status in VERDICTS
                refused[name] += result.status is GateStatus.REFUSED
    count = arguments.experiments
    print(f"{count} trials, seed {arguments.seed}, session effect {SESSION_EFFECT:.0%}")
    print(f"{'stored sessions':<26}{'false':>8}{'refused':>9}  reach")
    good = True
    for name in names:
        share, never = false[name] / count, name in ("no control, 1 a side", "no control, 2 a side")
        most = 0.0 if never else MOST_FALSE
        if name == "plain test, not offered":
            reach = "what refusing avoids"
        else:
            good &= share <= most
            reach = f"≤ {most:.0%}: {'reached' if share <= most else 'MISSED'}"
        print(f"{name:<26}{share:>8.2%}{refused[name] / count:>9.1%}  {reach}")
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
