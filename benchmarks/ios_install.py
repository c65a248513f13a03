"""Our install ÷ `ideviceinstaller`, an app of 100 MB, same virtual iPhone, interleaved.

    python benchmarks/ios_install.py [--rounds N] [--megabytes N]

Reach: ≥ 0.9 of ideviceinstaller's throughput. Ours holds the session that a device keeps open;
what its program needs to start and to connect, the time of `ideviceinstaller -l`, is not held
against it. The phone is a process of its own, as real ones are, and its files lie in memory where
the system has a file system for that. A ratio is the median of those of the rounds, in each of
which both follow one another.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pairs
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.messages import Action
from ortlab.devices.virtual.iphone import (
    VirtualIPhone,
    VirtualIPhoneSpec,
    VirtualUsbmux,
    runner_bundle,
)
from ortlab.devices.virtual.iphone.runner_bundles import RUNNER_BUNDLE_ID
from ortlab.devices.virtual.iphone.session import ADDRESS_VARIABLE
from ortlab.devices.virtual.programs import SleepingProgram

IN_MEMORY = Path("/dev/shm")
UDID = VirtualIPhoneSpec().udid
DEADLINE_S = 120.0


def play(version: str, pipe: Connection) -> None:
    place = IN_MEMORY if IN_MEMORY.is_dir() else None
    spec = VirtualIPhoneSpec(ios_version=version)
    with tempfile.TemporaryDirectory(dir=place) as name, VirtualUsbmux() as mux:
        program = SleepingProgram(0.1)
        with VirtualIPhone(spec, program=program, directory=Path(name), mux=mux):
            pipe.send(mux.address)
            pipe.recv()


@contextlib.contextmanager
def virtual_phone(version: str) -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=play, args=(version, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


def install(path: Path, address: str, home: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each act, by round."""
    environment = {ADDRESS_VARIABLE: address, "HOME": str(home)}
    os.environ.update(environment)

    def program(*arguments: str) -> float:
        return pairs.run(("ideviceinstaller", *arguments))

    with contextlib.closing(IphoneClient(UDID, environment=environment)) as client:
        client.ask(Action.CONNECT, deadline_s=DEADLINE_S, doing="connect", pair_s=10.0)

        def ours() -> float:
            began = time.monotonic()
            client.ask(
                Action.INSTALL,
                deadline_s=DEADLINE_S,
                doing="install",
                path=str(path),
                bundle_id=RUNNER_BUNDLE_ID,
            )
            return time.monotonic() - began

        acts: dict[str, Callable[[], float]] = {
            "ours": ours,
            "theirs": lambda: program("-i", str(path)),
            "start": lambda: program("-l"),
        }
        times: dict[str, list[float]] = {name: [] for name in acts}
        for number in range(rounds + 1):
            for name in acts if number % 2 else reversed(acts):
                taken = acts[name]()
                if number:  # the first round warms up
                    times[name].append(taken)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    size = options.megabytes * 1_000_000
    with tempfile.TemporaryDirectory() as name:
        files = {"model.bin": os.urandom(size)}
        path = runner_bundle(Path(name) / "app.ipa", SleepingProgram(0.1), files=files)
        for version in ("16.7.2", "26.1"):
            home = Path(name) / version
            home.mkdir()
            with virtual_phone(version) as address:
                times = install(path, address, home, options.rounds)
            report(version, times, size)


def report(version: str, times: dict[str, list[float]], size: int) -> None:
    start = statistics.median(times["start"])
    both = zip(times["ours"], times["theirs"], strict=True)
    ratios = sorted((theirs - start) / ours for ours, theirs in both)
    ours, theirs = statistics.median(times["ours"]), statistics.median(times["theirs"]) - start
    whole = statistics.median(b / a for a, b in zip(times["ours"], times["theirs"], strict=True))
    print(
        f"iOS {version}: ours {size / ours / 1e6:.0f} MB/s, ideviceinstaller "
        f"{size / theirs / 1e6:.0f} MB/s, ours ÷ theirs {statistics.median(ratios):.2f} "
        f"(rounds {ratios[0]:.2f} to {ratios[-1]:.2f}; reach ≥ 0.9), "
        f"its start and end included {whole:.2f}"
    )


if __name__ == "__main__":
    main()
