"""Real A/A experiments in this machine's browser: is a difference claimed where there is none?

    python benchmarks/web_real_aa.py [--experiments 20] [--seed 1] [--keep DIR] [--app DIR]

Each experiment measures one small convolution model against itself, every block in a fresh
browser, in blocks of 0.5 s, with one look after 8 rounds at alpha 0.05 and without a noise floor.
At most 3 claims of 20 are expected of a test that errs in 5 %. One experiment takes about a
minute; the machine should have nothing else to do. With ``--keep`` the runs stay and the same
command goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from convolutions import plain_arm, plan, prepare_model
from ortlab.analysis import analyze
from ortlab.bench import PlanOptions, run_experiment
from ortlab.build import find_app
from ortlab.devices import open_device
from ortlab.domain import Device, Verdict
from ortlab.pipeline.places import cache_directory

CLAIMS = (Verdict.FASTER, Verdict.SLOWER)
MOST_CLAIMS_OF_20 = 3


def measure(directory: Path, device: Device, experiments: int, seed: int) -> Counter[Verdict]:
    """Carry out the experiments and count their verdicts."""
    prepared, prepared_path = prepare_model(directory)
    arm = plain_arm(prepared, prepared_path, device)
    twins = tuple(replace(arm, arm_id=name, label=name) for name in ("first", "second"))
    verdicts: Counter[Verdict] = Counter()
    for number in range(experiments):
        options = PlanOptions(min_rounds=8, max_rounds=8, block_s=0.5, seed=seed + number)
        planned = plan(twins, prepared, prepared_path, device, options)
        # Repeats would stretch the script on a busy machine; marking is all that a twin needs.
        planned = replace(planned, rule=replace(planned.rule, extra_attempts=0))
        run = run_experiment(
            directory / f"run-{number:03d}",
            planned,
            device,
            progress=lambda _: None,
            should_stop=lambda: False,
        )
        (comparison,) = analyze(run, checks=False).comparisons
        verdicts[comparison.verdict] += 1
        claims = sum(verdicts[verdict] for verdict in CLAIMS)
        print(f"{number + 1:>4}  {claims} claims so far  {comparison.sentence}", flush=True)
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="Directory that keeps the runs.")
    parser.add_argument("--app", type=Path, help="Built web app; else the template's page.")
    arguments = parser.parse_args()
    started = time.monotonic()
    app = find_app(arguments.app) if arguments.app else None
    device = open_device("web", app=app, cache_directory=cache_directory(), say=print)
    with tempfile.TemporaryDirectory() as temporary, closing(device):
        directory = arguments.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        verdicts = measure(directory, device, arguments.experiments, arguments.seed)
    claims = sum(verdicts[verdict] for verdict in CLAIMS)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    print(f"{arguments.experiments} A/A experiments, seed {arguments.seed}: {counted}")
    reached = claims <= MOST_CLAIMS_OF_20 * arguments.experiments / 20
    print(f"{claims} claims, reach ≤ {MOST_CLAIMS_OF_20} of 20: {'yes' if reached else 'MISSED'}")
    print(f"{time.monotonic() - started:.0f} s")
    return 0 if reached and not verdicts[Verdict.NONE] else 1


if __name__ == "__main__":
    sys.exit(main())
