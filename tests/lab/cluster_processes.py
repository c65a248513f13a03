"""The processes of a cluster under test, each a program of its own on loopback.

As a program it is an agent with simulated phones: everything of `ortlab lab agent --scheduler`
but the inventory and the measuring.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device_lab.store import LabStore

TESTS = Path(__file__).parents[1]
DEADLINE_S = 90.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def await_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.05)


@dataclass
class Program:
    """One process, its log, and its end by its own pid."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def end(self) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def running(self) -> bool:
        return self.process.poll() is None


@dataclass
class Cluster:
    """Starts the processes of one lab and ends whatever is left of them."""

    directory: Path
    store_url: str
    rack: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    lease_s: float = 5.0
    blocks: int = 5
    block_s: float = 0.1
    edge_s: float = 0.05
    protocol: str = "tcp"
    port: int = field(default_factory=free_port)
    programs: list[Program] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.protocol}://127.0.0.1:{self.port}"

    def scheduler(self) -> Program:
        return self.start("scheduler", "-m", "ortlab", "lab", "scheduler", "--listen", self.address)

    def agent(self, host_id: str, **environment: str) -> Program:
        return self.start(
            f"agent-{host_id}",
            *("-m", "lab.cluster_processes", "--scheduler", self.address, "--host", host_id),
            *("--rack", str(self.rack), "--lease-s", str(self.lease_s)),
            *("--blocks", str(self.blocks), "--block-s", str(self.block_s)),
            *("--edge-s", str(self.edge_s)),
            **environment,
        )

    def start(self, name: str, *arguments: str, **environment: str) -> Program:
        log = self.directory / f"{name}-{len(self.programs)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={
                    **os.environ,
                    "PYTHONPATH": str(TESTS),
                    "ORTLAB_LAB_STORE": self.store_url,
                    "XDG_STATE_HOME": str(self.directory / "state"),
                    **self.environment,
                    **environment,
                },
            )
        program = Program(name, process, log)
        self.programs.append(program)
        return program

    def logs(self) -> str:
        return "\n".join(f"== {one.log.name}\n{one.said()}" for one in self.programs)

    def close(self) -> None:
        for program in self.programs:
            if program.running():
                program.signal(signal.SIGCONT)
                program.kill()


@contextlib.contextmanager
def cluster(directory: Path, store_url: str, **options: Any) -> Iterator[Cluster]:
    """Give a cluster whose processes all end with the block; on an error show their logs."""
    made = Cluster(directory, store_url, directory / "rack", **options)
    try:
        yield made
    except BaseException:
        sys.stderr.write(made.logs())
        raise
    finally:
        made.close()


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> None:
    from device_lab.cluster import AgentOptions, run_agent
    from lab.simulated_phones import Rack, utc_now

    parser = argparse.ArgumentParser()
    for name in ("scheduler", "host", "rack"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("lease-s", "block-s", "edge-s"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--blocks", type=int, required=True)
    chosen = parser.parse_args()
    rack = Rack(Path(chosen.rack), chosen.blocks, chosen.block_s, chosen.edge_s)
    store = LabStore(os.environ["ORTLAB_LAB_STORE"])
    run_agent(
        store,
        AgentOptions(
            scheduler=chosen.scheduler,
            host_id=chosen.host,
            look_every_s=0.3,
            lease_s=chosen.lease_s,
            end_deadline_s=30.0,
        ),
        look=lambda now: rack.look(chosen.host, now),
        measure=lambda *given: rack.measure(chosen.host, *given),
        clock=utc_now,
        say=tell,
        on_connect=lambda address: tell(f"connected to {address}"),
    )
    store.close()


if __name__ == "__main__":
    main()
