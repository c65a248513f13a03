"""What every test gets: the guard on unit tests, requirements, the table of what was verified.

A test under `tests/unit` may not start a program, open a connection or sleep; one under
`tests/real` runs real programs. A test that needs a tool says so with
``@pytest.mark.requires("chromium")``: without the tool it is skipped, unless ``ORTLAB_REQUIRE``
(a comma-separated list) names it, which turns the skip into a failure.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from android import toolchain
from ios import swift

TESTS = Path(__file__).parent
SEED = int(os.environ.get("ORTLAB_TEST_SEED", "20261121"))

settings.register_profile(
    "ortlab",
    deadline=None,
    print_blob=True,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ortlab")


@dataclass(frozen=True)
class Tool:
    claim: str
    present: Callable[[], bool]
    enable: str


def _has_package(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def find_postgres() -> Path | None:
    """Return the directory of PostgreSQL's programs, the newest version first."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).parent)
    return next((path for path in found if (path / "initdb").exists()), None)


TOOLS = {
    "chromium": Tool(
        "reports open offline and run nobody's script",
        lambda: find_chromium() is not None and _has_package("playwright"),
        "apt-get install chromium",
    ),
    "models": Tool(
        "conversion, parity and replay on trained models",
        lambda: _has_package("rapidocr_onnxruntime") and _has_package("magika"),
        "make models",
    ),
    "custom_ops": Tool(
        "a custom-op library goes all the way",
        lambda: _has_package("onnxruntime_extensions"),
        "make install",
    ),
    "kotlin": Tool(
        "the Kotlin SDK, core and apps compile, lint clean and run on a JVM",
        toolchain.present,
        "make android-tools",
    ),
    "apk": Tool(
        "shrunk, signed APKs without any permission",
        lambda: toolchain.present() and all(map(shutil.which, ("aapt2", "zipalign", "apksigner"))),
        "apt-get install aapt zipalign apksigner && make android-tools",
    ),
    "adb": Tool(
        "two generations of adb on virtual phones",
        lambda: shutil.which("adb") is not None,
        "apt-get install adb",
    ),
    "swift": Tool(
        "the Swift SDK, core and apps compile, lint clean and run on Linux",
        swift.present,
        "sudo scripts/install_swift.sh",
    ),
    "ios": Tool(
        "what speaks to iPhones, on virtual ones",
        lambda: _has_package("pymobiledevice3"),
        "make ios",
    ),
    "imobiledevice": Tool(
        "another client on virtual iPhones",
        lambda: shutil.which("ideviceinstaller") is not None,
        "apt-get install ideviceinstaller libimobiledevice-utils",
    ),
    "postgres": Tool(
        "the device lab's store on PostgreSQL",
        lambda: find_postgres() is not None,
        "apt-get install postgresql",
    ),
    "node": Tool(
        "the TypeScript SDK, runner and starter page compile, lint clean and run",
        lambda: shutil.which("node") is not None and shutil.which("npm") is not None,
        "apt-get install nodejs npm",
    ),
    "int4": Tool("int4 weights", lambda: _has_package("onnx_ir"), "pip install 'ortlab[int4]'"),
}


def required_tools() -> set[str]:
    names = {name.strip() for name in os.environ.get("ORTLAB_REQUIRE", "").split(",")} - {""}
    if unknown := names - set(TOOLS) - {"all"}:
        known = ", ".join([*TOOLS, "all"])
        message = f"ORTLAB_REQUIRE names {', '.join(sorted(unknown))}; it may name {known}"
        raise pytest.UsageError(message)
    return set(TOOLS) if "all" in names else names


def pytest_configure() -> None:
    required_tools()


def pytest_report_header() -> str:
    required = ", ".join(sorted(required_tools())) or "none"
    return f"seed: {SEED} (ORTLAB_TEST_SEED), required tools: {required} (ORTLAB_REQUIRE)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if TESTS / "real" in item.path.parents:
            item.add_marker(pytest.mark.real)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires"):
        for name in marker.args:
            tool = TOOLS[name]
            if tool.present():
                continue
            reason = f"needs {name}: {tool.enable}"
            if name in required_tools():
                pytest.fail(f"ORTLAB_REQUIRE names {name}, but it is missing ({tool.enable})")
            pytest.skip(reason)


@pytest.fixture(autouse=True)
def _guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests neither spawn, connect nor sleep."""
    random.seed(SEED)
    if request.node.get_closest_marker("real"):
        return

    def forbidden(*_args: object, **_kwargs: object) -> None:
        pytest.fail("a unit test may not start a program, open a connection or sleep")

    monkeypatch.setattr(subprocess.Popen, "__init__", forbidden)
    monkeypatch.setattr(os, "fork", forbidden)
    monkeypatch.setattr(os, "posix_spawn", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(time, "sleep", forbidden)


@pytest.fixture
def seed() -> int:
    return SEED


@pytest.fixture(scope="session")
def package_models() -> Callable[[str], Path]:
    """Return the path of a trained model that a package carries, by file name."""

    def find(name: str) -> Path:
        for package in ("rapidocr_onnxruntime", "magika"):
            spec = importlib.util.find_spec(package)
            if spec and spec.submodule_search_locations:
                for path in Path(spec.submodule_search_locations[0]).rglob(name):
                    return path
        raise LookupError(name)

    return find


# ---------------------------------------------------------------- the table of what was verified


PLACES = {
    "unit": "what is decided and computed, starting no program",
    "real": "real ORT, real processes, real files on this machine",
}
NOT_HERE = "Gradle, Xcode and real phones need machines that have them"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*PLACES, *TOOLS)}
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name in getattr(report, "verifies", ()):
                counts[name][outcome] += 1
    rows = [
        *((name, claim, _state(counts[name], "")) for name, claim in PLACES.items()),
        *((name, tool.claim, _state(counts[name], tool.enable)) for name, tool in TOOLS.items()),
        ("phones", NOT_HERE, "not here"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    terminalreporter.section("what this run verified")
    for name, claim, state in rows:
        terminalreporter.write_line(f"{name:<{widths[0]}}  {claim:<{widths[1]}}  {state}")


def _state(seen: Counter[str], enable: str) -> str:
    if broken := seen["failed"] + seen["error"]:
        return f"FAILED ({broken} of {seen.total()})"
    if seen["skipped"] and not seen["passed"]:
        return f"skipped; to verify it: {enable}" if enable else "skipped"
    if seen["passed"]:
        skipped = f", {seen['skipped']} skipped" if seen["skipped"] else ""
        return f"verified ({seen['passed']} passed{skipped})"
    return "not in this run"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note on the report, which travels between processes, what the test stands for."""
    report = yield
    if report.when == "call" or report.outcome != "passed":
        place = "real" if item.get_closest_marker("real") else "unit"
        tools = [name for marker in item.iter_markers("requires") for name in marker.args]
        report.verifies = [place, *tools]  # type: ignore[attr-defined]
    return report
