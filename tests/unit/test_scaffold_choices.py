"""What a user says of an app: ids, styles, packages, libraries; refused in words, or understood."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import report_samples
from ortlab.config import AppSection
from ortlab.domain import (
    AppPlatform,
    ImageKind,
    OptimizationStyle,
    RefusedVariant,
    ShippedStyles,
    TensorSpec,
)
from ortlab.errors import ModelError, UsageError
from ortlab.scaffold import check_application_id, shipped_styles, suggested_id
from ortlab.scaffold.native import ABIS, check_library, ort_package
from ortlab.scaffold.ship import shipped_variants
from ortlab.settings import app_spec
from prepared_models import prepared_model

# ------------------------------------------------------------------------------ application ids


@pytest.mark.parametrize(
    "text", ["com.example", "a.b", "com.Example_2.reader9", "com.internet.app"]
)
def test_ids_that_android_takes(text: str) -> None:
    check_application_id(text)


@pytest.mark.parametrize(
    ("text", "why", "suggestion"),
    [
        ("reader", "two parts", "com.example.reader"),
        ("com..reader", "two dots", "com.reader"),
        ("com.2fast.app", "'2fast' is no part", "com.app2fast.app"),
        ("com.my-app.x", "'my-app' is no part", "com.myapp.x"),
        ("com.new.app", "'new' is a reserved word", "com.new_app.app"),
        ("com.café.app", "no part of one", "com.cafe.app"),
        ("com.x.app; rm -rf /", "no part of one", "com.x.apprmrf"),
        ("", "two parts", "com.example.app"),
        ("a." + "b" * 300, "302 characters", "a." + "b" * 215),
    ],
)
def test_other_ids_are_refused_with_one_that_works(text: str, why: str, suggestion: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        check_application_id(text)
    assert refused.value.next_step == f"try {suggestion}"


@given(text=st.text(max_size=300))
def test_every_suggestion_can_be_used(text: str) -> None:
    check_application_id(suggested_id(text))


# ------------------------------------------------------------------------------ styles


def test_words_for_styles() -> None:
    assert shipped_styles("fixed", None) == (ShippedStyles.FIXED, ())
    with pytest.raises(UsageError, match="one of fixed, runtime, both, auto"):
        shipped_styles("all", None)


def test_auto_without_a_run_is_both_and_says_so() -> None:
    style, notes = shipped_styles("auto", None)
    assert style is ShippedStyles.BOTH
    assert "no run of this model" in notes[0]


@pytest.mark.parametrize(
    ("recommended", "expected"),
    [
        (OptimizationStyle.FIXED, ShippedStyles.FIXED),
        (OptimizationStyle.RUNTIME, ShippedStyles.RUNTIME),
        (OptimizationStyle.ONNX, ShippedStyles.BOTH),
        (None, ShippedStyles.BOTH),
    ],
)
def test_auto_takes_what_the_run_recommends(
    recommended: OptimizationStyle | None, expected: ShippedStyles
) -> None:
    analysis = report_samples.make_sample(rounds=2, samples=2).analysis
    said = replace(analysis.recommendation, style=recommended, sentence="On this phone ship it.")
    style, (note,) = shipped_styles("auto", replace(analysis, recommendation=said))
    assert style is expected
    assert "ship it" in note


def test_one_file_of_each_style_is_shipped_arm_and_fp32_first(tmp_path: Path) -> None:
    ids = ("onnx", "fixed-amd64", "fixed-arm-int8-static", "fixed-arm", "runtime-arm")
    shipped = shipped_variants(prepared_model(tmp_path, ids), ShippedStyles.BOTH)
    assert [v.variant_id for v in shipped.variants] == ["fixed-arm", "runtime-arm"]
    assert shipped.notes == ("of fixed style, fp32 is shipped; int8-static was prepared too",)


def test_a_style_that_is_missing_is_told(tmp_path: Path) -> None:
    prepared = prepared_model(tmp_path, ("onnx", "fixed-arm"))
    refused = RefusedVariant(variant_id="runtime-arm", reason="its records contradict each other.")
    prepared = replace(prepared, refused=(refused,))
    shipped = shipped_variants(prepared, ShippedStyles.BOTH)
    assert [v.variant_id for v in shipped.variants] == ["fixed-arm"]
    assert "records contradict each other" in shipped.notes[0]
    with pytest.raises(ModelError, match="runtime: its records contradict"):
        shipped_variants(prepared, ShippedStyles.RUNTIME)


def test_without_any_ort_file_the_onnx_file_is_shipped(tmp_path: Path) -> None:
    shipped = shipped_variants(prepared_model(tmp_path, ("onnx",)), ShippedStyles.BOTH)
    assert [v.variant_id for v in shipped.variants] == ["onnx"]
    assert "the .onnx file is shipped" in shipped.notes[0]


def test_a_file_for_desktops_alone_is_shipped_with_a_warning(tmp_path: Path) -> None:
    shipped = shipped_variants(prepared_model(tmp_path, ("fixed-amd64",)), ShippedStyles.FIXED)
    assert "--target arm" in shipped.notes[0]


# ------------------------------------------------------------------------------ the ORT package


def aar(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


BOTH_LIBRARIES = ("jni/arm64-v8a/libonnxruntime.so", "jni/arm64-v8a/libonnxruntime4j_jni.so")


@pytest.mark.parametrize("text", ["1.23.0", "1.20", "1.24.0-rc1", "1.17.1.post2"])
def test_releases_are_taken(text: str) -> None:
    assert ort_package(text).release == text


def test_an_aar_is_read(tmp_path: Path) -> None:
    path = aar(tmp_path / "own build.aar", "classes.jar", *BOTH_LIBRARIES)
    package = ort_package(str(path))
    assert (package.release, package.aar, package.abis) == (None, path, ("arm64-v8a",))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((), "no classes.jar"),
        (("classes.jar",), "libonnxruntime.so"),
        (("classes.jar", BOTH_LIBRARIES[0]), "libonnxruntime4j_jni.so"),
        (("classes.jar", "jni/riscv64/libonnxruntime.so"), "libonnxruntime.so"),
    ],
)
def test_what_is_no_aar_of_onnxruntime_is_refused(
    tmp_path: Path, names: tuple[str, ...], why: str
) -> None:
    path = aar(tmp_path / "x.aar", *names)
    with pytest.raises(UsageError, match=why):
        ort_package(str(path))


def test_what_is_no_archive_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.aar").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UsageError, match="not an AAR"):
        ort_package(str(tmp_path / "x.aar"))
    with pytest.raises(UsageError, match="no such file"):
        ort_package("latest")


# ------------------------------------------------------------------------------ libraries


def library(path: Path, abi: str, *, alignment: int = 16384) -> Path:
    """Write the smallest file with the headers of a shared library."""
    machine, bits = ABIS[abi]
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    if bits == 64:
        head = struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, alignment)
    else:
        head = struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        load = struct.pack("<IIIIIIII", 1, 0, 0, 0, 0, 0, 5, alignment)
    path.write_bytes(ident + head + load)
    return path


@pytest.mark.parametrize("abi", ABIS)
def test_a_library_for_its_abi_is_taken_and_for_another_refused(tmp_path: Path, abi: str) -> None:
    path = library(tmp_path / "libops.so", abi)
    assert check_library(abi, path) == ""
    for other in set(ABIS) - {abi}:
        with pytest.raises(UsageError, match=f"it is for {abi}"):
            check_library(other, path)


def test_pages_of_16_kb_are_watched_where_they_matter(tmp_path: Path) -> None:
    wide = library(tmp_path / "libwide.so", "arm64-v8a", alignment=4096)
    assert "16 KB" in check_library("arm64-v8a", wide)
    narrow = library(tmp_path / "libnarrow.so", "armeabi-v7a", alignment=4096)
    assert check_library("armeabi-v7a", narrow) == ""


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01", b"not a library" * 9])
def test_what_is_no_library_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "libops.so"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="no ELF library"):
        check_library("arm64-v8a", path)


def test_names_and_abis_that_android_does_not_know_are_refused(tmp_path: Path) -> None:
    path = library(tmp_path / "ops.so", "x86")
    with pytest.raises(UsageError, match=r"named lib….so"):
        check_library("x86", path)
    with pytest.raises(UsageError, match="known are arm64-v8a"):
        check_library("arm64", library(tmp_path / "libops.so", "x86"))
    with pytest.raises(UsageError, match="No such file"):
        check_library("x86", tmp_path / "libgone.so")


# ------------------------------------------------------------------------------ `[app]`


def test_a_section_becomes_a_spec(tmp_path: Path) -> None:
    prepared = prepared_model(tmp_path)
    section = AppSection(
        name="Reader",
        id="com.example.reader",
        version="2.1",
        version_code=5,
        ship="runtime",
        ort_android="builds/own.aar",
        custom_ops={"x86_64": "libops.so"},
        outputs={"y": {"kind": "classification", "labels": ["a", "b", "c", "d"]}},
    )
    spec, notes = app_spec(section, prepared, AppPlatform.ANDROID, base=tmp_path, analysis=None)
    assert (spec.name, spec.application_id, notes) == ("Reader", "com.example.reader", ())
    assert (spec.version_name, spec.version_code, spec.ship) == ("2.1", 5, "runtime")
    assert spec.ort_package == str(tmp_path / "builds/own.aar")
    assert spec.custom_op_libraries == {"x86_64": str(tmp_path / "libops.so")}
    assert set(spec.kinds) == {"y"}


def test_what_a_section_leaves_out_is_named_after_the_model(tmp_path: Path) -> None:
    prepared = prepared_model(tmp_path, name="mobilenet_v2.1-int8")
    spec, notes = app_spec(
        AppSection(ort_android="1.23.0"),
        prepared,
        AppPlatform.ANDROID,
        base=tmp_path,
        analysis=None,
    )
    assert spec.name == "mobilenet_v2.1-int8"
    check_application_id(spec.application_id)
    assert spec.application_id.startswith("com.example.")
    assert (spec.ship, spec.ort_package, notes) == (ShippedStyles.BOTH, "1.23.0", ())


def test_sizes_that_were_fixed_at_preparation_need_not_be_said_again(tmp_path: Path) -> None:
    picture = TensorSpec(name="x", element_type="float", shape=(None, 3, "h", None))
    prepared = prepared_model(tmp_path, inputs=(picture,))
    section = AppSection(inputs={"x": {"kind": "image"}})
    with pytest.raises(UsageError, match="leaves the height open"):
        app_spec(section, prepared, AppPlatform.ANDROID, base=tmp_path, analysis=None)
    provenance = replace(prepared.provenance, options={"input_shapes": "{'x': (1, 3, 48, 192)}"})
    fixed = replace(prepared, provenance=provenance)
    spec, _ = app_spec(section, fixed, AppPlatform.ANDROID, base=tmp_path, analysis=None)
    assert isinstance(spec.kinds["x"], ImageKind)
