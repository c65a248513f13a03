"""From a generated project to signed APKs without Gradle and the Android SDK; for checks alone.

Every step is the real tool with the project's own rules: aapt2, kotlinc, R8, zipalign, apksigner.
ONNX Runtime's Java classes come from the JVM package, since the Android one is not to be had
everywhere; its native libraries are left out, so such an APK runs on virtual phones only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from android import core, toolchain
from android.toolchain import KotlinModule, jar, java, run

ANDROID_XML = "http://schemas.android.com/apk/res/android"
TOOLS_XML = "http://schemas.android.com/tools"
BUILD = toolchain.ROOT / ".cache/android/build"
KEY_PASSWORD = "android"
_STORED = (".ort", ".onnx", ".bin")
_PARTS = (
    *("bench-core/src/main/kotlin", "sdk/src/main/kotlin", "sdk/src/generated"),
    *("sdk/consumer-rules.pro", "app.properties", "gradle/libs.versions.toml"),
)


@dataclass(frozen=True, kw_only=True)
class Classes:
    """What the Kotlin sources of one app were compiled to.

    Attributes:
        module: `app` or `bench`.
        compiled: Class directories and jars of the project itself.
        libraries: Jars that it runs with.
        resources: The linked resources, without code.
        rules: Keep rules, the project's and those of its manifest.
    """

    module: str
    compiled: tuple[Path, ...]
    libraries: tuple[Path, ...]
    resources: Path
    rules: tuple[Path, ...]


def settings_of(project: Path) -> dict[str, str]:
    """Return the app's settings as the project's build script reads them."""
    from ortlab.scaffold.properties import read_properties

    return read_properties((project / "app.properties").read_bytes())


def versions_of(project: Path) -> Mapping[str, str]:
    text = (project / "gradle/libs.versions.toml").read_text(encoding="utf-8")
    versions: Mapping[str, str] = tomllib.loads(text)["versions"]
    return versions


def build_apk(project: Path, module: str) -> Path:
    """Return a signed APK of a project's module; made where its sources changed.

    Raises:
        ToolFailedError: A tool refuses the project.
    """
    directory = BUILD / f"{module}-{_digest(project, module)}"
    finished = directory / f"{module}.apk"
    if not finished.is_file():
        work = directory.with_name(f"{directory.name}.{os.getpid()}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        classes = compile_app(project, module, work)
        dex = shrink(classes, work / "dex", "--min-api", versions_of(project)["minSdk"])
        signed = sign(assemble(project, module, classes, dex, work), work)
        directory.mkdir(parents=True, exist_ok=True)
        signed.replace(finished)
        shutil.rmtree(work)
    return finished


def compile_app(project: Path, module: str, work: Path) -> Classes:
    """Compile an app with everything it is made of."""
    ours = (compile_sdk(project, work) if module == "app" else core.core_jar(),)
    resources, generated, rules = link(project, module, work)
    r_classes = work / "r"
    sources = sorted(generated.rglob("*.java"))
    run(["javac", "--release", "17", "-d", r_classes, *sources])
    libraries = [toolchain.ONNXRUNTIME, *toolchain.RUNTIME]
    if module == "bench":
        libraries += toolchain.SERIALIZATION
    code = toolchain.compile_kotlin(
        KotlinModule(
            name=module,
            sources=(project / module / "src/main/kotlin",),
            libraries=(*ours, r_classes, *libraries, toolchain.ANDROID),
        ),
        work / f"{module}.jar",
    )
    return Classes(
        module=module,
        compiled=(code, r_classes, *ours),
        libraries=tuple(jar(name) for name in libraries),
        resources=resources,
        rules=(*_rule_files(project, module), rules),
    )


def compile_sdk(project: Path, work: Path) -> Path:
    """Compile the SDK with what was generated into it."""
    return toolchain.compile_kotlin(
        KotlinModule(
            name="sdk",
            sources=(project / "sdk/src/main/kotlin", project / "sdk/src/generated/kotlin"),
            libraries=(toolchain.ONNXRUNTIME, toolchain.ANDROID),
            explicit_api=True,
        ),
        work / "sdk.jar",
    )


def _rule_files(project: Path, module: str) -> tuple[Path, ...]:
    files = (project / module / "proguard-rules.pro", project / "sdk/consumer-rules.pro")
    return tuple(path for path in files if path.is_file())


# ------------------------------------------------------------------------------ resources


def link(project: Path, module: str, work: Path) -> tuple[Path, Path, Path]:
    """Link manifest and resources; return the package, the directory of `R.java`, keep rules."""
    settings, versions = settings_of(project), versions_of(project)
    application_id = settings["app.id"] + (".bench" if module == "bench" else "")
    values = work / "values" / "values"
    values.mkdir(parents=True)
    name = escape(_quoted(settings["app.name"]))
    text = f'<resources><string name="app_name" translatable="false">{name}</string></resources>'
    (values / "generated.xml").write_text(text, encoding="utf-8")
    compiled = []
    for directory in (project / module / "src/main/res", values.parent):
        archive = work / f"resources-{len(compiled)}.zip"
        run(["aapt2", "compile", "--dir", directory, "-o", archive])
        compiled.append(archive)
    package, rules = work / "resources.apk", work / "manifest-rules.pro"
    generated = work / "generated"
    run(
        [
            *("aapt2", "link", "-I", jar(toolchain.FRAMEWORK_RESOURCES), "--auto-add-overlay"),
            *("--manifest", _manifest(project, module, application_id, work)),
            *("--min-sdk-version", versions["minSdk"]),
            *("--target-sdk-version", versions["targetSdk"]),
            *("--version-code", settings["app.versionCode"]),
            *("--version-name", settings["app.versionName"]),
            *("--custom-package", f"dev.ortlab.{module}", "--java", generated),
            *("--proguard", rules, "-o", package, *compiled),
        ]
    )
    return package, generated, rules


def _quoted(text: str) -> str:
    """Return text as a string resource holds it: quoted, so that nothing in it means anything."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'


