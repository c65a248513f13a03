"""A generated class takes a photo of text and says its direction; another keeps its state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kind_models import check_mixed, check_sums, labels_in, models_with_kinds, store_photos
from text_photos import CLASSIFIER, check_directions

from android import toolchain
from ortlab.scaffold.kotlin_sdk import kotlin_sources

pytestmark = pytest.mark.requires("kotlin")

SDK = toolchain.ROOT / "android_template/sdk/src/main/kotlin/dev/ortlab/sdk"
GENERATED_PROGRAM = toolchain.ROOT / "tests/android/kinds_generated"


@pytest.mark.requires("models")
def test_generated_classes_take_pictures_answer_labels_and_keep_states(
    tmp_path: Path, package_models: Callable[[str], Path], seed: int
) -> None:
    classifier = package_models(CLASSIFIER)
    models = models_with_kinds(classifier, tmp_path)
    sources = tmp_path / "kotlin"
    for name, text in kotlin_sources(models).items():
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    toolchain.ktlint(["**/*.kt"], sources)
    sdk = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="sdk",
            sources=(SDK, sources),
            libraries=(toolchain.ANDROID, toolchain.ONNXRUNTIME),
            explicit_api=True,
        ),
        tmp_path / "sdk",
    )
    program = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="tests", sources=(GENERATED_PROGRAM,), libraries=(sdk, toolchain.ANDROID)
        ),
        tmp_path / "tests",
    )
    pictures = store_photos(tmp_path, seed)
    completed = toolchain.java(
        "dev.ortlab.tests.GeneratedProgramKt",
        *(tmp_path / "assets", tmp_path),
        classes=(program, sdk, toolchain.ONNXRUNTIME, *toolchain.RUNTIME),
    )
    lines = [line.split("\t") for line in completed.stdout.splitlines()]
    directions = {line[1]: labels_in(line[2:]) for line in lines if line[0] == "picture"}
    check_directions(directions, pictures, classifier)
    check_sums([[float(field) for field in line[1:]] for line in lines if line[0] == "step"])
    check_mixed(
        {line[0]: labels_in(line[1:]) for line in lines if line[0] in {"few", "many"}},
        tmp_path / "mixed.onnx",
    )
