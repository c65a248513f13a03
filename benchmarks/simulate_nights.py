"""Simulated nights through the real gate: false alarms, and slowdowns that are found.

    python benchmarks/simulate_nights.py [--nights 100] [--cells 500] [--seed 20261121]

Every block is drawn from the noise model of `docs/method.md` (2 % process effect, drift, AR(0.6)
iteration noise of 1.5 %, 2 % spikes; 30 runs a block; an effect of 1 % on each whole session), for
all cells of a night at once; that these draws are those of the model is a test of its own. Every
screening, suspect, rerun and verdict comes from `device_lab.night_gate`. The last row compares
runs of different sessions as if they had been interleaved, to show what that would do. Takes
about half a minute on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))

import simulated

from device_lab.night_gate import CellKey, CellOutcome, Rerun, Screening, decide_night, suspects

DEFAULT_SEED = 20261121
BASE_NS = 10_000_000.0
NOISE = simulated.Noise(session=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of night.

    Attributes:
        name: In the table.
        slower: Cells that are slower.
        effect: True slowdown of these.
        interleaved: Whether base and new share a session.
        most_false: False alarms a night not to exceed, or None.
        least_found: Share of nights in which all of the slower cells but one must be found.
    """

    name: str
    slower: int = 0
    effect: float = 0.0
    interleaved: bool = True
    most_false: float | None = None
    least_found: float | None = None


ROWS = (
    Row(name="nothing changed", most_false=0.1),
    Row(name="5 cells 3 % slower", slower=5, effect=0.03, least_found=0.9),
    Row(name="nothing changed, sessions apart", interleaved=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one kind of night: per night, but for ``found``, the share of nights."""

    suspects: float
    false_alarms: float
    nights_with_alarm: float
    found: float
    power: float


def draw_log_ratios(
    generator: Any, effects: Sequence[float], rounds: int, *, interleaved: bool = True
) -> Any:
    """Draw the log ratios of one experiment a cell, new ÷ base.

    Args:
        generator: numpy's.
        effects: True effect on the log latency of each cell's new arm.
        rounds: Of each experiment.
        interleaved: Whether both arms share a session; else each has one of its own.

    Returns:
        Array of shape (cells, rounds).
    """
    cells = len(effects)
    shape = (cells, rounds, 2)  # the last axis: base, new
    # Two rounds are AB and BA in random order; what counts is which of the blocks comes first.
    starts = generator.random((cells, (rounds + 1) // 2, 1)) < 0.5
    new_first = np.concatenate([starts, ~starts], axis=2).reshape(cells, -1)[:, :rounds]
    place = np.stack([new_first, ~new_first], axis=2)  # base stands second where new is first
    asked = 2 * np.arange(rounds)[None, :, None] + place
    shared = NOISE.drift * asked + generator.normal(0.0, NOISE.process, shape)
    sessions = generator.normal(0.0, NOISE.session, (cells, 1, 1 if interleaved else 2))
    shared = shared + sessions
    shared[:, :, 1] += np.asarray(effects)[:, None]
    medians = np.median(_samples_ns(generator, shared), axis=-1)
    logs = np.log(medians)
    return logs[:, :, 1] - logs[:, :, 0]


def _samples_ns(generator: Any, shared: Any) -> Any:
    """Draw the samples of every block, as `simulated.SimulatedDevice` does for one."""
    shape = (*shared.shape, NOISE.samples)
    fresh = generator.normal(0.0, NOISE.iteration, shape)
    fresh[..., 1:] *= (1 - NOISE.correlation**2) ** 0.5
    wander = lfilter([1.0], [1.0, -NOISE.correlation], fresh, axis=-1)
    hit = generator.random(shape) < NOISE.spike_share
    wander[hit] += generator.exponential(NOISE.spike_mean, int(hit.sum()))
    return np.rint(BASE_NS * np.exp(shared[..., None] + wander))


def run_night(
    generator: Any, effects: Sequence[float], rounds: int, *, interleaved: bool = True
) -> tuple[int, list[int]]:
    """Carry a night through the gate, limit 0: the suspects' number and the cells claimed."""
    first = draw_log_ratios(generator, effects, rounds, interleaved=interleaved)
    screenings = [
        Screening(
            key=CellKey(model=str(index), setting="", phone_id="phone"),
            job_id="job",
            model_name=str(index),
            phone_name="phone",
            log_ratios=tuple(ratios),
        )
        for index, ratios in enumerate(first.tolist())
    ]
    chosen = suspects(screenings, limit=0.0)
    again = [effects[int(screening.key.model)] for screening in chosen]
    second = draw_log_ratios(generator, again, rounds, interleaved=interleaved).tolist()
    reruns = {
        screening.key: Rerun(log_ratios=tuple(ratios))
        for screening, ratios in zip(chosen, second, strict=True)
    }
    verdict = decide_night(screenings, reruns, limit=0.0)
    claimed = [int(cell.screening.key.model) for cell in verdict.of(CellOutcome.SLOWER)]
    return len(chosen), claimed


def run_row(row: Row, *, nights: int, cells: int, rounds: int, seed: int) -> Outcome:
    """Carry out the nights of one row; the first cells are the slower ones."""
    effects = [float(np.log1p(row.effect)) if index < row.slower else 0.0 for index in range(cells)]
    chosen = false_alarms = alarmed = found = hits = 0
    for night in range(nights):
        generator = np.random.default_rng([seed, night])
        count, claimed = run_night(generator, effects, rounds, interleaved=row.interleaved)
        wrong = sum(index >= row.slower for index in claimed)
        right = len(claimed) - wrong
        chosen += count
        false_alarms += wrong
        alarmed += wrong > 0
        hits += right
        found += right >= row.slower - 1
    return Outcome(
        suspects=chosen / nights,
        false_alarms=false_alarms / nights,
        nights_with_alarm=alarmed / nights,
        found=found / nights,
        power=hits / (nights * row.slower) if row.slower else 0.0,
    )


def reached(row: Row, outcome: Outcome) -> bool | None:
    """Return whether a row's figures are reached; None if it asks for none."""
    if row.most_false is not None:
        return outcome.false_alarms <= row.most_false
    return None if row.least_found is None else outcome.found >= row.least_found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    arguments = parser.parse_args()
    print(
        f"{arguments.nights} nights of {arguments.cells} cells, {arguments.rounds} rounds,"
        f" limit 0, 1 % session effect, seed {arguments.seed}"
    )
    print(
        f"{'':<32}{'suspects':>9}{'false a night':>14}{'found >= 4':>11}{'each found':>11}  reach"
    )
    started, good = time.monotonic(), True
    for row in ROWS:
        outcome = run_row(
            row,
            nights=arguments.nights,
            cells=arguments.cells,
            rounds=arguments.rounds,
            seed=arguments.seed,
        )
        state = reached(row, outcome)
        good &= state is not False
        reach = "" if row.most_false is None else f"<= {row.most_false:g} false a night"
        reach += f"found in >= {row.least_found:.0%}" if row.least_found else ""
        found = f"{outcome.found:>11.0%}{outcome.power:>11.1%}" if row.slower else f"{'':>22}"
        told = "as it must not be done" if state is None else "reached" if state else "MISSED"
        print(
            f"{row.name:<32}{outcome.suspects:>9.1f}{outcome.false_alarms:>14.2f}{found}"
            f"  {reach}{': ' * bool(reach)}{told}",
            flush=True,
        )
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
