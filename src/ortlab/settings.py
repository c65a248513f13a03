"""The words of a command line or of `ortlab.toml`, turned into what the stages take."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ortlab.config import AppSection, BenchSection, ModelSection, PrepareSection
from ortlab.errors import UsageError

if TYPE_CHECKING:
    from ortlab.bench import ArmOptions, ArmSource
    from ortlab.domain import Analysis, AppPlatform, AppSpec, PreparedModel
    from ortlab.prepare import PrepareOptions

Choice = TypeVar("Choice", bound=StrEnum)

_PACKAGES: Final = (".aar", ".podspec", ".xcframework")


def choices(kind: type[Choice], values: Sequence[str], option: str) -> tuple[Choice, ...]:
    """Turn words from a command line or a file into enum members.

    Raises:
        UsageError: A word is none of them; the message lists them.
    """
    chosen = []
    for value in values:
        try:
            chosen.append(kind(value))
        except ValueError as error:
            known = ", ".join(kind)
            message = f"cannot use {option} {value!r}: it is one of {known}"
            raise UsageError(message) from error
    return tuple(dict.fromkeys(chosen))


def prepare_options(model: ModelSection, section: PrepareSection) -> PrepareOptions:
    """Translate configuration into what `prepare` takes.

    Raises:
        UsageError: A word means nothing.
    """
    from ortlab.domain import OptimizationStyle, Precision, TargetPlatform
    from ortlab.prepare import PrepareOptions
    from ortlab.wire import GraphOptimizationLevel

    (level,) = choices(GraphOptimizationLevel, [section.level], "level")
    return PrepareOptions(
        styles=choices(OptimizationStyle, section.style, "style"),
        targets=choices(TargetPlatform, section.target, "target"),
        precisions=choices(Precision, section.precision, "precision"),
        level=level,
        input_shapes=model.input_shapes,
        dims=model.dims,
        inputs=_optional_path(model.inputs),
        reference=_optional_path(model.reference),
        calibration=_optional_path(model.calibration),
        custom_op_library=_optional_path(model.custom_op_library),
        type_reduction=section.type_reduction,
        save_optimized_onnx=section.save_optimized_onnx,
        nnapi_stop_ops=section.nnapi_stop_ops,
        min_sqnr_db=section.min_sqnr_db,
        min_top1_agreement=section.min_top1_agreement,
        allow_failures=section.allow_failures,
        allow_parity_failure=section.allow_parity_failure,
        parity=section.parity,
        configs=section.configs,
        predictions=section.predictions,
        seed=section.seed,
        deadline_s=section.deadline_s,
    )


def _optional_path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def arm_options(section: BenchSection, against: Sequence[ArmSource]) -> ArmOptions:
    """Translate configuration into the lists that arms are crossed from.

    Args:
        section: The lists, in words.
        against: What ``section.against`` names, opened.

    Raises:
        UsageError: A word means nothing.
    """
    from ortlab.bench import ArmOptions, parse_providers
    from ortlab.domain import OptimizationStyle, Precision, Replay, TargetPlatform
    from ortlab.wire import GraphOptimizationLevel, LoadMode

    lists: dict[str, Any] = {
        "styles": choices(OptimizationStyle, section.style, "style"),
        "providers": tuple(parse_providers(text) for text in section.ep),
        "threads": section.threads,
        "load_modes": choices(LoadMode, section.load, "load mode"),
        "precisions": choices(Precision, section.precision, "precision"),
        "replays": choices(Replay, section.replay, "replay"),
        "levels": choices(GraphOptimizationLevel, section.level, "level"),
        "targets": choices(TargetPlatform, section.target, "target"),
        "config_entries": _config_entries(section.config),
        "against": tuple(against),
    }
    return ArmOptions(**{name: value for name, value in lists.items() if value})


def _config_entries(texts: Sequence[str]) -> tuple[Mapping[str, str], ...]:
    """Combine entries of different keys; cross the values of a key that is given several times."""
    from ortlab.bench import parse_config_entry

    values: dict[str, list[str]] = {}
    for key, value in map(parse_config_entry, texts):
        values.setdefault(key, []).append(value)
    combinations = itertools.product(*values.values())
    return tuple(dict(zip(values, combination, strict=True)) for combination in combinations)


def app_spec(
    section: AppSection,
    prepared: PreparedModel,
    platform: AppPlatform,
    *,
    base: Path,
    analysis: Analysis | None,
) -> tuple[AppSpec, tuple[str, ...]]:
    """Translate configuration into what an app is generated from.

    Args:
        section: What the user says.
        prepared: The model; what is not said is named after it.
        platform: That the app is for.
        base: Directory that relative paths start from.
        analysis: Of the newest run of the model, for ``ship = "auto"``; None where there is none.

    Returns:
        The spec, and in sentences how what was left open was decided.

    Raises:
        UsageError: A word means nothing.
    """
    from ortlab.domain import AppPlatform, AppSpec, WebProvider
    from ortlab.scaffold import kinds_of, shipped_styles, signature, suggested_id

    ship, notes = shipped_styles(section.ship, analysis)
    name = prepared.name if section.name is None else section.name
    tables = {"inputs": section.inputs, "outputs": section.outputs}
    fixed = signature(prepared)  # sizes that were fixed at preparation hold for every variant
    model = replace(prepared.original, inputs=fixed.inputs, outputs=fixed.outputs)
    on_ios = platform is AppPlatform.IOS
    on_android = platform is AppPlatform.ANDROID
    ort = {AppPlatform.ANDROID: section.ort_android, AppPlatform.IOS: section.ort_ios}
    spec = AppSpec(
        name=name,
        application_id=suggested_id(name.replace(".", " ")) if section.id is None else section.id,
        version_name=section.version,
        version_code=section.version_code,
        ship=ship,
        kinds=kinds_of(tables, model, base),
        ort_package=_release_or_path(ort.get(platform), base),
        ort_checksum=section.ort_ios_checksum if on_ios else None,
        custom_op_libraries={
            abi: str(base / path)
            for abi, path in section.custom_ops.items()
            if (on_ios if abi == AppPlatform.IOS else on_android)
        },
        team_id=section.team if on_ios else "",
        web_providers=choices(WebProvider, section.web_ep, "web_ep"),
        service_worker=section.service_worker,
    )
    return spec, notes


def _release_or_path(text: str | None, base: Path) -> str | None:
    """Return a release as it is, and a path with the directory it starts from."""
    if text is None or not ("/" in text or text.endswith(_PACKAGES)):
        return text
    return str(base / text)
