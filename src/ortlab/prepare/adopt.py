"""A given `.ort` file: nothing is converted; it is loaded, compared with itself and described.

Runs in the worker.
"""

from __future__ import annotations

from pathlib import Path

from ortlab.domain import (
    OptimizationStyle,
    Parity,
    PartitionPrediction,
    Precision,
    PreparedModel,
    Replay,
    Variant,
)
from ortlab.errors import ModelError, UsageError
from ortlab.prepare.content import digest_of
from ortlab.prepare.convert import OrtRefusedError, load_variant
from ortlab.prepare.graph import ParsedModel
from ortlab.prepare.inspection import format_facts
from ortlab.prepare.job import Job
from ortlab.prepare.memory import allow_memory
from ortlab.prepare.ort_format import IDENTIFIER, read_ort
from ortlab.prepare.parity import Reference, check_parity, make_reference, not_checked
from ortlab.prepare.plan import Steps
from ortlab.prepare.record import absolute_text, provenance, write_down, write_samples
from ortlab.prepare.source import read_bytes
from ortlab.prepare.variants import NO_REPLAY_REASON
from ortlab.wire import GraphOptimizationLevel

_QUANTIZED_OPERATORS = ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulNBits")


def is_ort_format(path: Path) -> bool:
    """Whether a file is in ORT format, by its identifier or else its name."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False  # who reads it whole says why
    return head[4:8] == IDENTIFIER or path.suffix.lower() == ".ort"


def adopt_ort(job: Job, steps: Steps) -> None:
    """Take an `.ort` file into ``job.result`` as the only variant.

    Its outputs without replay are the reference of those with replay.

    Raises:
        ModelError: It is damaged, ORT refuses it, or its saved optimizations cannot be replayed.
        UsageError: Options ask for what needs the `.onnx`.
    """
    _check_options(job)
    with steps.step("read"):
        data = read_bytes(job.model)
        allow_memory(job, len(data))
        model = read_ort(job.model, content=True)
        facts = format_facts(model)
    runtime = bool(facts.saved_optimizations)
    style = OptimizationStyle.RUNTIME if runtime else OptimizationStyle.FIXED
    path = job.result / "variants" / f"{style.value}.ort"
    for directory in (path.parent, job.work):
        directory.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with steps.step("run the original"):
        reference = None
        if job.options.parity:
            reference = make_reference(path, model.spec.inputs, job.options, source=job.model)
    with steps.step(f"make {style.value}"):
        parity = _parity(job, model, path, style, reference)
    with steps.step("write"):
        variant = _variant(job, model, path, style, parity)
        described = _describe(job, model, variant, reference)
        write_down(job, described, {})


def _check_options(job: Job) -> None:
    options = job.options
    if options.input_shapes or options.dims:
        message = f"cannot fix sizes in {job.model}: it is in ORT format, which is final"
        raise UsageError(message, next_step="prepare the .onnx it was made from")


def _precision(model: ParsedModel) -> Precision:
    if any(name.partition(":")[2] in _QUANTIZED_OPERATORS for name in model.operator_counts()):
        return Precision.INT8_STATIC
    return Precision.FP32


def _parity(
    job: Job, model: ParsedModel, path: Path, style: OptimizationStyle, reference: Reference | None
) -> Parity:
    ways = [Replay.DEFAULT]
    if style is OptimizationStyle.RUNTIME:
        ways = [Replay.OFF, Replay.ON]
    sessions = []
    for way in ways:
        try:
            session = load_variant(
                path,
                replay=way,
                custom_op_library=job.options.custom_op_library,
                plans_reuse=reference is not None and not reference.small,
            )
        except OrtRefusedError as error:
            cause = NO_REPLAY_REASON if way is Replay.ON else "onnxruntime says: "
            message = f"cannot prepare {job.model}: {cause}{error}"
            raise ModelError(message, next_step="convert the .onnx it was made from") from error
        sessions.append(session)
    if reference is None:
        return not_checked(None, "parity was switched off")
    return check_parity(sessions, reference, _precision(model), job.options)


def _variant(
    job: Job, model: ParsedModel, path: Path, style: OptimizationStyle, parity: Parity
) -> Variant:
    return Variant(
        variant_id=style.value,
        style=style,
        level=GraphOptimizationLevel.ALL,
        target=None,
        precision=_precision(model),
        path=path.relative_to(job.result).as_posix(),
        sha256=model.spec.sha256,
        content_digest=digest_of(model),
        size_bytes=model.spec.size_bytes,
        operator_counts=model.operator_counts(),
        initializer_bytes=model.initializer_bytes(),
        saved_optimizations=model.saved_optimizations(),
        parity=parity,
        notes=("given in ORT format: which converter made it, and for which CPU, is unknown",),
    )


def _describe(
    job: Job, model: ParsedModel, variant: Variant, reference: Reference | None
) -> PreparedModel:
    from ortlab.ort_releases import release_verdicts
    from ortlab.prepare.partitions import predict_partitions

    options, path = job.options, job.result / variant.path
    predictions: tuple[PartitionPrediction, ...] = ()
    if options.predictions:
        predictions = predict_partitions(path, variant.variant_id, options.nnapi_stop_ops)
    return PreparedModel(
        name=job.name,
        original=model.spec,
        findings=(),
        repairs=(),
        variants=(variant,),
        refused=(),
        samples=write_samples(job.result, reference),
        configs=(),
        recipes=(),
        compatibility={variant.variant_id: release_verdicts(format_facts(model))},
        predictions=predictions,
        custom_op_library=absolute_text(options.custom_op_library),
        provenance=provenance(job, model.spec.sha256),
    )
