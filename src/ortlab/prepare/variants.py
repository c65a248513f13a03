"""Which variants to make of a model, and making them: convert, load, compare, describe.

Runs in the worker.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.domain import (
    OptimizationStyle,
    Parity,
    PartitionPrediction,
    Precision,
    RefusedVariant,
    ReleaseVerdict,
    Replay,
    TargetPlatform,
    TensorSpec,
    Variant,
)
from ortlab.errors import ModelError
from ortlab.prepare.convert import (
    OrtRefusedError,
    Recipe,
    convert,
    load_variant,
    save_optimized_onnx,
)
from ortlab.prepare.describe import Description, describe
from ortlab.prepare.job import Job, Mark
from ortlab.prepare.options import PrepareOptions
from ortlab.prepare.parity import Reference, check_parity, not_checked
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
NO_REPLAY_REASON = (
    "its saved runtime optimizations cannot be replayed, they contradict each other (some"
    " converters wrote such files): onnxruntime says: "
)

_ONNX_DIRECTORY = "variants"
_QUANTIZED = ("quant", "qlinear", "integer", "nbits")


class Steps:
    """Tells the driver which steps run, and how much of the work has begun."""

    def __init__(self, announce: Callable[[Mark], None], planned: int) -> None:
        self._announce = announce
        self._begun = 0
        self.planned = planned

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Mark a step's begin and its end; a step that dies has no end."""
        self._mark(name, ended=False)
        self._begun += 1
        yield
        self._mark(name, ended=True)

    def _mark(self, name: str, *, ended: bool) -> None:
        self._announce(Mark(fraction=min(1.0, self._begun / self.planned), step=name, ended=ended))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A variant with what goes along in the manifest."""

    variant: Variant
    verdicts: tuple[ReleaseVerdict, ...]
    predictions: tuple[PartitionPrediction, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What became of a plan's recipes."""

    made: list[Made] = field(default_factory=list)
    refused: list[RefusedVariant] = field(default_factory=list)


# ------------------------------------------------------------------------------ what to make


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
        base = job.result / _ONNX_DIRECTORY / "onnx.onnx"
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


# ------------------------------------------------------------------------------ making them


