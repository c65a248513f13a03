"""Everything from one file."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.config import AppSection, BenchSection, Config, ModelSection, PrepareSection
from ortlab.errors import ToolchainError
from ortlab.pipeline.apps import SHIP_AUTO, generate
from ortlab.pipeline.measuring import BenchAnswer, bench
from ortlab.pipeline.models import Say, prepare
from ortlab.pipeline.reporting import gate
from ortlab.settings import prepare_options

if TYPE_CHECKING:
    from ortlab.analysis import GateResult
    from ortlab.domain import GeneratedApp

DEMO_MODEL = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
DEMO_PACKAGE = "rapidocr_onnxruntime"
DEMO_SHAPES: dict[str, tuple[int, ...]] = {"x": (1, 3, 48, 192)}
DEMO_PICTURE = {
    "kind": "image",
    "color_order": "bgr",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "resize": "fit-height",
}
DEMO_DIRECTION = {"kind": "classification", "labels": ["0°", "180°"], "top_k": 2}
DEMO_ROUNDS = (8, 12)
DEMO_BLOCK_S = 1.0  # five minutes even where every round is disturbed and repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """What came of a configuration.

    Attributes:
        answer: Of the measurements.
        gated: Of the gate; None without one, or without a run.
        generated: Projects that were written.
    """

    answer: BenchAnswer
    gated: GateResult | None
    generated: tuple[GeneratedApp, ...]


def run_config(
    config: Config, base: Path, *, new: bool = False, command: str, say: Say
) -> Everything:
    """Prepare, generate, measure, report and gate as a configuration says.

    Args:
        config: What to do.
        base: Directory that its relative paths start from.
        new: Start another run although a finished one exists.
        command: The command that repeats it.
        say: Told where the work stands.

    Raises:
        OrtlabError: Of the step that failed; the steps before it are kept.
    """

    from ortlab.devices import names_release

    def absolute(text: str | None) -> str | None:
        return None if text is None else str(base / text)

    model = replace(
        config.model,
        path=str(base / config.model.path),
        inputs=absolute(config.model.inputs),
        reference=absolute(config.model.reference),
        calibration=absolute(config.model.calibration),
        custom_op_library=absolute(config.model.custom_op_library),
    )
    output = base / config.prepare.output
    summary = prepare([Path(model.path)], output, prepare_options(model, config.prepare), say=say)
    if summary.error:
        raise summary.error
    (result,) = summary.results
    assert result.directory is not None
    generated = _generate(config, result.directory, base, say)
    section = replace(
        config.bench,
        output=str(base / config.bench.output),
        app=tuple(str(base / app) for app in config.bench.apps),
        against=tuple(
            text if names_release(text) else str(base / text) for text in config.bench.against
        ),
    )
    answer = bench(
        result.directory,
        section,
        new=new,
        formats=config.report.format,
        command=command,
        say=say,
    )
    if config.app is not None and config.app.ship == SHIP_AUTO:
        generated = _generate(config, result.directory, base, say)  # now it is known what to ship
    gated = None
    if config.gate is not None and answer.measured:
        directories = [item.run.directory for item in answer.measured]
        gated = gate(directories, config.gate.max_slowdown)
    return Everything(answer=answer, gated=gated, generated=generated)


def _generate(config: Config, prepared: Path, base: Path, say: Say) -> tuple[GeneratedApp, ...]:
    app = config.app
    if app is None or app.android is app.ios is app.web is None:
        return ()
    return generate(prepared, app, base=base, say=say)


def demo_config(output: Path) -> Config:
    """Return the configuration of the demo.

    Raises:
        ToolchainError: The package that carries the model is not installed.
    """
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    models = [path for place in places for path in Path(place).rglob(DEMO_MODEL)]
    if not models:
        message = f"cannot run the demo: the package {DEMO_PACKAGE} with its model is missing"
        raise ToolchainError(message, next_step=f"pip install --no-deps {DEMO_PACKAGE}")
    first, last = DEMO_ROUNDS
    return Config(
        model=ModelSection(path=str(models[0]), input_shapes=DEMO_SHAPES),
        prepare=PrepareSection(output=str(output.absolute() / "prepared")),
        app=AppSection(
            name="PP-OCR direction",
            id="com.example.direction",
            android=str(output.absolute() / "android"),
            inputs={"x": DEMO_PICTURE},
            outputs={
                "save_infer_model/scale_0.tmp_1": {
                    "kind": "classification",
                    "labels": ["0°", "180°"],
                    "top_k": 2,
                }
            },
        ),
        bench=BenchSection(
            output=str(output.absolute() / "runs"),
            device=("host", "virtual:android"),
            min_rounds=first,
            max_rounds=last,
            block_s=DEMO_BLOCK_S,
            threads=(1,),  # two threads on two cores meet whatever else runs there
            seed=0,
        ),
    )
