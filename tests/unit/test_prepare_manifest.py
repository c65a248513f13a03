"""The manifest is the codec's JSON, and nothing it names is trusted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.codec import from_json, to_plain
from ortlab.domain import (
    Basis,
    ModelSpec,
    OptimizationStyle,
    Parity,
    ParityStatus,
    Precision,
    PreparedModel,
    Provenance,
    ReleaseVerdict,
    ReplayAnswer,
    Sample,
    TensorSpec,
    Variant,
)
from ortlab.errors import ModelError, StorageError, UsageError
from ortlab.prepare.cache import MANIFEST_FILE, hash_file
from ortlab.prepare.manifest import (
    find_prepared,
    load_prepared,
    safe_path,
    write_manifest,
)
from ortlab.wire import GraphOptimizationLevel, TensorFile

HOSTILE = 'a"\\\n\u202e😀</script>\0$(x)'


def prepared_model(sha256: str = "0", path: str = "variants/onnx.onnx") -> PreparedModel:
    parity = Parity(
        status=ParityStatus.FAILED, worst_index=(0, 3), max_abs_error=math.inf, max_rel_error=0.5
    )
    spec = TensorSpec(name=HOSTILE, element_type="float", shape=(1, "batch", None))
    return PreparedModel(
        name="net",
        original=ModelSpec(
            file_name=HOSTILE,
            sha256="0",
            size_bytes=1,
            ir_version=8,
            opsets={"ai.onnx": 17},
            producer="",
            metadata={HOSTILE: HOSTILE},
            inputs=(spec,),
            outputs=(),
        ),
        findings=(),
        repairs=("one",),
        variants=(
            Variant(
                variant_id="onnx",
                style=OptimizationStyle.ONNX,
                level=GraphOptimizationLevel.ALL,
                target=None,
                precision=Precision.FP32,
                path=path,
                sha256=sha256,
                content_digest="0",
                size_bytes=1,
                operator_counts={"ai.onnx:Conv": 1},
                initializer_bytes={},
                saved_optimizations={},
                parity=parity,
            ),
        ),
        refused=(),
        samples=(),
        configs=(),
        recipes=(),
        compatibility={
            "onnx": (
                ReleaseVerdict(
                    release="1.31",
                    loads=True,
                    replay=ReplayAnswer.NONE_SAVED,
                    reason="",
                    basis=Basis.MEASURED,
                ),
            )
        },
        predictions=(),
        custom_op_library=None,
        provenance=Provenance(
            ortlab_version="0",
            ort_version="1.31.1",
            onnx_version="1",
            python_version="3",
            machine="m",
            created_at="now",
            cache_key="k",
            options={},
        ),
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "net"
    (directory / "variants").mkdir(parents=True)
    (directory / "variants/onnx.onnx").write_bytes(b"model")
    write_manifest(prepared_model(hash_file(directory / "variants/onnx.onnx")), directory)
    return directory


def test_it_is_what_the_codec_writes(directory: Path) -> None:
    text = (directory / MANIFEST_FILE).read_text(encoding="utf-8")
    value = from_json(PreparedModel, text, source="x")
    assert json.loads(text) == to_plain(value)
    expected = prepared_model(hash_file(directory / "variants/onnx.onnx"))
    assert value == expected


def test_a_sound_directory_loads(directory: Path) -> None:
    assert load_prepared(directory).name == "net"


def test_a_changed_or_missing_file_is_a_model_error(directory: Path) -> None:
    variant = directory / "variants/onnx.onnx"
    variant.write_bytes(b"other")
    with pytest.raises(ModelError, match="changed"):
        load_prepared(directory)
    variant.unlink()
    with pytest.raises(ModelError, match="No such file"):
        load_prepared(directory)


def test_a_changed_sample_is_a_model_error(directory: Path) -> None:
    (directory / "x.bin").write_bytes(b"1234")
    prepared = load_prepared(directory)
    tensor = TensorFile(
        name="x", element_type="float", shape=(1,), path="x.bin", sha256="not this one"
    )
    sample = Sample(sample_id="s", origin="seeded", inputs=(tensor,), outputs=())
    write_manifest(replace(prepared, samples=(sample,)), directory)
    with pytest.raises(ModelError, match="changed"):
        load_prepared(directory)


@pytest.mark.parametrize("path", ["../other.onnx", "/etc/passwd", "variants/../../x", "", "a\0b"])
def test_a_manifest_that_names_files_outside_is_refused(path: str, directory: Path) -> None:
    (directory.parent / "other.onnx").write_bytes(b"model")
    (directory.parent / "x").write_bytes(b"model")
    write_manifest(prepared_model(path=path), directory)
    with pytest.raises(ModelError, match="outside"):
        load_prepared(directory)


def test_a_link_to_the_outside_is_refused(directory: Path) -> None:
    (directory.parent / "secret").write_bytes(b"model")
    (directory / "link.onnx").symlink_to(directory.parent / "secret")
    with pytest.raises(ModelError, match="outside"):
        safe_path(directory, "link.onnx")


@given(st.text())
def test_no_name_leads_outside(name: str) -> None:
    base = Path("/nowhere/prepared")
    try:
        path = safe_path(base, name)
    except ModelError:
        return
    assert path.resolve().is_relative_to(base)
    assert path != base


@pytest.mark.parametrize("text", ["", "{}", "null", "[]", '{"schema_version": 1}', "\xff\xfe"])
def test_a_damaged_manifest_is_a_storage_error(text: str, directory: Path) -> None:
    (directory / MANIFEST_FILE).write_text(text, encoding="latin-1")
    with pytest.raises(StorageError):
        load_prepared(directory)


def test_a_manifest_of_another_version_is_refused(directory: Path) -> None:
    write_manifest(replace(prepared_model(), schema_version=99), directory)
    with pytest.raises(StorageError, match="99"):
        load_prepared(directory)


def test_the_only_prepared_model_inside_a_directory_is_meant(directory: Path) -> None:
    assert find_prepared(directory) == directory
    assert find_prepared(directory.parent) == directory
    (directory.parent / "second").mkdir()
    (directory.parent / "second" / MANIFEST_FILE).write_text("{}")
    with pytest.raises(UsageError, match="second"):
        find_prepared(directory.parent)
    with pytest.raises(UsageError, match="there is no"):
        find_prepared(directory.parent / "nothing")
