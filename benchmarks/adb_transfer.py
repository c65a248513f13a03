"""Our push ÷ `adb push` and our install ÷ `adb install`, same virtual phone, interleaved.

    python benchmarks/adb_transfer.py [--rounds N] [--megabytes N]

Reach: ≥ 0.9 of adb's throughput for 100 MB, for both generations of adb. Ours goes the whole way:
staged name, size checked, renamed. The program's start is not held against it: the time of
`adb get-state`, which transfers nothing, is taken off. The phone is a process of its own, as real
ones are.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from adb_server import OwnAdb, adb_programs, own_adb
from ortlab.devices.virtual import VirtualAndroidPhone, VirtualPhoneSpec, runner_package
from ortlab.devices.virtual.programs import SleepingProgram

APP = "dev.ortlab.transfer"
PLACE = "/data/local/tmp/ortlab/large.bin"
DEADLINE_S = 120


def play(phone: VirtualPhoneSpec, pipe: Connection) -> None:
    with VirtualAndroidPhone(phone, program=SleepingProgram(0.1)) as virtual:
        pipe.send(virtual.address)
        pipe.recv()


@contextlib.contextmanager
def virtual_phone(api_level: int) -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    spec = VirtualPhoneSpec(api_level=api_level)
    process = context.Process(target=play, args=(spec, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


def seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def measure(adb: OwnAdb, address: str, large: Path, apk: Path, rounds: int) -> dict[str, float]:
    serial = adb.server.connect(address, deadline_s=20)
    phone = adb.server.phone(serial)

    def program(*arguments: str) -> None:
        ended = adb.command(*arguments, serial=serial)
        if not ended.succeeded:
            raise SystemExit(ended.stdout + ended.stderr)

    acts: dict[str, Callable[[], object]] = {
        "start": lambda: program("get-state"),
        "our push": lambda: phone.push(large, PLACE, deadline_s=DEADLINE_S),
        "our verified push": lambda: phone.push(large, PLACE, deadline_s=DEADLINE_S, verify=True),
        "adb push": lambda: program("push", str(large), PLACE),
        "our install": lambda: phone.install([apk], deadline_s=DEADLINE_S),
        "adb install": lambda: (
            program("install", "--no-incremental", "-r", "-t", str(apk))
            if "abb_exec" in phone.features()
            else program("install", "-r", "-t", str(apk))
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(rounds + 1):
        order = list(acts) if number % 2 else list(reversed(acts))
        for name in order:
            taken = seconds(acts[name])
            if number:  # the first round warms up
                times[name].append(taken)
    adb.server.disconnect(serial)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    size = options.megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as name:
        large = Path(name) / "large.bin"
        large.write_bytes(os.urandom(size))
        apk = runner_package(Path(name) / "app.apk", APP)
        with zipfile.ZipFile(apk, "a") as archive:
            archive.write(large, "assets/large.bin")
        for generation, path in adb_programs().items():
            for api_level in (24, 34):
                with own_adb(path) as adb, virtual_phone(api_level) as address:
                    median = measure(adb, address, large, apk, options.rounds)
                report(f"{generation} adb, API {api_level}", median, size)


def report(title: str, median: dict[str, float], size: int) -> None:
    print(title)
    for kind in ("push", "install"):
        ours, theirs = median[f"our {kind}"], median[f"adb {kind}"] - median["start"]
        print(
            f"  {kind:8} ours {size / ours / 1e6:6.0f} MB/s  adb {size / theirs / 1e6:6.0f} MB/s  "
            f"ours ÷ adb {theirs / ours:.2f}"
        )
    verified = median["our verified push"]
    print(f"  verified push: {size / verified / 1e6:.0f} MB/s")


if __name__ == "__main__":
    main()
