"""Faults of browsers: the right error or death with advice, nothing partial kept, run resumed.

An experiment runs into a fault in a real Chromium; the fault goes away, and the same experiment is
taken up again to its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_contract import MODEL, make_arm, make_request
from fault_matrix import Played, Prepared, carry_out, check_resumed, prepare_model
from onnx import TensorProto, helper, numpy_helper
from runner_contract import save
from web_device import built_page, open_browser

from ortlab.analysis import analyze
from ortlab.bench import load_run
from ortlab.devices import open_device
from ortlab.devices.web import ShownOptions, ShownWebDevice, WebDevice, WebOptions
from ortlab.devices.web.mail import BlockMail
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import DeviceError, OrtlabError
from ortlab.prepare import load_prepared
from ortlab.process import Command, SystemProcesses
from ortlab.wire import BlockResult, Death, DeathKind, FailureKind, Purpose, Stage, StopRule

pytestmark = pytest.mark.requires("chromium", "node")


@pytest.fixture(scope="module")
def page() -> Path:
    return built_page()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    directory = prepare_model(tmp_path_factory.mktemp("model"))
    return load_prepared(directory), directory


@pytest.fixture(autouse=True)
def own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put profiles where this test's browsers can be told from others."""
    (tmp_path / "profiles").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "profiles"))


# ------------------------------------------------------------------------------ sabotage


def browser_processes(root: Path, kind: str) -> list[int]:
    """Return this test's browser processes: ``renderer``, or ``browser`` for the main one."""
    listed = SystemProcesses().run(
        Command(arguments=("ps", "-A", "-ww", "-o", "pid=,args="), deadline_s=20)
    )
    found = []
    for line in listed.stdout.splitlines():
        pid, _, arguments = line.strip().partition(" ")
        if f"--user-data-dir={root}" in arguments:
            is_main = "--type=" not in arguments
            if is_main if kind == "browser" else f"--type={kind}" in arguments:
                found.append(int(pid))
    return found


def send(root: Path, kind: str, number: signal.Signals) -> None:
    for pid in browser_processes(root, kind):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def close_pages(root: Path) -> None:
    """Close the page as a person does who closes the tab."""
    (told,) = root.glob("ortlab-browser-*/DevToolsActivePort")
    address = f"http://127.0.0.1:{told.read_text().splitlines()[0]}/json"
    with urllib.request.urlopen(address, timeout=10) as answer:
        targets = json.loads(answer.read())
    for target in targets:
        if target["type"] == "page":
            urllib.request.urlopen(f"{address}/close/{target['id']}", timeout=10).close()


@contextmanager
def sabotaged(stage: Stage, act: Callable[[], None]) -> Iterator[None]:
    """Act once, when the first latency block enters a stage.

    The page waits for the answer to its mark, so it cannot have left the stage by then.
    """
    mark = BlockMail.mark
    entered = threading.Event()

    def marked(mail: BlockMail, word: str) -> None:
        mark(mail, word)
        if word == stage and "latency" in str(mail.directory) and not entered.is_set():
            entered.set()
            act()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BlockMail, "mark", marked)
        yield
    assert entered.is_set(), f"no latency block entered {stage}"


