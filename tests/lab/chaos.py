"""A night of a lab in minutes: eight phones, three agents, and everything is killed at random.

Six phones are simulated and hang on two hosts; two are virtual Android phones on a real adb
server, measured by `ortlab lab agent --scheduler` itself. What is killed is killed with SIGKILL,
and every kill is counted by what it hit, so that a test can tell that all was hit.

Processes are forked from a server that has imported everything: a hundred starts take seconds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from device_lab.store import LabStore
from device_lab.values import CellState, JobSpec, Lease, PhoneState, Requirements
from lab.cluster_processes import TESTS, await_until, free_port
from lab.simulated_phones import SOC, Rack, utc_now
from ortlab.errors import DeviceError

HOSTS = ("left", "right")
PHONES_A_HOST = 3
LEASE_S = 4.0
LEASE_STATES = ("idle", "claimed", "begun", "measuring", "ending", "resumed", "cancelled")
KINDS = {"agent": 46, "scheduler": 16, "submit": 18, "adb agent": 6, "adb server": 14}
MODELS_A_JOB = 12


# ------------------------------------------------------------------------------ processes


def _enter(environment: Mapping[str, str], log: str) -> None:
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)


def run_command(arguments: tuple[str, ...], environment: Mapping[str, str], log: str) -> None:
    """Run an ortlab command as its program does."""
    _enter(environment, log)
    from ortlab import cli

    sys.exit(cli.run(arguments))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def run_simulated_agent(
    scheduler: str, host_id: str, rack: Rack, environment: Mapping[str, str], log: str
) -> None:
    """Run an agent with simulated phones; the rest is what `ortlab lab agent` does."""
    _enter(environment, log)
    from device_lab.agent import give_back
    from device_lab.cluster import AgentOptions, run_agent

    store = LabStore(os.environ["ORTLAB_LAB_STORE"])
    give_back(store, host_id, utc_now())
    run_agent(
        store,
        AgentOptions(scheduler=scheduler, host_id=host_id, look_every_s=0.3, lease_s=LEASE_S),
        look=lambda now: rack.look(host_id, now),
        measure=lambda *given: rack.measure(host_id, *given),
        clock=utc_now,
        say=_say,
    )


@dataclass
class Processes:
    """Forks the lab's processes and kills them by their pid."""

    directory: Path
    environment: Mapping[str, str]
    running: dict[str, BaseProcess] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        os.environ["PYTHONPATH"] = str(TESTS)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["lab.chaos", "distributed", "sqlalchemy", "device_lab.cluster.worker"]
        )

    def start(self, name: str, target: Callable[..., None], *arguments: object) -> BaseProcess:
        self.started += 1
        log = self.directory / f"{name.replace(' ', '-')}-{self.started}.log"
        process = self._context.Process(
            target=target, args=(*arguments, dict(self.environment), str(log)), name=name
        )
        process.start()
        self.running[name] = process
        return process

    def kill(self, name: str) -> bool:
        """Kill a process; whether it was alive until then."""
        process = self.running.pop(name)
        process.kill()
        process.join(30)
        return process.exitcode == -9

    def close(self) -> None:
        for name in list(self.running):
            self.kill(name)

    def logs(self) -> str:
        parts = sorted(self.directory.glob("*.log"), key=lambda path: path.stat().st_mtime)[-12:]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')}" for path in parts)


# ------------------------------------------------------------------------------ phones on adb


class AdbHost:
    """Two virtual Android phones on an adb server of their own, and the model they measure."""

    def __init__(self, directory: Path) -> None:
        from lab.lab_host import BENCH, LabHost, adb, bench_apk, convolutions, phone_on

        self._undo = contextlib.ExitStack()
        self.host = LabHost(directory)
        self.host.prepare(convolutions())
        bench_apk(directory / "models" / "bench.apk")
        self._job = f"{BENCH}app = 'bench.apk'\n"
        self.adb = self._undo.enter_context(adb())
        self.phones = [
            self._undo.enter_context(phone_on(self.adb, serial, memory_bytes=12 << 30))
            for serial in ("LAB0000A", "LAB0000B")
        ]

    def job(self, name: str) -> Path:
        needs = "[requirements]\nmin_memory_bytes = 10_000_000_000\nphone_count = 2\n"
        return self.host.job(
            f'models = ["prepared/model-0"]\nretries = 20\n{needs}{self._job}', name
        )

    def kill_server(self) -> bool:
        """Kill the adb server, and bring the phones back as their cables would."""
        before = self.adb.command("devices").succeeded
        self.adb.kill()
        self.connect()
        return before

    def connect(self) -> None:
        self.adb.server.start()
        for phone in self.phones:
            with contextlib.suppress(DeviceError):  # its cable is out
                self.adb.server.connect(phone.address, deadline_s=20)

    def close(self) -> None:
        self._undo.close()


