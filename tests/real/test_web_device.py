"""Blocks in this machine's Chromium, driven by Playwright and served by this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from core_contract import FIXED_STYLE, REPLAY_KEY, RUNTIME_STYLE
from device_contract import CPU, MODEL, DeviceContract, make_arm, make_request
from onnx import helper
from runner_contract import FORMATS, TENSORS, executed, save, small_request
from web_device import SOFTWARE_ADAPTER, built_page, open_browser

from ortlab import tensors
from ortlab.devices.host import HostDevice
from ortlab.devices.web import ShownOptions, ShownWebDevice, WebDevice, WebOptions
from ortlab.devices.web.bench_page import PageBuild
from ortlab.devices.web.browsers import chromium, end_browser, make_profile
from ortlab.devices.web.client import BrowserClient
from ortlab.domain import DeviceKind
from ortlab.errors import DeviceNotReadyError
from ortlab.process import SystemProcesses
from ortlab.wire import (
    BlockResult,
    FailureKind,
    GraphOptimizationLevel,
    LoadMode,
    MemoryPhase,
    ProviderRequest,
    Purpose,
    SessionSettings,
    TensorFile,
)

pytestmark = pytest.mark.requires("chromium", "node")

WEBGPU = ProviderRequest(name="WebGpuExecutionProvider")


@pytest.fixture(scope="module")
def page() -> Path:
    return built_page()


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[WebDevice]:
    with open_browser(page) as device:
        yield device


class TestContract(DeviceContract):
    @pytest.fixture
    def device(self, browser: WebDevice) -> WebDevice:
        return browser

    def test_it_can_be_closed_twice(self, page: Path) -> None:  # type: ignore[override]
        with open_browser(page) as device:
            device.close()


# ------------------------------------------------------------------------------ what it says


def test_it_says_which_browser_it_is_and_what_it_lacks(browser: WebDevice) -> None:
    info = browser.info
    assert info.kind is DeviceKind.WEB
    assert info.device_id == "web:chromium"
    assert info.name.startswith("Chromium ")
    assert info.architecture == "wasm32"
    assert info.ort_version
    assert info.absent_providers[WEBGPU.name]
    assert WEBGPU.name not in info.available_providers


def test_a_result_says_what_the_page_knows_of_its_browser(
    browser: WebDevice, tmp_path: Path
) -> None:
    settings = SessionSettings(intra_op_num_threads=2)
    request = make_request(make_arm(MODEL), tmp_path, Purpose.COLD_START, session=settings)
    result = browser.run_block(request, make_arm(MODEL))
    assert isinstance(result, BlockResult)
    facts = result.browser
    assert facts is not None
    assert facts.cross_origin_isolated
    assert facts.clock_step_ns <= 20_000
    assert result.clock.resolution_ns == facts.clock_step_ns
    assert (facts.threads_asked, facts.threads_got) == (2, 2)
    assert facts.visible
    assert "Chrome" in facts.user_agent
    assert result.conditions_before is not None
    assert result.conditions_before.foreground is True
    assert result.conditions_after is not None
    assert result.conditions_after.busy_fraction is not None


def test_creation_is_timed_apart_from_fetching_and_compiling(
    browser: WebDevice, tmp_path: Path
) -> None:
    model = FORMATS / "small.onnx"
    result = browser.run_block(small_request(tmp_path, model, Purpose.COLD_START), make_arm(model))
    assert isinstance(result, BlockResult)
    timing = result.timing
    for duration in (timing.environment_ns, timing.load_model_ns, timing.session_creation_ns):
        assert duration is not None
        assert 0 < duration < 30_000_000_000


def test_memory_is_that_of_the_wasm_heap(browser: WebDevice, tmp_path: Path) -> None:
    model = FORMATS / "small.onnx"
    result = browser.run_block(small_request(tmp_path, model, Purpose.MEMORY), make_arm(model))
    assert isinstance(result, BlockResult)
    heap = {point.phase: point for point in result.memory if point.metric == "WasmHeap"}
    assert all(point.scope == "page" and point.kind == "peak" for point in heap.values())
    assert heap[MemoryPhase.END].size_bytes >= heap[MemoryPhase.LOADED].size_bytes >= 16 << 20


def test_a_page_that_is_not_isolated_says_so(page: Path, tmp_path: Path) -> None:
    request = make_request(
        make_arm(MODEL), tmp_path, session=SessionSettings(intra_op_num_threads=2)
    )
    with open_browser(page, options=WebOptions(is_isolated=False)) as device:
        result = device.run_block(request, make_arm(MODEL))
    assert isinstance(result, BlockResult)
    assert result.failure is None
    assert result.browser is not None
    assert not result.browser.cross_origin_isolated
    assert result.browser.clock_step_ns >= 50_000
    assert (result.browser.threads_asked, result.browser.threads_got) == (2, 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [("small.onnx", {}), (FIXED_STYLE, {"preferredLayout": "NCHW"}), (RUNTIME_STYLE, {})],
)
def test_webgpu_computes_on_a_software_adapter_what_python_does_and_says_so(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    model = FORMATS / name
    webgpu = replace(WEBGPU, options=options)
    with open_browser(built_page(PageBuild.WEBGPU), *SOFTWARE_ADAPTER) as device:
        assert WEBGPU.name in device.info.available_providers
        request = small_request(tmp_path / "web", model, Purpose.PARITY)
        result = device.run_block(replace(request, providers=(webgpu, CPU)), make_arm(model))
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    assert result.browser is not None
    assert result.browser.adapter_is_fallback
    assert result.registered_providers == (WEBGPU.name, CPU.name)
    request = small_request(tmp_path / "host", model, Purpose.PARITY)
    expected = HostDevice(SystemProcesses()).run_block(request, make_arm(model))
    assert isinstance(expected, BlockResult)
    for mine, theirs in zip(result.outputs, expected.outputs, strict=True):
        np.testing.assert_allclose(
            tensors.read_tensor(mine), tensors.read_tensor(theirs), rtol=1e-3, atol=1e-4
        )


# ------------------------------------------------------------------------------ what runs


@pytest.mark.parametrize(
    ("model", "settings", "fused"),
    [
        (FIXED_STYLE, {}, 6),
        (RUNTIME_STYLE, {"config_entries": {REPLAY_KEY: "1"}}, 6),
        (RUNTIME_STYLE, {}, 0),
        ("small.onnx", {"graph_optimization_level": GraphOptimizationLevel.DISABLED}, 0),
        ("small.onnx", {"graph_optimization_level": GraphOptimizationLevel.EXTENDED}, 6),
    ],
)
def test_replay_on_off_and_fixed_are_proven_by_the_operators_that_ran(
    browser: WebDevice, tmp_path: Path, model: str, settings: dict[str, Any], fused: int
) -> None:
    counts = executed(browser, tmp_path, FORMATS / model, SessionSettings(**settings))
    assert counts["FusedConv"] == fused
    assert counts["Conv"] + counts["FusedConv"] == 6


@pytest.mark.parametrize(
    "name",
    [
        "small.onnx",
        FIXED_STYLE,
        RUNTIME_STYLE,
        "small_qdq.onnx",
        "small_qdq.fixed.ort-1.31.1.ort",
        "small_qdq.runtime-arm.ort-1.31.1.ort",
    ],
)
def test_outputs_of_every_format_are_those_of_python(
    browser: WebDevice, tmp_path: Path, name: str
) -> None:
    model = FORMATS / name
    answers = {}
    for kind, device in (("web", browser), ("host", HostDevice(SystemProcesses()))):
        directory = tmp_path / kind
        request = small_request(directory, model, Purpose.PARITY)
        if name.startswith("small_qdq"):
            values = np.random.default_rng(7).random((1, 3, 8, 8), np.float32)
            inputs = (tensors.write_tensor(directory / "small.bin", "x", values),)
            request = replace(request, inputs=inputs)
        result = device.run_block(request, make_arm(model))
        assert isinstance(result, BlockResult), result
        assert result.failure is None, result.failure
        answers[kind] = {output.name: tensors.read_tensor(output) for output in result.outputs}
    assert answers["web"].keys() == answers["host"].keys()
    for output, expected in answers["host"].items():
        np.testing.assert_allclose(answers["web"][output], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("vector", TENSORS, ids=lambda vector: str(vector["name"]))
def test_tensors_of_every_type_pass_through_unchanged(
    browser: WebDevice, tmp_path: Path, vector: dict[str, Any]
) -> None:
    kind = getattr(onnx.TensorProto, vector["element_type"].upper())
    shape = vector["shape"]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    model = save(tmp_path / "identity.onnx", graph)
    path = tmp_path / "x.bin"
    path.write_bytes(bytes.fromhex(vector["hex"]))
    made = TensorFile(
        name="x",
        element_type=vector["element_type"],
        shape=tuple(shape),
        path=str(path),
    )
    result = browser.run_block(
        make_request(make_arm(model), tmp_path, inputs=(made,)), make_arm(model)
    )
    assert isinstance(result, BlockResult)
    if result.failure is not None:
        assert result.failure.kind in (FailureKind.UNSUPPORTED, FailureKind.INVALID_INPUT)
        return
    (output,) = result.outputs
    assert Path(output.path).read_bytes() == path.read_bytes()


def test_weights_are_never_left_in_bytes_that_are_given_back(
    browser: WebDevice, tmp_path: Path
) -> None:
    model = FORMATS / FIXED_STYLE
    request = small_request(tmp_path, model, Purpose.PARITY)
    mode = LoadMode.INITIALIZERS_FROM_BYTES
    asked = replace(request, model=replace(request.model, load_mode=mode))
    result = browser.run_block(asked, make_arm(model))
    assert isinstance(result, BlockResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNSUPPORTED


# ------------------------------------------------------------------------------ a person's browser


def test_a_browser_that_a_person_opens_takes_blocks_one_after_another(
    page: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    device = ShownWebDevice(page, say=said.append, options=ShownOptions(patience_s=60))
    person = BrowserClient(tmp_path / "log.txt", lambda *_: None)
    profile = make_profile()
    found = chromium()
    try:
        person.ask(
            "open",
            deadline_s=60,
            url=device.address,
            profile=str(profile),
            executable=found.executable,
            arguments=list(found.arguments),
            sandbox=found.sandbox,
        )
        assert device.info.name.startswith("Chrome ")
        assert any(f"adb reverse tcp:{device.port} tcp:{device.port}" in text for text in said)
        assert any(device.address in text for text in said)
        results = []
        for number, purpose in enumerate((Purpose.PARITY, Purpose.PROFILE, Purpose.LATENCY)):
            request = make_request(make_arm(MODEL), tmp_path / str(number), purpose)
            results.append(device.run_block(request, make_arm(MODEL)))
        for result in results:
            assert isinstance(result, BlockResult), result
            assert result.failure is None
            assert result.runtime is not None
            assert result.runtime.shared_process
    finally:
        device.close()
        person.close()
        end_browser(profile, SystemProcesses())


def test_nobody_opening_the_page_is_told(page: Path) -> None:
    device = ShownWebDevice(page, say=lambda _: None, options=ShownOptions(patience_s=0.1))
    try:
        with pytest.raises(DeviceNotReadyError, match="nobody opened"):
            _ = device.info
    finally:
        device.close()
        device.close()
