"""A runner's answer to the block on record: parity, files, contradictions, disturbances."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import latency_block, make_arm, make_experiment, make_result

from ortlab.bench.answers import BUSY_LIMIT, Asked, block_of, disturbances
from ortlab.domain import Arm, Block, ExecutedOperator, Outcome, ParityStatus, Precision, Sample
from ortlab.errors import StorageError
from ortlab.schedule import NextBlock
from ortlab.tensors import write_tensor
from ortlab.wire import (
    BlockResult,
    Conditions,
    Death,
    DeathKind,
    Failure,
    FailureKind,
    Purpose,
    Stage,
    TensorFile,
    Timing,
)

EXPECTED = np.array([1.0, 2.0, 3.0], dtype=np.float32)
HOSTILE = "../../../etc/passwd"


def asked(directory: Path, purpose: Purpose, arm: Arm | None = None) -> Asked:
    """Return a question whose block writes to ``directory/artifacts/block``."""
    arm = arm or make_arm("arm")
    output = directory / "artifacts" / "block.session"
    output.mkdir(parents=True)
    reference = write_tensor(directory / "y.bin", "y", EXPECTED)
    sample = Sample(
        sample_id="s",
        origin="seeded",
        inputs=(),
        outputs=(replace(reference, path="y.bin"),),
    )
    return Asked(
        step=NextBlock(block_id="b", arm_id=arm.arm_id, purpose=purpose, round_index=3, attempt=1),
        experiment=make_experiment([arm], sample=sample, prepared_path=str(directory)),
        directory=output,
        kept_path="artifacts/block",
    )


def answer(purpose: Purpose, **changes: Any) -> BlockResult:
    timing = Timing(measured_ns=(5, 6, 7)) if purpose is Purpose.LATENCY else Timing()
    result = make_result(make_arm("arm"), purpose, timing)
    return replace(result, **{"block_id": "b", **changes})


def output_of(question: Asked, values: np.ndarray) -> tuple[TensorFile, ...]:
    tensor = write_tensor(question.directory / "out.bin", "y", values)
    return (replace(tensor, path="out.bin"),)


def died_of(block: Block) -> DeathKind | None:
    assert block.outcome is Outcome.DIED
    assert block.result is None
    return block.death.kind if block.death else None


# ---------------------------------------------------------------- outcomes


def test_a_good_block_keeps_its_place_and_its_samples(tmp_path: Path) -> None:
    block = block_of(asked(tmp_path, Purpose.LATENCY), answer(Purpose.LATENCY))
    assert (block.outcome, block.round_index, block.attempt) == (Outcome.OK, 3, 1)
    assert block.result is not None
    assert block.result.timing.measured_ns == (5, 6, 7)


def test_a_failure_keeps_the_runners_words(tmp_path: Path) -> None:
    failure = Failure(stage=Stage.CREATE_SESSION, kind=FailureKind.INVALID_MODEL, message="no")
    block = block_of(asked(tmp_path, Purpose.LATENCY), answer(Purpose.LATENCY, failure=failure))
    assert block.outcome is Outcome.FAILED
    assert block.result is not None
    assert block.result.failure == failure


def test_a_death_is_a_row(tmp_path: Path) -> None:
    death = Death(kind=DeathKind.SIGNAL, message="died of SIGSEGV", signal_name="SIGSEGV")
    block = block_of(asked(tmp_path, Purpose.LATENCY), death)
    assert (block.outcome, block.death) == (Outcome.DIED, death)


def test_an_answer_for_another_block_is_no_answer(tmp_path: Path) -> None:
    wrong = answer(Purpose.LATENCY, block_id="another")
    assert died_of(block_of(asked(tmp_path, Purpose.LATENCY), wrong)) is DeathKind.WRONG_BLOCK


@pytest.mark.parametrize("samples", [(), (0, 0, 0)])
def test_a_latency_block_without_time_is_no_measurement(
    tmp_path: Path, samples: tuple[int, ...]
) -> None:
    empty = answer(Purpose.LATENCY, timing=Timing(measured_ns=samples))
    assert died_of(block_of(asked(tmp_path, Purpose.LATENCY), empty)) is DeathKind.GARBLED_RESULT


# ---------------------------------------------------------------- parity


@pytest.mark.parametrize(
    ("values", "status"),
    [
        (EXPECTED, ParityStatus.PASSED),
        (EXPECTED * 1.0005, ParityStatus.PASSED),
        (EXPECTED * 1.1, ParityStatus.FAILED),
        (EXPECTED[:2], ParityStatus.FAILED),
        (np.full(3, np.nan, dtype=np.float32), ParityStatus.FAILED),
    ],
)
def test_outputs_are_held_to_the_reference(
    tmp_path: Path, values: np.ndarray, status: ParityStatus
) -> None:
    question = asked(tmp_path, Purpose.PARITY)
    outputs = output_of(question, values.astype(np.float32))
    block = block_of(question, answer(Purpose.PARITY, outputs=outputs))
    assert block.outcome is Outcome.OK
    assert block.parity is not None
    assert block.parity.status is status


@pytest.mark.parametrize(("noise", "status"), [(0.001, "passed"), (0.5, "failed")])
def test_a_quantized_arm_is_held_to_its_sqnr(tmp_path: Path, noise: float, status: str) -> None:
    arm = make_arm("arm", precision=Precision.INT8_STATIC, parity_tolerance=None, min_sqnr_db=20.0)
    question = asked(tmp_path, Purpose.PARITY, arm)
    outputs = output_of(question, EXPECTED + np.float32(noise))
    block = block_of(question, answer(Purpose.PARITY, outputs=outputs))
    assert block.parity is not None
    assert block.parity.status == status
    assert block.parity.sqnr_db is not None


def test_an_arm_of_another_model_is_held_to_its_own_reference(tmp_path: Path) -> None:
    own = write_tensor(tmp_path / "own.bin", "y", EXPECTED * 2)
    question = asked(tmp_path, Purpose.PARITY, make_arm("arm", reference=(own,)))
    outputs = output_of(question, EXPECTED * 2)
    block = block_of(question, answer(Purpose.PARITY, outputs=outputs))
    assert block.parity is not None
    assert block.parity.status is ParityStatus.PASSED


def test_without_anything_to_hold_it_to_parity_is_not_checked(tmp_path: Path) -> None:
    question = asked(tmp_path, Purpose.PARITY, make_arm("arm", parity_tolerance=None))
    block = block_of(question, answer(Purpose.PARITY))
    assert block.parity is not None
    assert block.parity.status is ParityStatus.NOT_CHECKED


def test_outputs_that_cannot_be_read_are_the_runners_fault(tmp_path: Path) -> None:
    question = asked(tmp_path, Purpose.PARITY)
    outputs = output_of(question, EXPECTED)
    (question.directory / "out.bin").write_bytes(b"short")
    block = block_of(question, answer(Purpose.PARITY, outputs=outputs))
    assert died_of(block) is DeathKind.GARBLED_RESULT


def test_a_damaged_reference_is_not_the_runners_fault(tmp_path: Path) -> None:
    question = asked(tmp_path, Purpose.PARITY)
    outputs = output_of(question, EXPECTED)
    (tmp_path / "y.bin").unlink()
    with pytest.raises(StorageError, match=r"y\.bin"):
        block_of(question, answer(Purpose.PARITY, outputs=outputs))


# ---------------------------------------------------------------- files


def test_paths_on_record_are_relative_to_the_run(tmp_path: Path) -> None:
    question = asked(tmp_path, Purpose.PARITY)
    relative = output_of(question, EXPECTED)
    absolute = (replace(relative[0], path=str(question.directory / "out.bin")),)
    for outputs in (relative, absolute):
        block = block_of(question, answer(Purpose.PARITY, outputs=outputs))
        assert block.result is not None
        assert block.result.outputs[0].path == "artifacts/block/out.bin"


@pytest.mark.parametrize("path", [HOSTILE, "/etc/passwd", "a/../../b", "nul\0byte"])
def test_no_file_outside_of_the_blocks_directory_is_read(tmp_path: Path, path: str) -> None:
    question = asked(tmp_path, Purpose.PARITY)
    outputs = (replace(output_of(question, EXPECTED)[0], path=path),)
    hostile = answer(Purpose.PARITY, outputs=outputs)
    assert died_of(block_of(question, hostile)) is DeathKind.GARBLED_RESULT
    profiled = replace(question, step=replace(question.step, purpose=Purpose.PROFILE))
    hostile = answer(Purpose.PROFILE, profile_path=path)
    assert died_of(block_of(profiled, hostile)) is DeathKind.GARBLED_RESULT


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    question = asked(tmp_path, Purpose.PROFILE)
    (tmp_path / "secret").write_text("[]")
    (question.directory / "profile.json").symlink_to(tmp_path / "secret")
    block = block_of(question, answer(Purpose.PROFILE, profile_path="profile.json"))
    assert died_of(block) is DeathKind.GARBLED_RESULT


def test_a_profile_becomes_executed_operators(tmp_path: Path) -> None:
    question = asked(tmp_path, Purpose.PROFILE)
    arguments = {"op_name": "Conv", "provider": "CPUExecutionProvider", "node_index": "0"}
    events = [{"name": "c_kernel_time", "args": arguments}, {"name": "model_run", "args": {}}]
    (question.directory / "profile.json").write_text(json.dumps(events))
    block = block_of(question, answer(Purpose.PROFILE, profile_path="profile.json"))
    conv = ExecutedOperator(provider="CPUExecutionProvider", operator="Conv", count=1)
    assert block.executed == (conv,)
    assert block.result is not None
    assert block.result.profile_path == "artifacts/block/profile.json"


@pytest.mark.parametrize("text", [None, "", "[]", "garbage"])
def test_a_profile_of_no_use_is_garbled(tmp_path: Path, text: str | None) -> None:
    question = asked(tmp_path, Purpose.PROFILE)
    if text is not None:
        (question.directory / "profile.json").write_text(text)
    block = block_of(question, answer(Purpose.PROFILE, profile_path="profile.json"))
    assert died_of(block) is DeathKind.GARBLED_RESULT
    block = block_of(question, answer(Purpose.PROFILE))
    assert died_of(block) is DeathKind.GARBLED_RESULT


# ---------------------------------------------------------------- disturbances


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (Conditions(), Conditions(), ""),
        (Conditions(thermal_status="NONE"), Conditions(thermal_status="nominal"), ""),
        (Conditions(thermal_status="none"), Conditions(thermal_status="severe"), "severe"),
        (Conditions(foreground=True), Conditions(foreground=False), "foreground"),
        (Conditions(charging=True), Conditions(charging=False), "pulled"),
        (Conditions(charging=False), Conditions(charging=True), "plugged in"),
        (Conditions(charging=False), Conditions(charging=None), ""),
        (Conditions(low_power_mode=False), Conditions(low_power_mode=True), "low-power"),
        (Conditions(), Conditions(busy_fraction=BUSY_LIMIT), ""),
        (Conditions(), Conditions(busy_fraction=0.4), "40%"),
    ],
)
def test_disturbances_are_told_in_words(before: Conditions, after: Conditions, words: str) -> None:
    result = latency_block(make_arm("arm"), 0, [1]).result
    assert result is not None
    told = list(disturbances(replace(result, conditions_before=before, conditions_after=after)))
    assert len(told) == bool(words)
    assert all(words in sentence for sentence in told)


def test_only_latency_blocks_are_disturbed(tmp_path: Path) -> None:
    loud = Conditions(busy_fraction=0.9)
    block = block_of(
        asked(tmp_path / "a", Purpose.LATENCY), answer(Purpose.LATENCY, conditions_after=loud)
    )
    assert len(block.disturbances) == 1
    block = block_of(
        asked(tmp_path / "b", Purpose.MEMORY), answer(Purpose.MEMORY, conditions_after=loud)
    )
    assert block.disturbances == ()
