"""Faults × stages: the right error and advice in time, nothing partial kept, settings put back.

Every pair that can occur is played on a virtual phone over a real adb: an experiment runs into the
fault, the fault goes away, and the same experiment is taken up again to the same complete run.
Pairs that cannot occur are listed with the reason, so that the table is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import pytest
from android_phones import adb_server, bench_app, connected_phone, opened, setting
from fault_matrix import Played, Prepared, carry_out, check_resumed, playing_at_once, prepare_model

from ortlab.bench import (
    load_run,
)
from ortlab.devices.android.adb import AdbServer
from ortlab.devices.virtual import VirtualAndroidPhone, VirtualPhoneSpec
from ortlab.devices.virtual.android import faults as f
from ortlab.devices.virtual.android.faults import Faults
from ortlab.devices.virtual.power import HeatModel
from ortlab.domain import BuiltApp
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    InstallError,
    OrtlabError,
)
from ortlab.prepare import load_prepared
from ortlab.wire import DeathKind, Stage

STAY_ON = "stay_on_while_plugged_in"
GONE = (DeviceLostError, DeviceTimeoutError)


class Step(StrEnum):
    CONNECT = "connect"
    PREFLIGHT = "preflight"
    INSTALL = "install"
    PUSH = "push"
    START = "start"
    RUN = "run"
    PULL = "pull"
    RESTORE = "restore"


# What adb opens on the phone in each step, and how many bytes of it still pass.
SERVICES: dict[Step, tuple[str, f.Direction, int]] = {
    Step.CONNECT: ("getprop", f.Direction.FROM_PHONE, 100),
    Step.PREFLIGHT: ("dumpsys", f.Direction.FROM_PHONE, 100),
    Step.INSTALL: ("package.*install", f.Direction.TO_PHONE, 100),
    Step.PUSH: ("^sync:", f.Direction.TO_PHONE, 600),
    Step.START: ("am instrument.*request", f.Direction.FROM_PHONE, 0),
    Step.RUN: ("am instrument.*request", f.Direction.FROM_PHONE, 60),
    Step.PULL: ("^sync:", f.Direction.FROM_PHONE, 700),
    Step.RESTORE: ("settings put|settings get", f.Direction.FROM_PHONE, 0),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    fault: str
    step: Step
    script: tuple[f.Fault, ...] = ()
    errors: tuple[type[OrtlabError], ...] = ()
    deaths: tuple[DeathKind, ...] = ()
    says: str = ""
    within_s: float = 60.0
    kill_server: bool = False
    app: Callable[[BuiltApp], BuiltApp] = lambda app: app

    @property
    def name(self) -> str:
        return f"{self.fault} at {self.step}"


def _cable(step: Step) -> Case:
    service, direction, after = SERVICES[step]
    pulled = f.CablePulled(
        service=service, direction=direction, after_bytes=after, stays_out=step is not Step.RESTORE
    )
    return Case(
        fault="cable pulled", step=step, script=(pulled,), errors=GONE, says="cable|plug|adb|phone"
    )


def _hang(step: Step) -> Case:
    service, direction, after = SERVICES[step]
    hangs = f.PhoneHangs(service=service, direction=direction, after_bytes=after, times=None)
    in_block = step in (Step.START, Step.RUN)
    return Case(
        fault="hangs, socket open",
        step=step,
        script=(hangs,),
        errors=(DeviceError,),
        deaths=(DeathKind.DEADLINE,) if in_block else (),
        says="" if in_block else "answer|within",
        within_s=240.0,
    )


def _server(step: Step) -> Case:
    return Case(
        fault="adb server killed", step=step, kill_server=True, errors=(DeviceError,), within_s=90.0
    )


def _dies(crash: f.CrashKind, step: Step, deaths: tuple[DeathKind, ...]) -> Case:
    stage = Stage.CREATE_SESSION if step is Step.START else Stage.MEASURE
    return Case(
        fault=f"app dies ({crash})",
        step=step,
        script=(f.AppDies(stage=stage, crash=crash),),
        deaths=deaths,
    )


def _refused(fault: str, code: str, says: str) -> Case:
    return Case(
        fault=fault,
        step=Step.INSTALL,
        script=(f.InstallRefused(code=code, times=None),),
        errors=(InstallError, DeviceNotReadyError),
        says=f"{code}|{says}",
    )


CRASH = (DeathKind.EXIT, DeathKind.SIGNAL)
CASES: tuple[Case, ...] = (
    *(_cable(step) for step in Step),
    *(_hang(step) for step in Step),
    *(_server(step) for step in Step),
    Case(
        fault="unauthorized",
        step=Step.CONNECT,
        script=(f.Unauthorized(),),
        errors=(DeviceNotReadyError,),
        says="Allow",
    ),
    Case(
        fault="offline",
        step=Step.CONNECT,
        script=(f.NoHandshake(),),
        errors=(DeviceError,),
        says="answer|awake|network",
        within_s=90.0,
    ),
    Case(
        fault="wrong ABI",
        step=Step.PREFLIGHT,
        app=lambda app: replace(app, abis=("mips",)),
        errors=(InstallError, DeviceError),
        says="ABI|mips",
    ),
    _refused("wrong ABI", "INSTALL_FAILED_NO_MATCHING_ABIS", "ABI"),
    _refused("version downgrade", "INSTALL_FAILED_VERSION_DOWNGRADE", "version"),
    _refused("signature conflict", "INSTALL_FAILED_UPDATE_INCOMPATIBLE", "signature|signed"),
    _refused("user refused", "INSTALL_FAILED_USER_RESTRICTED", "allow|Install"),
    _refused("storage full", "INSTALL_FAILED_INSUFFICIENT_STORAGE", "storage|room"),
    Case(
        fault="storage full",
        step=Step.PUSH,
        script=(f.StorageFull(after_bytes=10, path="/data/local/tmp", times=None),),
        errors=(DeviceError,),
        says="full|room|space|storage",
    ),
    _dies(f.CrashKind.JAVA, Step.START, CRASH),
    _dies(f.CrashKind.JAVA, Step.RUN, CRASH),
    _dies(f.CrashKind.NATIVE, Step.START, CRASH),
    _dies(f.CrashKind.NATIVE, Step.RUN, CRASH),
    _dies(f.CrashKind.OUT_OF_MEMORY, Step.START, (DeathKind.OUT_OF_MEMORY,)),
    _dies(f.CrashKind.OUT_OF_MEMORY, Step.RUN, (DeathKind.OUT_OF_MEMORY,)),
    Case(
        fault="thermal shutdown",
        step=Step.RUN,
        script=(f.AppDies(stage=Stage.MEASURE, crash=f.CrashKind.THERMAL),),
        errors=(DeviceNotReadyError,),
        deaths=(*CRASH, DeathKind.OUT_OF_MEMORY),
    ),
    Case(
        fault="screen locked",
        step=Step.PREFLIGHT,
        script=(f.ScreenLocked(times=None),),
        errors=(DeviceNotReadyError,),
        says="[Uu]nlock",
    ),
    Case(
        fault="wrong file content",
        step=Step.PUSH,
        script=(f.WrongContent(path="/files/", times=None),),
        errors=(DeviceError,),
        says="what arrived is not what was sent",
    ),
    *(
        Case(
            fault=f"result {damage}",
            step=Step.PULL,
            script=(f.ResultDamaged(damage=damage),),
            deaths=(DeathKind.GARBLED_RESULT, DeathKind.NO_RESULT),
        )
        for damage in f.Damage
    ),
)

_AT_CONNECT = "adb holds the state only when the phone connects; later it is a pulled cable"
_AT_INSTALL = "only the package manager says so, and only while it installs"
_IN_APP = "there is a process of the app only from its start to its end"
IMPOSSIBLE: dict[str, dict[Step, str]] = {
    "unauthorized": {step: _AT_CONNECT for step in Step if step is not Step.CONNECT},
    "offline": {step: _AT_CONNECT for step in Step if step is not Step.CONNECT},
    "wrong ABI": {step: _AT_INSTALL for step in Step if step not in (Step.PREFLIGHT, Step.INSTALL)},
    "version downgrade": {step: _AT_INSTALL for step in Step if step is not Step.INSTALL},
    "signature conflict": {step: _AT_INSTALL for step in Step if step is not Step.INSTALL},
    "user refused": {step: _AT_INSTALL for step in Step if step is not Step.INSTALL},
    "storage full": {
        **dict.fromkeys(
            (Step.CONNECT, Step.PREFLIGHT, Step.START, Step.PULL, Step.RESTORE),
            "nothing is written to the phone in this step",
        ),
        Step.RUN: "the runner answers with a failure of kind `storage`; its own tests hold it",
    },
    **{
        f"app dies ({crash})": {
            step: _IN_APP for step in Step if step not in (Step.START, Step.RUN)
        }
        for crash in (f.CrashKind.JAVA, f.CrashKind.NATIVE, f.CrashKind.OUT_OF_MEMORY)
    },
    "thermal shutdown": {
        **{step: _IN_APP for step in Step if step not in (Step.PREFLIGHT, Step.RUN)},
        Step.PREFLIGHT: "a warm phone is waited for; the cool-down's own tests hold it",
    },
    "screen locked": {
        **{
            step: "looked at before each block only"
            for step in Step
            if step not in (Step.PREFLIGHT, Step.RUN)
        },
        Step.RUN: "the block is recorded with its conditions and its round marked disturbed",
    },
    "wrong file content": {
        step: "only what was sent to the phone and kept there can change"
        for step in Step
        if step is not Step.PUSH
    },
    **{
        f"result {damage}": {
            step: "there is a result only when it is pulled"
            for step in Step
            if step is not Step.PULL
        }
        for damage in f.Damage
    },
}


def test_the_table_is_whole() -> None:
    played = {(case.fault, case.step) for case in CASES}
    for fault in {case.fault for case in CASES}:
        impossible = IMPOSSIBLE.get(fault, {})
        for step in Step:
            assert ((fault, step) in played) != (step in impossible), f"{fault} at {step}"
    assert len({case.fault for case in CASES}) >= 12


# ------------------------------------------------------------------------------ playing a case


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_model(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def playing(
    request: pytest.FixtureRequest, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Played]]]:
    def make_directory() -> Path:
        return tmp_path_factory.mktemp("case")

    with playing_at_once(request, CASES, play, prepared, make_directory) as futures:
        yield futures


def play(name: str, prepared_directory: Path, root: Path) -> Played:
    case = next(case for case in CASES if case.name == name)
    prepared = load_prepared(prepared_directory), prepared_directory
    spec = VirtualPhoneSpec(heat=HeatModel(time_constant_s=0.5))
    with adb_server() as server, connected_phone(server, spec) as phone:
        before = setting(server, phone, STAY_ON)
        app = bench_app(root)
        said: list[str] = []
        started = time.monotonic()
        error: OrtlabError | None = None
        try:
            attempt(case, server, phone, root, case.app(app), prepared, said)
        except OrtlabError as caught:
            error = caught
        took_s = time.monotonic() - started
        run_before = load_run(root / "run") if (root / "run" / "experiment.json").exists() else None
        mend(phone, server)
        with opened(server, phone, root, app=app, said=said) as device:
            run_after = carry_out(root, prepared, device)
        after = setting(server, phone, STAY_ON)
    return Played(
        error=type(error) if error else None,
        message=f"{error.message} {error.next_step or ''}" if error else "",
        took_s=took_s,
        run_before=run_before,
        run_after=run_after,
        said=tuple(said),
        settings_before=before,
        settings_after=after,
    )


def attempt(
    case: Case,
    server: AdbServer,
    phone: VirtualAndroidPhone,
    root: Path,
    app: BuiltApp,
    prepared: Prepared,
    said: list[str],
) -> None:
    at_end = case.step is Step.RESTORE
    if (
        case.step is Step.CONNECT
        and not case.kill_server
        and case.fault in ("unauthorized", "offline")
    ):
        server.disconnect(phone.address)
        phone.faults = Faults(*case.script)
        server.connect(phone.address, deadline_s=20)
    elif not at_end:
        phone.faults = Faults(*case.script)
    killer = ServerKiller(server, phone, case) if case.kill_server else None
    if killer and not at_end:
        killer.start()
    with opened(server, phone, root, app=app, said=said) as device:
        carry_out(root, prepared, device)
        if at_end:
            phone.faults = Faults(*case.script)
            if killer:
                killer.kill()


def mend(phone: VirtualAndroidPhone, server: AdbServer) -> None:
    """Let the fault be over: the cable is pulled out and plugged in again."""
    phone.faults = Faults()
    phone.plug()
    server.start()
    server.disconnect(phone.address)
    server.connect(phone.address, deadline_s=30)


class ServerKiller(threading.Thread):
    """Kills the adb server as soon as the phone is asked for something."""

    def __init__(self, server: AdbServer, phone: VirtualAndroidPhone, case: Case) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._phone = phone
        self._service = SERVICES[case.step][0]
        self._seen = len(phone.requests)

    def run(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            asked = self._phone.requests[self._seen :]
            if any(re.search(self._service, str(request)) for request in asked):
                return self.kill()
            time.sleep(0.002)
        return None

    def kill(self) -> None:
        adb = shutil.which("adb") or ""
        command = (adb, "-P", str(self._server.port), "kill-server")
        subprocess.run(command, capture_output=True, timeout=20, check=False, env={**os.environ})


# ------------------------------------------------------------------------------ what must hold


@pytest.mark.requires("adb")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_fault(case: Case, playing: Mapping[str, Future[Played]]) -> None:
    played = playing[case.name].result(timeout=600)
    assert played.took_s <= case.within_s
    check_told(case, played)
    check_resumed(played)


def check_told(case: Case, played: Played) -> None:
    """The error, or the death that was recorded, is the right one and says what helps."""
    blocks = played.run_before.blocks if played.run_before else ()
    deaths = [block.death for block in blocks if block.death is not None]
    if case.step is Step.RESTORE:
        warned = any("put" in text and STAY_ON in text for text in played.said)
        assert warned or (played.error is None and case.kill_server)
        return
    if case.deaths and deaths:
        assert deaths[0].kind in case.deaths, deaths[0]
        assert deaths[0].message
        return
    if case.kill_server and played.error is None:
        return  # the server was started again in time and nothing was lost
    assert played.error is not None, played.said
    assert issubclass(played.error, case.errors), played.message
    assert re.search(case.says, played.message), played.message
