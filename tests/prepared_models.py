"""Prepared models on disk for the scaffold's tests: files of a few bytes, manifests that fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ortlab.domain import (
    ModelSpec,
    OptimizationStyle,
    Parity,
    ParityStatus,
    Precision,
    PreparedModel,
    Provenance,
    Sample,
    TargetPlatform,
    TensorSpec,
    Variant,
)
from ortlab.wire import GraphOptimizationLevel, TensorFile

X = TensorSpec(name="x", element_type="float", shape=(1, 4))
Y = TensorSpec(name="y", element_type="float", shape=(1, 4))


def write(directory: Path, name: str, data: bytes) -> tuple[str, str]:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name, hashlib.sha256(data).hexdigest()


def variant(directory: Path, variant_id: str, data: bytes | None = None) -> Variant:
    style, _, rest = variant_id.partition("-")
    target, _, precision = rest.partition("-")
    suffix = "onnx" if style == "onnx" else "ort"
    data = f"file of {variant_id}".encode() if data is None else data
    path, sha256 = write(directory, f"variants/{variant_id}.{suffix}", data)
    return Variant(
        variant_id=variant_id,
        style=OptimizationStyle(style),
        level=GraphOptimizationLevel.ALL,
        target=TargetPlatform(target) if target else None,
        precision=Precision(precision or "fp32"),
        path=path,
        sha256=sha256,
        content_digest=sha256,
        size_bytes=len(data),
        operator_counts={},
        initializer_bytes={},
        saved_optimizations={},
        parity=Parity(status=ParityStatus.PASSED),
    )


def prepared_model(
    directory: Path,
    variant_ids: Sequence[str] = ("onnx", "fixed-arm", "fixed-amd64", "runtime-arm"),
    *,
    name: str = "small",
    inputs: Sequence[TensorSpec] = (X,),
    outputs: Sequence[TensorSpec] = (Y,),
) -> PreparedModel:
    """Return a prepared model whose files are in a directory."""
    path, sha256 = write(directory, "samples/seeded/x.bin", bytes(16))
    sample = TensorFile(name="x", element_type="float", shape=(1, 4), path=path, sha256=sha256)
    return PreparedModel(
        name=name,
        original=ModelSpec(
            file_name=f"{name}.onnx",
            sha256="0" * 64,
            size_bytes=100,
            ir_version=8,
            opsets={"ai.onnx": 17},
            producer="",
            metadata={},
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        ),
        findings=(),
        repairs=(),
        variants=tuple(variant(directory, variant_id) for variant_id in variant_ids),
        refused=(),
        samples=(Sample(sample_id="seeded", origin="seeded", inputs=(sample,), outputs=()),),
        configs=(),
        recipes=(),
        compatibility={},
        predictions=(),
        custom_op_library=None,
        provenance=Provenance(
            ortlab_version="0",
            ort_version="1.31.1",
            onnx_version="1.23.2",
            python_version="3.11",
            machine="x86_64",
            created_at="2026-11-21T00:00:00Z",
            cache_key="",
            options={},
        ),
    )


def with_other_weights(prepared: PreparedModel, directory: Path) -> PreparedModel:
    """Return the model after another training: every variant's file has changed."""
    changed = [variant(directory, v.variant_id, b"other weights") for v in prepared.variants]
    return replace(prepared, variants=tuple(changed))


def small_template(directory: Path) -> Path:
    """Write a template of a few files, with what builds and editors leave behind."""
    for name, text in {
        "settings.gradle.kts": 'include(":sdk")\n',
        "app.properties": "# Yours and ours.\napp.name=Sample\napp.id=dev.ortlab.sample\n",
        "gradlew": "#!/bin/sh\nexit 0\n",
        ".gitignore": "build/\n",
        "app/src/Main.kt": "fun main() = Unit\n",
        "sdk/src/main/Tensor.kt": "class Tensor\n",
        "sdk/src/generated/kotlin/Old.kt": "class SampleModel\n",
        "sdk/src/generated/assets/ortlab/sample/fixed-arm.ort": "sample model",
        "sdk/build/outputs/sdk.aar": "built",
        ".gradle/cache.bin": "cache",
        ".idea/workspace.xml": "editor",
        "local.properties": "sdk.dir=/srv/me/sdk\n",
    }.items():
        write(directory, name, text.encode())
    return directory
