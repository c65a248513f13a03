"""A planted slowdown on this machine: is it found, and is its A/A twin left alone?

    python benchmarks/planted_slowdown.py [--seeds 20] [--seed 1] [--keep DIR]

Three arms in one experiment: a model of 20 equal layers, its twin (the same file), and the same
model with a 21st layer that changes no output (about 5 % more work). Planned looks, blocks of
0.3 s, no noise floor. Expected: found in at least 19 of 20, the twin claimed in at most 3. One
experiment takes 20 to 75 s, twenty about 15 minutes; the machine should have nothing else to do.
With ``--keep`` the runs stay and the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from convolutions import plain_arm, plan, prepare_model, slower_arm
from ortlab.analysis import analyze
from ortlab.bench import PlanOptions, run_experiment
from ortlab.devices import open_device
from ortlab.domain import Device, Verdict

CLAIMS = (Verdict.FASTER, Verdict.SLOWER)
LEAST_FOUND = 19 / 20
MOST_TWINS = 3 / 20


@dataclass(slots=True)
class Tally:
    """What the experiments said so far."""

    experiments: int = 0
    found: int = 0
    twins: int = 0


def measure(directory: Path, device: Device, seeds: int, seed: int) -> Tally:
    """Carry out the experiments and count what they claim."""
    prepared, prepared_path = prepare_model(directory)
    base = plain_arm(prepared, prepared_path, device)
    arms = (base, replace(base, arm_id="twin", label="twin"), slower_arm(base, directory))
    tally = Tally()
    for number in range(seeds):
        options = PlanOptions(block_s=0.3, seed=seed + number)
        run = run_experiment(
            directory / f"run-{number:03d}",
            plan(arms, prepared, prepared_path, device, options),
            device,
            progress=lambda _: None,
            should_stop=lambda: False,
        )
        analysis = analyze(run, checks=False)
        verdicts = {comparison.arm_id: comparison for comparison in analysis.comparisons}
        tally.experiments += 1
        tally.found += verdicts["slower"].verdict is Verdict.SLOWER
        tally.twins += verdicts["twin"].verdict in CLAIMS
        print(f"{number + 1:>4}  {tally.found} found, {tally.twins} twins claimed", flush=True)
        for comparison in analysis.comparisons:
            print(f"      {comparison.sentence}", flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="Directory that keeps the runs.")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, closing(open_device("host")) as device:
        directory = arguments.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        tally = measure(directory, device, arguments.seeds, arguments.seed)
    reached = (
        tally.found >= LEAST_FOUND * tally.experiments
        and tally.twins <= MOST_TWINS * tally.experiments
    )
    print(
        f"{tally.experiments} experiments: slowdown found in {tally.found} (reach ≥ 19 of 20),"
        f" twin claimed in {tally.twins} (reach ≤ 3 of 20): {'yes' if reached else 'MISSED'}"
    )
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