def play(
    tmp_path: Path,
    prepared: Prepared,
    faulty: Callable[[], contextlib.AbstractContextManager[Any]],
    good: Callable[[], contextlib.AbstractContextManager[Any]],
    sabotage: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Played:
    """Run into the fault, then take the run up again without it."""
    error: OrtlabError | None = None
    started = time.monotonic()
    try:
        with faulty() as device, sabotage():
            carry_out(tmp_path, prepared, device)
    except OrtlabError as raised:
        error = raised
    took_s = time.monotonic() - started
    recorded = (tmp_path / "run" / "experiment.json").exists()
    before = load_run(tmp_path / "run") if recorded else None
    with good() as device:
        after = carry_out(tmp_path, prepared, device)
    return Played(
        error=type(error) if error else None,
        message=f"{error.message}; {error.next_step}" if error else "",
        took_s=took_s,
        run_before=before,
        run_after=after,
        said=(),
    )


def deaths(played: Played) -> set[DeathKind]:
    blocks = played.run_before.blocks if played.run_before else ()
    return {block.death.kind for block in blocks if block.death is not None}


# ------------------------------------------------------------------------------ a page that ends


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    act: Callable[[Path, WebDevice], None]
    stage: Stage
    expected: DeathKind
    arguments: tuple[str, ...] = ()


def _kill_driver(_: Path, device: WebDevice) -> None:
    for pid in device.driver_processes():
        os.kill(pid, signal.SIGKILL)


CASES = (
    Case(
        name="page crashes",
        act=lambda root, _: send(root, "renderer", signal.SIGSEGV),
        stage=Stage.MEASURE,
        expected=DeathKind.SIGNAL,
    ),
    Case(
        name="page crashes while starting",
        act=lambda root, _: send(root, "renderer", signal.SIGSEGV),
        stage=Stage.START,
        expected=DeathKind.SIGNAL,
    ),
    Case(
        name="page is killed",
        act=lambda root, _: send(root, "renderer", signal.SIGKILL),
        stage=Stage.WARM_UP,
        expected=DeathKind.OUT_OF_MEMORY,
    ),
    Case(
        name="page hangs",
        act=lambda root, _: send(root, "renderer", signal.SIGSTOP),
        stage=Stage.WARM_UP,
        expected=DeathKind.DEADLINE,
    ),
    Case(
        name="page is closed",
        act=lambda root, _: close_pages(root),
        stage=Stage.WARM_UP,
        expected=DeathKind.NO_RESULT,
        arguments=("--remote-debugging-port=0",),
    ),
    Case(
        name="browser is killed",
        act=lambda root, _: send(root, "browser", signal.SIGKILL),
        stage=Stage.WARM_UP,
        expected=DeathKind.EXIT,
    ),
    Case(
        name="what drives the browser is killed",
        act=_kill_driver,
        stage=Stage.WARM_UP,
        expected=DeathKind.EXIT,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_page_that_ends_is_recorded_and_the_run_completes(
    tmp_path: Path, page: Path, prepared: Prepared, case: Case
) -> None:
    root = tmp_path / "profiles"
    with ExitStack() as opened:
        device = opened.enter_context(open_browser(page, *case.arguments))
        played = play(
            tmp_path,
            prepared,
            faulty=lambda: contextlib.nullcontext(device),
            good=lambda: contextlib.nullcontext(device),
            sabotage=lambda: sabotaged(case.stage, lambda: case.act(root, device)),
        )
    assert case.expected in deaths(played)
    assert played.error is None
    check_resumed(played)
    assert browser_processes(root, "renderer") == []
    assert browser_processes(root, "browser") == []
    assert not list(root.glob("ortlab-*")), "profiles are left over"


# ------------------------------------------------------------------------------ what is broken


def test_no_browser_is_told_with_what_helps(
    tmp_path: Path, page: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = BuiltApp(
        platform=AppPlatform.WEB,
        files=(page / "bench.html",),
        sha256="",
        application_id="",
        version_code=1,
        version_name="1",
        abis=(),
        debuggable=False,
        size_by_part={},
    )

    def absent() -> Any:
        monkeypatch.setenv("ORTLAB_CHROMIUM", str(tmp_path / "nothing"))
        return closing(open_device("web", app=app))

    def present() -> Any:
        monkeypatch.delenv("ORTLAB_CHROMIUM")
        return closing(open_device("web:chromium", app=app))

    played = play(tmp_path, prepared, absent, present)
    assert played.error is DeviceError
    assert "ORTLAB_CHROMIUM" in played.message
    check_resumed(played)


def test_a_browser_that_does_not_start_is_told(
    tmp_path: Path, page: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        monkeypatch.setenv("ORTLAB_CHROMIUM", "false")
        return open_browser(page)

    def whole() -> Any:
        monkeypatch.delenv("ORTLAB_CHROMIUM")
        return open_browser(page)

    played = play(tmp_path, prepared, broken, whole)
    assert played.error is DeviceError
    assert "cannot start" in played.message
    check_resumed(played)


def test_wasm_that_is_cut_off_is_the_pages_fault_not_the_models(
    tmp_path: Path, page: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shutil.copyfileobj

    def cut(source: Any, target: Any, length: int = 0) -> None:
        if str(source.name).endswith(".wasm"):
            target.write(source.read(1 << 16))
            raise ConnectionResetError
        whole(source, target, length)

    @contextmanager
    def cutting() -> Iterator[WebDevice]:
        with open_browser(page) as device:
            assert device.info
            monkeypatch.setattr(shutil, "copyfileobj", cut)
            yield device

    def mended() -> Any:
        monkeypatch.setattr(shutil, "copyfileobj", whole)
        return open_browser(page)

    played = play(tmp_path, prepared, cutting, mended)
    assert played.error is DeviceError
    assert "could not start ONNX Runtime" in played.message
    assert "build the app again" in played.message
    check_resumed(played)


def test_a_page_that_is_no_bench_page_is_told(
    tmp_path: Path, page: Path, prepared: Prepared
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "bench.html").write_text("<!doctype html><title>nothing</title>")
    played = play(
        tmp_path,
        prepared,
        lambda: open_browser(empty, options=WebOptions(start_s=5)),
        lambda: open_browser(page),
    )
    assert played.error is DeviceError
    assert "did not start" in played.message
    check_resumed(played)


def test_missing_headers_are_seen_and_lower_the_trust(
    tmp_path: Path, page: Path, prepared: Prepared
) -> None:
    played = play(
        tmp_path,
        prepared,
        lambda: open_browser(page, options=WebOptions(is_isolated=False)),
        lambda: open_browser(page),
    )
    assert played.error is None
    check_resumed(played)
    found = {finding.rule for finding in analyze(played.run_after).findings}
    assert "not_isolated" in found


def test_a_port_that_is_taken_is_told(page: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match=f"port {port}") as raised:
            ShownWebDevice(page, say=lambda _: None, options=ShownOptions(port=port))
    assert raised.value.next_step == "choose another port"
    device = ShownWebDevice(page, say=lambda _: None, options=ShownOptions(port=port))
    device.close()


def test_memory_that_runs_out_in_the_page_is_a_failure_with_its_name(
    tmp_path: Path, page: Path
) -> None:
    # WebAssembly has 4 GiB; two of these tensors do not fit.
    one = numpy_helper.from_array(np.ones(1, np.float32))
    many = numpy_helper.from_array(np.asarray([700_000_000], np.int64), "shape")
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
            helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=one),
            helper.make_node("Add", ["zeros", "ones"], ["both"]),
            helper.make_node("ReduceSum", ["both"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [many],
    )
    model = save(tmp_path / "large.onnx", graph)
    with open_browser(page) as device:
        answer = device.run_block(make_request(make_arm(model), tmp_path), make_arm(model))
        assert isinstance(answer, BlockResult), answer
        assert answer.failure is not None
        assert answer.failure.kind is FailureKind.OUT_OF_MEMORY
        good = device.run_block(make_request(make_arm(MODEL), tmp_path), make_arm(MODEL))
    assert isinstance(good, BlockResult)
    assert good.failure is None


def test_a_page_that_never_ends_a_run_is_ended(tmp_path: Path, page: Path) -> None:
    endless = StopRule(min_ns=10**15, max_ns=10**16)
    with open_browser(page) as device:
        assert device.info
        request = make_request(
            make_arm(MODEL), tmp_path, Purpose.LATENCY, stop=endless, deadline_s=3
        )
        started = time.monotonic()
        answer = device.run_block(request, make_arm(MODEL))
        took_s = time.monotonic() - started
    assert took_s < 60
    if isinstance(answer, Death):
        assert answer.kind is DeathKind.DEADLINE
    else:
        assert answer.failure is not None
        assert answer.failure.kind is FailureKind.DEADLINE