def _manifest(project: Path, module: str, application_id: str, work: Path) -> Path:
    """Return the manifest as Gradle's merger would leave it where no library adds anything."""
    for prefix, uri in (("android", ANDROID_XML), ("tools", TOOLS_XML)):
        ET.register_namespace(prefix, uri)
    source = (project / module / "src/main/AndroidManifest.xml").read_text(encoding="utf-8")
    root = ET.fromstring(source.replace("${applicationId}", application_id))
    root.set("package", application_id)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.get(f"{{{TOOLS_XML}}}node") == "remove":
                parent.remove(child)
    for element in root.iter():
        for name in [key for key in element.attrib if key.startswith(f"{{{TOOLS_XML}}}")]:
            del element.attrib[name]
    path = work / "AndroidManifest.xml"
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return path


# ------------------------------------------------------------------------------ shrinking


def shrink(classes: Classes, output: Path, *options: str, without_rules: bool = False) -> Path:
    """Shrink with R8 under the project's rules: to dex, or with ``--classfile`` to a jar."""
    rules = [] if without_rules else [arg for path in classes.rules for arg in ("--pg-conf", path)]
    if without_rules:
        rules = ["--pg-conf", classes.rules[-1]]
    if output.suffix != ".jar":
        output.mkdir(parents=True)
    java(
        "com.android.tools.r8.R8",
        *("--release", *options, *rules, "--output", output),
        *("--lib", toolchain.java_home(), "--lib", jar(toolchain.ANDROID)),
        *("--map-diagnostics", "info", "none"),
        *_inputs(classes, output.parent),
        classes=("r8-9.5.28.jar",),
        options=("-Xmx1500m", "-XX:+UseSerialGC"),
    )
    return output


def _inputs(classes: Classes, work: Path) -> list[Path]:
    """Return jars for R8, with ONNX Runtime's Java classes alone and without its natives."""
    found: list[Path] = []
    for path in (*classes.compiled, *classes.libraries):
        if path.is_dir() or path.name == toolchain.ONNXRUNTIME:
            packed = work / f"r8-input-{len(found)}.jar"
            with zipfile.ZipFile(packed, "w") as archive:
                for name, data in _class_files(path):
                    archive.writestr(name, data)
            found.append(packed)
        else:
            found.append(path)
    return found


def _class_files(path: Path) -> Iterable[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.class")):
            yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".class") and name != "module-info.class":
                yield name, archive.read(name)


# ------------------------------------------------------------------------------ packages


def assemble(project: Path, module: str, classes: Classes, dex: Path, work: Path) -> Path:
    """Add code and assets to the linked resources, and align."""
    package = work / "unaligned.apk"
    shutil.copy(classes.resources, package)
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(dex.glob("*.dex")):
            archive.write(path, path.name)
        assets = project / "sdk/src/generated/assets"
        for path in sorted(assets.rglob("*")) if module == "app" else ():
            if path.is_file():
                stored = path.suffix in _STORED
                kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                name = f"assets/{path.relative_to(assets).as_posix()}"
                archive.write(path, name, compress_type=kind)
    aligned = work / "aligned.apk"
    run(["zipalign", "-f", "-p", "4", package, aligned])
    return aligned


def sign(package: Path, work: Path) -> Path:
    """Sign with a key made for these checks, and verify."""
    signed = work / "signed.apk"
    run(
        [
            *("apksigner", "sign", "--ks", signing_key(), "--ks-pass", f"pass:{KEY_PASSWORD}"),
            *("--min-sdk-version", "24", "--out", signed, package),
        ]
    )
    run(["apksigner", "verify", "--min-sdk-version", "24", signed])
    return signed


def signing_key() -> Path:
    """Return a key store of our own, made once on each machine."""
    key = BUILD / "test.keystore"
    if not key.is_file():
        key.parent.mkdir(parents=True, exist_ok=True)
        made = key.with_name(f"{os.getpid()}.keystore")
        run(
            [
                *("keytool", "-genkeypair", "-keystore", made, "-storepass", KEY_PASSWORD),
                *("-keypass", KEY_PASSWORD, "-alias", "test", "-keyalg", "RSA", "-keysize", "2048"),
                *("-dname", "CN=test", "-validity", "10000", "-storetype", "PKCS12"),
            ]
        )
        made.replace(key)
    return key


def _digest(project: Path, module: str) -> str:
    """Return what changes with anything that goes into the package, and with these tools."""
    total = hashlib.sha256()
    for tool in (Path(__file__), Path(toolchain.__file__)):
        total.update(tool.read_bytes())
    for part in (*_PARTS, module):
        root = project / part
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "build" not in path.relative_to(project).parts:
                total.update(path.relative_to(project).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]
