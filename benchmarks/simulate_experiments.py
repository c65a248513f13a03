"""Simulated experiments through the real planner and the real analysis: false alarms and power.

    python benchmarks/simulate_experiments.py [--experiments 2000] [--seed 20261121]

Every block is drawn from the noise model of `docs/method.md` (2 % process effect, drift, AR(0.6)
iteration noise of 1.5 %, 2 % spikes; 30 runs a block), every next block is asked of `next_block`,
every verdict comes from `analyze`. Takes about a minute and a half on one core for 2,000
experiments a row.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))

import simulated

from ortlab.analysis import analyze
from ortlab.domain import BlockCounts, Verdict
from ortlab.statistics import default_looks, pocock_alpha

DEFAULT_SEED = 20261121
CLAIMS = (Verdict.FASTER, Verdict.SLOWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of experiment.

    Attributes:
        name: In the table.
        effect: True slowdown of the second arm.
        floor: Noise floor, or None for off.
        lowest: Share of "faster or slower" (A/A) or of "slower" (planted) to reach.
        highest: Likewise, not to exceed.
        most_rounds: Median rounds not to exceed, or None.
    """

    name: str
    effect: float
    floor: float | None
    lowest: float
    highest: float
    most_rounds: int | None = None


ROWS = (
    Row(name="A/A, floor off", effect=0.0, floor=None, lowest=0.035, highest=0.06),
    Row(name="A/A, floor 2 %", effect=0.0, floor=0.02, lowest=0.0, highest=0.06),
    Row(name="+3 %, floor off", effect=0.03, floor=None, lowest=0.97, highest=1.0, most_rounds=12),
    Row(name="+3 %, floor 2 %", effect=0.03, floor=0.02, lowest=0.94, highest=1.0, most_rounds=12),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one kind of experiment."""

    found: float
    verdicts: dict[Verdict, float]
    median_rounds: float


def run_row(row: Row, experiments: int, seed: int, *, arm_count: int = 2) -> Outcome:
    """Carry out the experiments of one row; all arms but the first have the row's effect."""
    looks = default_looks(arm_count)
    arms = [simulated.make_arm(f"arm{index}") for index in range(arm_count)]
    rule = simulated.make_rule(
        looks=looks, look_alpha=pocock_alpha(looks), comparisons=arm_count - 1, floor=row.floor
    )
    wanted = CLAIMS if row.effect == 0 else (Verdict.SLOWER,)
    found, counted, rounds = 0, dict.fromkeys(Verdict, 0), []
    for index in range(experiments):
        experiment = simulated.make_experiment(
            arms,
            rule=rule,
            seed=seed + index,
            counts=BlockCounts(parity=1, profile=1, memory=0, cold_start=0),
        )
        device = simulated.SimulatedDevice(
            noise=simulated.Noise(),
            seed=seed + index,
            effects={arm.arm_id: math.log1p(row.effect) for arm in arms[1:]},
        )
        analysis = analyze(simulated.simulate(experiment, device), checks=False)
        verdicts = [comparison.verdict for comparison in analysis.comparisons]
        found += any(verdict in wanted for verdict in verdicts)
        for verdict in verdicts:
            counted[verdict] += 1
        rounds.append(analysis.rounds)
    compared = experiments * (arm_count - 1)
    return Outcome(
        found=found / experiments,
        verdicts={verdict: count / compared for verdict, count in counted.items()},
        median_rounds=statistics.median(rounds),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    arguments = parser.parse_args()
    print(f"{arguments.experiments} experiments a row, seed {arguments.seed}")
    print(f"{'':<18}{'claimed':>9}{'equivalent':>12}{'undecided':>11}{'rounds':>8}  reach")
    started, good = time.monotonic(), True
    for row in ROWS:
        outcome = run_row(row, arguments.experiments, arguments.seed)
        reached = row.lowest <= outcome.found <= row.highest
        if row.most_rounds is not None:
            reached &= outcome.median_rounds <= row.most_rounds
        good &= reached
        reach = f"{row.lowest:.1%} to {row.highest:.1%}"
        reach += f", ≤ {row.most_rounds} rounds" if row.most_rounds else ""
        print(
            f"{row.name:<18}{outcome.found:>9.2%}{outcome.verdicts[Verdict.EQUIVALENT]:>12.1%}"
            f"{outcome.verdicts[Verdict.INCONCLUSIVE]:>11.1%}{outcome.median_rounds:>8g}"
            f"  {reach}: {'reached' if reached else 'MISSED'}",
            flush=True,
        )
    three = run_row(ROWS[0], arguments.experiments, arguments.seed, arm_count=3)
    print(
        f"beside these, three arms, A/A, floor off: any claim in {three.found:.2%}"
        f" of experiments, {three.median_rounds:g} rounds in the median"
    )
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
