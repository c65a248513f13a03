"""Our push ÷ `adb push` and our install ÷ `adb install`, same virtual phone, interleaved.

    python benchmarks/adb_transfer.py [--rounds N] [--megabytes N]

Reach: ≥ 0.9 of adb's throughput for 100 MB, for both generations of adb. Ours goes the whole way:
staged name, size checked, renamed. The program's start is not held against it: the time of
`adb get-state`, which transfers nothing, is taken off. The phone is a process of its own, as real
ones are, and its files lie in memory where the system has a file system for that. A ratio is the
median of those of the rounds, in each of which both follow one another.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
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


IN_MEMORY = Path("/dev/shm")


def play(spec: VirtualPhoneSpec, pipe: Connection) -> None:
    place = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        phone = VirtualAndroidPhone(spec, program=SleepingProgram(0.1), directory=Path(name))
        with phone:
            pipe.send(phone.address)
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


def measure(
    adb: OwnAdb, address: str, large: Path, apk: Path, rounds: int
) -> dict[str, list[float]]:
    serial = adb.server.connect(address, deadline_s=20)
    phone = adb.server.phone(serial)
    plain = ("--no-incremental",) if "abb_exec" in phone.features() else ()

    def program(*arguments: str) -> None:
        ended = adb.command(*arguments, serial=serial)
        if not ended.succeeded:
            raise SystemExit(ended.stdout + ended.stderr)

    digest = {"sha256": hashlib.sha256(large.read_bytes()).hexdigest()}

    def staged() -> None:
        phone.push(large, PLACE, deadline_s=DEADLINE_S, verify=True, checksums=digest)

    acts: dict[str, Callable[[], object]] = {
        "start": lambda: program("get-state"),
        "our push": lambda: phone.push(large, PLACE, deadline_s=DEADLINE_S),
        "adb push": lambda: program("push", str(large), PLACE),
        "our install": lambda: phone.install([apk], deadline_s=DEADLINE_S),
        "adb install": lambda: program("install", *plain, "-r", "-t", str(apk)),
        "our verified push": staged,
    }
    times: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(rounds + 1):
        for name in acts if number % 2 else reversed(acts):
            taken = seconds(acts[name])
            if number:  # the first round warms up
                times[name].append(taken)
    adb.server.disconnect(serial)
    return times


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
                    times = measure(adb, address, large, apk, options.rounds)
                report(f"{generation} adb, API {api_level}", times, size)


def report(title: str, times: dict[str, list[float]], size: int) -> None:
    print(title)
    start = statistics.median(times["start"])

    def rate(name: str, less: float = 0.0) -> str:
        return f"{size / (statistics.median(times[name]) - less) / 1e6:.0f} MB/s"

    for kind in ("push", "install"):
        pairs = zip(times[f"our {kind}"], times[f"adb {kind}"], strict=True)
        ratios = sorted((theirs - start) / ours for ours, theirs in pairs)
        middle = statistics.median(ratios)
        print(
            f"  {kind}: ours {rate(f'our {kind}')}, adb {rate(f'adb {kind}', start)}, "
            f"ours ÷ adb {middle:.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print(f"  push whose checksum the phone computes: {rate('our verified push')}")


if __name__ == "__main__":
    main()
