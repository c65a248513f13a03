"""What iPhones say, read without one: messages, errors, findings, crash reports, jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.file_sets import FileHashes
from ortlab.devices.ios import crash, messages
from ortlab.devices.ios.apps import custom_ops_in
from ortlab.devices.ios.facts import IphoneFacts, IphoneStatus, facts_of, status_of
from ortlab.devices.ios.failures import error_of, install_refusal, launch_refusal
from ortlab.devices.ios.jobs import make_job
from ortlab.devices.ios.preflight import check_fits, findings
from ortlab.devices.readiness import Limits, Readiness
from ortlab.devices.virtual import PythonRunner
from ortlab.devices.virtual.iphone import runner_bundle
from ortlab.devices.virtual.iphone.session import runner_app
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    InstallError,
    OrtlabError,
    ToolchainError,
)
from ortlab.wire import (
    BlockRequest,
    Conditions,
    DeathKind,
    ModelReference,
    Purpose,
    SessionSettings,
)

FACTS = IphoneFacts(
    udid="00008110-000A1B2C3D4E5F60",
    name="Anna's iPhone",
    product="iPhone14,5",
    version="16.7.2",
    build="20H115",
    architecture="arm64e",
    chip="A15 Bionic",
    paired=True,
    virtual=False,
)
READY = IphoneStatus(
    percent=80.0,
    charging=True,
    temperature_c=27.0,
    free_bytes=8 << 30,
    locked=False,
    developer_mode=True,
    image_mounted=True,
    app=Conditions(thermal_status="nominal", low_power_mode=False),
)

texts = st.text(max_size=30)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


# ------------------------------------------------------------------------------ messages


@given(
    st.builds(
        messages.Question,
        number=st.integers(0, 1 << 31),
        action=st.sampled_from(messages.Action),
        deadline_s=st.floats(0, 1e6),
        arguments=st.dictionaries(texts, plain, max_size=3),
    )
)
def test_questions_arrive_as_they_were_sent(question: messages.Question) -> None:
    line = messages.to_line(question)
    assert line.count(b"\n") == 1
    assert messages.question_of(line) == question


@given(
    st.builds(
        messages.Event,
        number=st.integers(0, 1 << 31),
        kind=st.sampled_from(messages.EventKind),
        text=texts,
    )
    | st.builds(
        messages.Answer,
        number=st.integers(0, 1 << 31),
        value=plain,
        problem=st.none()
        | st.builds(
            messages.Problem,
            names=st.lists(texts, max_size=3).map(tuple),
            words=texts,
            doing=texts,
            attached=st.none() | st.booleans(),
            code=texts,
        ),
    )
)
def test_replies_arrive_as_they_were_sent(reply: messages.Event | messages.Answer) -> None:
    assert messages.reply_of(messages.to_line(reply)) == reply


@given(st.binary(max_size=200) | plain.map(lambda value: json.dumps(value).encode()))
def test_no_line_breaks_a_reader(line: bytes) -> None:
    for read in (messages.question_of, messages.reply_of):
        try:
            read(line)
        except messages.BadMessageError:
            continue


def test_a_wish_to_give_up_arrives() -> None:
    assert messages.question_of(messages.cancel_line(7)) == 7


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("names", "attached", "family", "word"),
    [
        (("ConnectionFailedToUsbmuxdError", "ConnectionFailedError"), None, ToolchainError, "usb"),
        (("UserDeniedPairingError", "PairingError"), True, DeviceNotReadyError, "Don't Trust"),
        (("PairingDialogResponsePendingError",), True, DeviceNotReadyError, "tapped Trust"),
        (("PasswordRequiredError", "PairingError"), True, DeviceNotReadyError, "locked"),
        (("NotPairedError",), True, DeviceNotReadyError, "does not trust"),
        (("DeveloperDiskImageNotFoundError",), True, DeviceNotReadyError, "disk image"),
        (("TunneldConnectionError",), True, DeviceNotReadyError, "tunnel"),
        (("UserspaceTunnelUnavailableError",), True, DeviceNotReadyError, "tunnel"),
        (("InvalidServiceError", "LockdownError"), True, DeviceNotReadyError, "developers"),
        (("InvalidServiceError", "LockdownError"), False, DeviceLostError, "unplugged"),
        (("ConnectionTerminatedError",), False, DeviceLostError, "unplugged"),
        (("ConnectionTerminatedError",), True, DeviceLostError, "broke"),
        (("QueueShutDown",), True, DeviceLostError, "broke"),
        (("BrokenPipeError", "ConnectionError", "OSError"), None, DeviceLostError, "broke"),
        (("TimeoutError", "OSError"), True, DeviceTimeoutError, "does not answer"),
        (("TimeoutError", "OSError"), False, DeviceLostError, "unplugged"),
        (("AppInstallError",), True, InstallError, "installing words"),
        (("ValueError",), True, DeviceError, "installing words"),
    ],
)
def test_each_exception_has_a_family_a_sentence_and_a_next_step(
    names: tuple[str, ...], attached: bool | None, family: type[OrtlabError], word: str
) -> None:
    problem = messages.Problem(
        names=(*names, "Exception"), words="installing words", doing="x", attached=attached
    )
    error = error_of(problem, doing="run blocks", phone="Anna's iPhone")
    assert type(error) is family
    assert word in error.message
    assert error.next_step


@given(st.lists(texts, max_size=4).map(tuple), texts, texts, st.none() | st.booleans())
def test_every_problem_is_an_error_with_a_next_step(
    names: tuple[str, ...], words: str, doing: str, attached: bool | None
) -> None:
    problem = messages.Problem(
        names=(*names, "Exception"), words=words, doing=doing, attached=attached
    )
    assert error_of(problem, doing="run blocks", phone="P").next_step


@pytest.mark.parametrize(
    ("words", "code", "advice"),
    [
        ("ApplicationVerificationFailed: … 0xe8008015 (A valid …)", "0xe8008015", "UDID"),
        ("ApplicationVerificationFailed: 0xE800801C (No code signature)", "0xe800801c", "sign"),
        ("ApplicationVerificationFailed: something", "ApplicationVerificationFailed", "sign"),
        ("DeviceOSVersionTooLow: The app requires 18.0", "DeviceOSVersionTooLow", "newer iOS"),
        ("PackageExtractionFailed: No space left on device", "PackageExtractionFailed", "room"),
        ("PackageInspectionFailed: junk", "PackageInspectionFailed", "build it again"),
        ("", None, "Mac"),
    ],
)
def test_refusals_of_apps_keep_installds_code(words: str, code: str | None, advice: str) -> None:
    error = install_refusal(words, "com.example.bench", "Anna's iPhone")
    assert error.code == code
    assert advice in (error.next_step or "")


def test_refusals_to_launch_say_what_to_press() -> None:
    locked = launch_refusal("denied … for reason: Locked (…)", "com.example.bench", "P")
    assert isinstance(locked, DeviceNotReadyError)
    assert "unlock" in (locked.next_step or "")
    unknown = launch_refusal("Something new", "com.example.bench", "P")
    assert "Something new" in unknown.message


# ------------------------------------------------------------------------------ findings


def blocked(**changes: Any) -> list[str]:
    status = replace(READY, **changes)
    found = findings(FACTS, status, Limits())
    return [item.subject for item in found if item.state is Readiness.BLOCKED]


def test_a_ready_phone_is_ready() -> None:
    assert {item.state for item in findings(FACTS, READY, Limits())} == {Readiness.OK}


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"developer_mode": False}, "Developer Mode"),
        ({"locked": True}, "screen"),
        ({"percent": 5.0}, "battery"),
        ({"free_bytes": 1 << 20}, "storage"),
        ({"app": Conditions(low_power_mode=True)}, "low power mode"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], subject: str) -> None:
    assert blocked(**changes) == [subject]


def test_a_person_who_opens_the_app_needs_no_developer_mode() -> None:
    status = replace(READY, developer_mode=False, image_mounted=False)
    found = findings(FACTS, status, Limits(), by_hand=True)
    assert {item.state for item in found} == {Readiness.OK}


def test_before_ios_16_there_is_no_developer_mode() -> None:
    old = replace(FACTS, version="15.8")
    found = findings(old, replace(READY, developer_mode=None), Limits())
    assert {item.state for item in found} == {Readiness.OK}


def test_an_app_must_fit_the_phone() -> None:
    app = BuiltApp(
        platform=AppPlatform.IOS,
        files=(Path("/a.ipa"),),
        sha256="0",
        application_id="com.example.bench",
        version_code=1,
        version_name="1",
        abis=(),
        debuggable=True,
        size_by_part={},
        minimum_os="15.1",
    )
    check_fits(app, FACTS)
    with pytest.raises(InstallError, match=r"needs iOS 17\.0"):
        check_fits(replace(app, minimum_os="17.0"), FACTS)
    with pytest.raises(InstallError, match="not signed"):
        check_fits(replace(app, signed=False), FACTS)
    check_fits(replace(app, signed=False), replace(FACTS, virtual=True))


@given(st.dictionaries(texts, plain, max_size=4))
def test_whatever_a_phone_tells_is_read(values: dict[str, object]) -> None:
    facts = facts_of("U", values)
    assert facts.system
    status = status_of({"percent": values, "free_bytes": "x", **values})
    assert findings(facts, status, Limits())


# ------------------------------------------------------------------------------ crash reports


def report(kind: str, body: object) -> str:
    return json.dumps({"bug_type": kind}) + "\n" + json.dumps(body)


CRASH = {
    "pid": 7,
    "exception": {"type": "EXC_BAD_ACCESS", "signal": "SIGSEGV"},
    "termination": {"indicator": "Segmentation fault: 11"},
}
JETSAM = {
    "memoryStatus": {"pageSize": 16384},
    "processes": [
        {"pid": 5, "name": "Other", "reason": "vnode-limit"},
        {"pid": 7, "name": "Bench", "reason": "per-process-limit", "rpages": 1000},
    ],
}


def test_a_crash_report_names_signal_and_reason() -> None:
    cause = crash.judge([report("309", CRASH)], "Bench", 7, None)
    assert cause is not None
    assert (cause.kind, cause.signal_name) == (DeathKind.SIGNAL, "SIGSEGV")
    assert "Segmentation fault" in cause.message


def test_a_jetsam_event_is_out_of_memory_of_the_process_it_ended() -> None:
    cause = crash.judge([report("298", JETSAM)], "Bench", 7, 9)
    assert cause is not None
    assert cause.kind is DeathKind.OUT_OF_MEMORY
    assert "16 MB" in cause.message
    assert "per-process-limit" in cause.message


def test_reports_of_others_do_not_count() -> None:
    texts = [report("309", CRASH), report("298", JETSAM), "junk", report("309", [])]
    assert crash.judge(texts, "Bench", 8, None) is None
    cause = crash.judge(texts, "Bench", 8, 10)
    assert cause is not None
    assert cause.signal_name == "SIGBUS"  # Darwin's number, not that of Linux


@given(st.text(max_size=100) | plain.map(lambda value: report("298", value)))
def test_no_report_breaks_the_reader(text: str) -> None:
    crash.read_report(text, "Bench", 7)


# ------------------------------------------------------------------------------ jobs


def test_a_job_has_paths_relative_to_its_request(tmp_path: Path) -> None:
    model, data = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    model.write_bytes(b"model")
    data.write_bytes(b"data")
    request = BlockRequest(
        block_id="../evil",
        purpose=Purpose.PARITY,
        model=ModelReference(path=str(model), sha256="", custom_op_library="libops.so"),
        session=SessionSettings(),
        providers=(),
        inputs=(),
        output_directory=str(tmp_path / "out"),
    )
    named = "@rpath/Ops.framework/Ops"
    job = make_job(request, "com.example.bench", FileHashes().describe, library=named)
    assert job.argument.startswith("ortlab/requests/")
    assert ".." not in job.remote_directory
    assert job.request.output_directory == "../blocks/" + job.remote_directory.rpartition("/")[2]
    assert job.request.model.path == f"../files/{job.file_sets[0].sha256}/m.onnx"
    assert job.file_sets[0].paths == (model, data)
    assert job.request.model.custom_op_library == "@rpath/Ops.framework/Ops"
    by_hand = make_job(request, "com.example.bench", FileHashes().describe, by_hand=True)
    assert by_hand.request.model.path.startswith("files/")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({}, "@linked/RegisterCustomOps"),
        ({"Frameworks/Ops.framework/Ops": b"program"}, "@rpath/Ops.framework/Ops"),
    ],
)
def test_operators_are_named_as_the_app_carries_them(
    tmp_path: Path, files: dict[str, bytes], named: str
) -> None:
    app = runner_app(tmp_path, PythonRunner())
    path = runner_bundle(tmp_path / "ops.ipa", PythonRunner(), files=files)
    assert custom_ops_in(replace(app, files=(path,))) == named
