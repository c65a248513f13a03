"""What a block in this machine's browser costs beside the page's own work.

    python benchmarks/web_block_overhead.py [--blocks N] [--app DIR]

Reach: ≤ 2.0 s. A block starts a fresh browser with a fresh profile, loads the page, and ends the
browser; the page's own work is what it times itself: starting the runtime, fetching the model,
creating the session, every run and closing. The figure is the median of the differences, with the
state of the machine that is read before and after each block. The first block, which also starts
what drives the browser, is left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

from device_contract import MODEL, make_arm, make_request

from ortlab.build import find_app
from ortlab.devices import open_device
from ortlab.domain import Device
from ortlab.pipeline.places import cache_directory
from ortlab.wire import BlockResult, Purpose, Timing

REACH_S = 2.0


def work_s(timing: Timing) -> float:
    """Return what the page timed itself."""
    once = (
        timing.environment_ns,
        timing.load_model_ns,
        timing.session_creation_ns,
        timing.first_run_ns,
        timing.close_ns,
    )
    return (
        sum(duration or 0 for duration in once) + sum(timing.warm_up_ns) + sum(timing.measured_ns)
    ) / 1e9


def measure(device: Device, directory: Path, blocks: int) -> list[float]:
    arm = make_arm(MODEL)
    differences = []
    for number in range(blocks + 1):
        request = make_request(
            arm, directory / str(number), Purpose.LATENCY, block_id=f"block-{number}"
        )
        started = time.perf_counter()
        answer = device.run_block(request, arm)
        block_s = time.perf_counter() - started
        if not isinstance(answer, BlockResult) or answer.failure:
            message = f"the block did not succeed: {answer}"
            raise SystemExit(message)
        if number:
            differences.append(block_s - work_s(answer.timing))
    return differences


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--app", type=Path, help="Built web app; else the template's page.")
    options = parser.parse_args()
    app = find_app(options.app) if options.app else None
    device = open_device("web", app=app, cache_directory=cache_directory(), say=print)
    with closing(device), tempfile.TemporaryDirectory() as name:
        print(device.info.name)
        found = measure(device, Path(name), options.blocks)
    median_s, worst_s = statistics.median(found), max(found)
    print(f"overhead of {len(found)} blocks: median {median_s:.3f} s, worst {worst_s:.3f} s")
    reached = median_s <= REACH_S
    print(f"reach: {REACH_S} s: {'reached' if reached else 'NOT REACHED'}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
