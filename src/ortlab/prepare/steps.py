"""The steps of preparing one model, as prose: read, check, repair, convert, hold to the original.

Runs in the worker. Everything is built below the job's staging directory.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ortlab.domain import (
    BuildRecipe,
    OperatorConfig,
    OptimizationStyle,
    Parity,
    PartitionPrediction,
    Precision,
    PreparedModel,
    Provenance,
    RefusedVariant,
    ReleaseVerdict,
    Replay,
    Sample,
    TargetPlatform,
    Variant,
)
from ortlab.errors import ModelError
from ortlab.prepare.cache import cache_key, toolchain, write_identity
from ortlab.prepare.convert import (
    OrtRefusedError,
    Recipe,
    conversion_request,
    convert,
    load_variant,
    open_session,
    ort_limits,
    save_optimized_onnx,
)
from ortlab.prepare.custom_ops import require_custom_op_library
from ortlab.prepare.describe import Description, describe
from ortlab.prepare.job import Job, Mark
from ortlab.prepare.manifest import write_manifest
from ortlab.prepare.options import PrepareOptions
from ortlab.prepare.parity import Reference, check_parity, make_reference, not_checked
from ortlab.prepare.repair import (
    SourceModel,
    check,
    describe_value,
    given_precision,
    model_bytes,
    read_model,
    repair,
)
from ortlab.prepare.samples import read_calibration

FP16_ORT_REASON = (
    "an fp16 .ort is not fp16: the converter runs on the CPU provider, so Fixed style stores fp32"
    " weights and Runtime style inserts Casts; ship fp16 as .onnx"
)

_STEPS_BESIDE_VARIANTS = 6


@dataclass(slots=True)
class _Work:
    """What is known so far of the model being prepared."""

    job: Job
    announce: Callable[[Mark], None]
    planned: int = _STEPS_BESIDE_VARIANTS
    begun: int = 0
    variants: list[Variant] = field(default_factory=list)
    refused: list[RefusedVariant] = field(default_factory=list)
    sources: dict[Precision, Path] = field(default_factory=dict)
    applied: list[Path] = field(default_factory=list)
    compatibility: dict[str, tuple[ReleaseVerdict, ...]] = field(default_factory=dict)
    predictions: list[PartitionPrediction] = field(default_factory=list)

    @property
    def options(self) -> PrepareOptions:
        return self.job.options

    def step(self, name: str) -> None:
        self.announce(Mark(fraction=min(1.0, self.begun / self.planned), step=name))
        self.begun += 1


def prepare_one(job: Job, announce: Callable[[Mark], None]) -> None:
    """Prepare one model into ``job.result``.

    Args:
        job: What to do.
        announce: Told of each step as it begins.

    Raises:
        ModelError: The model is invalid, refused, or cannot be converted.
        UsageError: An option means nothing for this model.
        OSError: The disk refuses.
    """
    work = _Work(job, announce)
    for directory in (job.result / "variants", job.work):
        directory.mkdir(parents=True, exist_ok=True)
    work.step("read")
    source = read_model(job.model)
    work.step("check")
    findings = check(source)
    require_custom_op_library(source.proto, str(job.model), job.options.custom_op_library)
    work.step("repair")
    max_ir, max_opset = ort_limits()
    repairs = repair(source, job.options, max_ir=max_ir, max_opset=max_opset)
    recipes = _plan(work, source)
    work.step("run the original")
    reference = _reference(work, source)
    for recipe in recipes:
        _make_variant(work, recipe, reference)
    if not work.variants:
        reasons = "; ".join(f"{r.variant_id}: {r.reason}" for r in work.refused)
        message = f"cannot prepare {job.model}: no variant could be made: {reasons}"
        raise ModelError(message, next_step=f"ortlab inspect {job.model}")
    configs, build_recipes = _reduced_builds(work)
    work.step("write")
    prepared = PreparedModel(
        name=job.name,
        original=source.spec,
        findings=findings,
        repairs=repairs,
        variants=tuple(work.variants),
        refused=tuple(work.refused),
        samples=_write_samples(job.result, reference),
        configs=configs,
        recipes=build_recipes,
        compatibility=work.compatibility,
        predictions=tuple(work.predictions),
        custom_op_library=_text(job.options.custom_op_library),
        provenance=_provenance(job, source),
    )
    write_manifest(prepared, job.result)
    write_identity(
        job.result,
        key=prepared.provenance.cache_key,
        external=source.external,
        known={variant.path: variant.sha256 for variant in prepared.variants},
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _provenance(job: Job, source: SourceModel) -> Provenance:
    versions = toolchain()
    plain = job.options.to_plain()
    return Provenance(
        ortlab_version=versions["ortlab"],
        ort_version=versions["onnxruntime"],
        onnx_version=versions["onnx"],
        python_version=versions["python"],
        machine=f"{platform.system()} {platform.machine()}",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cache_key=cache_key(source.spec.sha256, job.options, job.name, job.model.name),
        options={key: str(value) for key, value in sorted(plain.items()) if value is not None},
    )


# ------------------------------------------------------------------------------ what to make


def _plan(work: _Work, source: SourceModel) -> tuple[Recipe, ...]:
    """Write the models that variants are made from, and list the variants to make."""
    options = work.options
    given = given_precision(source.proto)
    base = work.job.work / "base.onnx"
    if OptimizationStyle.ONNX in options.styles and Precision.FP32 in options.precisions:
        base = work.job.result / "variants" / "onnx.onnx"
    base.write_bytes(model_bytes(source))
    work.sources[given] = base
    recipes = _recipes(options, given, is_given=True) if _wants_given(options, given) else []
    others = [p for p in options.precisions if p not in (given, Precision.FP32)]
    for precision, made in _other_precisions(work, base, others).items():
        asked = _recipes(options, precision, is_given=False)
        if isinstance(made, str):
            work.refused += [RefusedVariant(variant_id=r.variant_id, reason=made) for r in asked]
            continue
        work.sources[precision] = made
        recipes += asked
    kept = []
    for recipe in recipes:
        if recipe.precision is Precision.FP16 and recipe.style is not OptimizationStyle.ONNX:
            work.refused.append(
                RefusedVariant(variant_id=recipe.variant_id, reason=FP16_ORT_REASON)
            )
        else:
            kept.append(recipe)
    work.planned += len(kept)
    return tuple(kept)


def _wants_given(options: PrepareOptions, given: Precision) -> bool:
    """Whether the model as it came is among the variants: fp32 means "as given"."""
    return Precision.FP32 in options.precisions or given in options.precisions


def _recipes(options: PrepareOptions, precision: Precision, *, is_given: bool) -> list[Recipe]:
    recipes = []
    for style in options.styles:
        targets = (None,) if style is OptimizationStyle.ONNX else options.targets
        recipes += [
            Recipe(
                style=style,
                target=target,
                precision=precision,
                level=options.level,
                given=is_given,
            )
            for target in targets
        ]
    return recipes


def _other_precisions(
    work: _Work, base: Path, precisions: Sequence[Precision]
) -> Mapping[Precision, Path | str]:
    if not precisions:
        return {}
    from ortlab.prepare.precision import make_precision_models

    work.planned += 1
    work.step("quantize" if set(precisions) != {Precision.FP16} else "make fp16")
    calibration = work.options.calibration
    return make_precision_models(
        base,
        work.job.work,
        precisions,
        calibration=None if calibration is None else read_calibration(calibration),
        custom_op_library=work.options.custom_op_library,
    )


# ------------------------------------------------------------------------------ variants


def _reference(work: _Work, source: SourceModel) -> Reference | None:
    if not work.options.parity:
        return None
    names = {tensor.name for tensor in source.proto.graph.initializer}
    specs = [describe_value(v) for v in source.proto.graph.input if v.name not in names]
    (base,) = [path for path in work.sources.values() if path.stem in ("onnx", "base")]
    return make_reference(base, specs, work.options)


def _make_variant(work: _Work, recipe: Recipe, reference: Reference | None) -> None:
    """Make, load, compare and describe one variant; or refuse it with the reason."""
    work.step(f"make {recipe.variant_id}")
    path = work.job.result / "variants" / recipe.file_name
    try:
        _write_variant(work, recipe, path)
        parity = _accept(work, recipe, path, reference)
    except OrtRefusedError as error:
        path.unlink(missing_ok=True)
        replays = "replayed" in str(error)
        reason = str(error) if replays else f"onnxruntime says: {error}"
        if not (work.options.allow_failures or replays):
            message = f"cannot make {recipe.variant_id} of {work.job.model}: {reason}"
            raise ModelError(
                message, next_step="--allow-failures goes on with the other variants"
            ) from error
        work.refused.append(RefusedVariant(variant_id=recipe.variant_id, reason=reason))
        return
    found = describe(path)
    work.compatibility[recipe.variant_id] = found.verdicts
    work.variants.append(_variant(work, recipe, path, found, parity))


def _write_variant(work: _Work, recipe: Recipe, path: Path) -> None:
    source = work.sources[recipe.precision]
    library = work.options.custom_op_library
    if recipe.style is OptimizationStyle.ONNX:
        if source != path:
            shutil.copyfile(source, path)
        return
    convert(recipe, source, path, library)
    if work.options.save_optimized_onnx:
        directory = work.job.result / "optimized"
        directory.mkdir(exist_ok=True)
        saved = directory / f"{recipe.variant_id}.optimized.onnx"
        save_optimized_onnx(recipe, source, saved, library)


def _accept(work: _Work, recipe: Recipe, path: Path, reference: Reference | None) -> Parity:
    """Load a variant in every way it will be, and hold its outputs to the reference."""
    library = work.options.custom_op_library
    ways = [Replay.DEFAULT]
    if recipe.style is OptimizationStyle.RUNTIME:
        ways = [Replay.OFF, Replay.ON]
    elif reference is None and recipe.style is not OptimizationStyle.ONNX:
        ways = []  # the conversion was a session already
    sessions: list[Any] = []
    for way in ways:
        try:
            sessions.append(load_variant(path, replay=way, custom_op_library=library))
        except OrtRefusedError as error:
            if way is not Replay.ON:
                raise
            message = (
                "its saved runtime optimizations cannot be replayed, they contradict each other;"
                f" onnxruntime says: {error}"
            )
            raise OrtRefusedError(message) from error
    if reference is None:
        return not_checked(None, "parity was switched off")
    return check_parity(sessions, reference, recipe.precision, work.options)


def _variant(
    work: _Work, recipe: Recipe, path: Path, found: Description, parity: Parity
) -> Variant:
    return Variant(
        variant_id=recipe.variant_id,
        style=recipe.style,
        level=recipe.level,
        target=recipe.target,
        precision=recipe.precision,
        path=path.relative_to(work.job.result).as_posix(),
        sha256=found.sha256,
        content_digest=found.content_digest,
        size_bytes=found.size_bytes,
        operator_counts=found.operator_counts,
        initializer_bytes=found.initializer_bytes,
        saved_optimizations=found.saved_optimizations,
        parity=parity,
        notes=_notes(recipe, found),
    )


def _notes(recipe: Recipe, found: Description) -> tuple[str, ...]:
    notes = []
    if recipe.target is TargetPlatform.ARM:
        notes.append("optimized for ARM: its timing on x86-64 misleads")
    elif recipe.target is TargetPlatform.AMD64:
        notes.append("optimized for x86-64: not for phones")
    if recipe.style is OptimizationStyle.RUNTIME:
        count = sum(found.saved_optimizations.values())
        notes.append(
            f"{count} saved optimizations, replayed only on request since onnxruntime 1.30"
            if count
            else "no optimization could be saved: it runs as after basic optimization"
        )
    return tuple(notes)


# ------------------------------------------------------------------------------ what goes along


def _write_samples(directory: Path, reference: Reference | None) -> tuple[Sample, ...]:
    from ortlab.tensors import write_tensor

    if reference is None:
        return ()
    samples = []
    for inputs, outputs in reference.samples:
        written = {}
        for label, arrays in (("inputs", inputs.arrays), ("outputs", outputs)):
            place = directory / "samples" / inputs.sample_id / label
            place.mkdir(parents=True)
            tensors = [
                write_tensor(place / f"{number:03d}.bin", name, array)
                for number, (name, array) in enumerate(arrays.items())
            ]
            written[label] = tuple(
                replace(t, path=Path(t.path).relative_to(directory).as_posix()) for t in tensors
            )
        samples.append(
            Sample(
                sample_id=inputs.sample_id,
                origin=inputs.origin,
                inputs=written["inputs"],
                outputs=written["outputs"],
                notes=inputs.notes,
            )
        )
    return tuple(samples)


def _reduced_builds(
    work: _Work,
) -> tuple[tuple[OperatorConfig, ...], tuple[BuildRecipe, ...]]:
    """Write operator configs for what a phone would load."""
    from ortlab.prepare.reduced_build import write_reduced_build

    made = [v for v in work.variants if v.style is not OptimizationStyle.ONNX]
    if not work.options.configs or not made:
        return (), ()
    work.step("operator configs")
    target = TargetPlatform.ARM if TargetPlatform.ARM in work.options.targets else None
    chosen = [v for v in made if target is None or v.target is target]
    models: dict[OptimizationStyle, list[Path]] = {}
    for variant in chosen:
        paths = models.setdefault(variant.style, [])
        paths.append(work.job.result / variant.path)
        if variant.style is OptimizationStyle.RUNTIME:
            paths.append(_applied_twin(work, variant))
    directory = work.job.result / "reduced_build"
    directory.mkdir()
    written = write_reduced_build(
        directory,
        models,
        ort_version=toolchain()["onnxruntime"],
        type_reduction=work.options.type_reduction,
        installed_directory=work.job.destination / directory.name,
    )
    for twin in work.applied:
        twin.unlink(missing_ok=True)
    inside = directory.name
    return (
        tuple(replace(c, path=f"{inside}/{c.path}") for c in written.configs),
        tuple(replace(r, settings_path=f"{inside}/{r.settings_path}") for r in written.recipes),
    )


def _applied_twin(work: _Work, variant: Variant) -> Path:
    """Convert as the graph is after replay: the operators it needs go into the config."""
    recipe = Recipe(
        style=variant.style,
        target=variant.target,
        precision=variant.precision,
        level=variant.level,
    )
    path = work.job.work / f"{variant.variant_id}.applied.ort"
    request = conversion_request(
        recipe,
        work.sources[variant.precision],
        path,
        optimizations="apply",
        custom_op_library=work.options.custom_op_library,
    )
    try:
        open_session(request)
    except OrtRefusedError as error:
        message = f"cannot find the operators that replay needs in {variant.variant_id}: {error}"
        raise ModelError(message, next_step="--no-configs") from error
    work.applied.append(path)
    return path
