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
from contextlib import closing
from pathlib import Path

from ortlab.build import find_app
from ortlab.devices import open_device
from ortlab.pipeline.places import cache_directory
from real_aa import judge, measure

MOST_CLAIMS_OF_20 = 3


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
        verdicts = measure(directory, device, arguments.experiments, arguments.seed, block_s=0.5)
    print(f"{time.monotonic() - started:.0f} s")
    return judge(verdicts, arguments.seed, MOST_CLAIMS_OF_20, 20)


if __name__ == "__main__":
    sys.exit(main())