class VariantMaker:
    """Makes the variants of a plan in a few threads, while the caller does something else.

    ORT, hashing and comparison leave Python's lock free, so two threads use two cores.
    """

    def __init__(self, job: Job, plan: Plan, steps: Steps, pool: ThreadPoolExecutor) -> None:
        self.job = job
        self.plan = plan
        self._steps = steps
        self._pool = pool
        self._reference: Future[Reference | None] = Future()
        self._started: list[tuple[Recipe, Future[Made]]] = []
        self._twins: dict[tuple[Precision, OptimizationStyle], Future[Made]] = {}

    def start(self) -> None:
        """Start to make every variant; what needs the reference waits for it."""
        for recipe in self.plan.recipes:
            self._started.append((recipe, self._start(recipe)))

    def compare_with(self, reference: Reference | None) -> None:
        """Give what variants are held to; None if parity is switched off."""
        self._reference.set_result(reference)

    def give_up(self) -> None:
        """Let nobody wait for a reference that will not come."""
        for _, future in self._started:
            future.cancel()
        if not self._reference.done():
            self._reference.cancel()

    def finish(self) -> Outcome:
        """Wait for all variants.

        Raises:
            ModelError: A variant cannot be made, and failures are not allowed.
        """
        outcome = Outcome(refused=list(self.plan.refused))
        for recipe, future in self._started:
            made = self._finish(recipe, future)
            if isinstance(made, Made):
                outcome.made.append(made)
            else:
                outcome.refused.append(made)
        return outcome

    def _start(self, recipe: Recipe) -> Future[Made]:
        path = self._path(recipe)
        twin = self._twins.get((recipe.precision, recipe.style))
        if twin is not None:
            return self._pool.submit(self._copy, twin, recipe, path)
        future = self._pool.submit(self._make, recipe, path)
        runtime = recipe.style is OptimizationStyle.RUNTIME
        if runtime and recipe.precision not in self.plan.target_matters:
            self._twins[recipe.precision, recipe.style] = future
        return future

    def _make(self, recipe: Recipe, path: Path) -> Made:
        with self._steps.step(f"make {recipe.variant_id}"):
            self._write(recipe, path)
        with self._steps.step(f"check {recipe.variant_id}"):
            sessions = self._load(recipe, path)
            parity = self._compare(recipe, sessions)
            del sessions
            found = describe(path)
            return Made(
                variant=self._variant(recipe, path, found, parity),
                verdicts=found.verdicts,
                predictions=self._predict(recipe, path, found),
            )

    def _finish(self, recipe: Recipe, future: Future[Made]) -> Made | RefusedVariant:
        """Return what was made, or the reason it was refused."""
        try:
            return future.result()
        except OrtRefusedError as error:
            self._path(recipe).unlink(missing_ok=True)
            replays = str(error).startswith(NO_REPLAY_REASON)
            reason = str(error) if replays else f"onnxruntime says: {error}"
            if self.job.options.allow_failures or replays:
                return RefusedVariant(variant_id=recipe.variant_id, reason=reason)
            message = f"cannot make {recipe.variant_id} of {self.job.model}: {reason}"
            step = "--allow-failures goes on with the other variants"
            raise ModelError(message, next_step=step) from error

    def _path(self, recipe: Recipe) -> Path:
        return self.job.result / _ONNX_DIRECTORY / recipe.file_name

    def _write(self, recipe: Recipe, path: Path) -> None:
        source = self.plan.sources[recipe.precision]
        library = self.job.options.custom_op_library
        if recipe.style is OptimizationStyle.ONNX:
            if source != path:
                shutil.copyfile(source, path)
            return
        convert(recipe, source, path, library)
        if self.job.options.save_optimized_onnx:
            directory = self.job.result / "optimized"
            directory.mkdir(exist_ok=True)
            saved = directory / f"{recipe.variant_id}.optimized.onnx"
            save_optimized_onnx(recipe, source, saved, library)

    def _copy(self, twin: Future[Made], recipe: Recipe, path: Path) -> Made:
        """Give a file that is the same for both CPU families its second name."""
        made = twin.result()
        first = self.job.result / made.variant.path
        try:
            os.link(first, path)
        except OSError:
            shutil.copyfile(first, path)
        variant = replace(
            made.variant,
            variant_id=recipe.variant_id,
            target=recipe.target,
            path=path.relative_to(self.job.result).as_posix(),
            notes=_notes(recipe, made.variant.saved_optimizations),
        )
        return Made(variant=variant, verdicts=made.verdicts)

    def _load(self, recipe: Recipe, path: Path) -> list[Any]:
        """Load a variant in every way it will be loaded."""
        options = self.job.options
        ways = [Replay.DEFAULT]
        if recipe.style is OptimizationStyle.RUNTIME:
            ways = [Replay.OFF, Replay.ON]
        elif not options.parity and recipe.style is not OptimizationStyle.ONNX:
            ways = []  # the conversion was a session already
        sessions: list[Any] = []
        for way in ways:
            try:
                sessions.append(
                    load_variant(path, replay=way, custom_op_library=options.custom_op_library)
                )
            except OrtRefusedError as error:
                if way is not Replay.ON:
                    raise
                raise OrtRefusedError(NO_REPLAY_REASON + str(error)) from error
        return sessions

    def _compare(self, recipe: Recipe, sessions: list[Any]) -> Parity:
        reference = self._reference.result()
        if reference is None:
            return not_checked(None, "parity was switched off")
        return check_parity(sessions, reference, recipe.precision, self.job.options)

    def _predict(
        self, recipe: Recipe, path: Path, found: Description
    ) -> tuple[PartitionPrediction, ...]:
        """Predict for what a phone would load."""
        options = self.job.options
        if not options.predictions or recipe.target is TargetPlatform.AMD64:
            return ()
        from ortlab.prepare.partitions import predict_partitions

        return predict_partitions(
            path,
            recipe.variant_id,
            options.nnapi_stop_ops,
            custom_op_library=options.custom_op_library,
            graph=None if recipe.style is OptimizationStyle.ONNX else found.graph,
        )

    def _variant(self, recipe: Recipe, path: Path, found: Description, parity: Parity) -> Variant:
        return Variant(
            variant_id=recipe.variant_id,
            style=recipe.style,
            level=recipe.level,
            target=recipe.target,
            precision=recipe.precision,
            path=path.relative_to(self.job.result).as_posix(),
            sha256=found.sha256,
            content_digest=found.content_digest,
            size_bytes=found.size_bytes,
            operator_counts=found.operator_counts,
            initializer_bytes=found.initializer_bytes,
            saved_optimizations=found.saved_optimizations,
            parity=parity,
            notes=_notes(recipe, found.saved_optimizations),
        )


def _notes(recipe: Recipe, saved_optimizations: Mapping[str, int]) -> tuple[str, ...]:
    notes = []
    if recipe.target is TargetPlatform.ARM:
        notes.append("optimized for ARM: its timing on x86-64 misleads")
    elif recipe.target is TargetPlatform.AMD64:
        notes.append("optimized for x86-64: not for phones")
    if recipe.style is OptimizationStyle.RUNTIME:
        count = sum(saved_optimizations.values())
        notes.append(
            f"{count} saved optimizations, replayed only on request since onnxruntime 1.30"
            if count
            else "no optimization could be saved: it runs as after basic optimization"
        )
    return tuple(notes)
