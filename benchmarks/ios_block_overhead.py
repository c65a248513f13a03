"""What a block on an iPhone costs beside the benchmark program itself.

    python benchmarks/ios_block_overhead.py [--blocks N] [--seconds S]

Reach: ≤ 1.0 s on a virtual iPhone, both where Instruments is reached over lockdown (iOS 16) and
through the tunnel (17.4 and later). The phone's program is a real process that sleeps, so the
figure is the way there and back: request, launch, output, end, result, clearing. Each block is
followed by the same program started here on the same request; the figure is the median of the
differences. The phone runs in this process, the worker that speaks to it in one of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

from device_contract import MODEL, make_arm, make_request

from ortlab.devices.virtual import SleepingProgram
from ortlab.devices.virtual.iphone import open_virtual_iphone
from ortlab.wire import BlockResult

REACH_S = 1.0
PHONES = ("virtual:ios:16.7", "virtual:ios:26.1")


def measure(phone: str, directory: Path, blocks: int, seconds: float) -> list[float]:
    program = SleepingProgram(seconds)
    arm = make_arm(MODEL)
    differences = []
    with closing(open_virtual_iphone(phone, program=program)) as device:
        for number in range(blocks + 1):
            request = make_request(arm, directory, block_id=f"block-{number}")
            started = time.perf_counter()
            answer = device.run_block(request, arm)
            block_s = time.perf_counter() - started
            if not isinstance(answer, BlockResult) or answer.failure:
                message = f"the block did not succeed: {answer}"
                raise SystemExit(message)
            path = Path(request.output_directory) / "request.json"
            local = path.read_text().replace("../blocks", str(directory / "here"))
            path.write_text(local)
            started = time.perf_counter()
            subprocess.run(program.arguments(str(path)), check=True, capture_output=True)
            alone_s = time.perf_counter() - started
            if number:  # the first one installs the app and sends the model
                differences.append(block_s - alone_s)
    return differences


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.2)
    options = parser.parse_args()
    reached = True
    for phone in PHONES:
        with tempfile.TemporaryDirectory() as name:
            found = measure(phone, Path(name), options.blocks, options.seconds)
        median_s, worst_s = statistics.median(found), max(found)
        reached = reached and median_s <= REACH_S
        print(f"{phone}: {len(found)} blocks, each sleeping {options.seconds:g} s")
        print(f"  overhead of a block: median {median_s:.3f} s, worst {worst_s:.3f} s")
    print(f"reach: {REACH_S} s: {'reached' if reached else 'NOT REACHED'}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
