"""Custom ORT packages: operator configs, build settings, and the commands that use them.

An operator config lists what the `.ort` variants need, so that a reduced build holds nothing
else. Its content is what ORT's converter writes: for Fixed style the operators of the files; for
Runtime style also those that replaying the saved optimizations would make, which come from a
conversion with these optimizations applied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ortlab.domain import BuildRecipe, OperatorConfig, OptimizationStyle
from ortlab.errors import ModelError

ANDROID_ABIS = ("armeabi-v7a", "arm64-v8a", "x86", "x86_64")
ANDROID_MIN_SDK_VERSION = 24
ANDROID_TARGET_SDK_VERSION = 36
APPLE_DEPLOY_TARGET = "15.1"

_PACKAGE_DIRECTORY = "onnxruntime-custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredOperators:
    """What `.ort` files need of a runtime.

    Attributes:
        operators: Domain to opset to operator types; the opset is the one since which the
            operator has been as the model uses it.
        types: ``(domain, operator)`` to ORT's type entry: ``inputs`` and ``outputs`` map an index
            to C++ type names, ``custom`` lists combinations. None when the types could not be
            told.
        types_reason: Why not; empty otherwise.
    """

    operators: Mapping[str, Mapping[int, frozenset[str]]]
    types: Mapping[tuple[str, str], str] | None
    types_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedBuild:
    """What was written for reduced builds.

    Attributes:
        configs: Operator configs, one for each style with and without types.
        recipes: Settings and commands, for each style and platform.
        notes: What could not be written, in sentences.
    """

    configs: tuple[OperatorConfig, ...]
    recipes: tuple[BuildRecipe, ...]
    notes: tuple[str, ...] = ()


def write_reduced_build(
    directory: Path,
    models: Mapping[OptimizationStyle, Sequence[Path]],
    *,
    ort_version: str,
    type_reduction: bool = False,
    installed_directory: Path | None = None,
) -> ReducedBuild:
    """Write operator configs, build settings and the commands that use them.

    Args:
        directory: Where the files go.
        models: `.ort` files by style. Those of Runtime style must include, for each file, a twin
            converted with the same settings but ``optimization.minimal_build_optimizations`` =
            ``apply``, as ORT's converter does; without it the config lacks the operators that
            replay makes.
        ort_version: Release that the packages are built from, such as ``1.31.1``.
        type_reduction: Whether the commands use the config that lists element types.
        installed_directory: Where ``directory`` will finally stand, for the commands; itself
            if None.

    Returns:
        What was written, with paths relative to ``directory``.

    Raises:
        ModelError: A file is not a readable `.ort` model.
    """
    configs: list[OperatorConfig] = []
    recipes: list[BuildRecipe] = []
    notes: list[str] = []
    final = (installed_directory or directory).absolute()
    for style in (OptimizationStyle.FIXED, OptimizationStyle.RUNTIME):
        paths = models.get(style, ())
        if not paths:
            continue
        required = required_operators(paths)
        used = {}
        for typed in (False, True):
            if typed and required.types is None:
                notes.append(
                    f"no operator config with types for {style} style: {required.types_reason}"
                )
                continue
            name = config_name(style, type_reduction=typed)
            (directory / name).write_text(format_config(required, type_reduction=typed))
            used[typed] = name
            configs.append(
                OperatorConfig(
                    style=style,
                    type_reduction=typed,
                    path=name,
                    extended_minimal_build=style is OptimizationStyle.RUNTIME,
                )
            )
        chosen = used.get(type_reduction, used[False])
        for platform in ("android", "apple"):
            needs_types = chosen == used.get(True)
            settings = _settings(platform, style, required, type_reduction=needs_types)
            name = _settings_name(platform, style)
            (directory / name).write_text(json.dumps(settings, indent=2) + "\n")
            recipes.append(_recipe(platform, style, final, name, chosen, ort_version))
    return ReducedBuild(configs=tuple(configs), recipes=tuple(recipes), notes=tuple(notes))


def config_name(style: OptimizationStyle, *, type_reduction: bool) -> str:
    """Return the file name that ORT's converter gives to a config."""
    types = "_and_types" if type_reduction else ""
    replay = ".with_runtime_opt" if style is OptimizationStyle.RUNTIME else ""
    return f"required_operators{types}{replay}.config"


# ------------------------------------------------------------------------------ operator configs


def required_operators(paths: Sequence[Path]) -> RequiredOperators:
    """Collect the operators and types of `.ort` files with ORT's own reader.

    Raises:
        ModelError: A file is not a readable `.ort` model.
    """
    from onnxruntime.tools.ort_format_model import OperatorTypeUsageManager

    manager = OperatorTypeUsageManager()
    try:
        operators, types_reason = _process(paths, manager), ""
    except ModelError as error:
        # Types of a newer kind than the reader knows, such as int4; operators need no types.
        operators, types_reason = _process(paths, None), str(error.__cause__)
    types = None
    if not types_reason:
        types = {
            (domain, name): entry
            for domain, opsets in operators.items()
            for names in opsets.values()
            for name in names
            if (entry := manager.get_config_entry(domain, name))
        }
    return RequiredOperators(operators=operators, types=types, types_reason=types_reason)


