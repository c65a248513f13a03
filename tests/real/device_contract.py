"""What every device must do; an adapter's tests subclass it and give the ``device`` fixture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ortlab.domain import Arm, Device, OptimizationStyle
from ortlab.tensors import read_tensor, write_tensor
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Death,
    DeathKind,
    FailureKind,
    ModelReference,
    ProviderRequest,
    Purpose,
    SessionSettings,
    Stage,
    StopReason,
    StopRule,
    WarmUpRule,
)

MODEL = Path(__file__).parents[2] / "bench_protocol/vectors/models/doubling.onnx"
CPU = ProviderRequest(name="CPUExecutionProvider")
VALUES = np.asarray([[0.5, -1, 2], [3, 1e-30, np.inf]], np.float32)
MS = 1_000_000


def make_arm(model: Path, **changes: Any) -> Arm:
    arm = Arm(
        arm_id="contract",
        label="contract",
        style=OptimizationStyle.ONNX,
        variant_id="onnx",
        model_path=str(model),
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        prepared_sha256="",
        providers=(CPU,),
    )
    return replace(arm, **changes)


def make_request(
    arm: Arm, directory: Path, purpose: Purpose = Purpose.PARITY, **changes: Any
) -> BlockRequest:
    """Return a short block of the doubling model with its input written to ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    request = BlockRequest(
        block_id=f"{purpose}-1",
        purpose=purpose,
        model=ModelReference(path=arm.model_path, sha256=arm.model_sha256),
        session=SessionSettings(intra_op_num_threads=1),
        providers=arm.providers,
        inputs=(write_tensor(directory / "x.bin", "x", VALUES),),
        output_directory=str(directory / "out"),
        warm_up=WarmUpRule(window_ns=MS, min_ns=MS, max_ns=50 * MS),
        stop=StopRule(min_runs=30, min_ns=5 * MS),
        measured_runs=4,
        settle_ns=0,
        deadline_s=60,
    )
    return replace(request, **changes)


class DeviceContract:
    """Tests that need nothing but a ``device`` fixture, open and ready."""

    @pytest.fixture
    def arm(self) -> Arm:
        return make_arm(MODEL)

    @pytest.fixture
    def ask(self, device: Device, arm: Arm, tmp_path: Path) -> Callable[..., BlockResult | Death]:
        def run(purpose: Purpose = Purpose.PARITY, **changes: Any) -> BlockResult | Death:
            request = make_request(arm, tmp_path, purpose, **changes)
            return device.run_block(request, arm)

        return run

    def test_it_describes_itself_alike_each_time(self, device: Device, arm: Arm) -> None:
        info = device.info
        assert info == device.info
        assert info.device_id
        assert info.cpu
        assert info.memory_bytes > 0
        assert (info.ort_version, info.available_providers) == device.runtime_of(arm)
        assert CPU.name in info.available_providers

    def test_its_conditions_are_possible(self, device: Device) -> None:
        conditions = device.conditions()
        assert 0 <= (conditions.busy_fraction or 0) <= 1
        assert 0 <= (conditions.battery_percent or 0) <= 100
        assert -50 < (conditions.temperature_c or 20) < 150

    @pytest.mark.parametrize("purpose", list(Purpose))
    def test_a_block_of_each_purpose_succeeds(
        self, ask: Callable[..., BlockResult], device: Device, purpose: Purpose
    ) -> None:
        result = ask(purpose)
        assert isinstance(result, BlockResult), result
        assert result.failure is None
        assert result.block_id == f"{purpose}-1"
        assert result.requested_providers == (CPU,)
        assert result.registered_providers[-1] == CPU.name
        assert result.runtime is not None
        assert result.runtime.ort_version == device.info.ort_version
        timing = result.timing
        assert min(timing.session_creation_ns or 0, timing.first_run_ns or 0) > 0
        counts = {Purpose.MEMORY: 4, Purpose.PROFILE: 3}
        if purpose is Purpose.LATENCY:
            assert timing.stop_reason is StopReason.COMPLETE
            assert len(timing.measured_ns) >= 30
            assert sum(timing.measured_ns) >= 5 * MS
            assert len(timing.warm_up_ns) >= 5
            assert timing.warm_up_converged is not None
        else:
            assert len(timing.measured_ns) == counts.get(purpose, 0)
            assert timing.warm_up_ns == ()
        assert bool(result.memory) is (purpose is Purpose.MEMORY)
        assert bool(result.outputs) is (purpose is Purpose.PARITY)
        assert bool(result.profile_path) is (purpose is Purpose.PROFILE)

    def test_outputs_are_those_of_the_model(self, ask: Callable[..., BlockResult]) -> None:
        result = ask()
        (output,) = result.outputs
        assert Path(output.path).is_absolute()
        assert output.name == "y"
        np.testing.assert_array_equal(read_tensor(output), VALUES * 2)

    def test_the_profile_is_on_this_machine(self, ask: Callable[..., BlockResult]) -> None:
        profile = ask(Purpose.PROFILE).profile_path
        assert profile is not None
        assert '"double_kernel_time"' in Path(profile).read_text(encoding="utf-8")

    def test_another_model_is_refused(self, ask: Callable[..., BlockResult], arm: Arm) -> None:
        model = ModelReference(path=arm.model_path, sha256="0" * 64)
        failure = ask(model=model).failure
        assert failure is not None
        assert (failure.stage, failure.kind) == (Stage.LOAD_MODEL, FailureKind.MODEL_CHANGED)

    def test_an_unknown_provider_is_never_replaced(self, ask: Callable[..., BlockResult]) -> None:
        nobody = ProviderRequest(name="NobodysExecutionProvider", options={"a": "b"})
        result = ask(providers=(nobody, CPU))
        assert result.failure is not None
        assert result.failure.kind is FailureKind.PROVIDER_UNAVAILABLE
        assert result.requested_providers == (nobody, CPU)
        assert result.runtime is not None
        assert nobody.name not in result.runtime.available_providers

    def test_a_block_ends_at_its_deadline(self, ask: Callable[..., BlockResult | Death]) -> None:
        endless = StopRule(min_ns=10**15, max_ns=10**16)
        answer = ask(Purpose.LATENCY, stop=endless, deadline_s=3)
        if isinstance(answer, Death):
            assert answer.kind is DeathKind.DEADLINE
            return
        assert answer.failure is not None
        assert answer.failure.kind is FailureKind.DEADLINE

    def test_no_answer_is_left_from_the_block_before(
        self, ask: Callable[..., BlockResult | Death]
    ) -> None:
        first = ask(block_id="first")
        second = ask(block_id="second")
        assert isinstance(first, BlockResult)
        assert isinstance(second, BlockResult)
        assert (first.block_id, second.block_id) == ("first", "second")

    def test_it_can_be_closed_twice(self, device: Device) -> None:
        device.close()
        device.close()
