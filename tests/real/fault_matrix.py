"""What a matrix of faults × stages shares between platforms: playing cases, and what must hold.

A case is an experiment that runs into a fault; then the fault goes away and the same experiment is
taken up again. What was recorded before and after is held to the same rules on every platform.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import onnx
import pytest
from small_models import convolutions

from ortlab.bench import (
    ArmOptions,
    PlanOptions,
    cross_arms,
    is_finished,
    plan_experiment,
    run_experiment,
)
from ortlab.domain import BlockCounts, Device, Experiment, Outcome, PreparedModel, Run
from ortlab.errors import OrtlabError
from ortlab.prepare import PrepareOptions, prepare_models

BLOCK_DEADLINE_S = 8.0
PLAYED_AT_ONCE = 5

Prepared = tuple[PreparedModel, Path]


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of a case.

    Attributes:
        error: That the first attempt ended with.
        message: Of the error, with its next step.
        took_s: Of the first attempt.
        run_before: What the first attempt recorded; None where it did not get that far.
        run_after: The same experiment, taken up again without the fault.
        said: Everything that was told on the way.
        settings_before: What the phone is set to beforehand, where it can be set at all.
        settings_after: Likewise at the end.
    """

    error: type[OrtlabError] | None
    message: str
    took_s: float
    run_before: Run | None
    run_after: Run
    said: tuple[str, ...]
    settings_before: str = ""
    settings_after: str = ""


class NamedCase(Protocol):
    """A fault in a stage."""

    @property
    def name(self) -> str: ...


def prepare_model(root: Path) -> Path:
    """Prepare a small model and return its directory."""
    model = root / "conv.onnx"
    onnx.save(convolutions(), model)
    options = PrepareOptions(configs=False, predictions=False)
    (result,) = prepare_models([model], root / "out", options).results
    assert result.directory is not None
    return result.directory


def small_experiment(prepared: Prepared, device: Device) -> Experiment:
    """Plan two rounds of one arm, with a block of every purpose but memory."""
    model, directory = prepared
    arms = cross_arms(model, directory, ArmOptions(), device)[:1]
    options = PlanOptions(
        min_rounds=2,
        max_rounds=2,
        block_s=0.05,
        counts=BlockCounts(memory=0, cold_start=1),
        block_deadline_s=BLOCK_DEADLINE_S,
        seed=1,
    )
    return plan_experiment(arms, model, directory, device.info, options)


def carry_out(root: Path, prepared: Prepared, device: Device) -> Run:
    """Run the experiment, or go on with what is there of it."""
    return run_experiment(
        root / "run",
        small_experiment(prepared, device),
        device,
        progress=lambda _: None,
        should_stop=lambda: False,
    )


@contextmanager
def playing_at_once(
    request: pytest.FixtureRequest,
    cases: Collection[NamedCase],
    play: Callable[..., Played],
    prepared: Path,
    make_directory: Callable[[], Path],
) -> Iterator[Mapping[str, Future[Played]]]:
    """Play the selected cases a few at once: most of their time is waiting for deadlines."""
    selected: list[Any] = [
        item for item in request.session.items if getattr(item, "originalname", "") == "test_fault"
    ]
    wanted = {item.callspec.params["case"].name for item in selected}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PLAYED_AT_ONCE, mp_context=context) as pool:
        yield {
            case.name: pool.submit(play, case.name, prepared, make_directory())
            for case in cases
            if case.name in wanted
        }


def check_resumed(played: Played) -> None:
    """Nothing partial was taken for a result, and the same command completed the run."""
    check_nothing_partial(played.run_before)
    check_nothing_partial(played.run_after)
    assert is_finished(played.run_after)
    done = [b for b in played.run_after.blocks if b.outcome is Outcome.OK]
    assert {str(block.purpose) for block in done} == {"parity", "profile", "latency", "cold_start"}
    assert played.settings_after == played.settings_before


def check_nothing_partial(run: Run | None) -> None:
    """What counts as measured is whole: right block, samples, outputs that were compared."""
    for block in run.blocks if run else ():
        if block.outcome is not Outcome.OK:
            assert block.result is None or block.result.failure is not None
            continue
        assert block.result is not None
        assert block.result.block_id == block.block_id
        if str(block.purpose) == "latency":
            assert block.result.timing.measured_ns
        if str(block.purpose) == "parity":
            assert block.parity is not None
            assert block.parity.status == "passed"
