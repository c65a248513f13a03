"""Arms crossed from lists, what is refused and why, the plan, and the request of a block."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import host, make_arm, make_experiment

from ortlab.bench import (
    ArmOptions,
    ArmSource,
    NextBlock,
    PlanOptions,
    cross,
    cross_arms,
    parse_config_entry,
    parse_providers,
    plan_experiment,
)
from ortlab.bench.naming import file_safe
from ortlab.bench.plan import block_rules
from ortlab.bench.request import build_request, session_settings
from ortlab.domain import (
    Arm,
    Basis,
    DeviceInfo,
    DeviceKind,
    ModelSpec,
    OptimizationStyle,
    Parity,
    ParityStatus,
    Precision,
    PreparedModel,
    Provenance,
    RefusedVariant,
    ReleaseVerdict,
    Replay,
    ReplayAnswer,
    Sample,
    TargetPlatform,
    Variant,
)
from ortlab.errors import ModelError, UsageError
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Conditions,
    Death,
    ExecutionMode,
    GraphOptimizationLevel,
    LoadMode,
    ProviderRequest,
    Purpose,
    TensorFile,
)

CPU = "CPUExecutionProvider"
XNNPACK = "XnnpackExecutionProvider"
ONNX, FIXED, RUNTIME = OptimizationStyle
PASSED = Parity(status=ParityStatus.PASSED)
DEFAULT_ARMS = ["onnx", "fixed", "runtime-replay-on", "runtime-replay-off"]


class Machine:
    """A device that answers what it is and runs nothing."""

    def __init__(self, *, versions: dict[str | None, str] | None = None, **info: object) -> None:
        self._info = host(**info)
        self._versions = versions or {}

    @property
    def info(self) -> DeviceInfo:
        return self._info

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        version = self._versions.get(arm.runtime, self._info.ort_version)
        return version, self._info.available_providers

    def conditions(self) -> Conditions:
        raise NotImplementedError

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        raise NotImplementedError

    def close(self) -> None:
        pass


def variant(
    style: OptimizationStyle,
    target: TargetPlatform | None = None,
    precision: Precision = Precision.FP32,
    **changes: Any,
) -> Variant:
    parts = [style, target, precision if precision is not Precision.FP32 else None]
    name = "-".join(filter(None, parts))
    made = Variant(
        variant_id=name,
        style=style,
        level=GraphOptimizationLevel.ALL,
        target=target,
        precision=precision,
        path=f"{name}.{'onnx' if style is ONNX else 'ort'}",
        sha256=name.encode().hex().ljust(64, "0")[:64],
        content_digest="",
        size_bytes=1000,
        operator_counts={"ai.onnx:Conv": 6},
        initializer_bytes={},
        saved_optimizations={"ConvActivationFusion": 6} if style is RUNTIME else {},
        parity=PASSED,
    )
    return replace(made, **changes)


def tensor(name: str, content: str = "1") -> TensorFile:
    return TensorFile(
        name=name,
        element_type="float",
        shape=(1,),
        path=f"samples/{name}.bin",
        sha256=content * 64,
    )


def model(directory: Path, *variants: Variant, **changes: Any) -> PreparedModel:
    """Return a prepared model whose files exist in ``directory``."""
    chosen = variants or (
        variant(ONNX),
        *(variant(s, t) for s in (FIXED, RUNTIME) for t in TargetPlatform),
    )
    for item in chosen:
        (directory / item.path).touch()
    (directory / "samples").mkdir(exist_ok=True)
    (directory / "samples/y.bin").touch()
    return replace(PREPARED, **{"variants": chosen, **changes})


PREPARED = PreparedModel(
    name="cls",
    original=ModelSpec(
        file_name="cls.onnx",
        sha256="a" * 64,
        size_bytes=1,
        ir_version=8,
        opsets={"ai.onnx": 17},
        producer="",
        metadata={},
        inputs=(),
        outputs=(),
    ),
    findings=(),
    repairs=(),
    variants=(),
    refused=(),
    samples=(
        Sample(
            sample_id="seeded-0",
            origin="seeded",
            inputs=(tensor("x"),),
            outputs=(tensor("y"),),
        ),
    ),
    configs=(),
    recipes=(),
    compatibility={},
    predictions=(),
    custom_op_library=None,
    provenance=Provenance(
        ortlab_version="0.1",
        ort_version="1.31.1",
        onnx_version="1.23",
        python_version="3.11",
        machine="x86_64",
        created_at="",
        cache_key="",
        options={},
    ),
)


def ids(arms: tuple[Arm, ...]) -> list[str]:
    return [arm.arm_id for arm in arms]


# ---------------------------------------------------------------- crossing


def test_nothing_asked_gives_the_four_arms_of_the_question(tmp_path: Path) -> None:
    arms = cross_arms(model(tmp_path), tmp_path, ArmOptions(), Machine())
    assert ids(arms) == DEFAULT_ARMS
    assert [arm.variant_id for arm in arms] == [
        *("onnx", "fixed-amd64", "runtime-amd64", "runtime-amd64"),
    ]
    assert [arm.replay for arm in arms] == [
        *(Replay.DEFAULT, Replay.DEFAULT, Replay.ON, Replay.OFF),
    ]
    assert all(Path(arm.model_path).is_absolute() for arm in arms)
    assert arms[2].saved_optimization_count == 6


@pytest.mark.parametrize(
    ("architecture", "target"),
    [
        ("x86_64", "amd64"),
        ("AMD64", "amd64"),
        ("i686", "amd64"),
        ("arm64-v8a", "arm"),
        ("aarch64", "arm"),
        ("armeabi-v7a", "arm"),
    ],
)
def test_the_variant_is_the_devices_own(tmp_path: Path, architecture: str, target: str) -> None:
    device = Machine(architecture=architecture)
    arms = cross_arms(model(tmp_path), tmp_path, ArmOptions(styles=(FIXED,)), device)
    assert [arm.variant_id for arm in arms] == [f"fixed-{target}"]


def test_a_variant_for_another_cpu_is_measured_when_asked_and_said_to_mislead(
    tmp_path: Path,
) -> None:
    options = ArmOptions(styles=(FIXED,), targets=tuple(TargetPlatform))
    crossed = cross(model(tmp_path), tmp_path, options, Machine())
    assert ids(crossed.arms) == ["fixed-arm", "fixed"]
    assert "fixed-arm was optimized for arm" in crossed.notes[0]
    assert crossed.arms[0].label == "Fixed, optimized for arm"


def test_lists_are_crossed(tmp_path: Path) -> None:
    options = ArmOptions(
        styles=(ONNX, FIXED),
        threads=(1, 2),
        load_modes=(LoadMode.PATH, LoadMode.BYTES),
        config_entries=({}, {"session.intra_op.allow_spinning": "0"}),
    )
    arms = cross_arms(model(tmp_path), tmp_path, options, Machine())
    assert len(arms) == 16
    assert "onnx-1-thread" in ids(arms)
    assert "fixed-2-threads-bytes-allow-spinning-0" in ids(arms)


@given(
    threads=st.sets(st.sampled_from([None, 1, 2, 3, 4]), min_size=1),
    replays=st.sets(st.sampled_from(list(Replay))),
    levels=st.sets(
        st.sampled_from([GraphOptimizationLevel.EXTENDED, GraphOptimizationLevel.ALL]), min_size=1
    ),
    loads=st.sets(st.sampled_from([LoadMode.PATH, LoadMode.BYTES]), min_size=1),
    mode=st.sampled_from(list(ExecutionMode)),
)
def test_ids_are_unique_and_safe(
    tmp_path_factory: pytest.TempPathFactory,
    threads: set[int | None],
    replays: set[Replay],
    levels: set[GraphOptimizationLevel],
    loads: set[LoadMode],
    mode: ExecutionMode,
) -> None:
    directory = tmp_path_factory.mktemp("prepared")
    options = ArmOptions(
        threads=tuple(threads),
        replays=tuple(replays),
        levels=tuple(levels),
        load_modes=tuple(loads),
        execution_mode=mode,
    )
    arms = cross_arms(model(directory), directory, options, Machine())
    assert len(set(ids(arms))) == len(arms)
    assert len(arms) == len(threads) * len(levels) * len(loads) * (2 + (len(replays) or 2))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", arm_id) for arm_id in ids(arms))


@given(st.text())
def test_any_text_becomes_a_file_name(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", file_safe(text))


def test_replay_is_crossed_for_runtime_style_only(tmp_path: Path) -> None:
    options = ArmOptions(replays=(Replay.ON,))
    arms = cross_arms(model(tmp_path), tmp_path, options, Machine())
    assert ids(arms) == ["onnx", "fixed", "runtime-replay-on"]


def test_without_records_there_is_one_runtime_arm(tmp_path: Path) -> None:
    empty = variant(RUNTIME, TargetPlatform.AMD64, saved_optimizations={})
    arms = cross_arms(model(tmp_path, variant(ONNX), empty), tmp_path, ArmOptions(), Machine())
    assert ids(arms) == ["onnx", "runtime"]


def test_a_model_that_came_as_fp16_is_measured_as_it_came(tmp_path: Path) -> None:
    half = variant(ONNX, precision=Precision.FP16)
    (arm,) = cross_arms(model(tmp_path, half), tmp_path, ArmOptions(), Machine())
    assert arm.precision is Precision.FP16
    assert arm.parity_tolerance == (1e-2, 1e-3)


def test_a_quantized_arm_is_held_to_what_preparation_measured(tmp_path: Path) -> None:
    parity = replace(PASSED, sqnr_db=31.5)
    static = variant(FIXED, TargetPlatform.AMD64, Precision.INT8_STATIC, parity=parity)
    options = ArmOptions(styles=(FIXED,), precisions=(Precision.INT8_STATIC,))
    (arm,) = cross_arms(model(tmp_path, static), tmp_path, options, Machine())
    assert arm.parity_tolerance is None
    assert arm.min_sqnr_db == 28.5


def test_an_unchecked_variant_is_measured_and_marked(tmp_path: Path) -> None:
    unchecked = variant(ONNX, parity=Parity(status=ParityStatus.NOT_CHECKED))
    crossed = cross(model(tmp_path, unchecked), tmp_path, ArmOptions(), Machine())
    assert crossed.arms[0].parity_tolerance is None
    assert "parity was not checked" in crossed.notes[0]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (ArmOptions(styles=(FIXED,), replays=(Replay.ON,)), "only Runtime style"),
        (
            ArmOptions(styles=(ONNX,), load_modes=(LoadMode.DIRECT_BYTES,)),
            "onnx-direct-bytes: load mode direct-bytes works with .ort files only",
        ),
        (
            ArmOptions(styles=(FIXED,), load_modes=(LoadMode.INITIALIZERS_FROM_BYTES,)),
            "crashes in Python",
        ),
        (ArmOptions(styles=(FIXED,), precisions=(Precision.FP16,)), "fp16 .ort file is not fp16"),
        (ArmOptions(styles=(ONNX,), precisions=(Precision.INT4,)), "has no onnx variant in int4"),
        (ArmOptions(threads=(0,)), "0 threads"),
        (ArmOptions(threads=(2, 2)), "asked for twice"),
        (
            ArmOptions(replays=(Replay.ON,), levels=(GraphOptimizationLevel.BASIC,)),
            "replay needs level extended or all",
        ),
        (
            ArmOptions(config_entries=({"session.use_ort_model_bytes_directly": "1"},)),
            "use --load direct-bytes",
        ),
    ],
)
def test_an_impossible_arm_is_refused_with_its_reason(
    tmp_path: Path, options: ArmOptions, reason: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        cross_arms(model(tmp_path), tmp_path, options, Machine())


def test_a_missing_provider_is_refused_and_those_there_are_listed(tmp_path: Path) -> None:
    options = ArmOptions(providers=(parse_providers("nnapi"), parse_providers("cpu")))
    with pytest.raises(UsageError, match=r"nnapi is not in this runtime.*it has cpu") as refused:
        cross_arms(model(tmp_path), tmp_path, options, Machine())
    for arm_id in ("onnx-nnapi", "fixed-nnapi", "runtime-replay-on-nnapi"):
        assert arm_id in refused.value.message


def test_replay_on_is_refused_where_the_runtime_is_too_old(tmp_path: Path) -> None:
    old = Machine(ort_version="1.10.0")
    with pytest.raises(UsageError, match=r"1\.11"):
        cross_arms(model(tmp_path), tmp_path, ArmOptions(replays=(Replay.ON,)), old)
    assert ids(cross_arms(model(tmp_path), tmp_path, ArmOptions(), old)) == [
        *("onnx", "fixed", "runtime"),
    ]


def test_asking_to_replay_nothing_is_refused(tmp_path: Path) -> None:
    empty = variant(RUNTIME, TargetPlatform.AMD64, saved_optimizations={})
    with pytest.raises(UsageError, match="no saved optimizations"):
        cross_arms(model(tmp_path, empty), tmp_path, ArmOptions(replays=(Replay.ON,)), Machine())


@pytest.mark.parametrize(
    ("loads", "replay", "reason"),
    [
        (False, ReplayAnswer.NOT_LOADED, "does not load"),
        (True, ReplayAnswer.FAILS, "does not replay"),
    ],
)
def test_what_the_release_cannot_do_is_refused_when_asked_and_else_left_out(
    tmp_path: Path, *, loads: bool, replay: ReplayAnswer, reason: str
) -> None:
    verdict = ReleaseVerdict(
        release="1.31", loads=loads, replay=replay, reason="because", basis=Basis.MEASURED
    )
    prepared = model(tmp_path, compatibility={"runtime-amd64": (verdict,)})
    with pytest.raises(UsageError, match=f"{reason} runtime-amd64 \\(because\\)"):
        cross_arms(prepared, tmp_path, ArmOptions(styles=(RUNTIME,)), Machine())
    crossed = cross(prepared, tmp_path, ArmOptions(), Machine())
    assert "runtime-replay-on" not in ids(crossed.arms)
    assert reason in crossed.left_out[0]


def test_a_variant_out_of_tolerance_is_never_an_arm(tmp_path: Path) -> None:
    failed = Parity(status=ParityStatus.FAILED, reason="output 'y' is NaN", allowed=True)
    bad = variant(FIXED, TargetPlatform.AMD64, parity=failed)
    prepared = model(tmp_path, variant(ONNX), bad)
    with pytest.raises(UsageError, match="out of tolerance, output 'y' is NaN"):
        cross_arms(prepared, tmp_path, ArmOptions(styles=(ONNX, FIXED)), Machine())
    crossed = cross(prepared, tmp_path, ArmOptions(), Machine())
    assert ids(crossed.arms) == ["onnx"]
    assert "out of tolerance" in crossed.left_out[0]


def test_a_refused_variant_is_refused_with_preparations_reason(tmp_path: Path) -> None:
    refused = (RefusedVariant(variant_id="fixed-amd64", reason="the converter crashed"),)
    prepared = model(tmp_path, variant(ONNX), refused=refused)
    with pytest.raises(UsageError, match="the converter crashed"):
        cross_arms(prepared, tmp_path, ArmOptions(styles=(FIXED,)), Machine())


def test_files_that_are_missing_or_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    prepared = model(tmp_path)
    (tmp_path / "onnx.onnx").unlink()
    with pytest.raises(ModelError, match="missing"):
        cross_arms(prepared, tmp_path, ArmOptions(), Machine())
    outside = tmp_path / "inner"
    outside.mkdir()
    leading_out = model(outside, variant(ONNX, path="../evil.onnx"))
    with pytest.raises(ModelError, match="leads out of"):
        cross_arms(leading_out, outside, ArmOptions(), Machine())


# ---------------------------------------------------------------- against


def second(directory: Path, **changes: Any) -> tuple[PreparedModel, Path]:
    path = directory / "base"
    path.mkdir()
    original = replace(model(path).original, sha256="b" * 64)
    return model(path, **{"original": original, **changes}), path


def test_another_model_is_interleaved_and_is_the_baseline(tmp_path: Path) -> None:
    base, path = second(tmp_path)
    options = ArmOptions(styles=(FIXED,), against=(ArmSource(prepared=base, path=path),))
    prepared = model(tmp_path)
    arms = cross_arms(prepared, tmp_path, options, Machine())
    assert ids(arms) == ["fixed", "base-fixed"]
    assert arms[1].label == "base: Fixed"
    assert [tensor.path for tensor in arms[1].reference] == [str(path / "samples/y.bin")]
    experiment = plan_experiment(arms, prepared, tmp_path, host())
    assert experiment.baseline == "base-fixed"


def test_another_model_with_other_inputs_is_refused_or_not_held_to_parity(tmp_path: Path) -> None:
    other = replace(model(tmp_path).samples[0], inputs=(tensor("image"),))
    base, path = second(tmp_path, samples=(other,))
    options = ArmOptions(against=(ArmSource(prepared=base, path=path),))
    with pytest.raises(UsageError, match="inputs differ"):
        cross_arms(model(tmp_path), tmp_path, options, Machine())
    values = replace(other, inputs=(tensor("x", "2"),))
    options = ArmOptions(against=(ArmSource(prepared=replace(base, samples=(values,)), path=path),))
    arms = cross_arms(model(tmp_path), tmp_path, options, Machine())
    assert {arm.parity_tolerance for arm in arms if arm.arm_id.startswith("base-")} == {None}


def test_another_runtime_runs_the_same_files(tmp_path: Path) -> None:
    options = ArmOptions(styles=(RUNTIME,), against=(ArmSource(runtime="/venvs/old/bin/python"),))
    device = Machine(versions={"/venvs/old/bin/python": "1.29.0"})
    arms = cross_arms(model(tmp_path), tmp_path, options, device)
    assert [arm.runtime for arm in arms] == [None, None, *["/venvs/old/bin/python"] * 2]
    assert arms[2].label == "base ORT 1.29.0: Runtime, replayed"
    assert arms[2].model_sha256 == arms[0].model_sha256
    assert arms[2].reference == ()


def test_a_model_is_not_interleaved_with_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="itself"):
        cross_arms(model(tmp_path), tmp_path, ArmOptions(against=(ArmSource(),)), Machine())


# ---------------------------------------------------------------- providers and config entries


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu", [(CPU, {})]),
        ("CPUExecutionProvider", [(CPU, {})]),
        ("xnnpack:threads=2", [(XNNPACK, {"intra_op_num_threads": "2"}), (CPU, {})]),
        (
            "cpu+CoreML:ModelFormat=MLProgram:MLComputeUnits=ALL",
            [
                ("CoreMLExecutionProvider", {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}),
                (CPU, {}),
            ],
        ),
        ("MyOwnProvider", [("MyOwnProvider", {}), (CPU, {})]),
    ],
)
def test_providers_are_read_with_cpu_last(
    text: str, expected: list[tuple[str, dict[str, str]]]
) -> None:
    assert [(item.name, dict(item.options)) for item in parse_providers(text)] == expected


@pytest.mark.parametrize(
    "text", ["", "+cpu", "xnnpack:threads", "xnnpack:=2", ":a=b", "wasm,webgpu"]
)
def test_providers_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        parse_providers(text)


def test_config_entries() -> None:
    assert parse_config_entry("a.b = c=d") == ("a.b", "c=d")
    for text in ("", "a", "=b"):
        with pytest.raises(UsageError):
            parse_config_entry(text)
    with pytest.raises(UsageError) as refused:
        parse_config_entry("session.enable_saved_runtime_optimizations=1")
    assert refused.value.next_step == "use --replay"


def test_xnnpack_gets_its_own_pool(tmp_path: Path) -> None:
    device = Machine(available_providers=(XNNPACK, CPU))
    options = ArmOptions(styles=(ONNX,), threads=(4,), providers=(parse_providers("xnnpack"),))
    (arm,) = cross_arms(model(tmp_path), tmp_path, options, device)
    assert arm.providers[0].options == {"intra_op_num_threads": "4"}
    settings = session_settings(arm, "1.31.1")
    assert settings.intra_op_num_threads == 1
    assert settings.config_entries == {"session.intra_op.allow_spinning": "0"}
    assert arm.arm_id == "onnx-xnnpack-4-threads"


# ---------------------------------------------------------------- plan and request


def test_the_plan_follows_the_arms() -> None:
    arms = [make_arm(name) for name in ("a", "b", "c")]
    experiment = make_experiment(arms)
    prepared = replace(PREPARED, samples=(experiment.sample,))
    planned = plan_experiment(arms, prepared, Path("relative"), host(), PlanOptions(floor=0.01))
    assert planned.rule.looks == (6, 12, 18, 24)
    assert planned.rule.look_alpha == 0.0172
    assert planned.rule.comparisons == 2
    assert planned.rule.floor == 0.01
    assert planned.baseline == "a"
    assert Path(planned.prepared_path).is_absolute()
    assert re.fullmatch(r"\d{8}-\d{6}-cls-[0-9a-f]{4}", planned.experiment_id)
    again = plan_experiment(arms, prepared, Path("relative"), host())
    assert again.seed != planned.seed
    assert plan_experiment(arms, prepared, Path(), host(), PlanOptions(seed=5)).seed == 5


@pytest.mark.parametrize(
    "options",
    [
        PlanOptions(baseline="nobody"),
        PlanOptions(block_s=0),
        PlanOptions(equivalence_margin=-0.1),
        PlanOptions(min_rounds=1),
        PlanOptions(min_rounds=12, max_rounds=8),
        PlanOptions(block_deadline_s=-1),
    ],
)
def test_a_plan_that_means_nothing_is_refused(options: PlanOptions) -> None:
    with pytest.raises(UsageError):
        plan_experiment([make_arm("a")], PREPARED, Path(), host(), options)


def test_a_plan_needs_arms_and_inputs() -> None:
    with pytest.raises(UsageError, match="no arm"):
        plan_experiment([], PREPARED, Path(), host())
    with pytest.raises(ModelError, match="without inputs"):
        plan_experiment([make_arm("a")], replace(PREPARED, samples=()), Path(), host())


def test_short_blocks_warm_up_shortly_and_long_ones_as_usual() -> None:
    warm_up, stop = block_rules(2.0)
    assert (warm_up.window_ns, warm_up.min_ns) == (250_000_000, 500_000_000)
    assert (stop.min_ns, stop.max_ns) == (2_000_000_000, 30_000_000_000)
    warm_up, stop = block_rules(0.2)
    assert (warm_up.window_ns, warm_up.min_ns, stop.min_ns) == (
        *(25_000_000, 50_000_000, 200_000_000),
    )
    warm_up, stop = block_rules(20)
    assert warm_up.min_ns == 500_000_000
    assert stop.max_ns >= 2 * stop.min_ns


@pytest.mark.parametrize(
    ("version", "replay", "level", "entries"),
    [
        ("1.31.1", Replay.ON, "all", {"session.enable_saved_runtime_optimizations": "1"}),
        ("1.31.1", Replay.OFF, "basic", {"session.enable_saved_runtime_optimizations": "0"}),
        ("1.31.1", Replay.DEFAULT, "all", {}),
        ("1.20.0", Replay.OFF, "basic", {"session.enable_saved_runtime_optimizations": "0"}),
    ],
)
def test_replay_is_set_as_the_release_needs_it(
    version: str, replay: Replay, level: str, entries: dict[str, str]
) -> None:
    settings = session_settings(make_arm("r", style=RUNTIME, replay=replay), version)
    assert settings.graph_optimization_level == level
    assert settings.config_entries == entries


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_request_names_only_absolute_paths(tmp_path: Path, purpose: Purpose) -> None:
    arm = make_arm(
        "a", load_mode=LoadMode.BYTES, custom_op_library="/lib/ops.so", intra_op_num_threads=2
    )
    experiment = make_experiment([arm], prepared_path=str(tmp_path), block_deadline_s=7.0)
    step = NextBlock(block_id="b", arm_id="a", purpose=purpose, round_index=0, attempt=0)
    request = build_request(step, experiment, "1.31.1", tmp_path / "out")
    assert (request.block_id, request.purpose, request.deadline_s) == ("b", purpose, 7.0)
    assert request.model.load_mode is LoadMode.BYTES
    assert request.model.custom_op_library == "/lib/ops.so"
    assert request.session.intra_op_num_threads == 2
    assert [item.path for item in request.inputs] == [str(tmp_path / "x")]
    assert Path(request.output_directory).is_absolute()
    assert request.providers == (ProviderRequest(name=CPU),)
    assert request.measured_runs == {Purpose.PROFILE: 2, Purpose.MEMORY: 30}.get(purpose, 1)


def test_direct_bytes_crash_nobody_on_a_phone(tmp_path: Path) -> None:
    phone = Machine(kind=DeviceKind.ANDROID, architecture="arm64-v8a")
    options = ArmOptions(styles=(FIXED,), load_modes=(LoadMode.INITIALIZERS_FROM_BYTES,))
    assert len(cross_arms(model(tmp_path), tmp_path, options, phone)) == 1


# ---------------------------------------------------------------- browsers


def browser(**changes: Any) -> Machine:
    return Machine(kind=DeviceKind.WEB, architecture="wasm32", name="Chromium", **changes)


def test_wasm_is_cpu_in_a_browser_and_runs_what_was_made_for_arm(tmp_path: Path) -> None:
    assert parse_providers("wasm") == parse_providers("cpu")
    options = ArmOptions(styles=(FIXED,), providers=(parse_providers("wasm"),))
    (arm,) = cross_arms(model(tmp_path), tmp_path, options, browser())
    assert arm.target is TargetPlatform.ARM


def test_a_provider_that_a_browser_lacks_is_refused_with_its_reason(tmp_path: Path) -> None:
    full = parse_providers("webgpu")[0].name
    there = browser(absent_providers={full: "requestAdapter() gave none"})
    options = ArmOptions(styles=(ONNX,), providers=(parse_providers("webgpu"),))
    with pytest.raises(UsageError, match=r"webgpu is not .* Chromium \(requestAdapter\(\) gave"):
        cross_arms(model(tmp_path), tmp_path, options, there)


def test_weights_are_not_left_in_bytes_that_a_browser_frees(tmp_path: Path) -> None:
    options = ArmOptions(styles=(FIXED,), load_modes=(LoadMode.INITIALIZERS_FROM_BYTES,))
    with pytest.raises(UsageError, match="in a browser"):
        cross_arms(model(tmp_path), tmp_path, options, browser())
    options = ArmOptions(styles=(FIXED,), load_modes=(LoadMode.DIRECT_BYTES,))
    assert len(cross_arms(model(tmp_path), tmp_path, options, browser())) == 1


def test_webgpu_keeps_the_layout_of_a_file_whose_graph_is_final(tmp_path: Path) -> None:
    webgpu = parse_providers("webgpu")
    there = browser(available_providers=tuple(item.name for item in webgpu))
    options = ArmOptions(styles=(ONNX, FIXED), providers=(webgpu,))
    plain, fixed = cross_arms(model(tmp_path), tmp_path, options, there)
    assert dict(plain.providers[0].options) == {}
    assert dict(fixed.providers[0].options) == {"preferredLayout": "NCHW"}
