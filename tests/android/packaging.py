"""From a generated project to signed APKs without Gradle and the Android SDK; for checks alone.

Every step is the real tool with the project's own rules: aapt2, kotlinc, R8, zipalign, apksigner.
ONNX Runtime's Java classes come from the JVM package, since the Android one is not to be had
everywhere; its native libraries are left out, so such an APK runs on virtual phones only. What the
Android plugin adds beyond the project (its default R8 rules, merged manifests) is left out too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Mapping
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
STORED = (".ort", ".onnx", ".bin")
_SETTINGS = ("app.properties", "gradle/libs.versions.toml")
_SDK = ("sdk/src/main/kotlin", "sdk/src/generated/kotlin")
_ASSETS = "sdk/src/generated/assets"


@dataclass(frozen=True, kw_only=True)
class Classes:
    """What the Kotlin sources of one app were compiled to.

    Attributes:
        module: `app` or `bench`.
        compiled: Class directories and jars of the project itself, the module's own first.
        libraries: Jars that it runs with.
        resources: The linked resources, without code.
        rules: Keep rules, the project's and, last, those that its manifest needs.
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
    """Return a signed APK of a project's module; made where something in it changed.

    Raises:
        ToolFailedError: A tool refuses the project.
    """
    classes = compile_app(project, module)
    dex = _dex(classes, versions_of(project)["minSdk"])
    root = project / _ASSETS
    found = _files(project, _ASSETS) if module == "app" else []
    assets = {path.relative_to(root).as_posix(): path for path in found}

    def make(work: Path) -> None:
        aligned = assemble(classes, dex, assets, work)
        sign(aligned, work / f"{module}.apk")
        aligned.unlink()

    inputs = (*dex.glob("*.dex"), classes.resources, *assets.values())
    return _made(f"{module}-apk", inputs, make, also=list(assets)) / f"{module}.apk"


def compile_app(project: Path, module: str) -> Classes:
    """Compile an app with everything it is made of; again only where its sources changed."""
    ours = compile_sdk(project) if module == "app" else core.core_jar()
    libraries: tuple[str, ...] = (toolchain.ONNXRUNTIME, *toolchain.RUNTIME)
    if module == "bench":
        libraries += toolchain.SERIALIZATION
    linked = _linked(project, module)
    r_sources = sorted((linked / "generated").rglob("*.java"))
    kotlin = project / module / "src/main/kotlin"

    def make(work: Path) -> None:
        run(["javac", "--release", "17", "-d", work / "r", *r_sources])
        code = KotlinModule(
            name=module,
            sources=(kotlin,),
            libraries=(ours, work / "r", *libraries, toolchain.ANDROID),
        )
        toolchain.compile_kotlin(code, work / f"{module}.jar")

    made = _made(f"{module}-classes", (ours, *r_sources, *kotlin.rglob("*.kt")), make)
    return Classes(
        module=module,
        compiled=(made / f"{module}.jar", made / "r", ours),
        libraries=tuple(jar(name) for name in libraries),
        resources=linked / "resources.apk",
        rules=(*_rule_files(project, module), linked / "manifest-rules.pro"),
    )


def compile_sdk(project: Path) -> Path:
    """Compile the SDK with what was generated into it; again only where that changed."""

    def make(work: Path) -> None:
        code = KotlinModule(
            name="sdk",
            sources=tuple(project / path for path in _SDK),
            libraries=(toolchain.ONNXRUNTIME, toolchain.ANDROID),
            explicit_api=True,
        )
        toolchain.compile_kotlin(code, work / "sdk.jar")

    inputs = _files(project, *_SDK)
    return _made("sdk", inputs, make) / "sdk.jar"


def _linked(project: Path, module: str) -> Path:
    parts = (f"{module}/src/main/res", f"{module}/src/main/AndroidManifest.xml", *_SETTINGS)
    inputs = _files(project, *parts)
    return _made(f"{module}-resources", inputs, lambda work: link(project, module, work))


