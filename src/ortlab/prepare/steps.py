"""The steps of preparing one model, as prose: read, check, repair, convert, write down.

Runs in the worker. Everything is built below the job's staging directory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ortlab.domain import PreparedModel
from ortlab.errors import ModelError
from ortlab.prepare.adopt import adopt_ort, is_ort_format
from ortlab.prepare.convert import ort_limits
from ortlab.prepare.custom_builds import CustomBuilds
from ortlab.prepare.custom_ops import require_custom_op_library
from ortlab.prepare.job import Job, Mark
from ortlab.prepare.memory import allow_memory, weight_bytes
from ortlab.prepare.parity import Reference, make_reference
from ortlab.prepare.plan import Plan, Steps, plan_variants
from ortlab.prepare.reader import Reader
from ortlab.prepare.record import absolute_text, provenance, write_down, write_samples
from ortlab.prepare.repair import check, repair
from ortlab.prepare.source import SourceModel, model_inputs, read_model
from ortlab.prepare.variants import VariantMaker

_STEPS_BESIDE_VARIANTS = 6
_LARGE_WEIGHTS_BYTES = 256 * 2**20


def prepare_one(job: Job, announce: Callable[[Mark], None], reader: Reader | None = None) -> None:
    """Prepare one model into ``job.result``.

    Args:
        job: What to do.
        announce: Told of each step as it begins and ends; also from a second thread.
        reader: Process that reads finished files; this one does if None.

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
    threads = 2 if weights <= _LARGE_WEIGHTS_BYTES else 1
    with ThreadPoolExecutor(1) as describing, ThreadPoolExecutor(threads) as pool:
        maker = VariantMaker(job, plan, steps, pool, describing, reader)
        maker.start()
        try:
            with steps.step("check"):
                findings = check(source)
            reference = _reference(job, plan, source, steps)
            maker.compare_with(reference)
            builds = CustomBuilds(job, plan, steps)
            builds.write(maker.written)
            outcome = maker.finish()
            builds.drop(outcome.refused, maker.written)
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
            findings=(*findings, *builds.notes),
            repairs=repairs,
            variants=tuple(made.variant for made in outcome.made),
            refused=tuple(outcome.refused),
            samples=write_samples(job.result, reference),
            configs=builds.configs,
            recipes=builds.recipes,
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
