"""Operator configs against those of ORT's own converter, and a model against a config."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from small_models import branches, convert_with_ort, convolutions, light, products

from ortlab.domain import (
    ModelSpec,
    OptimizationStyle,
    Parity,
    ParityStatus,
    Precision,
    PreparedModel,
    Provenance,
    TargetPlatform,
    Variant,
)
from ortlab.errors import ModelError, UsageError
from ortlab.prepare.convert import Recipe, conversion_request, convert, open_session
from ortlab.prepare.package_check import PackageCheck, check_package
from ortlab.prepare.package_config import PackageConfig, read_package_config
from ortlab.prepare.precision import make_precision_models
from ortlab.prepare.reduced_build import (
    ReducedBuild,
    config_name,
    required_operators,
    write_reduced_build,
)
from ortlab.wire import GraphOptimizationLevel

STYLES = (OptimizationStyle.FIXED, OptimizationStyle.RUNTIME)
TARGETS = (TargetPlatform.ARM, TargetPlatform.AMD64)


def quantized(directory: Path) -> onnx.ModelProto:
    """QDQ int8 of the convolutions: replay makes QLinearConv of it."""
    onnx.save(convolutions(), directory / "float.onnx")
    rng = np.random.default_rng(0)
    sample = {"x": rng.standard_normal((1, 8, 16, 16)).astype(np.float32)}
    made = make_precision_models(
        directory / "float.onnx", directory, [Precision.INT8_STATIC], calibration=[sample]
    )[Precision.INT8_STATIC]
    assert isinstance(made, Path)
    model = onnx.load(made)
    made.unlink()
    (directory / "float.onnx").unlink()
    return model


MODELS: dict[str, Callable[[Path], onnx.ModelProto]] = {
    "convolutions": lambda _: convolutions(),
    "products": lambda _: products(),
    "branches": lambda _: branches(),
    "quantized": quantized,
    "squeezenet": lambda _: light("squeezenet"),
}


def recipe(style: OptimizationStyle, target: TargetPlatform) -> Recipe:
    return Recipe(
        style=style, target=target, precision=Precision.FP32, level=GraphOptimizationLevel.ALL
    )


def prepare_files(
    source: Path, directory: Path, target: TargetPlatform
) -> dict[OptimizationStyle, list[Path]]:
    """Convert as `prepare` does: both styles, and the twin with the optimizations applied."""
    paths = {}
    for style in STYLES:
        made = recipe(style, target)
        convert(made, source, directory / made.file_name, None)
        paths[style] = [directory / made.file_name]
    applied = directory / f"applied-{target}.ort"
    request = conversion_request(
        recipe(OptimizationStyle.RUNTIME, target),
        source,
        applied,
        optimizations="apply",
        custom_op_library=None,
    )
    open_session(request)
    paths[OptimizationStyle.RUNTIME].append(applied)
    return paths


def build(
    name: str, directory: Path, targets: tuple[TargetPlatform, ...] = TARGETS[:1], **options: Any
) -> ReducedBuild:
    source = directory / "model.onnx"
    onnx.save(MODELS[name](directory), source)
    models: dict[OptimizationStyle, list[Path]] = {style: [] for style in STYLES}
    for target in targets:
        for style, paths in prepare_files(source, directory, target).items():
            models[style] += paths
    return write_reduced_build(directory, models, ort_version="1.31.1", **options)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_all_four_configs_equal_those_of_orts_converter(
    tmp_path: Path, name: str, target: TargetPlatform
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    written = build(name, ours, (target,))
    assert len(written.configs) == 4
    assert written.notes == ()
    for types in (False, True):
        convert_with_ort(ours / "model.onnx", theirs, target=str(target), types=types)
    for config in written.configs:
        assert config.path == config_name(config.style, type_reduction=config.type_reduction)
        assert config.extended_minimal_build == (config.style is OptimizationStyle.RUNTIME)
        expected = read_package_config(theirs / f"model.{config.path}")
        assert read_package_config(ours / config.path) == expected
        if config.style is OptimizationStyle.RUNTIME:
            assert bool(expected.types) == config.type_reduction


def test_both_targets_give_the_union(tmp_path: Path) -> None:
    def operators(config: PackageConfig) -> set[tuple[str, int, str]]:
        return {
            (domain, opset, name)
            for domain, opsets in config.operators.items()
            for opset, names in opsets.items()
            for name in names
        }

    found = {}
    for label, targets in (("both", TARGETS), ("arm", TARGETS[:1]), ("amd64", TARGETS[1:])):
        (tmp_path / label).mkdir()
        build("convolutions", tmp_path / label, targets)
        path = tmp_path / label / config_name(OptimizationStyle.FIXED, type_reduction=False)
        found[label] = operators(read_package_config(path))
    assert found["arm"] != found["amd64"]
    assert found["both"] == found["arm"] | found["amd64"]


def test_runtime_configs_hold_what_replay_makes(tmp_path: Path) -> None:
    build("convolutions", tmp_path)
    name = config_name(OptimizationStyle.RUNTIME, type_reduction=False)
    config = read_package_config(tmp_path / name)
    assert {"Conv", "Relu"} <= frozenset().union(*config.operators["ai.onnx"].values())
    assert config.operators["com.microsoft"] == {1: {"FusedConv"}}


def test_the_files_are_the_same_each_time(tmp_path: Path) -> None:
    texts = []
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        build("squeezenet", tmp_path / label, installed_directory=Path("/elsewhere"))
        files = sorted((tmp_path / label).glob("*.config")) + sorted(
            (tmp_path / label).glob("*.json")
        )
        texts.append([(path.name, path.read_text()) for path in files])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 8


def test_commands_name_files_that_exist_and_settings_that_scripts_read(tmp_path: Path) -> None:
    written = build("convolutions", tmp_path, type_reduction=True)
    assert [recipe.platform for recipe in written.recipes] == ["android", "apple"] * 2
    for index, recipe_ in enumerate(written.recipes):
        runtime = index >= 2
        settings = json.loads((tmp_path / recipe_.settings_path).read_text())
        assert str(tmp_path / recipe_.settings_path) in recipe_.command
        style = STYLES[1] if runtime else STYLES[0]
        config = tmp_path / config_name(style, type_reduction=True)
        assert str(config) in recipe_.command
        assert config.is_file()
        if recipe_.platform == "android":
            assert settings["android_min_sdk_version"] == 24
            assert settings["android_target_sdk_version"] == 36
            assert "arm64-v8a" in settings["build_abis"]
            assert "v1.31.1" in recipe_.command
            parameters = settings["build_params"]
            assert ("--use_nnapi" in parameters) == runtime
        else:
            parameters = settings["build_params"]["base"]
            assert settings["build_params"]["iphoneos"][0] == "--ios"
            assert ("--use_coreml" in parameters) == runtime
        assert ("--minimal_build=extended" in parameters) == runtime
        assert ("--minimal_build" in parameters) != runtime
        assert "--enable_reduced_operator_type_support" in parameters
        assert "extended" in recipe_.note


def test_without_type_reduction_no_command_asks_for_types(tmp_path: Path) -> None:
    written = build("convolutions", tmp_path)
    for recipe_ in written.recipes:
        assert "and_types" not in shlex.join(recipe_.command)
        settings = (tmp_path / recipe_.settings_path).read_text()
        assert "--enable_reduced_operator_type_support" not in settings


def test_commands_use_the_final_directory(tmp_path: Path) -> None:
    written = build("products", tmp_path, installed_directory=Path("/srv/prepared"))
    for recipe_ in written.recipes:
        assert str(tmp_path) not in shlex.join(recipe_.command)
        assert f"/srv/prepared/{recipe_.settings_path}" in recipe_.command


def test_a_damaged_file_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "bad.ort").write_bytes(b"\x08\x00\x00\x00ORTM" + b"\xff" * 60)
    with pytest.raises(ModelError, match=r"bad\.ort"):
        required_operators([tmp_path / "bad.ort"])


# ------------------------------------------------------------------------ a model and a package


def prepared(directory: Path, *paths: str) -> PreparedModel:
    parity = Parity(status=ParityStatus.NOT_CHECKED)
    spec = ModelSpec(
        file_name="model.onnx",
        sha256="",
        size_bytes=0,
        ir_version=8,
        opsets={},
        producer="",
        metadata={},
        inputs=(),
        outputs=(),
    )
    variants = tuple(
        Variant(
            variant_id=Path(path).stem,
            style=OptimizationStyle(path.split("-")[0].split(".")[0]),
            level=GraphOptimizationLevel.ALL,
            target=None,
            precision=Precision.FP32,
            path=path,
            sha256="",
            content_digest="",
            size_bytes=(directory / path).stat().st_size,
            operator_counts={},
            initializer_bytes={},
            saved_optimizations={},
            parity=parity,
        )
        for path in paths
    )
    provenance = Provenance(
        ortlab_version="",
        ort_version="",
        onnx_version="",
        python_version="",
        machine="",
        created_at="",
        cache_key="",
        options={},
    )
    return PreparedModel(
        name="model",
        original=spec,
        findings=(),
        repairs=(),
        variants=variants,
        refused=(),
        samples=(),
        configs=(),
        recipes=(),
        compatibility={},
        predictions=(),
        custom_op_library=None,
        provenance=provenance,
    )


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    build("convolutions", tmp_path)
    (tmp_path / "onnx.onnx").write_bytes((tmp_path / "model.onnx").read_bytes())
    return tmp_path


def check(directory: Path, config: str) -> PackageCheck:
    path = directory / "package.config"
    path.write_text(config)
    model = prepared(directory, "onnx.onnx", "fixed-arm.ort", "runtime-arm.ort")
    return check_package(model, directory, path)


def test_a_package_built_from_our_configs_passes(classifier: Path) -> None:
    for types in (False, True):
        configs = [config_name(style, type_reduction=types) for style in STYLES]
        found = check(classifier, "\n".join((classifier / c).read_text() for c in configs))
        assert found.passed
        assert found.usable == found.checked == ("fixed-arm", "runtime-arm")
        assert any(note.startswith("onnx not compared") for note in found.notes)


def test_a_package_for_fixed_style_lacks_what_runtime_style_needs(classifier: Path) -> None:
    config = config_name(OptimizationStyle.FIXED, type_reduction=False)
    found = check(classifier, (classifier / config).read_text())
    assert not found.passed
    assert found.usable == ("fixed-arm",)
    missing = {missing.operator: missing for missing in found.missing_operators}
    assert {"Conv", "Relu"} & set(missing)
    for lacking in missing.values():
        assert lacking.variant_ids == ("runtime-arm",)
        assert "runtime-arm needs" in lacking.sentence
        assert f'"Failed to find kernel for {lacking.operator}(' in lacking.sentence


def test_what_only_replay_needs_is_said_so(classifier: Path) -> None:
    config = (classifier / config_name(STYLES[1], type_reduction=False)).read_text()
    without = "\n".join(line for line in config.splitlines() if "FusedConv" not in line)
    found = check(classifier, without)
    (missing,) = found.missing_operators
    assert (missing.domain, missing.operator) == ("com.microsoft", "FusedConv")
    assert missing.variant_ids == ("fixed-arm", "runtime-arm")
    assert not missing.only_replayed  # Fixed style needs it in any case
    alone = check_package(
        prepared(classifier, "runtime-arm.ort"), classifier, classifier / "package.config"
    )
    assert alone.missing_operators[0].only_replayed
    assert "when saved optimizations are replayed" in alone.missing_operators[0].sentence


def test_an_older_opset_is_not_enough_and_a_newer_one_may_be(classifier: Path) -> None:
    both = "com.microsoft;1;FusedConv\nai.onnx;1;GlobalAveragePool\nai.onnx;14;Relu\n"
    old = check(classifier, both + "ai.onnx;1;Conv")
    (missing,) = old.missing_operators
    assert (missing.operator, missing.opset, missing.package_opsets) == ("Conv", 11, (1,))
    assert "the package has it for opset 1 only" in missing.sentence
    # A hand-written config lists the model's opset: Conv of opset 17 is Conv since 11.
    assert check(classifier, both + "ai.onnx;17;Conv").passed
    # Conv has changed in opset 22.
    assert not check(classifier, both + "ai.onnx;22;Conv").passed


def test_missing_types_are_named(classifier: Path) -> None:
    names = "com.microsoft;1;FusedConv\nai.onnx;1,11,14;Relu,GlobalAveragePool"
    found = check(classifier, names + ',Conv{"inputs": {"0": ["double"]}}')
    assert found.missing_operators == ()
    (missing,) = found.missing_types
    assert (missing.operator, missing.argument, missing.types) == ("Conv", "inputs 0", ("float",))
    assert "runtime-arm needs ai.onnx:Conv with float as input 0" in missing.sentence
    assert check(classifier, names + ',Conv{"inputs": {"0": ["float"]}}').passed


def test_globally_allowed_types_limit_every_operator(classifier: Path) -> None:
    names = "com.microsoft;1;FusedConv\nai.onnx;1,11,14;Relu,GlobalAveragePool,Conv\n"
    assert check(classifier, names + "!globally_allowed_types;float,int64_t").passed
    found = check(classifier, names + "!globally_allowed_types;int8_t")
    assert {missing.types for missing in found.missing_types} == {("float",)}


def test_a_package_with_all_operators_passes(classifier: Path) -> None:
    assert check(classifier, "!no_ops_specified_means_all_ops_are_required").passed
    assert not check(classifier, "# nothing\n").passed


def test_hostile_configs_are_usage_errors(classifier: Path) -> None:
    for text in ("ai.onnx;11", 'ai.onnx;11;Conv{"inputs":', "\x00;;;", "!x"):
        with pytest.raises(UsageError, match=r"package\.config, line 1"):
            check(classifier, text)