def _process(paths: Sequence[Path], manager: Any) -> Mapping[str, Mapping[int, frozenset[str]]]:
    from onnxruntime.tools.ort_format_model import OrtFormatModelProcessor

    found: dict[str, dict[int, set[str]]] = {}
    for path in paths:
        try:
            OrtFormatModelProcessor(str(path), found, manager).process()
        except Exception as error:  # flatbuffers answers a damaged file with any exception
            detail = f"{type(error).__name__}: {error}"
            message = f"cannot read the operators of {path.name}: {detail}"
            raise ModelError(message) from error
    return {
        domain: {opset: frozenset(names) for opset, names in opsets.items()}
        for domain, opsets in found.items()
    }


def format_config(required: RequiredOperators, *, type_reduction: bool) -> str:
    """Write an operator config in ORT's format; equal models give equal bytes."""
    types = (required.types or {}) if type_reduction else {}
    lines = ["# Operators that the models of this directory need; written by ortlab."]
    for domain in sorted(required.operators):
        for opset in sorted(required.operators[domain]):
            names = sorted(required.operators[domain][opset])
            listed = ",".join(f"{name}{types.get((domain, name), '')}" for name in names)
            lines.append(f"{domain};{opset};{listed}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------- settings, commands


def _settings_name(platform: str, style: OptimizationStyle) -> str:
    replay = ".with_runtime_opt" if style is OptimizationStyle.RUNTIME else ""
    return f"build_settings.{platform}{replay}.json"


def _settings(
    platform: str,
    style: OptimizationStyle,
    required: RequiredOperators,
    *,
    type_reduction: bool,
) -> Mapping[str, object]:
    """Build settings in the form that ORT's packaging scripts read."""
    extended = style is OptimizationStyle.RUNTIME
    common = ["--parallel", "--minimal_build=extended" if extended else "--minimal_build"]
    common += ["--disable_rtti", "--skip_tests"]
    if "ai.onnx.ml" not in required.operators:
        common.append("--disable_ml_ops")
    if type_reduction:
        common.append("--enable_reduced_operator_type_support")
    if platform == "android":
        build = ["--android", "--cmake_generator=Ninja", "--build_java", "--build_shared_lib"]
        providers = ["--use_nnapi", "--use_xnnpack"] if extended else []
        return {
            "build_abis": list(ANDROID_ABIS),
            "android_min_sdk_version": ANDROID_MIN_SDK_VERSION,
            "android_target_sdk_version": ANDROID_TARGET_SDK_VERSION,
            "build_params": [*build, *common, *providers],
        }
    providers = ["--use_coreml", "--use_xnnpack"] if extended else []
    tests_off = "--cmake_extra_defines=onnxruntime_BUILD_UNIT_TESTS=OFF"
    base = ["--use_xcode", "--build_apple_framework", *common, *providers, tests_off]
    phone = ["--ios", f"--apple_deploy_target={APPLE_DEPLOY_TARGET}"]
    return {
        "build_osx_archs": {"iphoneos": ["arm64"], "iphonesimulator": ["arm64", "x86_64"]},
        "build_params": {"base": base, "iphoneos": phone, "iphonesimulator": phone},
    }


def _recipe(
    platform: str,
    style: OptimizationStyle,
    directory: Path,
    settings: str,
    config: str,
    ort_version: str,
) -> BuildRecipe:
    output = str(directory / f"{_PACKAGE_DIRECTORY}-{platform}-{style}")
    files = (str(directory / config), str(directory / settings))
    command: tuple[str, ...]
    if platform == "android":
        command = (
            *("python3", "tools/android_custom_build/build_custom_android_package.py", output),
            *("--onnxruntime_branch_or_tag", f"v{ort_version}"),
            *("--include_ops_by_config", files[0], "--build_settings", files[1]),
            *("--config", "MinSizeRel"),
        )
        needs = "Needs Docker; gives an AAR under output/aar_out."
    else:
        command = (
            *("python3", "tools/ci_build/github/apple/build_and_assemble_apple_pods.py"),
            *("--staging-dir", output, "--include-ops-by-config", files[0]),
            *("--build-settings-file", files[1]),
            *("--build-apple-framework-arg=--config=MinSizeRel",),
        )
        needs = (
            f"Needs macOS with Xcode and a checkout of v{ort_version}; gives the pods onnxruntime-c"
            " and onnxruntime-objc, which a Podfile names with :path."
        )
    return BuildRecipe(
        platform=platform,
        settings_path=settings,
        command=command,
        note=f"For {style} style. {needs} {_build_note(platform, style)}",
    )


def _build_note(platform: str, style: OptimizationStyle) -> str:
    providers = "NNAPI and XNNPACK" if platform == "android" else "CoreML and XNNPACK"
    if style is OptimizationStyle.RUNTIME:
        return f"The minimal build is extended: replaying saved optimizations, {providers} need it."
    return (
        "The minimal build need not be extended: the CPU provider runs Fixed style without graph"
        f" optimization; {providers} would need --minimal_build=extended."
    )
