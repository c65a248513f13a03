"""Operator configs and recipes for custom packages, of the variants that a phone would load.

Runs in the worker, while finished variants are still being examined.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from ortlab.domain import (
    BuildRecipe,
    OperatorConfig,
    OptimizationStyle,
    RefusedVariant,
    TargetPlatform,
)
from ortlab.errors import ModelError
from ortlab.prepare.cache import toolchain
from ortlab.prepare.convert import OrtRefusedError, Recipe, conversion_request, open_session
from ortlab.prepare.job import Job
from ortlab.prepare.plan import Plan, Steps

_DIRECTORY = "reduced_build"

Written = Callable[[Recipe], Future[Path]]


class CustomBuilds:
    """What is written for custom packages.

    Attributes:
        configs: Operator configs.
        recipes: Settings and commands.
        notes: What could not be written, in sentences.
    """

    def __init__(self, job: Job, plan: Plan, steps: Steps) -> None:
        self.configs: tuple[OperatorConfig, ...] = ()
        self.recipes: tuple[BuildRecipe, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._job = job
        self._plan = plan
        self._steps = steps
        self._used: set[str] = set()

    def write(self, written: Written, without: Collection[str] = ()) -> None:
        """Write configs and recipes, if the user wants them.

        Args:
            written: Gives the file of a recipe once it is there.
            without: Ids of variants to leave out.

        Raises:
            ModelError: ORT cannot convert the model as it is after replay.
        """
        recipes = [r for r in self._phone_recipes() if r.variant_id not in without]
        if not self._job.options.configs or not recipes:
            return
        with self._steps.step("operator configs"):
            models = self._models(recipes, written)
            if models:
                self._write(models)

    def drop(self, refused: Sequence[RefusedVariant], written: Written) -> None:
        """Write again without variants that were refused in the end."""
        gone = {each.variant_id for each in refused}
        if self._used & gone:
            shutil.rmtree(self._job.result / _DIRECTORY)
            self.configs, self.recipes, self.notes = (), (), ()
            self.write(written, gone)

    def _phone_recipes(self) -> list[Recipe]:
        made = [r for r in self._plan.recipes if r.style is not OptimizationStyle.ONNX]
        arm = [recipe for recipe in made if recipe.target is TargetPlatform.ARM]
        return arm or made

    def _models(
        self, recipes: Sequence[Recipe], written: Written
    ) -> dict[OptimizationStyle, list[Path]]:
        twins = {
            recipe.variant_id: self._applied_twin(recipe)
            for recipe in recipes
            if recipe.style is OptimizationStyle.RUNTIME
        }
        models: dict[OptimizationStyle, list[Path]] = {}
        for recipe in recipes:
            try:
                path = written(recipe).result()
            except OrtRefusedError:
                continue  # who makes the variants reports it
            self._used.add(recipe.variant_id)
            paths = models.setdefault(recipe.style, [])
            paths.append(path)
            if recipe.variant_id in twins:
                paths.append(twins[recipe.variant_id])
        return models

    def _applied_twin(self, recipe: Recipe) -> Path:
        """Convert as the graph is after replay: the operators it then has are needed too."""
        path = self._job.work / f"{recipe.variant_id}.applied.ort"
        request = conversion_request(
            recipe,
            self._plan.sources[recipe.precision],
            path,
            optimizations="apply",
            custom_op_library=self._job.options.custom_op_library,
        )
        try:
            open_session(request)
        except OrtRefusedError as error:
            message = (
                f"cannot find the operators that replay needs in {recipe.variant_id} of"
                f" {self._job.model}: onnxruntime says: {error}"
            )
            raise ModelError(message, next_step="--no-configs") from error
        return path

    def _write(self, models: dict[OptimizationStyle, list[Path]]) -> None:
        from ortlab.prepare.reduced_build import write_reduced_build

        directory = self._job.result / _DIRECTORY
        directory.mkdir()
        found = write_reduced_build(
            directory,
            models,
            ort_version=toolchain()["onnxruntime"],
            type_reduction=self._job.options.type_reduction,
            installed_directory=self._job.destination / _DIRECTORY,
        )
        self.configs = tuple(replace(c, path=f"{_DIRECTORY}/{c.path}") for c in found.configs)
        self.recipes = tuple(
            replace(r, settings_path=f"{_DIRECTORY}/{r.settings_path}") for r in found.recipes
        )
        self.notes = found.notes
