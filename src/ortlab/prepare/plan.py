"""Which variants are made of a model, and from which files.

Runs in the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.domain import OptimizationStyle, Precision, RefusedVariant, TargetPlatform, TensorSpec
from ortlab.prepare.convert import Recipe
from ortlab.prepare.job import Job, Mark
from ortlab.prepare.options import PrepareOptions
from ortlab.prepare.source import (
    SourceModel,
    all_graphs,
    given_precision,
    model_bytes,
    model_inputs,
)

if TYPE_CHECKING:
    import onnx

FP16_ORT_REASON = (
    "an fp16 .ort is not fp16: the converter runs on the CPU provider, so Fixed style stores fp32"
    " weights and Runtime style inserts Casts; ship fp16 as .onnx"
)
VARIANTS = "variants"

_QUANTIZED = ("quant", "qlinear", "integer", "nbits")


class Steps:
    """Tells the driver which steps run, and how much of the work has begun."""

    def __init__(self, announce: Callable[[Mark], None], planned: int) -> None:
        self._announce = announce
        self._begun = 0
        self._fraction = 0.0
        self.planned = planned

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Mark a step's begin and its end; a step that dies has no end."""
        self._mark(name, ended=False)
        self._begun += 1
        yield
        self._mark(name, ended=True)

    def _mark(self, name: str, *, ended: bool) -> None:
        self._fraction = max(self._fraction, min(1.0, self._begun / self.planned))
        self._announce(Mark(fraction=self._fraction, step=name, ended=ended))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is made, and from which files.

    Attributes:
        recipes: Variants to make, in order.
        refused: Variants asked for that cannot be made.
        sources: Precision to the `.onnx` it is made from.
        base: The repaired model.
        target_matters: Precisions whose Runtime-style file depends on the CPU family: only
            quantized operators make it differ.
    """

    recipes: tuple[Recipe, ...]
    refused: tuple[RefusedVariant, ...]
    sources: Mapping[Precision, Path]
    base: Path
    target_matters: frozenset[Precision]


def plan_variants(job: Job, source: SourceModel, steps: Steps) -> Plan:
    """Write the models that variants are made from, and list the variants to make.

    Raises:
        UsageError: The calibration data cannot be read.
    """
    options = job.options
    given = given_precision(source.proto)
    wants_given = Precision.FP32 in options.precisions or given in options.precisions
    base = job.work / "base.onnx"
    if wants_given and OptimizationStyle.ONNX in options.styles:
        base = job.result / VARIANTS / "onnx.onnx"
    base.write_bytes(model_bytes(source))
    recipes = _recipes(options, given, is_given=True) if wants_given else []
    refused, sources = [], {given: base}
    others = [p for p in options.precisions if p not in (given, Precision.FP32)]
    inputs = model_inputs(source.proto)
    for precision, made in _other_precisions(job, base, inputs, others, steps).items():
        asked = _recipes(options, precision, is_given=False)
        if isinstance(made, str):
            refused += [RefusedVariant(variant_id=r.variant_id, reason=made) for r in asked]
        else:
            sources[precision] = made
            recipes += asked
    kept = []
    for recipe in recipes:
        if recipe.precision is Precision.FP16 and recipe.style is not OptimizationStyle.ONNX:
            refused.append(RefusedVariant(variant_id=recipe.variant_id, reason=FP16_ORT_REASON))
        else:
            kept.append(recipe)
    matters = set(sources) - {given} | (
        {given} if _has_quantized_operators(source.proto) else set()
    )
    return Plan(
        recipes=tuple(kept),
        refused=tuple(refused),
        sources=sources,
        base=base,
        target_matters=frozenset(matters),
    )


def _recipes(options: PrepareOptions, precision: Precision, *, is_given: bool) -> list[Recipe]:
    recipes = []
    for style in options.styles:
        targets: Iterable[TargetPlatform | None] = options.targets
        if style is OptimizationStyle.ONNX:
            targets = (None,)
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
    job: Job,
    base: Path,
    inputs: tuple[TensorSpec, ...],
    precisions: Sequence[Precision],
    steps: Steps,
) -> Mapping[Precision, Path | str]:
    if not precisions:
        return {}
    from ortlab.prepare.precision import load_calibration, make_precision_models

    calibration = job.options.calibration
    with steps.step(f"make {', '.join(precisions)}"):
        return make_precision_models(
            base,
            job.work,
            precisions,
            calibration=None if calibration is None else load_calibration(calibration, inputs),
            custom_op_library=job.options.custom_op_library,
        )


def _has_quantized_operators(proto: onnx.ModelProto) -> bool:
    nodes = [node for graph in all_graphs(proto.graph) for node in graph.node]
    nodes += [node for function in proto.functions for node in function.node]
    names = {node.op_type.lower() for node in nodes}
    return any(sign in name for name in names for sign in _QUANTIZED)