# ------------------------------------------------------------------------------ the night


@dataclass
class Chaos:
    """Runs a lab and kills its parts.

    Attributes:
        directory: Of everything that is written.
        url: Of the store.
        seed: Of all that is random here; what the processes make of it is theirs.
        kills: How many.
        adb: The host with phones on adb; None to leave it out.
        restart_database: Cuts everyone's connections to it; None if it has no server.
    """

    directory: Path
    url: str
    seed: int
    kills: int
    adb: AdbHost | None
    restart_database: Callable[[], None] | None = None
    killed: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.rack = Rack(self.directory / "rack", blocks=6, block_s=0.12, edge_s=0.2)
        self.store = LabStore(self.url)
        environment = {
            "ORTLAB_LAB_STORE": self.url,
            "XDG_STATE_HOME": str(self.directory / "state"),
            **(self.adb.adb.environment if self.adb else {}),
        }
        self.processes = Processes(self.directory, environment)
        self.scheduler_address = f"tcp://127.0.0.1:{free_port()}"
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.jobs = 0
        self._steps = 0
        self.trouble: list[str] = []

    def run(self) -> None:
        """Live through the night, and let everything that was begun come to its end."""
        for host in HOSTS:
            for number in range(PHONES_A_HOST):
                self.rack.plug_in(host, f"{host}-{number}")
            self._start_agent(host)
        self._start_scheduler()
        if self.adb is not None:
            self._start_adb_agent()
            self._submit_to_the_end(self.adb.job("adb-0"))
        self._fill_queue()
        while self.killed.total() < self.kills or self._missed():
            assert self.killed.total() < 3 * self.kills, f"never hit: {self._missed()}"
            self._step()
        self._settle()

    def close(self) -> None:
        self.processes.close()
        self.store.close()

    def _missed(self) -> set[str]:
        return set(LEASE_STATES) - set(self.states)

    # -- one step -------------------------------------------------------------------------------

    def _step(self) -> None:
        self._do_what_is_due()
        self._fill_queue()
        chance = self.random.random()
        if chance < 0.25:
            self._pull_a_cable()
        elif chance < 0.32:
            self._cancel_a_job()
        self._steps += 1
        if self._steps % 5 == 0 and self.restart_database is not None:
            self.restart_database()
            self.happened["database restart"] += 1
        self._release_phones()
        kinds = dict(KINDS)
        if self.adb is None:
            kinds = {kind: weight for kind, weight in kinds.items() if "adb" not in kind}
        # What was not hit for long comes first, so that a short night hits everything.
        kind = min(kinds, key=lambda one: (self.killed[one] + self.random.random()) / kinds[one])
        if self.killed.total() >= self.kills:
            kind = "agent"  # only states of leases are missing
        {
            "agent": self._kill_an_agent,
            "scheduler": self._kill_the_scheduler,
            "submit": self._kill_a_submission,
            "adb agent": self._kill_the_adb_agent,
            "adb server": self._kill_the_adb_server,
        }[kind]()

    def _later(self, most_s: float, action: Callable[[], None]) -> None:
        """Do something at once, or a while later."""
        if self.random.random() < 0.5:
            action()
        else:
            self.due.append((time.monotonic() + self.random.uniform(0, most_s), action))

    def _do_what_is_due(self, *, all_of_it: bool = False) -> None:
        now = time.monotonic()
        ripe = [entry for entry in self.due if all_of_it or entry[0] <= now]
        self.due = [entry for entry in self.due if entry not in ripe]
        for _, action in ripe:
            action()

    # -- kills ----------------------------------------------------------------------------------

    def _kill_an_agent(self) -> None:
        here = [host for host in HOSTS if host in self.processes.running]
        if not here:
            self._wait_for_something_due()
            return
        host = self.random.choice(here)
        wanted = min(LEASE_STATES, key=lambda state: (self.states[state], self.random.random()))
        if wanted == "cancelled":
            self._cancel_a_job(of_host=host)
        deadline = time.monotonic() + (2.5 if wanted in self.states else 6.0)
        while time.monotonic() < deadline and wanted not in self._lease_states(host):
            time.sleep(0.01)
        self.killed["agent"] += self.processes.kill(host)
        # Nothing renews these leases any more, so this is what the kill hit.
        hit = self._lease_states(host)
        self.states.update(hit)
        self._later(LEASE_S + 1.0, lambda: self._start_agent(host))

    def _kill_the_scheduler(self) -> None:
        if "scheduler" not in self.processes.running:
            self._wait_for_something_due()
            return
        time.sleep(self.random.uniform(0, 0.5))
        self.killed["scheduler"] += self.processes.kill("scheduler")
        self._later(2.0, self._start_scheduler)

    def _kill_a_submission(self) -> None:
        path = self._write_job(models=3)
        self.processes.start("submit", run_command, ("lab", "submit", str(path)))
        time.sleep(self.random.uniform(0.05, 1.2))
        if self.processes.kill("submit"):
            self.killed["submit"] += 1
        name = path.stem
        found = [job for job in self.store.jobs() if job.spec.name == name]
        self.happened["submission was in" if found else "submission was not in"] += 1
        for job in found:
            if len(self.store.cells(job.job_id)) != 3:
                self.trouble.append(f"{name} was killed and is there in part")
        self._submit_to_the_end(path)

    def _kill_the_adb_agent(self) -> None:
        if "adb agent" not in self.processes.running:
            self._wait_for_something_due()
            return
        time.sleep(self.random.uniform(0, 1.0))
        self.killed["adb agent"] += self.processes.kill("adb agent")
        self._later(1.0, self._start_adb_agent)

    def _kill_the_adb_server(self) -> None:
        assert self.adb is not None
        self.killed["adb server"] += self.adb.kill_server()

    def _wait_for_something_due(self) -> None:
        time.sleep(max(0.0, min(at for at, _ in self.due) - time.monotonic()))

    # -- what else happens ----------------------------------------------------------------------

    def _pull_a_cable(self) -> None:
        if self.adb is not None and self.random.random() < 0.15:
            phone = self.random.choice(self.adb.phones)
            phone.unplug()
            self.happened["adb cable pulled"] += 1

            def back() -> None:
                phone.plug()
                assert self.adb is not None
                self.adb.connect()

            self.due.append((time.monotonic() + 1.0, back))
            return
        host, number = self.random.choice(HOSTS), self.random.randrange(PHONES_A_HOST)
        phone_id = f"{host}-{number}"
        where = next((one for one in HOSTS if self.rack.has(one, phone_id)), None)
        if where is None:
            return
        self.rack.pull(where, phone_id)
        self.happened["cable pulled"] += 1
        other = self.random.choice(HOSTS)
        self.happened["phone moved"] += other != where
        again = time.monotonic() + self.random.uniform(0.2, 2.0)
        self.due.append((again, lambda: self.rack.plug_in(other, phone_id)))

    def _cancel_a_job(self, of_host: str | None = None) -> None:
        running = {
            self.store.cell(lease.cell_id).job_id
            for lease in self._leases()
            if of_host is None or lease.holder.startswith(f"{of_host}:")
        }
        simulated = [
            job for job in self.store.jobs() if job.job_id in running and job.spec.name[:3] == "sim"
        ]
        if simulated:
            self.store.cancel(self.random.choice(simulated).job_id, utc_now())
            self.happened["job cancelled"] += 1

    def _release_phones(self) -> None:
        for known in self.store.phones():
            if known.state is PhoneState.QUARANTINED:
                self.store.release_phone(known.phone.phone_id, utc_now())
                self.happened["phone released"] += 1

    # -- work -----------------------------------------------------------------------------------

    def _fill_queue(self) -> None:
        waiting = [cell for cell in self.store.open_cells() if cell.requirements.soc == SOC]
        if len(waiting) >= MODELS_A_JOB:
            return
        self.jobs += 1
        spec = JobSpec(
            name=f"sim-{self.jobs}",
            models=tuple(f"models/{number}" for number in range(MODELS_A_JOB)),
            requirements=Requirements(soc=SOC),
            retries=self.random.choice((0, 2, 20)),
        )
        self.store.submit(spec, utc_now())

    def _write_job(self, models: int) -> Path:
        self.jobs += 1
        name = f"sub-{self.jobs}"
        path = self.directory / f"{name}.toml"
        paths = ", ".join(f'"models/{number}"' for number in range(models))
        path.write_text(
            f'name = "{name}"\nmodels = [{paths}]\nretries = 20\n[requirements]\nsoc = "{SOC}"\n'
        )
        return path

    def _submit_to_the_end(self, path: Path) -> None:
        process = self.processes.start("submit", run_command, ("lab", "submit", str(path)))
        process.join(60)
        del self.processes.running["submit"]
        if process.exitcode != 0:
            self.trouble.append(f"submitting {path.name} ended with {process.exitcode}")
        if sum(job.spec.name == path.stem for job in self.store.jobs()) != 1:
            self.trouble.append(f"{path.name} is not one job")

    # -- processes ------------------------------------------------------------------------------

    def _start_agent(self, host: str) -> None:
        self.processes.start(host, run_simulated_agent, self.scheduler_address, host, self.rack)

    def _start_scheduler(self) -> None:
        self.processes.start(
            "scheduler", run_command, ("lab", "scheduler", "--listen", self.scheduler_address)
        )

    def _start_adb_agent(self) -> None:
        options = ("--look-every-s", "0.5", "--lease-s", "5", "--host-id", "adb")
        self.processes.start(
            "adb agent",
            run_command,
            ("lab", "agent", "--scheduler", self.scheduler_address, *options),
        )

    # -- what a kill hits -----------------------------------------------------------------------

    def _leases(self) -> tuple[Lease, ...]:
        return self.store.overview(utc_now()).leases

    def _lease_states(self, host: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for lease in self._leases():
            if lease.holder.startswith(f"{host}:"):
                found[self._lease_state(lease)] += 1
        return found or Counter(["idle"])

    def _lease_state(self, lease: Lease) -> str:
        cell = self.store.cell(lease.cell_id)
        if any(job.cancelled and job.job_id == cell.job_id for job in self.store.jobs()):
            return "cancelled"
        blocks = self.store.blocks(lease.cell_id, lease.phone_id)
        if self.store.experiment(lease.cell_id, lease.phone_id) is None:
            return "claimed"
        if not blocks:
            return "begun"
        if len(blocks) == self.rack.blocks:
            return "ending"
        return "measuring" if blocks[-1].token == lease.token else "resumed"

    # -- the end --------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Start what is down, plug in what was pulled, and wait until every job is over."""
        self._do_what_is_due(all_of_it=True)
        if self.adb is not None:
            self.adb.connect()
        await_until(self._all_over, "every cell is over", deadline_s=240.0)

    def _all_over(self) -> bool:
        self._release_phones()
        for name, process in self.processes.running.items():
            assert process.is_alive(), f"{name} ended by itself: {process.exitcode}"
        time.sleep(0.3)
        left = {CellState.OPEN, CellState.LEASED}
        return not any(cell.state in left for cell in self.store.cells())


@contextlib.contextmanager
def night(
    directory: Path,
    url: str,
    *,
    seed: int,
    kills: int,
    with_adb: bool,
    restart_database: Callable[[], None] | None = None,
) -> Iterator[Chaos]:
    """Give a night that was lived through; on an error show the last logs."""
    with contextlib.ExitStack() as undo:
        adb = None
        if with_adb:
            adb = AdbHost(directory / "adb-host")
            undo.callback(adb.close)
        chaos = Chaos(directory, url, seed, kills, adb, restart_database)
        undo.callback(chaos.close)
        try:
            chaos.run()
            yield chaos
        except BaseException:
            sys.stderr.write(chaos.processes.logs())
            raise
