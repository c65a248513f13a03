"""Generated TypeScript classes on trained models: directions of photos, kinds of files; states."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kind_models import check_mixed, check_sums, models_with_kinds
from text_photos import CLASSIFIER, check_directions, photos, store_pictures

from android import sdk
from ortlab.domain import TargetPlatform
from ortlab.pictures import Label
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.scaffold.sdk_model import ModelForSdk
from web import packages, projects

pytestmark = [pytest.mark.requires("node"), pytest.mark.requires("models")]

MAGIKA = "standard_v3_3/model.onnx"
SIDE_BYTES, PADDING = 1024, 256
FILES = {
    "python": Path(__file__).read_bytes(),
    "json": json.dumps({"models": [{"name": f"m{i}", "size": i} for i in range(99)]}).encode(),
    "html": b"<!doctype html><html><head><title>x</title></head><body>"
    + b"<p class='a'>text</p>\n" * 60
    + b"</body></html>",
}


def tokens(content: bytes) -> list[int]:
    """Return a file's first and last bytes, as magika reads them."""
    stripped = content.strip()
    first, last = stripped[:SIDE_BYTES], stripped[-SIDE_BYTES:]
    padding = [PADDING] * (SIDE_BYTES - len(first))
    return [*first, *padding, *padding, *last]


def labels(answers: Sequence[dict[str, Any]]) -> list[Label]:
    return [
        Label(index=item["index"], text=item["label"], confidence=item["confidence"])
        for item in answers
    ]


def shipped_magika(model: Path, place: Path) -> ModelForSdk:
    """Prepare magika's model as one does for a page."""
    shutil.copy(model, place / "magika.onnx")
    options = PrepareOptions(targets=(TargetPlatform.ARM,), configs=False, predictions=False)
    (result,) = prepare_models([place / "magika.onnx"], place / "prepared-magika", options).results
    assert result.prepared
    assert result.directory
    shipped = sdk.shipped(result.prepared, result.directory, place / "assets")
    assert {item.variant.style for item in shipped.variants} == {"fixed", "runtime"}
    return shipped


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, package_models: Callable[[str], Path]
) -> dict[str, Any]:
    """Run the driver on models that others trained."""
    place = tmp_path_factory.mktemp("kinds")
    models = models_with_kinds(package_models(CLASSIFIER), place)
    magika = shipped_magika(package_models(MAGIKA), place)
    pictures = photos(0)
    store_pictures(place, pictures)
    (place / "files.json").write_text(json.dumps([tokens(data) for data in FILES.values()]))
    project = place / "project"
    projects.write_project(project, [*models, magika], place / "assets", "kinds_driver")
    packages.run("tsc", "--noEmit", directory=project, deadline_s=projects.RUN_S)
    projects.run_driver(project, place / "outputs")
    told = {path.stem: json.loads(path.read_bytes()) for path in place.glob("outputs/*.json")}
    return {**told, "place": place, "pictures": pictures}


def test_a_photo_of_text_has_the_direction_that_python_says(
    answers: dict[str, Any], package_models: Callable[[str], Path]
) -> None:
    directions = {name: labels(given) for name, given in answers["directions"].items()}
    check_directions(directions, answers["pictures"], package_models(CLASSIFIER))


def test_two_outputs_have_labels_of_their_own(answers: dict[str, Any]) -> None:
    mixed = {name: labels(given) for name, given in answers["mixed"].items()}
    check_mixed(mixed, answers["place"] / "mixed.onnx")


def test_a_state_is_carried_and_forgotten(answers: dict[str, Any]) -> None:
    check_sums(answers["sums"])


def test_files_are_what_python_says_they_are(
    answers: dict[str, Any], package_models: Callable[[str], Path]
) -> None:
    import onnxruntime

    model = package_models(MAGIKA)
    session = onnxruntime.InferenceSession(str(model))
    given = np.array([tokens(data) for data in FILES.values()], np.int32)
    (wanted,) = session.run(None, {"bytes": given})
    found = np.array(answers["magika"]["scores"]).reshape(answers["magika"]["shape"])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    known = json.loads(model.with_name("config.min.json").read_bytes())["target_labels_space"]
    assert [known[index] for index in found.argmax(axis=1)] == list(FILES)
