"""ORT's conversions: the settings of ORT's own converter, one session for each file.

Runs in the worker. Sessions of conversions use one thread and no prepacking: neither is in the
file, and both cost time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ortlab.domain import OptimizationStyle, Precision, Replay, TargetPlatform
from ortlab.errors import ToolchainError
from ortlab.ort_releases import measured_releases, parse_release
from ortlab.prepare.custom_ops import register_custom_ops
from ortlab.prepare.source import one_line
from ortlab.wire import GraphOptimizationLevel

REPLAY_KEY = "session.enable_saved_runtime_optimizations"

_NCHWC = "NchwcTransformer"
_LAYOUT_LEVELS = (GraphOptimizationLevel.LAYOUT, GraphOptimizationLevel.ALL)
_OUT_OF_MEMORY = ("bad_alloc", "Failed to allocate memory", "std::bad_array_new_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one variant is made.

    Attributes:
        style: Of the variant.
        target: CPU family, None for `.onnx`.
        precision: Of the `.onnx` it is made from.
        level: Graph optimization level it is saved with.
        given: Whether the model came in this precision, which is then no part of the id.
    """

    style: OptimizationStyle
    target: TargetPlatform | None
    precision: Precision
    level: GraphOptimizationLevel
    given: bool = True

    @property
    def variant_id(self) -> str:
        """Such as ``onnx``, ``fixed-arm`` or ``runtime-amd64-int8-static``."""
        parts = [self.style.value]
        if self.target is not None:
            parts.append(self.target.value)
        if not self.given:
            parts.append(self.precision.value)
        return "-".join(parts)

    @property
    def file_name(self) -> str:
        """Of the variant's file."""
        return f"{self.variant_id}.{'onnx' if self.style is OptimizationStyle.ONNX else 'ort'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """How a session is opened.

    Attributes:
        model: File to load.
        level: Graph optimization level.
        entries: Session config entries.
        saved_to: File that the optimized model is written to, or None.
        disabled_optimizers: By ORT's names.
        custom_op_library: Shared library to register, or None.
        plans_reuse: Whether memory of values that are used up is given to others. Planning it
            takes most of the time of loading a large graph, is in no file, and is needed only to
            run large models.
    """

    model: Path
    level: GraphOptimizationLevel
    entries: Mapping[str, str] = field(default_factory=dict)
    saved_to: Path | None = None
    disabled_optimizers: tuple[str, ...] = ()
    custom_op_library: Path | None = None
    plans_reuse: bool = False


_STAGED_FILE = re.compile(r"Load model from .*? failed: ?")


class OrtRefusedError(Exception):
    """ORT could not load, convert or run a model; the text is its reason on one line."""


def open_session(request: SessionRequest) -> Any:
    """Create an ``onnxruntime.InferenceSession`` on the CPU.

    Raises:
        OrtRefusedError: ORT refuses the model.
        MemoryError: There is not enough memory.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.enable_mem_reuse = request.plans_reuse
    options.graph_optimization_level = _ort_level(request.level)
    if request.custom_op_library is not None:
        register_custom_ops(options, request.custom_op_library)
    if request.saved_to is not None:
        options.optimized_model_filepath = str(request.saved_to)
    for key, value in request.entries.items():
        options.add_session_config_entry(key, value)
    try:
        return onnxruntime.InferenceSession(
            str(request.model),
            sess_options=options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(request.disabled_optimizers) or None,
        )
    except MemoryError:
        raise
    except Exception as error:  # ORT's exceptions share no base class of their own
        raise _refusal(error) from error


