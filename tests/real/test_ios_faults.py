"""Faults × stages of iPhones: the right error and advice in time, nothing partial kept, resumed.

Every pair that can occur is played on a virtual iPhone through pymobiledevice3, most of them on one
of iOS 16 and on one of iOS 26, whose ways to start an app differ: an experiment runs into the
fault, the fault goes away, and the same experiment is taken up again to the same complete run.
Pairs that cannot occur are listed with the reason, so that the table is whole.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from fault_matrix import Played, Prepared, carry_out, check_resumed, playing_at_once, prepare_model

from ortlab.bench import load_run
from ortlab.devices.ios import IosDevice, IosOptions, Limits, open_ios
from ortlab.devices.virtual import PythonRunner
from ortlab.devices.virtual.iphone import VirtualIPhone, VirtualIPhoneSpec, VirtualUsbmux
from ortlab.devices.virtual.iphone import faults as f
from ortlab.devices.virtual.iphone.session import runner_app, worker_environment
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    InstallError,
    OrtlabError,
    StorageError,
    ToolchainError,
)
from ortlab.prepare import load_prepared
from ortlab.wire import DeathKind, Stage

OLD = VirtualIPhoneSpec(ios_version="16.7.2")
NEW = VirtualIPhoneSpec(ios_version="26.1", udid="00008130-001122334455667F", product="iPhone16,1")
BOTH = (OLD, NEW)
GONE = (DeviceLostError, DeviceTimeoutError)
NOBODY = "127.0.0.1:1"


class Step(StrEnum):
    CONNECT = "connect"
    PREFLIGHT = "preflight"
    INSTALL = "install"
    PUSH = "push"
    LAUNCH = "launch"
    RUN = "run"
    PULL = "pull"


# The service that works in each step, whose bytes are counted, and how many of them still pass.
SERVICES: dict[Step, tuple[str, f.Direction, int]] = {
    Step.CONNECT: ("mobile.lockdown", f.Direction.FROM_PHONE, 100),
    Step.PREFLIGHT: ("mobile_image_mounter", f.Direction.FROM_PHONE, 0),
    Step.INSTALL: ("installation_proxy", f.Direction.FROM_PHONE, 600),
    Step.PUSH: ("house_arrest", f.Direction.TO_PHONE, 600),
    Step.LAUNCH: ("DVTSecureSocketProxy|dtservicehub", f.Direction.TO_PHONE, 300),
    Step.RUN: ("DVTSecureSocketProxy|dtservicehub", f.Direction.FROM_PHONE, 4000),
    Step.PULL: ("house_arrest", f.Direction.FROM_PHONE, 1200),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    fault: str
    step: Step
    spec: VirtualIPhoneSpec
    script: tuple[f.Fault, ...] = ()
    errors: tuple[type[OrtlabError], ...] = ()
    deaths: tuple[DeathKind, ...] = ()
    says: str = ""
    within_s: float = 60.0
    without_usbmuxd: bool = False

    @property
    def name(self) -> str:
        return f"{self.fault} at {self.step}, iOS {self.spec.ios_version}"


def on(specs: tuple[VirtualIPhoneSpec, ...], fault: str, step: Step, **rest: Any) -> list[Case]:
    return [Case(fault=fault, step=step, spec=spec, **rest) for spec in specs]


def _cable(step: Step) -> list[Case]:
    service, direction, after = SERVICES[step]
    pulled: f.Fault = f.CablePulled(
        service=service, direction=direction, after_bytes=after, stays_out=True
    )
    if step is Step.RUN:
        pulled = f.CablePulledAtStage(stage=Stage.CREATE_SESSION, stays_out=True)
    specs = BOTH if step in (Step.LAUNCH, Step.RUN, Step.PUSH) else (OLD,)
    rest = {"errors": (*GONE, DeviceError), "says": "plug|attached|cable"}
    return on(specs, "cable pulled", step, script=(pulled,), **rest)


def _hang(step: Step) -> list[Case]:
    service, direction, after = SERVICES[step]
    hangs = f.PhoneHangs(service=service, direction=direction, after_bytes=after, times=None)
    in_block = step is Step.RUN
    rest = {
        "errors": (DeviceError,),
        "deaths": (DeathKind.DEADLINE, DeathKind.NO_RESULT) if in_block else (),
        "says": "" if in_block else "answer|within|tunnel|plug",
        "within_s": 200.0,
    }
    return on((OLD,), "hangs, connection open", step, script=(hangs,), **rest)


def _dies(crash: f.CrashKind, step: Step, deaths: tuple[DeathKind, ...]) -> list[Case]:
    stage = Stage.START if step is Step.LAUNCH else Stage.MEASURE
    return on(
        BOTH if step is Step.RUN else (OLD,),
        f"app dies ({crash})",
        step,
        script=(f.AppDies(stage=stage, crash=crash),),
        deaths=deaths,
    )


def _not_ready(fault: str, step: Step, script: f.Fault, says: str) -> list[Case]:
    return on(BOTH, fault, step, script=(script,), errors=(DeviceNotReadyError,), says=says)


def _refused(fault: str, error: str, description: str, detail: int, says: str) -> list[Case]:
    refused = f.InstallRefused(error=error, description=description, detail=detail, times=None)
    rest = {"errors": (InstallError, DeviceNotReadyError), "says": says}
    return on((OLD,), fault, Step.INSTALL, script=(refused,), **rest)


def _verification(code: int, words: str) -> tuple[str, str, int]:
    description = f"Failed to verify code signature: {code:#x} ({words})"
    return "ApplicationVerificationFailed", description, code - (1 << 32)


TOO_LOW = ("DeviceOSVersionTooLow", "The application requires a newer version of iOS.", -402653026)
PROFILE = _verification(0xE8008015, "A valid provisioning profile was not found.")
UNSIGNED = _verification(0xE800801C, "No code signature found.")

CASES: tuple[Case, ...] = (
    *(case for step in Step for case in _cable(step)),
    *(case for step in Step for case in _hang(step)),
    *on(
        (OLD,),
        "no usbmuxd",
        Step.CONNECT,
        without_usbmuxd=True,
        errors=(ToolchainError,),
        says="usbmuxd",
    ),
    *_not_ready("not trusted", Step.CONNECT, f.TrustDialog(), "Trust"),
    *_not_ready(
        "trust denied", Step.CONNECT, f.TrustDialog(answer=f.TrustAnswer.DENIED), "Don't Trust"
    ),
    *_not_ready("locked", Step.CONNECT, f.DeviceLocked(since_start=True), "[Uu]nlock"),
    *_not_ready("locked", Step.PREFLIGHT, f.DeviceLocked(), "[Uu]nlock"),
    *_not_ready(
        "locked",
        Step.LAUNCH,
        f.LaunchRefused(code=7, reason="Locked", explanation="the device was not unlocked"),
        "[Uu]nlock",
    ),
    *_not_ready("Developer Mode off", Step.PREFLIGHT, f.DeveloperModeOff(), "Developer Mode"),
    *_not_ready("disk image missing", Step.PREFLIGHT, f.ImageMissing(), "image"),
    *_refused("unsigned", *UNSIGNED, says="sign"),
    *_refused("profile missing", *PROFILE, says="profile|sign"),
    *_refused("OS too low", *TOO_LOW, says="[Uu]pdate|newer|iOS"),
    *on(
        (OLD,),
        "disk full",
        Step.INSTALL,
        script=(f.StorageFull(path="/PublicStaging", times=None),),
        errors=(DeviceError, StorageError),
        says="full|room",
    ),
    *on(
        (OLD,),
        "disk full",
        Step.PUSH,
        script=(f.StorageFull(path="ortlab/files", times=None),),
        errors=(DeviceError, StorageError),
        says="full|room",
    ),
    *_not_ready("launch refused", Step.LAUNCH, f.LaunchRefused(), "Trust|developer"),
    *on(
        (NEW,),
        "tunnel refused",
        Step.LAUNCH,
        script=(f.TunnelRefused(times=None),),
        errors=(DeviceNotReadyError,),
        says="tunnel",
    ),
    *_dies(f.CrashKind.JETSAM, Step.LAUNCH, (DeathKind.OUT_OF_MEMORY,)),
    *_dies(f.CrashKind.JETSAM, Step.RUN, (DeathKind.OUT_OF_MEMORY,)),
    *_dies(f.CrashKind.BAD_ACCESS, Step.LAUNCH, (DeathKind.SIGNAL,)),
    *_dies(f.CrashKind.BAD_ACCESS, Step.RUN, (DeathKind.SIGNAL,)),
    *on(
        (OLD,),
        "app hangs",
        Step.LAUNCH,
        script=(f.AppHangs(stage=Stage.START),),
        deaths=(DeathKind.DEADLINE,),
        within_s=120.0,
    ),
    *on(
        BOTH,
        "app hangs",
        Step.RUN,
        script=(f.AppHangs(stage=Stage.MEASURE),),
        deaths=(DeathKind.DEADLINE,),
        within_s=120.0,
    ),
    *(
        case
        for damage in f.Damage
        for case in on(
            (OLD,),
            f"result {damage}",
            Step.PULL,
            script=(f.ResultDamaged(damage=damage),),
            deaths=(DeathKind.GARBLED_RESULT, DeathKind.NO_RESULT),
        )
    ),
)

_AT_CONNECT = "asked of once, when the phone is connected; later a phone that forgot is told so too"
_AT_INSTALL = "only installd says so, and only while it installs"
_AT_PREFLIGHT = "looked at before anything is installed; it does not change without a restart"
_IN_APP = "there is a process of the app only from its start to its end"
_AT_PULL = "there is a result only when it is pulled"
_WRITES = "nothing of ours is written to the phone in this step"


def _but(reason: str, *possible: Step) -> dict[Step, str]:
    return {step: reason for step in Step if step not in possible}


IMPOSSIBLE: dict[str, dict[Step, str]] = {
    "no usbmuxd": _but(
        "without it there is no connection to lose; one that goes is a cable", Step.CONNECT
    ),
    "not trusted": _but(_AT_CONNECT, Step.CONNECT),
    "trust denied": _but(_AT_CONNECT, Step.CONNECT),
    "locked": {
        Step.INSTALL: "installs also while locked, once it was unlocked since its start",
        Step.PUSH: "files go also while locked, once it was unlocked since its start",
        Step.RUN: "the block is recorded with its conditions and its round marked disturbed",
        Step.PULL: "as for push",
    },
    "Developer Mode off": _but(_AT_PREFLIGHT, Step.PREFLIGHT),
    "disk image missing": _but(_AT_PREFLIGHT, Step.PREFLIGHT),
    **{
        name: _but(_AT_INSTALL, Step.INSTALL)
        for name in ("unsigned", "profile missing", "OS too low")
    },
    "disk full": {
        **dict.fromkeys((Step.CONNECT, Step.PREFLIGHT, Step.LAUNCH, Step.PULL), _WRITES),
        Step.RUN: "the runner answers with a failure of kind `storage`; its own tests hold it",
    },
    "launch refused": _but("only said when an app is started", Step.LAUNCH),
    "tunnel refused": _but("opened when an app is started for the first time", Step.LAUNCH),
    "app hangs": _but(_IN_APP, Step.LAUNCH, Step.RUN),
    **{
        f"app dies ({crash})": _but(_IN_APP, Step.LAUNCH, Step.RUN)
        for crash in (f.CrashKind.JETSAM, f.CrashKind.BAD_ACCESS)
    },
    **{f"result {damage}": _but(_AT_PULL, Step.PULL) for damage in f.Damage},
}


def test_the_table_is_whole() -> None:
    played = {(case.fault, case.step) for case in CASES}
    for fault in {case.fault for case in CASES}:
        for step in Step:
            listed = step in IMPOSSIBLE.get(fault, {})
            assert ((fault, step) in played) != listed, f"{fault} at {step}"
    assert len({case.fault for case in CASES}) >= 12
    assert len({case.name for case in CASES}) == len(CASES)


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
    said: list[str] = []
    with (
        VirtualUsbmux() as mux,
        VirtualIPhone(case.spec, program=PythonRunner(), mux=mux) as phone,
    ):
        phone.faults = f.IPhoneFaults(*case.script)
        started = time.monotonic()
        error: OrtlabError | None = None
        try:
            attempt(case, mux, root, prepared, said)
        except OrtlabError as caught:
            error = caught
        took_s = time.monotonic() - started
        run_before = load_run(root / "run") if (root / "run" / "experiment.json").exists() else None
        phone.faults = f.IPhoneFaults()
        phone.unplug()  # what hung is over when somebody pulls the cable
        phone.plug()
        with closing(opened(mux, root, case.spec, said)) as device:
            run_after = carry_out(root, prepared, device)
    return Played(
        error=type(error) if error else None,
        message=f"{error.message} {error.next_step or ''}" if error else "",
        took_s=took_s,
        run_before=run_before,
        run_after=run_after,
        said=tuple(said),
    )


def attempt(
    case: Case, mux: VirtualUsbmux, root: Path, prepared: Prepared, said: list[str]
) -> None:
    address = NOBODY if case.without_usbmuxd else None
    with closing(opened(mux, root, case.spec, said, address=address)) as device:
        carry_out(root, prepared, device)


def opened(
    mux: VirtualUsbmux,
    root: Path,
    spec: VirtualIPhoneSpec,
    said: list[str],
    *,
    address: str | None = None,
) -> IosDevice:
    environment = worker_environment(mux, root / "home")
    if address is not None:
        environment["USBMUXD_SOCKET_ADDRESS"] = address
    return open_ios(
        spec.udid,
        app=runner_app(root, PythonRunner()),
        state_directory=root / "state",
        say=said.append,
        options=IosOptions(limits=Limits(cool_down_s=2, poll_s=0.2), trust_s=1.5),
        environment=environment,
    )


# ------------------------------------------------------------------------------ what must hold


@pytest.mark.requires("ios")
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
    if case.deaths and deaths:
        assert deaths[0].kind in case.deaths, deaths[0]
        assert deaths[0].message
        return
    assert played.error is not None, played.said
    assert issubclass(played.error, case.errors), played.message
    assert re.search(case.says, played.message), played.message
