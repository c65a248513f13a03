"""The generated SDK outside Gradle: models shipped into a directory, classes compiled for a JVM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from android import toolchain
from ortlab.domain import PreparedModel, TensorKind
from ortlab.scaffold.kotlin_sdk import kotlin_sources
from ortlab.scaffold.sdk_model import ModelForSdk, SampleAsset, ShippedVariant
from ortlab.wire import TensorFile

SOURCES = toolchain.ROOT / "android_template/sdk/src/main/kotlin"
RUNTIME = (*toolchain.RUNTIME, toolchain.ONNXRUNTIME)
"""What compiled classes need beside themselves to run."""


def shipped(
    prepared: PreparedModel,
    directory: Path,
    assets: Path,
    *,
    inputs: Iterable[TensorFile] = (),
    kinds: Mapping[str, TensorKind] | None = None,
    with_onnx: bool = False,
) -> ModelForSdk:
    """Copy a prepared model's files into ``assets``, where the SDK finds them."""
    target = f"ortlab/{prepared.name}"
    (assets / target).mkdir(parents=True, exist_ok=True)

    def copy(path: str) -> str:
        asset = f"{target}/{Path(path).name}"
        (assets / asset).write_bytes((directory / path).read_bytes())
        return asset

    # A model of 16-bit floats cannot be in ORT format.
    ort_files = [v for v in prepared.variants if with_onnx or v.path.endswith(".ort")]
    variants = tuple(
        ShippedVariant(
            variant=variant,
            asset_path=copy(variant.path),
            sha256=variant.sha256,
            size_bytes=variant.size_bytes,
        )
        for variant in ort_files or prepared.variants
    )
    sample = tuple(SampleAsset(tensor=tensor, asset_path=copy(tensor.path)) for tensor in inputs)
    return ModelForSdk(prepared=prepared, variants=variants, kinds=kinds or {}, sample=sample)


def compile_sdk(models: Sequence[ModelForSdk], directory: Path, *sources: Path) -> Path:
    """Generate the models' classes and compile them with the SDK and ``sources``, as one module."""
    generated = directory / "generated"
    for path, text in kotlin_sources(models).items():
        (generated / path).parent.mkdir(parents=True, exist_ok=True)
        (generated / path).write_text(text)
    module = toolchain.KotlinModule(
        name="sdk",
        sources=(SOURCES, generated, *sources),
        libraries=(toolchain.ONNXRUNTIME, toolchain.ANDROID),
        explicit_api=True,
    )
    return toolchain.compile_kotlin(module, directory / "classes")
