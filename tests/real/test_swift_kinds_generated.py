"""A generated Swift class says a photo's direction; another keeps its state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kind_models import check_mixed, check_sums, labels_in, models_with_kinds, store_photos
from text_photos import CLASSIFIER, check_directions

from ios import sdk, swift
from ortlab.process import Command, SystemProcesses

pytestmark = pytest.mark.requires("swift")

PROGRAM = swift.CHECKOUT / "tests/ios/kinds_generated"


@pytest.mark.requires("models")
def test_generated_classes_take_pictures_answer_labels_and_keep_states(
    tmp_path: Path, package_models: Callable[[str], Path], seed: int
) -> None:
    classifier = package_models(CLASSIFIER)
    models = models_with_kinds(classifier, tmp_path)
    program = sdk.build_sdk(models, tmp_path / "assets", "kinds", PROGRAM)
    swift.format_lint([PROGRAM], swift.TEMPLATE)
    pictures = store_photos(tmp_path, seed)
    completed = SystemProcesses().run(
        Command(arguments=swift.program(program, tmp_path), deadline_s=120.0)
    )
    assert completed.succeeded, completed.stderr
    lines = [line.split("\t") for line in completed.stdout.splitlines()]
    directions = {line[1]: labels_in(line[2:]) for line in lines if line[0] == "picture"}
    check_directions(directions, pictures, classifier)
    check_sums([[float(field) for field in line[1:]] for line in lines if line[0] == "step"])
    check_mixed(
        {line[0]: labels_in(line[1:]) for line in lines if line[0] in {"few", "many"}},
        tmp_path / "mixed.onnx",
    )
