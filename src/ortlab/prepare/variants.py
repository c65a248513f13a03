"""Making variants: convert, load, compare, describe.

Runs in the worker.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ortlab.domain import (
    OptimizationStyle,
    Parity,
    PartitionPrediction,
    Precision,
    RefusedVariant,
    ReleaseVerdict,
    Replay,
    TargetPlatform,
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
from ortlab.prepare.describe import Description, Predict, describe, predicted
from ortlab.prepare.job import Job
from ortlab.prepare.parity import Reference, check_parity, not_checked
from ortlab.prepare.plan import VARIANTS, Plan, Steps
from ortlab.prepare.reader import Reader
from ortlab.prepare.staging import sync_file

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

NO_REPLAY_REASON = (
    "its saved runtime optimizations cannot be replayed, they contradict each other (some"
    " converters wrote such files): onnxruntime says: "
)


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


class VariantMaker:
    """Makes the variants of a plan in a few threads, while the caller does something else.

    ORT, hashing and comparison leave Python's lock free, so two threads use two cores.
    """

    def __init__(
        self,
        job: Job,
        plan: Plan,
        steps: Steps,
        pool: ThreadPoolExecutor,
        describing: ThreadPoolExecutor,
        reader: Reader | None,
    ) -> None:
        self.job = job
        self.plan = plan
        self._steps = steps
        self._pool = pool
        self._describing = describing
        self._reader = reader
        self._reference: Future[Reference | None] = Future()
        self._started: list[tuple[Recipe, Future[Made]]] = []
        self._written: dict[str, Future[Path]] = {}
        self._twins: dict[tuple[Precision, OptimizationStyle], tuple[Recipe, Future[Made]]] = {}

    def start(self) -> None:
        """Start to make every variant; what needs the reference waits for it."""
        for recipe in self.plan.recipes:
            self._started.append((recipe, self._start(recipe)))

    def compare_with(self, reference: Reference | None) -> None:
        """Give what variants are held to; None if parity is switched off."""
        self._reference.set_result(reference)

    def written(self, recipe: Recipe) -> Future[Path]:
        """Return a variant's file, or its twin's of the same content, once it is converted."""
        return self._written[recipe.variant_id]

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
            self._written[recipe.variant_id] = self._written[twin[0].variant_id]
            return self._pool.submit(self._copy, twin[1], recipe, path)
        written = self._written[recipe.variant_id] = Future()
        future = self._pool.submit(self._make, recipe, path, written)
        runtime = recipe.style is OptimizationStyle.RUNTIME
        if runtime and recipe.precision not in self.plan.target_matters:
            self._twins[recipe.precision, recipe.style] = recipe, future
        return future

    def _make(self, recipe: Recipe, path: Path, written: Future[Path]) -> Made:
        try:
            with self._steps.step(f"make {recipe.variant_id}"):
                self._write(recipe, path)
        except BaseException as error:
            written.set_exception(error)
            raise
        written.set_result(path)
        with self._steps.step(f"check {recipe.variant_id}"):
            describing = self._describing.submit(self._describe, recipe, path)
            parity = self._accept(recipe, path, self._reference.result())
            found = self._with_onnx_prediction(recipe, path, describing.result())
            sync_file(path)
            return Made(
                variant=self._variant(recipe, path, found, parity),
                verdicts=found.verdicts,
                predictions=found.predictions,
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
        return self.job.result / VARIANTS / recipe.file_name

    def _optimized(self, variant_id: str) -> Path:
        return self.job.result / "optimized" / f"{variant_id}.optimized.onnx"

    def _write(self, recipe: Recipe, path: Path) -> None:
        source = self.plan.sources[recipe.precision]
        library = self.job.options.custom_op_library
        if recipe.style is OptimizationStyle.ONNX:
            if source != path:
                shutil.copyfile(source, path)
            return
        convert(recipe, source, path, library)
        if self.job.options.save_optimized_onnx:
            saved = self._optimized(recipe.variant_id)
            saved.parent.mkdir(exist_ok=True)
            save_optimized_onnx(recipe, source, saved, library)

    def _copy(self, twin: Future[Made], recipe: Recipe, path: Path) -> Made:
        """Give a file that is the same for both CPU families its second name."""
        made = twin.result()
        _link(self.job.result / made.variant.path, path)
        if self.job.options.save_optimized_onnx:
            first = self._optimized(made.variant.variant_id)
            _link(first, self._optimized(recipe.variant_id))
        variant = replace(
            made.variant,
            variant_id=recipe.variant_id,
            target=recipe.target,
            path=path.relative_to(self.job.result).as_posix(),
            notes=_notes(recipe, made.variant.saved_optimizations),
        )
        return Made(variant=variant, verdicts=made.verdicts)

    def _accept(self, recipe: Recipe, path: Path, reference: Reference | None) -> Parity:
        """Load a variant in every way it will be loaded, and hold its outputs to the reference."""
        options = self.job.options
        ways = [Replay.DEFAULT]
        if recipe.style is OptimizationStyle.RUNTIME:
            ways = [Replay.OFF, Replay.ON]
        elif reference is None and recipe.style is not OptimizationStyle.ONNX:
            ways = []  # the conversion was a session already
        sessions: list[Any] = []
        for way in ways:
            try:
                sessions.append(
                    load_variant(
                        path,
                        replay=way,
                        custom_op_library=options.custom_op_library,
                        plans_reuse=reference is not None and not reference.small,
                    )
                )
            except OrtRefusedError as error:
                if way is not Replay.ON:
                    raise
                raise OrtRefusedError(NO_REPLAY_REASON + str(error)) from error
        if reference is None:
            return not_checked(None, "parity was switched off")
        return check_parity(sessions, reference, recipe.precision, options)

    def _to_predict(self, recipe: Recipe) -> Predict | None:
        """Predictions are for what a phone would load."""
        options = self.job.options
        if not options.predictions or recipe.target is TargetPlatform.AMD64:
            return None
        return Predict(variant_id=recipe.variant_id, stop_operators=options.nnapi_stop_ops)

    def _describe(self, recipe: Recipe, path: Path) -> Description:
        call = self._reader.call if self._reader else _call
        return call(describe, path, self._to_predict(recipe))

    def _with_onnx_prediction(self, recipe: Recipe, path: Path, found: Description) -> Description:
        """Predict for an `.onnx` too: ORT must load it, which the reader never does."""
        predict = self._to_predict(recipe)
        if predict is None or recipe.style is not OptimizationStyle.ONNX:
            return found
        library = self.job.options.custom_op_library
        predictions, notes = predicted(path, predict, custom_op_library=library)
        return replace(found, predictions=predictions, notes=notes)

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
            notes=(*_notes(recipe, found.saved_optimizations), *found.notes),
        )


def _call(
    function: Callable[Arguments, Answer], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Answer:
    return function(*arguments, **options)


def _link(first: Path, second: Path) -> None:
    """Give a file a second name, or copy it where the disk cannot."""
    try:
        os.link(first, second)
    except OSError:
        shutil.copyfile(first, second)


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
