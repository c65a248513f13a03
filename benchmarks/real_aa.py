"""Real A/A experiments on this machine: how often is a difference claimed where there is none?

    python benchmarks/real_aa.py [--experiments 100] [--seed 1] [--keep DIR]

Each experiment measures one small convolution model against itself, in blocks of 0.3 s, with one
look after 8 rounds at alpha 0.05 and without a noise floor. At most 9 claims of 100 are expected
of a test that errs in 5 %. One experiment takes about 15 s, a hundred about 25 minutes; the
machine should have nothing else to do. With ``--keep`` the runs stay and the same command goes on.
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
from ortlab.devices import open_device
from ortlab.domain import Device, Verdict

CLAIMS = (Verdict.FASTER, Verdict.SLOWER)
MOST_CLAIMS_OF_100 = 9


def measure(
    directory: Path, device: Device, experiments: int, seed: int, *, block_s: float
) -> Counter[Verdict]:
    """Carry out the experiments and count their verdicts."""
    directory.mkdir(parents=True, exist_ok=True)
    prepared, prepared_path = prepare_model(directory)
    arm = plain_arm(prepared, prepared_path, device)
    twins = tuple(replace(arm, arm_id=name, label=name) for name in ("first", "second"))
    verdicts: Counter[Verdict] = Counter()
    for number in range(experiments):
        options = PlanOptions(min_rounds=8, max_rounds=8, block_s=block_s, seed=seed + number)
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


def judge(verdicts: Counter[Verdict], seed: int, most: int, of: int) -> int:
    """Say whether the claims are no more than ``most`` in ``of`` experiments; 0 if so, else 1."""
    experiments = verdicts.total()
    claims = sum(verdicts[verdict] for verdict in CLAIMS)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    print(f"{experiments} A/A experiments, seed {seed}: {counted}")
    reached = claims <= most * experiments / of
    print(f"{claims} claims, reach ≤ {most} of {of}: {'yes' if reached else 'MISSED'}")
    return 0 if reached and not verdicts[Verdict.NONE] else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="Directory that keeps the runs.")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, closing(open_device("host")) as device:
        directory = arguments.keep or Path(temporary)
        verdicts = measure(directory, device, arguments.experiments, arguments.seed, block_s=0.3)
    print(f"{time.monotonic() - started:.0f} s")
    return judge(verdicts, arguments.seed, MOST_CLAIMS_OF_100, 100)


if __name__ == "__main__":
    sys.exit(main())
