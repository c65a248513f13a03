"""What a block on a phone costs beside the benchmark program itself.

    python benchmarks/android_block_overhead.py [--blocks N] [--seconds S]

Reach: ≤ 0.5 s on a virtual phone over real adb. The phone's program is a real process that sleeps,
so the figure is the way there and back: look at the phone, request, start, result, clearing. Each
block is followed by the same program started here on the same request; the figure is the median of
the differences. The phone is a process of its own, as real ones are.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

from android_phones import APP_ID, adb_server, open_phone, phone_process
from device_contract import MODEL, make_arm, make_request

from ortlab.devices.virtual import SleepingProgram
from ortlab.wire import BlockResult

REACH_S = 0.5


def measure(directory: Path, blocks: int, seconds: float) -> list[float]:
    program = SleepingProgram(seconds)
    arm = make_arm(MODEL)
    differences = []
    with (
        adb_server() as server,
        phone_process(program) as address,
        open_phone(server, address, directory) as device,
    ):
        device.info  # installs the app and asks it; not part of a block  # noqa: B018
        for number in range(blocks + 1):
            request = make_request(arm, directory, block_id=f"block-{number}")
            started = time.perf_counter()
            answer = device.run_block(request, arm)
            block_s = time.perf_counter() - started
            if not isinstance(answer, BlockResult) or answer.failure:
                message = f"the block did not succeed: {answer}"
                raise SystemExit(message)
            path = Path(request.output_directory) / "request.json"
            local = path.read_text().replace(
                f"/sdcard/Android/media/{APP_ID}/blocks", str(directory / "here")
            )
            path.write_text(local)
            started = time.perf_counter()
            subprocess.run(program.arguments(str(path)), check=True, capture_output=True)
            alone_s = time.perf_counter() - started
            if number:  # the first one sends the model
                differences.append(block_s - alone_s)
    return differences


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), options.blocks, options.seconds)
    median_s, worst_s = statistics.median(found), max(found)
    print(f"blocks: {len(found)}, each sleeping {options.seconds:g} s")
    print(f"overhead of a block: median {median_s:.3f} s, worst {worst_s:.3f} s")
    print(f"reach: {REACH_S} s: {'reached' if median_s <= REACH_S else 'NOT REACHED'}")
    return 0 if median_s <= REACH_S else 1


if __name__ == "__main__":
    sys.exit(main())
