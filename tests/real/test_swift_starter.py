"""The iOS starter app does without its screen what it is to do; its views are Swift that parses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from state_models import recurrent_model
from text_photos import CLASSIFIER, photos, store_pictures

from ios import swift
from ortlab.process import Command, SystemProcesses

pytestmark = pytest.mark.requires("swift")

APP = swift.TEMPLATE / "App"
DRIVER = swift.CHECKOUT / "tests/ios/starter_driver"
FOR_APPLE = re.compile(r"^import (SwiftUI|UIKit|PhotosUI|Combine|CoreGraphics)$", re.MULTILINE)
MANIFEST = """// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "StarterDriver",
    platforms: [.iOS(.v15), .macOS(.v14)],
    dependencies: [.package(name: "OrtStarter", path: "{template}")],
    targets: [
        .executableTarget(
            name: "starter-driver",
            dependencies: [.product(name: "ModelSDK", package: "OrtStarter")])
    ],
    swiftLanguageVersions: [.version("6")]
)
"""
Play = Callable[[list[dict[str, Any]], list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def driver() -> Path:
    """Build what of the app needs no screen, and a program that plays stories in it."""
    package = swift.CACHE / "starter_driver"
    sources = package / "Sources/starter-driver"
    shutil.rmtree(sources, ignore_errors=True)
    sources.mkdir(parents=True)
    manifest = MANIFEST.format(template=swift.TEMPLATE)
    path = package / "Package.swift"
    if not path.is_file() or path.read_text() != manifest:
        path.write_text(manifest)
    logic = [path for path in APP.glob("*.swift") if not FOR_APPLE.search(path.read_text())]
    for source in (*logic, *DRIVER.glob("*.swift")):
        # Times of files decide what is built anew.
        shutil.copy2(source, sources)
    return swift.build(package, product="starter-driver") / "starter-driver"


@pytest.fixture
def play(driver: Path, tmp_path: Path) -> Play:
    """Play steps in the app; what it shows at first and after each."""

    def run(models: list[dict[str, Any]], steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        story, answer = tmp_path / "story.json", tmp_path / "answer.json"
        story.write_text(json.dumps({"models": models, "steps": steps}))
        command = swift.program(driver, story, answer)
        completed = SystemProcesses().run(Command(arguments=command, deadline_s=120.0))
        assert completed.succeeded, completed.stderr
        shown: list[dict[str, Any]] = json.loads(answer.read_text())
        assert len(shown) == len(steps) + 1
        return shown

    return run


def stateful(directory: Path, *, sample: bool) -> dict[str, Any]:
    data = recurrent_model("float")
    (directory / "stateful.onnx").write_bytes(data)
    np.full((2, 1, 3), 0.5, "<f4").tofile(directory / "x.bin")
    tensor = {"type": "float", "shape": [2, 1, 3]}
    return {
        "name": "stateful",
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "states": [{"input": "state_in", "output": "state_out", "shape": [2, 1, 3]}],
        "styles": ["fixed", "onnx"],
        "path": "stateful.onnx",
        "size_bytes": len(data),
        "sample": [{"name": "x", "path": "x.bin", **tensor}] if sample else [],
    }


def run_of() -> dict[str, Any]:
    return {"action": "run"}


def choose(**choices: Any) -> dict[str, Any]:
    return {"action": "choose", "choices": {"model": 0, "provider": "cpu", **choices}}


# ------------------------------------------------------------------------------ sources


def test_all_sources_parse_and_are_in_the_template_s_style() -> None:
    swift.parse(sorted(APP.glob("*.swift")), swift.TEMPLATE)
    swift.format_lint([APP, DRIVER], swift.TEMPLATE)


def test_views_leave_what_can_be_tested_to_files_without_them() -> None:
    lines = {path.name: path.read_text().count("\n") for path in APP.glob("*.swift")}
    views = {
        path.name
        for path in APP.glob("*.swift")
        if re.search(r"^import (SwiftUI|UIKit|PhotosUI)$", path.read_text(), re.MULTILINE)
    }
    assert sum(lines[name] for name in views) < sum(lines.values()) / 2
    forbidden = re.compile(r"\btry!|\bas!|\w!(?:[.)\],\s]|$)(?!=)", re.MULTILINE)
    for path in APP.glob("*.swift"):
        assert not forbidden.search(path.read_text()), path
        if path.name in views:
            # A generated class may be called as a view is.
            bridges = path.name == "PickedPhoto.swift"
            assert bridges or "import ModelSDK" not in path.read_text(), path


# ------------------------------------------------------------------------------ stories


def test_the_packaged_sample_is_run_and_measured(play: Play, tmp_path: Path) -> None:
    before, after, again = play(
        [stateful(tmp_path, sample=True)], [run_of(), {"action": "run twice"}]
    )
    assert before["status"] == "Not run yet"
    assert before["styles"][0] == "Recommended (fixed)"
    assert before["providers"] == ["CPU", "Core ML", "XNNPACK (CPU)"]
    assert before["threads"][0] == "The runtime decides"
    assert len(before["threads"]) > 1
    assert before["inputs"] == [["x", "float[2, 1, 3]", "The packaged sample", "false"]]
    assert before["outputs"] == [
        {"name": "y", "detail": "float[2, 1, 3]", "values": [], "labels": []}
    ]
    assert before["canRun"]
    (output,) = after["outputs"]
    wanted = np.tanh(np.float32(0.5)) + np.float32(0.5)
    first, range_of_all = output["values"]
    np.testing.assert_allclose([float(value) for value in first.split(", ")], wanted, rtol=1e-6)
    assert "from 0.96" in range_of_all
    assert re.fullmatch(
        r"Latency: [\d.]+ ms \(median of 20 runs, fastest [\d.]+ ms\)", after["status"]
    )
    figures = "\n".join(after["figures"])
    assert re.search(r"Loading: [\d.]+ ms", figures)
    assert "Execution providers: CPU" in figures
    assert re.search(r"Memory of the app: [1-9]\d* MB, at most [1-9]\d* MB so far", figures)
    assert "File: fixed" in figures
    assert "Usage data of ONNX Runtime: off" in figures
    # Each run starts with zeros for states, so both give the same.
    assert again["outputs"] == after["outputs"]


def test_choices_hold_from_the_next_run_and_a_missing_provider_is_explained(
    play: Play, tmp_path: Path
) -> None:
    steps = [
        choose(style="onnx", threads=1),
        run_of(),
        choose(provider="coreML"),
        run_of(),
        choose(),
        run_of(),
        {"action": "release"},
        run_of(),
    ]
    shown = play([stateful(tmp_path, sample=False)], steps)
    assert shown[0]["inputs"][0][2] == "Zeros; sizes that may vary are 1"
    assert "File: onnx" in shown[2]["figures"]
    assert shown[2]["choices"] == {"model": 0, "style": "onnx", "provider": "cpu", "threads": 1}
    refused = shown[4]
    assert refused["hasProblem"]
    assert refused["status"].startswith("CoreML cannot be used here: ")
    assert refused["figures"] == []
    assert refused["canRun"]
    for after in (shown[6], shown[8]):
        assert not after["hasProblem"]
        assert "File: fixed" in after["figures"]
        assert after["outputs"][0]["values"][0] == ", ".join(["0.0"] * 6)


def test_a_file_that_is_missing_or_another_is_explained(play: Play, tmp_path: Path) -> None:
    missing = stateful(tmp_path, sample=False) | {"name": "missing", "path": "missing.onnx"}
    broken = missing | {"name": "broken", "path": "broken.onnx", "size_bytes": 6}
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    shown = play([missing, broken], [run_of(), choose(model=1), run_of()])
    assert shown[1]["status"].startswith("The model cannot be read: ")
    assert shown[2]["title"] == "broken"
    assert not shown[2]["hasProblem"]
    assert shown[3]["status"].startswith("The model cannot be loaded: ")


def test_an_app_without_models_says_so(play: Play) -> None:
    (before, after) = play([], [run_of()])
    assert before["status"] == after["status"]
    assert before["status"].startswith("This app carries no model.")
    assert not before["canRun"]


@pytest.mark.requires("models")
def test_a_photo_of_text_is_labelled_with_its_direction(
    play: Play, tmp_path: Path, package_models: Callable[[str], Path], seed: int
) -> None:
    import onnxruntime

    pictures = photos(seed)
    store_pictures(tmp_path, pictures)
    shutil.copy(package_models(CLASSIFIER), tmp_path / "direction.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "direction.onnx"))
    name = session.get_inputs()[0].name
    model = {
        "name": "direction",
        "inputs": [
            {
                "name": name,
                "type": "float",
                "shape": ["batch", 3, "height", "width"],
                "format": {"width": 192, "height": 48},
            }
        ],
        "outputs": [
            {
                "name": session.get_outputs()[0].name,
                "type": "float",
                "shape": ["batch", 2],
                "labels": ["0", "180"],
            }
        ],
        "states": [],
        "styles": ["onnx"],
        "path": "direction.onnx",
        "size_bytes": (tmp_path / "direction.onnx").stat().st_size,
        "sample": [],
    }
    steps: list[dict[str, Any]] = []
    for picture in pictures:
        steps += [{"action": "picture", "input": name, "picture": picture}, run_of()]
    steps += [
        {"action": "picture", "input": name, "picture": "none of them"},
        {"action": "drop", "input": name},
    ]
    shown = play([model], steps)
    assert shown[0]["inputs"][0][3] == "true"
    for number, (picture, pixels) in enumerate(pictures.items()):
        chosen, after = shown[2 * number + 1], shown[2 * number + 2]
        height, width = pixels.shape[:2]
        assert chosen["inputs"][0][2] == f"A picture of {width} × {height} pixels"
        ((small_width, small_height),) = chosen["thumbnails"]
        assert max(small_width, small_height) <= 512
        best, second = after["outputs"][0]["labels"]
        assert best[0] == ("180" if picture.endswith("-turned") else "0")
        assert float(best[1]) == pytest.approx(float(best[2]), abs=5e-4)
        assert float(best[2]) > 0.9 > float(second[2])
    assert shown[-2]["status"].startswith("The picture cannot be read: ")
    assert shown[-2]["thumbnails"]
    assert not shown[-1]["thumbnails"]
