"""What `init`, `run` and `demo` do: call `pipeline`, then show the answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ortlab import pipeline
from ortlab.cli import render
from ortlab.cli.app_commands import show_generated
from ortlab.cli.report_commands import answered, code_of, command_line, show_answer
from ortlab.config import load_config, starter_config
from ortlab.errors import GateFailedError, GateInconclusiveError, StorageError, UsageError


def init(*, model: Path, output: Path, force: bool) -> int:
    """Write a starter configuration."""
    from ortlab.prepare import inspect_file

    spec = inspect_file(model).model
    if output.exists() and not force:
        message = f"cannot write {output}: it is there already"
        raise UsageError(message, next_step="ortlab init --force, or choose another --output")
    shapes: Mapping[str, tuple[int | str | None, ...]] = {
        tensor.name: tensor.shape for tensor in spec.inputs if tensor.shape is not None
    }
    try:
        output.write_text(starter_config(model, dict(shapes)), encoding="utf-8")
    except OSError as error:
        message = f"cannot write {output}: {error.strerror}"
        raise StorageError(message) from error
    render.say(f"wrote {output}; next: ortlab run {output}")
    return 0


def run(*, config: Path, new: bool, as_json: bool) -> int:
    """Do everything a configuration says."""
    return _run(pipeline_config=load_config(config), base=config.parent, new=new, as_json=as_json)


def demo(*, output: Path, new: bool, as_json: bool) -> int:
    """Run the demo."""
    config = pipeline.demo_config(output)
    return _run(pipeline_config=config, base=Path(), new=new, as_json=as_json)


def _run(*, pipeline_config: Any, base: Path, new: bool, as_json: bool) -> int:
    from ortlab.analysis import GateStatus

    with render.Progress() as progress:
        done = pipeline.run_config(
            pipeline_config, base, new=new, command=command_line(), say=progress.update
        )
    if as_json:
        render.show_json(
            {**answered(done.answer), "gate": done.gated, "apps": list(done.generated)}
        )
    else:
        for app in done.generated:
            show_generated(app)
        show_answer(done.answer)
        if done.gated is not None:
            render.say(f"gate: {done.gated.sentence}")
    if done.answer.failures:
        return code_of(done.answer)
    if done.gated is None or done.gated.status is GateStatus.PASS:
        return 0
    if done.gated.status is GateStatus.FAIL:
        return GateFailedError.exit_code
    return GateInconclusiveError.exit_code
