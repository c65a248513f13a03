"""`prepare` on real models: what it proves, finds again, refuses, and leaves behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from models import FLOAT, HOSTILE, build, constant, convolution, half, loop, model, picky, value

from ortlab.domain import ParityStatus, Precision, PreparedModel, TargetPlatform
from ortlab.errors import ModelError, OrtlabError, StorageError, UsageError
from ortlab.ort_releases import newest_measured_release
from ortlab.prepare import (
    ModelResult,
    PrepareOptions,
    PrepareProgress,
    load_prepared,
    prepare_models,
    warm,
)
from ortlab.prepare.job import worker_pid
from ortlab.process import RecordedProcesses
from ortlab.tensors import read_tensor

ORT_FILES = Path(__file__).parents[1] / "data/ort_formats"
QUICK: Mapping[str, Any] = {"configs": False, "predictions": False}


def prepare(source: Path, output: Path, **options: Any) -> ModelResult:
    (result,) = prepare_models([source], output, PrepareOptions(**options)).results
    return result


def prepared(source: Path, output: Path, **options: Any) -> PreparedModel:
    result = prepare(source, output, **options)
    if result.error is not None:
        raise result.error
    assert result.prepared is not None
    return result.prepared


def refused(source: Path, output: Path, **options: Any) -> OrtlabError:
    result = prepare(source, output, **options)
    assert result.error is not None
    assert result.prepared is None
    assert not list(output.glob("*"))
    assert not list(output.glob(".*"))
    return result.error


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return save(convolution(), tmp_path / "small.onnx")


# ------------------------------------------------------------------------------ what it proves


@pytest.mark.requires("models")
def test_a_trained_model_gets_every_variant_with_its_proofs(
    package_models: Callable[[str], Path], tmp_path: Path
) -> None:
    source = package_models("ch_ppocr_mobile_v2.0_cls_infer.onnx")
    made = prepared(source, tmp_path, input_shapes={"x": (1, 3, 48, 192)})
    ids = ["onnx", "fixed-arm", "fixed-amd64", "runtime-arm", "runtime-amd64"]
    assert [variant.variant_id for variant in made.variants] == ids
    assert {variant.parity.status for variant in made.variants} == {ParityStatus.PASSED}
    assert made.refused == ()
    directory = tmp_path / made.name
    assert load_prepared(directory) == made
    (sample,) = made.samples
    assert [read_tensor(tensor, directory).shape for tensor in sample.inputs] == [(1, 3, 48, 192)]
    outputs = [read_tensor(tensor, directory) for tensor in sample.outputs]
    assert outputs[0].sum() == pytest.approx(1, abs=1e-4)  # a softmax: the model really ran
    assert {(c.style.value, c.type_reduction) for c in made.configs} == {
        (style, types) for style in ("fixed", "runtime") for types in (True, False)
    }
    assert {(p.provider, p.variant_id) for p in made.predictions} == {
        (provider, variant)
        for provider in ("nnapi", "coreml-neuralnetwork", "coreml-mlprogram")
        for variant in ("onnx", "fixed-arm", "runtime-arm")
    }
    newest = {v: made.compatibility[v][-1] for v in ids}
    assert {verdict.release for verdict in newest.values()} == {newest_measured_release()}
    assert all(verdict.loads for verdict in newest.values())


def test_the_users_file_is_only_read(small: Path, tmp_path: Path) -> None:
    before, stat = small.read_bytes(), small.stat()
    prepared(small, tmp_path / "out")
    assert small.read_bytes() == before
    assert small.stat().st_mtime_ns == stat.st_mtime_ns
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "small.onnx"]


def test_a_model_that_needs_no_repair_is_kept_byte_for_byte(small: Path, tmp_path: Path) -> None:
    made = prepared(small, tmp_path / "out", **QUICK)
    assert made.repairs == ()
    assert (tmp_path / "out/small/variants/onnx.onnx").read_bytes() == small.read_bytes()
    assert made.original.sha256 == hashlib.sha256(small.read_bytes()).hexdigest()


def test_external_data_becomes_part_of_the_model_and_of_its_identity(tmp_path: Path) -> None:
    source = build("external", tmp_path)
    first = prepared(source, tmp_path / "out", **QUICK)
    assert "external data" in first.repairs[0]
    data = tmp_path / "external.weights"
    damaged = bytearray(data.read_bytes())
    damaged[3] ^= 0x40
    data.write_bytes(damaged)
    result = prepare(source, tmp_path / "out", **QUICK)
    assert not result.cached
    assert result.prepared is not None
    assert result.prepared.original.sha256 != first.original.sha256


@pytest.mark.parametrize("name", ["string", "bool", "if", "loop", "scan", "integers", "no_inputs"])
def test_made_up_inputs_suit_models_of_every_kind(name: str, tmp_path: Path) -> None:
    made = prepared(build(name, tmp_path), tmp_path / "out", targets=(TargetPlatform.ARM,), **QUICK)
    assert {variant.parity.status for variant in made.variants} == {ParityStatus.PASSED}
    (sample,) = made.samples
    assert sample.outputs


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    source = build("hostile_names", tmp_path)
    made = prepared(source, tmp_path / "out", targets=(TargetPlatform.ARM,))
    assert [spec.name for spec in made.original.inputs] == list(HOSTILE)
    assert made.original.metadata == {name: name for name in HOSTILE}
    assert {variant.parity.status for variant in made.variants} == {ParityStatus.PASSED}
    assert load_prepared(tmp_path / "out/hostile_names") == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile_names.onnx", "out"]


def test_a_model_that_refuses_made_up_inputs_is_prepared_unchecked(tmp_path: Path) -> None:
    made = prepared(save(picky(), tmp_path / "picky.onnx"), tmp_path / "out", **QUICK)
    assert {variant.parity.status for variant in made.variants} == {ParityStatus.NOT_CHECKED}
    assert all("--inputs" in variant.parity.reason for variant in made.variants)
    assert made.samples == ()
    np.savez(tmp_path / "in.npz", x=np.ones(13, np.float32), shape=np.array([13, 1]))
    given = {"inputs": tmp_path / "in.npz", **QUICK}
    checked = prepared(tmp_path / "picky.onnx", tmp_path / "out", **given)
    assert {variant.parity.status for variant in checked.variants} == {ParityStatus.PASSED}
    assert checked.samples[0].origin == "in.npz"


def test_inputs_that_the_model_refuses_are_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones(13, np.float32), shape=np.array([2, 2]))
    source = save(picky(), tmp_path / "picky.onnx")
    error = refused(source, tmp_path / "out", inputs=tmp_path / "in.npz", **QUICK)
    assert isinstance(error, ModelError)
    assert "in.npz" in error.message


def test_variants_are_held_to_the_frameworks_own_outputs(small: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    made = prepared(small, tmp_path / "a", inputs=tmp_path / "in.npz", **QUICK)
    y = read_tensor(made.samples[0].outputs[0], tmp_path / "a/small")
    np.savez(tmp_path / "right.npz", y=y)
    wrong = y.copy()
    wrong[0, 5, 2, 3] += 1
    np.savez(tmp_path / "wrong.npz", y=wrong)
    options = {"inputs": tmp_path / "in.npz", **QUICK}
    right = prepared(small, tmp_path / "b", reference=tmp_path / "right.npz", **options)
    assert {v.parity.reference for v in right.variants} == {"right.npz"}
    assert {v.parity.status for v in right.variants} == {ParityStatus.PASSED}
    result = prepare(small, tmp_path / "c", reference=tmp_path / "wrong.npz", **options)
    assert isinstance(result.error, ModelError)
    assert "out of tolerance" in result.error.message
    failed = load_prepared(tmp_path / "c/small")
    assert {v.parity.status for v in failed.variants} == {ParityStatus.FAILED}
    assert {v.parity.worst_index for v in failed.variants} == {(0, 5, 2, 3)}
    allowed = {"reference": tmp_path / "wrong.npz", "allow_parity_failure": True, **options}
    assert all(v.parity.allowed for v in prepared(small, tmp_path / "d", **allowed).variants)


def test_a_reference_without_the_models_outputs_is_an_error(small: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", z=np.ones(1))
    error = refused(small, tmp_path / "out", reference=tmp_path / "other.npz", **QUICK)
    assert "'y'" in error.message


def test_other_precisions_are_made_and_an_fp16_ort_is_refused(small: Path, tmp_path: Path) -> None:
    calibration = tmp_path / "calibration"
    calibration.mkdir()
    for number in range(3):
        x = np.random.default_rng(number).standard_normal((1, 3, 16, 16)).astype(np.float32)
        np.savez(calibration / f"{number}.npz", x=x)
    made = prepared(
        small,
        tmp_path / "out",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8_STATIC),
        targets=(TargetPlatform.ARM,),
        calibration=calibration,
        **QUICK,
    )
    ids = {variant.variant_id for variant in made.variants}
    assert ids == {
        *("onnx", "fixed-arm", "runtime-arm", "onnx-fp16"),
        *("onnx-int8-static", "fixed-arm-int8-static", "runtime-arm-int8-static"),
    }
    reasons = {each.variant_id: each.reason for each in made.refused}
    assert set(reasons) == {"fixed-arm-fp16", "runtime-arm-fp16"}
    assert all("fp16 .ort is not fp16" in reason for reason in reasons.values())
    quantized = made.variant("fixed-arm-int8-static")
    assert quantized.parity.status is ParityStatus.PASSED
    assert quantized.parity.sqnr_db is not None
    assert 10 < quantized.parity.sqnr_db < 100
    assert quantized.operator_counts["com.microsoft:QLinearConv"] == 2


def test_a_model_that_came_as_fp16_gets_only_onnx(tmp_path: Path) -> None:
    made = prepared(save(half(), tmp_path / "half.onnx"), tmp_path / "out", **QUICK)
    assert [(v.variant_id, v.precision) for v in made.variants] == [("onnx", Precision.FP16)]
    assert len(made.refused) == 4
    assert all("fp16 .ort" in each.reason for each in made.refused)


def test_an_optimized_onnx_is_saved_on_request(small: Path, tmp_path: Path) -> None:
    prepared(small, tmp_path / "out", save_optimized_onnx=True, **QUICK)
    saved = sorted((tmp_path / "out/small/optimized").iterdir())
    assert [path.name for path in saved] == [
        f"{style}-{target}.optimized.onnx"
        for style in ("fixed", "runtime")
        for target in ("amd64", "arm")
    ]
    operators = {node.op_type for node in onnx.load(saved[1]).graph.node}
    assert "FusedConv" in operators


# ------------------------------------------------------------------------------ given .ort files


def test_saved_optimizations_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    source = ORT_FILES / "small_qdq.runtime-arm.ort-1.26.0.ort"
    error = refused(source, tmp_path / "out", **QUICK)
    assert isinstance(error, ModelError)
    assert "cannot be replayed" in error.message
    assert "two nodes with same node name" in error.message


def test_a_sound_ort_file_is_taken_as_it_is(tmp_path: Path) -> None:
    source = ORT_FILES / "small_qdq.runtime-arm.ort-1.31.1.ort"
    made = prepared(source, tmp_path, **QUICK)
    (variant,) = made.variants
    assert (variant.variant_id, variant.target) == ("runtime", None)
    assert variant.saved_optimizations["QDQSelectorActionTransformer"] == 2
    assert variant.parity.status is ParityStatus.PASSED
    assert (tmp_path / made.name / variant.path).read_bytes() == source.read_bytes()


# ------------------------------------------------------------------------------ finding again


def test_an_unchanged_model_is_found_without_a_worker(small: Path, tmp_path: Path) -> None:
    first = prepared(small, tmp_path / "out", **QUICK)
    nobody = RecordedProcesses(recordings=[])
    options = PrepareOptions(**QUICK)
    (again,) = prepare_models([small], tmp_path / "out", options, processes=nobody).results
    assert again.cached
    assert again.prepared == first
    assert nobody.commands == []


def test_what_changed_is_prepared_anew(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = prepared(small, out, **QUICK)
    assert not prepare(small, out, seed=1, **QUICK).cached
    (out / "small/variants/fixed-arm.ort").write_bytes(b"damaged")
    repaired = prepare(small, out, seed=1, **QUICK)
    assert not repaired.cached
    assert load_prepared(out / "small").variant("fixed-arm").size_bytes > 1000
    save(convolution(seed=9), small)
    changed = prepare(small, out, seed=1, **QUICK)
    assert not changed.cached
    assert changed.prepared is not None
    assert changed.prepared.original.sha256 != first.original.sha256
    assert prepare(small, out, seed=1, **QUICK).cached


def test_a_failed_attempt_leaves_the_earlier_preparation(small: Path, tmp_path: Path) -> None:
    first = prepared(small, tmp_path / "out", **QUICK)
    small.write_bytes(b"not a model any more")
    assert isinstance(prepare(small, tmp_path / "out", **QUICK).error, ModelError)
    assert load_prepared(tmp_path / "out/small") == first
    assert not list((tmp_path / "out").glob(".*"))


# ------------------------------------------------------------------------------ what goes wrong


def test_a_worker_that_hangs_is_ended_and_leaves_nothing(tmp_path: Path) -> None:
    source = save(endless(), tmp_path / "endless.onnx")
    started = time.monotonic()
    error = refused(source, tmp_path / "out", deadline_s=3.0, **QUICK)
    assert isinstance(error, ModelError)
    assert "3 s" in error.message
    assert "run the original" in error.message
    assert time.monotonic() - started < 30


def endless() -> onnx.ModelProto:
    """A Loop of 2**40 rounds."""
    made = loop()
    trips = made.graph.input.pop(0)
    rounds = onnx.numpy_helper.from_array(np.array(2**40, np.int64), trips.name)
    made.graph.initializer.append(rounds)
    del made.graph.node[0].output[1]
    del made.graph.output[1]
    body = made.graph.node[0].attribute[0].g
    del body.output[2]
    del body.node[2]
    return made


def test_a_worker_short_of_memory_says_so(tmp_path: Path) -> None:
    source = save(filled(700 * 2**20), tmp_path / "large.onnx")
    options = {"memory_limit_bytes": 1_200_000_000, **QUICK}
    error = refused(source, tmp_path / "out", **options)
    assert isinstance(error, ModelError)
    assert "memory" in error.message


def test_weights_beyond_the_format_are_refused_before_they_are_made(tmp_path: Path) -> None:
    error = refused(save(filled(2**42), tmp_path / "huge.onnx"), tmp_path / "out", **QUICK)
    assert isinstance(error, ModelError)
    assert "2 GB" in error.message


def filled(size_bytes: int) -> onnx.ModelProto:
    """A constant of that size, made from its shape alone."""
    nodes = [
        onnx.helper.make_node("ConstantOfShape", ["shape"], ["w"]),
        onnx.helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    shape = constant("shape", np.array([size_bytes // 4], np.int64))
    return model(nodes, [value("x", FLOAT, [1])], [value("y", FLOAT, None)], [shape])


def test_a_killed_worker_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    source, out = save(endless(), tmp_path / "endless.onnx"), tmp_path / "out"
    killed = threading.Event()

    def kill() -> None:
        while not killed.is_set():
            for staging in out.glob(".endless.*"):
                pid = worker_pid(staging)
                if pid is not None and (staging / "progress").exists():
                    os.kill(pid, signal.SIGKILL)
                    killed.set()
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    error = refused(source, out, deadline_s=60, **QUICK)
    killed.set()
    thread.join()
    assert "SIGKILL" in error.message


DRIVER = """
import os, resource, sys
if "FILE_LIMIT" in os.environ:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["FILE_LIMIT"]),) * 2)
from pathlib import Path
from ortlab.prepare import PrepareOptions, prepare_models
options = PrepareOptions(configs=False, predictions=False)
summary = prepare_models([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]), options)
print(type(summary.error).__name__, summary.error, flush=True)
"""


def drive(output: Path, *models: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(output), *map(str, models)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def wait_for_worker(output: Path, deadline_s: float = 30) -> int:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for staging in output.glob(".*"):
            pid = worker_pid(staging)
            if pid is not None and (staging / "progress").exists():
                return pid
        time.sleep(0.02)
    raise AssertionError


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_ends_takes_its_worker_along(
    number: signal.Signals, small: Path, tmp_path: Path
) -> None:
    source, out = save(endless(), tmp_path / "endless.onnx"), tmp_path / "out"
    driver = drive(out, source)
    pid = wait_for_worker(out)
    driver.send_signal(number)
    driver.communicate(timeout=30)
    end = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(pid)
    if number is signal.SIGINT:
        assert list(out.iterdir()) == []
    else:  # nobody could tidy up; the next one does
        shutil.copy(small, tmp_path / "endless.onnx")
        prepared(tmp_path / "endless.onnx", out, **QUICK)
        assert [path.name for path in out.iterdir()] == ["endless"]


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said, errors = drive(out, small, FILE_LIMIT="2000").communicate(timeout=60)
    assert said.startswith("StorageError"), said + errors
    assert list(out.iterdir()) == []


def test_an_output_that_cannot_be_a_directory_is_a_storage_error(
    small: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = prepare(small, tmp_path / "file" / "out", **QUICK)
    assert isinstance(result.error, (StorageError, UsageError))
    assert "file" in str(result.error)


def test_several_models_are_prepared_at_once_and_a_bad_one_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "models" / name).mkdir(parents=True)
        save(convolution(), tmp_path / "models" / name / "net.onnx")
    (tmp_path / "models/bad.onnx").write_bytes(b"\x08\x07 no model")
    told: list[PrepareProgress] = []
    summary = prepare_models(
        [tmp_path / "models"],
        tmp_path / "out",
        PrepareOptions(**QUICK),
        jobs=2,
        progress=told.append,
    )
    found = {result.name: type(result.error) for result in summary.results}
    assert found == {"a_net": type(None), "b_net": type(None), "bad": ModelError}
    assert "bad.onnx" in str(summary.error)
    ends = {p.model: p.step for p in told if p.fraction == 1.0 and p.step in ("done", "failed")}
    assert ends == {"a_net": "done", "b_net": "done", "bad": "failed"}
    assert all(p.fraction is None or 0 <= p.fraction <= 1 for p in told)


@pytest.mark.parametrize("opset", [27, 28])
def test_an_opset_newer_than_the_runtime_is_refused_with_what_helps(
    opset: int, tmp_path: Path
) -> None:
    source = save(convolution(opset=opset, ir=14), tmp_path / "new.onnx")
    error = refused(source, tmp_path / "out", **QUICK)
    assert f"opset {opset}" in error.message
    assert "opset 26" in (error.next_step or "")


# ------------------------------------------------------------------------------ the warm worker


def test_a_worker_that_waits_does_the_first_job(small: Path, tmp_path: Path) -> None:
    warm.start()
    made = prepared(small, tmp_path / "out", **QUICK)
    assert warm.take() is None
    cold = prepared(small, tmp_path / "other", **QUICK)
    digests = [[v.content_digest for v in each.variants] for each in (made, cold)]
    assert digests[0] == digests[1]


def test_a_warm_worker_keeps_to_the_deadline_too(tmp_path: Path) -> None:
    warm.start()
    source = save(endless(), tmp_path / "endless.onnx")
    error = refused(source, tmp_path / "out", deadline_s=2.0, **QUICK)
    assert "2 s" in error.message
