"""The Android template, as far as it can be proven without Gradle and the Android SDK."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from small_models import convolutions, run

from android import core, packaging, toolchain
from ortlab.domain import AppSpec, PreparedModel
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.process import Completed
from ortlab.scaffold import generate_android
from ortlab.tensors import read_tensor
from ortlab.wire import TensorFile

TEMPLATE = toolchain.ROOT / "android_template"
APPS = ("bench", "app")
ANDROID = f"{{{packaging.ANDROID_XML}}}"
ENTRY = "-keep class {} {{ public static void main(java.lang.String[]); }}\n"
DRIVER = """
package driver

import dev.ortlab.sdk.FileModelSource
import dev.ortlab.sdk.FloatTensor
import dev.ortlab.sdk.models.Models
import java.io.File

fun main(arguments: Array<String>) {
    val source = FileModelSource(File(arguments.single()))
    for (model in Models.all) {
        model.open(source).use { session ->
            val inputs = model.loadSample(source)
            for ((name, tensor) in session.run(inputs)) {
                println("$name ${(tensor as FloatTensor).toFloatArray().sumOf { it.toDouble() }}")
            }
            inputs.values.forEach { it.close() }
        }
    }
}
"""

pytestmark = [pytest.mark.requires("kotlin"), pytest.mark.requires("apk")]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreparedModel, Path]:
    """A project generated for a model of a few convolutions, with what it was prepared to."""
    root = tmp_path_factory.mktemp("template")
    onnx.save(convolutions(), root / "conv.onnx")
    options = PrepareOptions(predictions=False, configs=False)
    (result,) = prepare_models([root / "conv.onnx"], root / "prepared", options).results
    assert result.prepared is not None
    assert result.directory is not None
    spec = AppSpec(name="Shrunk \"'@?\\ <b>", application_id="dev.example.shrunk")
    project = generate_android(result.prepared, result.directory, spec, root / "project")
    return project.directory, result.prepared, result.directory


# ------------------------------------------------------------------------------ as it stands


def test_every_source_and_build_script_is_lint_clean() -> None:
    toolchain.ktlint(["**/*.kt", "**/*.kts", "!**/build/**"], TEMPLATE)


def test_every_catalog_reference_resolves_and_every_entry_is_used() -> None:
    catalog = tomllib.loads((TEMPLATE / "gradle/libs.versions.toml").read_text())
    known = {
        *(name.replace("-", ".") for name in catalog["libraries"]),
        *(f"plugins.{name.replace('-', '.')}" for name in catalog["plugins"]),
        *(f"versions.{name}" for name in catalog["versions"]),
    }
    used: set[str] = set()
    for script in TEMPLATE.glob("**/*.gradle.kts"):
        text = re.sub(r"\s*\n\s*\.", ".", script.read_text())
        for found in re.findall(r"\blibs\.([A-Za-z0-9.]+)", text):
            name = found.split(".get")[0]
            assert name in known, f"{script}: libs.{name}"
            used.add(name)
    for kind in ("libraries", "plugins"):
        used |= {f"versions.{e['version']['ref']}" for e in catalog[kind].values()}
    assert known - used == set()


def test_versions_stand_in_the_catalog_alone() -> None:
    for script in TEMPLATE.glob("**/*.gradle.kts"):
        assert not re.search(r"\"[\w.]+:[\w.-]+:\d", script.read_text()), script


def test_the_manifests_take_out_what_onnxruntime_brings_along() -> None:
    for module in APPS:
        root = ET.parse(TEMPLATE / module / "src/main/AndroidManifest.xml").getroot()
        removed = {
            element.get(f"{ANDROID}name", "").rpartition(".")[2]
            for element in root.iter()
            if element.get(f"{{{packaging.TOOLS_XML}}}node") == "remove"
        }
        assert {"INTERNET", "ACCESS_NETWORK_STATE", "TelemetryInitializer"} <= removed, module


def test_what_is_stored_uncompressed_is_what_the_scripts_say() -> None:
    for module in ("app", "sdk"):
        script = (TEMPLATE / module / "build.gradle.kts").read_text()
        found = re.search(r"noCompress \+= listOf\((.*)\)", script)
        assert found is not None, module
        assert re.findall(r'"(\w+)"', found[1]) == [s.removeprefix(".") for s in packaging.STORED]


def test_the_sample_of_the_template_is_what_ortlab_generates_for_it() -> None:
    done = toolchain.run(
        [toolchain.ROOT / ".venv/bin/python", "scripts/renew_template.py", "--check"],
        directory=toolchain.ROOT,
        check=False,
    )
    assert done.succeeded, done.stdout + done.stderr


# ------------------------------------------------------------------------------ packages


@pytest.mark.parametrize("module", APPS)
def test_an_app_is_signed_asks_for_nothing_and_says_what_it_needs(
    module: str, generated: tuple[Path, PreparedModel, Path]
) -> None:
    apk = packaging.build_apk(generated[0], module)
    badging = toolchain.run(["aapt2", "dump", "badging", apk]).stdout
    permissions = toolchain.run(["aapt2", "dump", "permissions", apk]).stdout
    assert "uses-permission" not in badging
    assert "uses-permission" not in permissions
    suffix = ".bench" if module == "bench" else ""
    assert f"package: name='dev.example.shrunk{suffix}' versionCode='1'" in badging
    assert "sdkVersion:'24'" in badging
    assert "targetSdkVersion:'36'" in badging
    assert "application-debuggable" not in badging
    toolchain.run(["apksigner", "verify", "--min-sdk-version", "24", apk])
    toolchain.run(["zipalign", "-c", "4", apk])


def test_the_app_carries_models_uncompressed_and_its_name_unharmed(
    generated: tuple[Path, PreparedModel, Path],
) -> None:
    apk = packaging.build_apk(generated[0], "app")
    with zipfile.ZipFile(apk) as archive:
        models = [info for info in archive.infolist() if info.filename.endswith(".ort")]
        assert models
        assert all(info.compress_type == zipfile.ZIP_STORED for info in models)
    strings = toolchain.run(["aapt2", "dump", "strings", apk]).stdout
    assert re.search(r"^String #\d+ : Shrunk \"'@\?\\ <b>$", strings, re.MULTILINE)


@pytest.mark.parametrize("module", APPS)
def test_every_class_that_a_manifest_names_is_in_the_shrunk_package(
    module: str, generated: tuple[Path, PreparedModel, Path]
) -> None:
    apk = packaging.build_apk(generated[0], module)
    tree = toolchain.run(["aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", apk]).stdout
    named = set(re.findall(r'android:name\(0x01010003\)="(dev\.[\w.]+)"', tree))
    wanted = {"app": {"MainActivity"}, "bench": {"BenchActivity", "BenchInstrumentation"}}[module]
    assert named == {f"dev.ortlab.{module}.{name}" for name in wanted}
    with zipfile.ZipFile(apk) as archive:
        dex = b"".join(archive.read(n) for n in archive.namelist() if n.endswith(".dex"))
    for name in named:
        assert f"L{name.replace('.', '/')};".encode() in dex, name


# ------------------------------------------------------------------------------ release rules


def _shrink(classes: packaging.Classes, directory: Path, main: str, *, kept: bool = True) -> Path:
    directory.mkdir()
    entry = directory / "entry.pro"
    entry.write_text(ENTRY.format(main))
    return packaging.shrink(
        classes,
        directory / "shrunk.jar",
        *("--classfile", "--pg-conf", str(entry)),
        without_rules=not kept,
    )


def _run_shrunk(jar: Path, main: str, argument: Path) -> Completed:
    return toolchain.java(
        main,
        argument,
        classes=(jar,),
        options=(f"-Donnxruntime.native.path={core.native_libraries()}",),
        check=False,
    )


def _request(directory: Path, prepared: PreparedModel, prepared_directory: Path) -> Path:
    example = json.loads(
        (toolchain.ROOT / "bench_protocol/vectors/failures.json").read_text(encoding="utf-8")
    )["request"]
    variant = prepared.variant("fixed-amd64")
    inputs = [
        {
            "name": tensor.name,
            "element_type": tensor.element_type,
            "shape": list(tensor.shape),
            "path": str(prepared_directory / tensor.path),
            "sha256": tensor.sha256,
        }
        for tensor in prepared.samples[0].inputs
    ]
    example["model"] |= {
        "path": str(prepared_directory / variant.path),
        "sha256": variant.sha256,
    }
    example |= {"inputs": inputs, "purpose": "parity", "output_directory": str(directory / "out")}
    path = directory / "request.json"
    path.write_text(json.dumps(example))
    return path


def test_the_shrunk_core_runs_a_real_model(
    generated: tuple[Path, PreparedModel, Path], tmp_path: Path
) -> None:
    """It reads its request and writes its result, so serialization survives as well."""
    project, prepared, directory = generated
    classes = packaging.compile_app(project, "bench")
    shrunk = _shrink(classes, tmp_path / "shrunk", core.MAIN)
    done = _run_shrunk(shrunk, core.MAIN, _request(tmp_path, prepared, directory))
    assert done.succeeded, done.stderr
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["failure"] is None
    (output,) = result["outputs"]
    file = TensorFile(
        name=output["name"],
        element_type=output["element_type"],
        shape=tuple(output["shape"]),
        path=output["path"],
    )
    found = read_tensor(file, tmp_path / "out")
    expected = read_tensor(prepared.samples[0].outputs[0], directory)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def sdk_program(
    generated: tuple[Path, PreparedModel, Path], tmp_path_factory: pytest.TempPathFactory
) -> packaging.Classes:
    """A program that runs every packaged model through the SDK, with the rules of the app."""
    project = generated[0]
    work = tmp_path_factory.mktemp("sdk-program")
    (work / "Driver.kt").write_text(DRIVER)
    sdk = packaging.compile_sdk(project)
    driver = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="driver",
            sources=(work / "Driver.kt",),
            libraries=(sdk, toolchain.ONNXRUNTIME),
        ),
        work / "driver.jar",
    )
    app = packaging.compile_app(project, "app")
    return replace(app, compiled=(driver, sdk))


def test_the_shrunk_sdk_runs_a_real_model(
    generated: tuple[Path, PreparedModel, Path], sdk_program: packaging.Classes, tmp_path: Path
) -> None:
    project, prepared, directory = generated
    shrunk = _shrink(sdk_program, tmp_path / "shrunk", "driver.DriverKt")
    done = _run_shrunk(shrunk, "driver.DriverKt", project / "sdk/src/generated/assets")
    assert done.succeeded, done.stderr
    inputs = {t.name: read_tensor(t, directory) for t in prepared.samples[0].inputs}
    (expected,) = run(directory / prepared.variant("fixed-arm").path, inputs)
    name, total = done.stdout.split()
    assert name == prepared.original.outputs[0].name
    assert float(total) == pytest.approx(float(np.sum(expected, dtype=np.float64)), rel=1e-4)


def test_without_the_keep_rule_the_runtime_does_not_find_its_classes(
    generated: tuple[Path, PreparedModel, Path], sdk_program: packaging.Classes, tmp_path: Path
) -> None:
    shrunk = _shrink(sdk_program, tmp_path / "shrunk", "driver.DriverKt", kept=False)
    done = _run_shrunk(shrunk, "driver.DriverKt", generated[0] / "sdk/src/generated/assets")
    assert not done.succeeded
    assert re.search("UnsatisfiedLinkError|NoSuchMethodError|NoClassDefFoundError", done.stderr)
