"""What of browsers is decided without one: names, messages, deaths, builds, requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab import codec
from ortlab.devices import kind_of, runs_here
from ortlab.devices.web.bench_page import PageBuild, build_for
from ortlab.devices.web.ended import death_of
from ortlab.devices.web.hello import browser_name, read_hello
from ortlab.devices.web.mail import REQUEST, BlockMail, RefusedError, Signal, SignalKind, lay_out
from ortlab.domain import DeviceKind
from ortlab.errors import DeviceError
from ortlab.wire import (
    BlockRequest,
    BrowserFacts,
    DeathKind,
    ModelReference,
    ProviderRequest,
    Purpose,
    RuntimeFacts,
    SessionSettings,
    TensorFile,
)

FACTS = BrowserFacts(
    cross_origin_isolated=True,
    clock_step_ns=5_000,
    threads_asked=None,
    threads_got=None,
    adapter=None,
    adapter_is_fallback=None,
    visible=True,
    user_agent="Mozilla/5.0",
)
RUNTIME = RuntimeFacts(
    ort_version="1.30.0",
    language="typescript",
    language_version="5.9",
    runner_version="1",
    available_providers=("CPUExecutionProvider",),
)


@pytest.mark.parametrize("device_id", ["web", "web:chromium", "web:url-shown", "web:url-shown:1"])
def test_ids_of_browsers(device_id: str) -> None:
    assert kind_of(device_id) is DeviceKind.WEB
    assert runs_here(device_id) is ("url-shown" not in device_id)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11) HeadlessChrome/156.0.0.0 Safari/537.36", "Chrome 156.0.0.0"),
        ("… Chrome/120.0.0.0 Mobile Safari/537.36 EdgA/120.1", "Edge 120.1"),
        ("… Gecko/20100101 Firefox/130.0", "Firefox 130.0"),
        ("… AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1", "Safari 18.1"),
        ("", "a browser"),
    ],
)
def test_browsers_are_named_from_their_user_agent(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


def told(**changes: Any) -> dict[str, Any]:
    return {
        "runtime": codec.to_plain(RUNTIME),
        "browser": codec.to_plain(FACTS),
        "absent_providers": {"WebGpuExecutionProvider": "requestAdapter() gave none"},
        "hardware_concurrency": 8,
        "device_memory_gb": 4,
        "platform": "Linux armv81",
        **changes,
    }


def test_a_page_says_what_it_is() -> None:
    hello = read_hello(told())
    assert (hello.runtime, hello.browser) == (RUNTIME, FACTS)
    assert hello.core_count == 8
    assert hello.absent_providers == {"WebGpuExecutionProvider": "requestAdapter() gave none"}
    for strange in ({"hardware_concurrency": "8"}, {"device_memory_gb": -1}, {"platform": None}):
        read_hello(told(**strange))


@given(st.sampled_from(["runtime", "browser"]), st.none() | st.integers() | st.just({}))
def test_a_page_that_says_something_else_is_refused(field: str, value: Any) -> None:
    with pytest.raises(DeviceError, match="no bench page"):
        read_hello(told(**{field: value}))


@pytest.mark.parametrize(
    ("seen", "output", "kind"),
    [
        ([Signal(kind=SignalKind.CRASHED, words="crashed 11")], "", DeathKind.SIGNAL),
        ([Signal(kind=SignalKind.CRASHED, words="killed 9")], "", DeathKind.OUT_OF_MEMORY),
        ([Signal(kind=SignalKind.CRASHED, words="oom 5")], "", DeathKind.OUT_OF_MEMORY),
        (
            [Signal(kind=SignalKind.CRASHED), Signal(kind=SignalKind.PAGE_CLOSED)],
            "<--- JS stacktrace --->\nFatal JavaScript out of memory",
            DeathKind.OUT_OF_MEMORY,
        ),
        (
            [Signal(kind=SignalKind.PAGE_CLOSED), Signal(kind=SignalKind.BROWSER_ENDED)],
            "",
            DeathKind.EXIT,
        ),
        ([Signal(kind=SignalKind.PAGE_CLOSED)], "out of memory", DeathKind.NO_RESULT),
    ],
)
def test_how_a_page_ended_is_told(
    tmp_path: Path, seen: list[Signal], output: str, kind: DeathKind
) -> None:
    death = death_of(seen, tmp_path, output, name="Chromium")
    assert death.kind is kind
    assert death.output_tail == output


def test_the_smallest_build_with_the_providers_is_chosen() -> None:
    assert build_for(["CPUExecutionProvider"]) is PageBuild.WASM
    assert build_for(()) is PageBuild.WASM
    for name in ("WebGpuExecutionProvider", "WebNNExecutionProvider"):
        assert build_for([name, "CPUExecutionProvider"]) is PageBuild.WEBGPU


def request(directory: Path) -> BlockRequest:
    tensor = TensorFile(name="x", element_type="float", shape=(1,), path=str(directory / "x.bin"))
    return BlockRequest(
        block_id="b",
        purpose=Purpose.PARITY,
        model=ModelReference(path=str(directory / "größe.onnx"), sha256="0" * 64),
        session=SessionSettings(),
        providers=(ProviderRequest(name="CPUExecutionProvider"),),
        inputs=(tensor,),
        output_directory=str(directory / "out"),
    )


def test_a_page_is_told_no_path_of_this_machine(tmp_path: Path) -> None:
    mail = lay_out(request(tmp_path))
    content = mail.fetch(REQUEST)
    assert isinstance(content, bytes)
    assert str(tmp_path) not in content.decode()
    plain = json.loads(content)
    assert [plain["model"]["path"], plain["inputs"][0]["path"]] == ["files/0", "files/1"]
    assert mail.fetch("files/0") == tmp_path / "größe.onnx"
    assert mail.fetch("files/1") == tmp_path / "x.bin"


def test_no_two_blocks_share_a_secret(tmp_path: Path) -> None:
    paths = {lay_out(request(tmp_path)).path for _ in range(20)}
    assert len(paths) == 20
    assert all(len(path) > 25 for path in paths)


@given(st.text(max_size=20))
def test_nothing_but_its_own_files_is_fetched(name: str) -> None:
    mail = BlockMail(request=b"{}", files=(Path("a"),), directory=Path())
    number = name.removeprefix("files/")
    is_known = name == REQUEST or (name != number and number.isdecimal() and int(number) == 0)
    if is_known:
        return
    with pytest.raises(RefusedError) as raised:
        mail.fetch(name)
    assert raised.value.status == 404