def _dex(classes: Classes, min_sdk: str) -> Path:
    def make(work: Path) -> None:
        shrink(classes, work / "dex", "--min-api", min_sdk)

    compiled = [p for c in classes.compiled for p in (c.rglob("*.class") if c.is_dir() else [c])]
    return _made(f"{classes.module}-dex", (*compiled, *classes.rules), make) / "dex"


def _files(project: Path, *parts: str) -> list[Path]:
    found: list[Path] = []
    for part in parts:
        root = project / part
        found += [p for p in root.rglob("*") if p.is_file()] if root.is_dir() else [root]
    return found


def _made(
    name: str, inputs: Iterable[Path], make: Callable[[Path], None], *, also: Iterable[str] = ()
) -> Path:
    """Return a directory that was made of some files; whole, whoever else makes it now.

    What was made of files with the same names and contents before is returned as it is, whichever
    project they belong to.
    """
    total = hashlib.sha256("\0".join(sorted(also)).encode())
    for path in (Path(__file__), Path(toolchain.__file__), *sorted(inputs)):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    finished = BUILD / f"{name}-{total.hexdigest()[:16]}"
    if not finished.is_dir():
        staged = BUILD / f".{finished.name}.{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            make(staged)
            try:
                staged.rename(finished)
            except OSError:
                if not finished.is_dir():
                    raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return finished


def _rule_files(project: Path, module: str) -> tuple[Path, ...]:
    """Return the keep rules that Gradle would give R8; the SDK's come with it to the app alone."""
    of_sdk = (project / "sdk/consumer-rules.pro",) if module == "app" else ()
    return (project / module / "proguard-rules.pro", *of_sdk)


# ------------------------------------------------------------------------------ resources


def link(project: Path, module: str, work: Path) -> None:
    """Link manifest and resources into `resources.apk`, `generated` and `manifest-rules.pro`."""
    settings, versions = settings_of(project), versions_of(project)
    application_id = settings["app.id"] + (".bench" if module == "bench" else "")
    values = work / "values" / "values"
    values.mkdir(parents=True)
    name = escape(_quoted(settings["app.name"]))
    text = f'<resources><string name="app_name" translatable="false">{name}</string></resources>'
    (values / "generated.xml").write_text(text, encoding="utf-8")
    compiled: list[Path] = []
    for directory in (project / module / "src/main/res", values.parent):
        archive = work / f"resources-{len(compiled)}.zip"
        run(["aapt2", "compile", "--dir", directory, "-o", archive])
        compiled.append(archive)
    run(
        [
            *("aapt2", "link", "-I", jar(toolchain.FRAMEWORK_RESOURCES), "--auto-add-overlay"),
            *("--manifest", _manifest(project, module, application_id, work)),
            *("--min-sdk-version", versions["minSdk"]),
            *("--target-sdk-version", versions["targetSdk"]),
            *("--version-code", settings["app.versionCode"]),
            *("--version-name", settings["app.versionName"]),
            *("--custom-package", f"dev.ortlab.{module}", "--java", work / "generated"),
            *("--proguard", work / "manifest-rules.pro", "-o", work / "resources.apk"),
            *compiled,
        ]
    )


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
    for application in root.iter("application"):
        # The plugin writes it where libraries are to stay uncompressed.
        application.set(f"{{{ANDROID_XML}}}extractNativeLibs", "false")
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
        options=("-Xmx1500m", "-Xms1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
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


def assemble(classes: Classes, dex: Path, assets: Mapping[str, Path], work: Path) -> Path:
    """Add code and assets to the linked resources, and align."""
    package = work / "unaligned.apk"
    shutil.copy(classes.resources, package)
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(dex.glob("*.dex")):
            archive.write(path, path.name)
        for name, path in assets.items():
            kind = zipfile.ZIP_STORED if path.suffix in STORED else zipfile.ZIP_DEFLATED
            archive.write(path, f"assets/{name}", compress_type=kind)
    aligned = work / "aligned.apk"
    run(["zipalign", "-f", "-p", "4", package, aligned])
    package.unlink()
    return aligned


def sign(package: Path, signed: Path) -> Path:
    """Sign with a key made for these checks, and verify."""
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