def run_session(session: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Run once; return each output by name, as ORT gives it.

    Raises:
        OrtRefusedError: ORT fails.
        MemoryError: There is not enough memory.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        values = session.run(names, dict(inputs))
    except MemoryError:
        raise
    except Exception as error:  # ORT's exceptions share no base class of their own
        raise _refusal(error) from error
    return dict(zip(names, values, strict=True))


def _refusal(error: Exception) -> OrtRefusedError:
    text = one_line(str(error)) or type(error).__name__
    if any(sign in text for sign in _OUT_OF_MEMORY):
        raise MemoryError(text) from error
    # ORT names our staged copy, which is gone by the time the user reads it.
    return OrtRefusedError(_STAGED_FILE.sub("", text, count=1))


def _ort_level(level: GraphOptimizationLevel) -> Any:
    import onnxruntime

    name = "DISABLE_ALL" if level is GraphOptimizationLevel.DISABLED else f"ENABLE_{level.upper()}"
    return getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{name}")


def conversion_request(
    recipe: Recipe,
    source: Path,
    destination: Path,
    *,
    optimizations: str | None,
    custom_op_library: Path | None,
) -> SessionRequest:
    """Return the session that converts, with the settings of ORT's own converter.

    Args:
        recipe: What to make.
        source: Repaired `.onnx`.
        destination: `.ort` or `.onnx` file to write, by its suffix.
        optimizations: ``save`` or ``apply`` limits them to those that a Runtime-style file can
            hold, and saves or applies them; None applies all of the level.
        custom_op_library: Shared library to register, or None.
    """
    entries = {"session.qdqisint8allowed": "1" if recipe.target is TargetPlatform.ARM else "0"}
    entries["session.disable_prepacking"] = "1"
    if destination.suffix == ".ort":
        entries["session.save_model_format"] = "ORT"
    if optimizations is not None:
        entries["optimization.minimal_build_optimizations"] = optimizations
    keeps_layout = recipe.level in _LAYOUT_LEVELS and recipe.target is not TargetPlatform.AMD64
    return SessionRequest(
        model=source,
        level=recipe.level,
        entries=entries,
        saved_to=destination,
        disabled_optimizers=(_NCHWC,) if keeps_layout else (),
        custom_op_library=custom_op_library,
    )


def convert(
    recipe: Recipe, source: Path, destination: Path, custom_op_library: Path | None
) -> None:
    """Convert a repaired `.onnx` to the `.ort` file of a recipe.

    Raises:
        OrtRefusedError: ORT cannot convert it.
    """
    runtime = recipe.style is OptimizationStyle.RUNTIME
    request = conversion_request(
        recipe,
        source,
        destination,
        optimizations="save" if runtime else None,
        custom_op_library=custom_op_library,
    )
    open_session(request)
    _expect_file(destination)


def save_optimized_onnx(
    recipe: Recipe, source: Path, destination: Path, custom_op_library: Path | None
) -> None:
    """Save as `.onnx` what a style's optimization makes of a model, to look at.

    Raises:
        OrtRefusedError: ORT cannot.
    """
    runtime = recipe.style is OptimizationStyle.RUNTIME
    request = conversion_request(
        recipe,
        source,
        destination,
        optimizations="apply" if runtime else None,
        custom_op_library=custom_op_library,
    )
    open_session(request)
    _expect_file(destination)


def _expect_file(path: Path) -> None:
    if not path.is_file() or path.stat().st_size == 0:
        message = f"it wrote no {path.name}"
        raise OrtRefusedError(message)


def load_variant(
    path: Path,
    *,
    replay: Replay,
    level: GraphOptimizationLevel = GraphOptimizationLevel.ALL,
    custom_op_library: Path | None = None,
    plans_reuse: bool = True,
) -> Any:
    """Load a variant as a device would.

    Args:
        path: `.onnx` or `.ort` file.
        replay: ON applies saved optimizations; OFF does not, at a level that never does.
        level: Used unless replay is OFF.
        custom_op_library: Shared library to register, or None.
        plans_reuse: Whether the session will run a large model.

    Raises:
        OrtRefusedError: ORT refuses it.
    """
    entries = {"session.disable_prepacking": "1"}
    if replay is not Replay.DEFAULT:
        entries[REPLAY_KEY] = "1" if replay is Replay.ON else "0"
    request = SessionRequest(
        model=path,
        level=GraphOptimizationLevel.BASIC if replay is Replay.OFF else level,
        entries=entries,
        custom_op_library=custom_op_library,
        plans_reuse=plans_reuse,
    )
    return open_session(request)


def ort_limits() -> tuple[int, int]:
    """Return the largest IR version and `ai.onnx` opset that the installed ORT takes.

    Raises:
        ToolchainError: The installed ORT is older than the measured table.
    """
    import onnxruntime

    installed = parse_release(onnxruntime.__version__)
    rows = [row for row in measured_releases() if parse_release(row.release) <= installed]
    if not rows:
        message = f"cannot prepare with onnxruntime {onnxruntime.__version__}: it is too old"
        raise ToolchainError(message, next_step="pip install 'onnxruntime>=1.31'")
    return rows[-1].max_ir_version, rows[-1].max_opset
