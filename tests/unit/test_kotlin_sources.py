"""What the Kotlin generator makes of a manifest, without compiling it (see `tests/real`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ortlab.domain import (
    ClassificationKind,
    ImageKind,
    ModelSpec,
    OptimizationStyle,
    Parity,
    ParityStatus,
    Precision,
    PreparedModel,
    Provenance,
    Sample,
    StateKind,
    TargetPlatform,
    TensorKind,
    TensorSpec,
    Variant,
)
from ortlab.errors import ModelError
from ortlab.scaffold.kotlin_sdk import kotlin_sources
from ortlab.scaffold.sdk_model import ModelForSdk, SampleAsset, ShippedVariant, signature
from ortlab.wire import GraphOptimizationLevel, TensorFile

DIRECTORY = "dev/ortlab/sdk/models"
Shape = tuple[int | str | None, ...] | None


def tensor(name: str, shape: Shape, element_type: str = "float") -> TensorSpec:
    return TensorSpec(name=name, element_type=element_type, shape=shape)


def file(name: str, shape: tuple[int, ...]) -> TensorFile:
    return TensorFile(name=name, element_type="float", shape=shape, path=f"{name}.bin")


def sdk_model(
    *inputs: TensorSpec,
    outputs: tuple[TensorSpec, ...] = (tensor("y", (1, 3)),),
    name: str = "reader",
    kinds: Mapping[str, TensorKind] | None = None,
    options: Mapping[str, str] | None = None,
    sample: tuple[TensorFile, ...] = (),
    custom_op_library: str | None = None,
) -> ModelForSdk:
    variant = Variant(
        variant_id="fixed-arm",
        style=OptimizationStyle.FIXED,
        level=GraphOptimizationLevel.ALL,
        target=TargetPlatform.ARM,
        precision=Precision.FP32,
        path="fixed-arm.ort",
        sha256="ab" * 32,
        content_digest="",
        size_bytes=10,
        operator_counts={},
        initializer_bytes={},
        saved_optimizations={},
        parity=Parity(status=ParityStatus.PASSED),
    )
    original = ModelSpec(
        file_name=f"{name}.onnx",
        sha256="",
        size_bytes=1,
        ir_version=8,
        opsets={},
        producer="",
        metadata={},
        inputs=inputs,
        outputs=outputs,
    )
    provenance = Provenance(
        ortlab_version="",
        ort_version="",
        onnx_version="",
        python_version="",
        machine="",
        created_at="",
        cache_key="",
        options=options or {},
    )
    prepared = PreparedModel(
        name=name,
        original=original,
        findings=(),
        repairs=(),
        variants=(variant,),
        refused=(),
        samples=(),
        configs=(),
        recipes=(),
        compatibility={},
        predictions=(),
        custom_op_library=None,
        provenance=provenance,
    )
    shipped = ShippedVariant(
        variant=variant, asset_path=f"ortlab/{name}/fixed.ort", sha256="ab" * 32, size_bytes=10
    )
    return ModelForSdk(
        prepared=prepared,
        variants=(shipped,),
        kinds=kinds or {},
        sample=tuple(SampleAsset(tensor=t, asset_path=f"ortlab/{t.path}") for t in sample),
        custom_op_library=custom_op_library,
    )


def source(model: ModelForSdk, name: str = "Reader") -> str:
    return kotlin_sources([model])[f"{DIRECTORY}/{name}.kt"]


def test_every_model_gets_a_class_and_all_are_registered() -> None:
    models = [
        sdk_model(tensor("x", (1,)), name=name)
        for name in ("reader", "Reader", "float tensor", "é")
    ]
    sources = kotlin_sources(models)
    names = {path.removeprefix(f"{DIRECTORY}/").removesuffix(".kt") for path in sources}
    assert names == {"Models", "Reader", "Reader2", "FloatTensor2", "E"}
    registered = re.findall(r"(\w+)\.descriptor,", sources[f"{DIRECTORY}/Models.kt"])
    assert sorted(registered) == sorted(names - {"Models"})


def test_sizes_that_preparation_fixed_are_fixed_in_the_class() -> None:
    model = sdk_model(
        tensor("x", ("batch", None)),
        tensor("z", ("batch", "length")),
        outputs=(tensor("y", ("batch", "length")),),
        options={"dims": "{'length': 7}", "input_shapes": "{'x': (2, 5)}"},
    )
    whole = signature(model.prepared)
    assert [t.shape for t in whole.inputs] == [(2, 5), (2, 7)]
    assert [t.shape for t in whole.outputs] == [(2, 7)]
    text = source(model)
    assert "FloatTensor.allocate(2, 5)" in text
    assert "fun allocate(): Input" in text


def test_open_sizes_become_parameters_once() -> None:
    text = source(sdk_model(tensor("a", ("n", None)), tensor("b", ("n", 4)), tensor("c", None)))
    parameters = re.findall(r"^ {16}(\w+): (Long|LongArray),$", text, re.MULTILINE)
    assert parameters == [("n", "Long"), ("aSize1", "Long"), ("cShape", "LongArray")]
    assert "FloatTensor.allocate(n, aSize1)" in text
    assert "FloatTensor.allocate(*cShape)" in text


def test_outputs_that_are_not_as_declared_are_not_pinned() -> None:
    model = sdk_model(tensor("x", (1,)), outputs=(tensor("y", (1, 3)), tensor("z", (1, 3))))
    answered = Sample(
        sample_id="0", origin="seeded", inputs=(), outputs=(file("y", (1, 4)), file("z", (1, 3)))
    )
    lying = replace(model, prepared=replace(model.prepared, samples=(answered,)))
    assert source(lying).count("isPinned = false") == 1
    assert "isPinned" not in source(model)


def test_a_state_is_neither_asked_for_nor_answered() -> None:
    model = sdk_model(
        tensor("x", ("batch", 4)),
        tensor("memory", ("batch", 8)),
        outputs=(tensor("y", ("batch",)), tensor("next", ("batch", 8))),
        kinds={"next": StateKind(input_name="memory", shape=(2, 8))},
        sample=(file("x", (1, 4)), file("memory", (1, 8))),
    )
    text = source(model)
    assert "val memory:" not in text
    assert "val next:" not in text
    assert "fun reset()" in text
    assert "FloatTensor.allocate(2, 4)" in text
    # One of another batch could not be run.
    assert "sample = emptyList<SampleTensor>()" in text
    fitting = replace(model, sample=(SampleAsset(tensor=file("x", (2, 4)), asset_path="x.bin"),))
    assert 'assetPath = "x.bin"' in source(fitting)


def test_a_single_picture_can_be_run_directly() -> None:
    picture = {"x": ImageKind(width=16, height=8)}
    alone = sdk_model(tensor("x", (None, 3, "h", "w")), kinds=picture)
    assert "fun run(bitmap: Bitmap): Output" in source(alone)
    assert "FloatTensor.allocate(1, 3, 8, 16)" in source(alone)
    among = sdk_model(tensor("x", (1, 3, 8, 16)), tensor("z", (1,)), kinds=picture)
    assert "fun run(bitmap" not in source(among)
    assert "fun writeX(picture: Picture)" in source(among)


def test_labels_are_answered_by_the_output() -> None:
    kind = ClassificationKind(labels=tuple(f"label {i}" for i in range(2500)), top_k=3)
    one = source(sdk_model(tensor("x", (1,)), outputs=(tensor("y", (1, 2500)),), kinds={"y": kind}))
    assert "fun labels(): List<Label>" in one
    # A method of the JVM cannot hold more.
    assert one.count("private fun yLabels") == 3
    small = ClassificationKind(labels=("a", "b", "c"))
    two = sdk_model(
        tensor("x", (1,)),
        outputs=(tensor("y", (1, 3)), tensor("z", (1, 3))),
        kinds={"y": small, "z": small},
    )
    assert "fun yLabels(): List<Label>" in source(two)
    assert "fun zLabels(): List<Label>" in source(two)


def test_a_custom_operator_library_is_part_of_the_descriptor() -> None:
    model = sdk_model(tensor("x", (1,)), custom_op_library="libops.so")
    assert 'customOpLibraries = listOf("libops.so")' in source(model)
    assert "customOpLibraries" not in source(sdk_model(tensor("x", (1,))))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("uint16", "cannot create tensors of uint16, uint32 or uint64"),
        ("complex64", "cannot create tensors of it"),
        ("sequence(float)", "dense tensors alone"),
        ("sparse float", "dense tensors alone"),
    ],
)
def test_inputs_that_the_platform_cannot_make_are_refused(name: str, reason: str) -> None:
    with pytest.raises(ModelError, match=re.escape(reason)) as refusal:
        kotlin_sources([sdk_model(tensor("words*/", (1,), name))])
    assert refusal.value.next_step
    assert "words" in refusal.value.message


def test_unsigned_outputs_are_answered_and_others_refused() -> None:
    unsigned = sdk_model(tensor("x", (1,)), outputs=(tensor("y", (1,), "uint64"),))
    assert "val y: ULongTensor" in source(unsigned)
    with pytest.raises(ModelError, match="cannot read"):
        kotlin_sources([sdk_model(tensor("x", (1,)), outputs=(tensor("y", (1,), "float8e5m2"),))])


def test_a_name_with_nul_is_refused_for_native_code_ends_names_there() -> None:
    with pytest.raises(ModelError, match="NUL"):
        kotlin_sources([sdk_model(tensor("a\0b", (1,)))])
