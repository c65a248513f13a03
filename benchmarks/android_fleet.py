"""Eight virtual phones at once, sleeping blocks of 5 s: how close to eight times one phone.

    python benchmarks/android_fleet.py [--phones N] [--blocks N] [--seconds S]

Reach: ≥ 90 % of ideal, which is that every phone sleeps all the time. The blocks sleep and measure
nothing: what is looked at is whether the phones wait for each other or for this machine. Each
phone is a process of its own, as real ones are; one process of ours drives them all, a thread each.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

from android_phones import adb_server, open_phone, phone_process
from device_contract import MODEL, make_arm, make_request

from ortlab.devices.android import AndroidDevice
from ortlab.devices.virtual import SleepingProgram
from ortlab.wire import BlockResult

REACH = 0.9


def drive(device: AndroidDevice, directory: Path, blocks: int, start: threading.Barrier) -> None:
    arm = make_arm(MODEL)
    start.wait()
    for number in range(blocks):
        request = make_request(arm, directory, block_id=f"block-{number}")
        answer = device.run_block(request, arm)
        if not isinstance(answer, BlockResult) or answer.failure:
            message = f"the block did not succeed: {answer}"
            raise SystemExit(message)


def measure(directory: Path, phones: int, blocks: int, seconds: float) -> float:
    """Return the seconds that all phones took together."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(adb_server())
        program = SleepingProgram(seconds)
        devices = []
        for number in range(phones):
            address = opened.enter_context(phone_process(program))
            place = directory / str(number)
            devices.append((opened.enter_context(open_phone(server, address, place)), place))
        for device, _ in devices:
            device.info  # installs the app and asks it; not part of a block  # noqa: B018
        start = threading.Barrier(phones + 1)
        pool = opened.enter_context(ThreadPoolExecutor(phones))
        futures = [pool.submit(drive, device, place, blocks, start) for device, place in devices]
        start.wait()
        started = time.perf_counter()
        for future in futures:
            future.result()
        return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--phones", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        took_s = measure(Path(name), options.phones, options.blocks, options.seconds)
    share = options.blocks * options.seconds / took_s
    print(f"{options.phones} phones, {options.blocks} blocks each, sleeping {options.seconds:g} s")
    print(f"took {took_s:.1f} s: {share:.1%} of ideal")
    print(f"reach: {REACH:.0%}: {'reached' if share >= REACH else 'NOT REACHED'}")
    return 0 if share >= REACH else 1


if __name__ == "__main__":
    sys.exit(main())
