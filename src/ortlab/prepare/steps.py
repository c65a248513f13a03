"""The steps of preparing one model, as prose: read, check, repair, convert, write down.

Runs in the worker. Everything is built below the job's staging directory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ortlab.domain import (
    BuildRecipe,
    OperatorConfig,
    OptimizationStyle,
    PreparedModel,
    TargetPlatform,
    Variant,
)
from ortlab.errors import ModelError
from ortlab.prepare.adopt import adopt_ort, is_ort_format
from ortlab.prepare.cache import toolchain
from ortlab.prepare.convert import (
    OrtRefusedError,
    Recipe,
    conversion_request,
    open_session,
    ort_limits,
)
from ortlab.prepare.custom_ops import require_custom_op_library
from ortlab.prepare.job import Job, Mark
from ortlab.prepare.memory import allow_memory, weight_bytes
from ortlab.prepare.parity import Reference, make_reference
from ortlab.prepare.record import absolute_text, provenance, write_down, write_samples
from ortlab.prepare.repair import check, repair
from ortlab.prepare.source import SourceModel, model_inputs, read_model
from ortlab.prepare.variants import Made, Plan, Steps, VariantMaker, plan_variants

_STEPS_BESIDE_VARIANTS = 6
_LARGE_WEIGHTS_BYTES = 256 * 2**20


def prepare_one(job: Job, announce: Callable[[Mark], None]) -> None:
    """Prepare one model into ``job.result``.

    Args:
        job: What to do.
        announce: Told of each step as it begins and ends; also from a second thread.

    Raises:
        ModelError: The model is invalid, refused, or cannot be converted.
        UsageError: An option means nothing for this model.
        OSError: The disk refuses.
    """
    steps = Steps(announce, _STEPS_BESIDE_VARIANTS)
    if is_ort_format(job.model):
        adopt_ort(job, steps)
        return
    for directory in (job.result / "variants", job.work):
        directory.mkdir(parents=True, exist_ok=True)
    with steps.step("read"):
        source = read_model(job.model)
    require_custom_op_library(source.proto, str(job.model), job.options.custom_op_library)
    with steps.step("repair"):
        max_ir, max_opset = ort_limits()
        repairs = repair(source, job.options, max_ir=max_ir, max_opset=max_opset)
        weights = weight_bytes(source)
        allow_memory(job, weights)
        plan = plan_variants(job, source, steps)
    steps.planned += 2 * len(plan.recipes)
    with ThreadPoolExecutor(2 if weights <= _LARGE_WEIGHTS_BYTES else 1) as pool:
        maker = VariantMaker(job, plan, steps, pool)
        maker.start()
        applied = _start_applied_twins(job, plan, pool)
        try:
            with steps.step("check"):
                findings = check(source)
            reference = _reference(job, plan, source, steps)
            maker.compare_with(reference)
            outcome = maker.finish()
            configs, build_recipes = _reduced_builds(job, outcome.made, applied, steps)
        except BaseException:
            maker.give_up()
            raise
    if not outcome.made:
        reasons = "; ".join(f"{r.variant_id}: {r.reason}" for r in outcome.refused)
        message = f"cannot prepare {job.model}: no variant could be made: {reasons}"
        raise ModelError(message, next_step=f"ortlab inspect {job.model}")
    with steps.step("write"):
        prepared = PreparedModel(
            name=job.name,
            original=source.spec,
            findings=findings,
            repairs=repairs,
            variants=tuple(made.variant for made in outcome.made),
            refused=tuple(outcome.refused),
            samples=write_samples(job.result, reference),
            configs=configs,
            recipes=build_recipes,
            compatibility={made.variant.variant_id: made.verdicts for made in outcome.made},
            predictions=tuple(each for made in outcome.made for each in made.predictions),
            custom_op_library=absolute_text(job.options.custom_op_library),
            provenance=provenance(job, source.spec.sha256),
        )
        write_down(job, prepared, source.external)


def _reference(job: Job, plan: Plan, source: SourceModel, steps: Steps) -> Reference | None:
    if not job.options.parity:
        return None
    with steps.step("run the original"):
        specs = model_inputs(source.proto)
        return make_reference(plan.base, specs, job.options, source=job.model)


# ------------------------------------------------------------------------------ reduced builds


def _start_applied_twins(job: Job, plan: Plan, pool: ThreadPoolExecutor) -> dict[str, Future[Path]]:
    """Convert what a phone would load as it is after replay: those operators are needed too."""
    if not job.options.configs:
        return {}
    runtime = [r for r in plan.recipes if r.style is OptimizationStyle.RUNTIME]
    arm = [recipe for recipe in runtime if recipe.target is TargetPlatform.ARM]
    return {
        recipe.variant_id: pool.submit(_applied_twin, job, plan, recipe)
        for recipe in (arm or runtime)
    }


def _applied_twin(job: Job, plan: Plan, recipe: Recipe) -> Path:
    path = job.work / f"{recipe.variant_id}.applied.ort"
    request = conversion_request(
        recipe,
        plan.sources[recipe.precision],
        path,
        optimizations="apply",
        custom_op_library=job.options.custom_op_library,
    )
    open_session(request)
    return path


def _reduced_builds(
    job: Job, made: list[Made], applied: dict[str, Future[Path]], steps: Steps
) -> tuple[tuple[OperatorConfig, ...], tuple[BuildRecipe, ...]]:
    """Write operator configs for what a phone would load."""
    from ortlab.prepare.reduced_build import write_reduced_build

    variants = [m.variant for m in made if m.variant.style is not OptimizationStyle.ONNX]
    if not job.options.configs or not variants:
        return (), ()
    with steps.step("operator configs"):
        arm = [v for v in variants if v.target is TargetPlatform.ARM]
        models: dict[OptimizationStyle, list[Path]] = {}
        for variant in arm or variants:
            paths = models.setdefault(variant.style, [])
            paths.append(job.result / variant.path)
            if variant.variant_id in applied:
                paths.append(_applied_path(job, variant, applied[variant.variant_id]))
        directory = job.result / "reduced_build"
        directory.mkdir()
        written = write_reduced_build(
            directory,
            models,
            ort_version=toolchain()["onnxruntime"],
            type_reduction=job.options.type_reduction,
            installed_directory=job.destination / directory.name,
        )
    inside = directory.name
    return (
        tuple(replace(c, path=f"{inside}/{c.path}") for c in written.configs),
        tuple(replace(r, settings_path=f"{inside}/{r.settings_path}") for r in written.recipes),
    )


def _applied_path(job: Job, variant: Variant, twin: Future[Path]) -> Path:
    try:
        return twin.result()
    except OrtRefusedError as error:
        message = (
            f"cannot find the operators that replay needs in {variant.variant_id} of {job.model}:"
            f" {error}"
        )
        raise ModelError(message, next_step="--no-configs") from error
