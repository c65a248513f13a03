"""APKs made by Android's own tools, read as those tools read them."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from android import toolchain
from ortlab.apk import ApkPackage, read_package

pytestmark = pytest.mark.requires("apk")

MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.example.reader"
    android:versionCode="42" android:versionName="4.2-β" {attributes}>
    <uses-sdk android:minSdkVersion="24" android:targetSdkVersion="29"/>
    <uses-permission android:name="android.permission.INTERNET"/>
    <instrumentation android:name=".Bench" android:targetPackage="com.example.reader"/>
    <application android:debuggable="true" android:testOnly="true" android:label="Reader"/>
</manifest>
"""


def link(directory: Path, attributes: str = "") -> Path:
    manifest = directory / "AndroidManifest.xml"
    manifest.write_text(MANIFEST.format(attributes=attributes), encoding="utf-8")
    framework = toolchain.jar(toolchain.FRAMEWORK_RESOURCES)
    path = directory / "linked.apk"
    toolchain.run(["aapt2", "link", "-I", framework, "--manifest", manifest, "-o", path])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("lib/arm64-v8a/libx.so", b"x")
        archive.writestr("classes.dex", b"dex\n035\0")
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.p12"
    toolchain.run(
        [
            *("keytool", "-genkeypair", "-keystore", path, "-storetype", "PKCS12"),
            *("-storepass", "android", "-keyalg", "RSA", "-keysize", "2048", "-alias", "a"),
            *("-dname", "CN=a", "-validity", "1000"),
        ]
    )
    return path


def sign(path: Path, key: Path, *schemes: str) -> Path:
    aligned, signed = path.with_name("aligned.apk"), path.with_name("signed.apk")
    toolchain.run(["zipalign", "-f", "4", path, aligned])
    arguments: list[str | Path] = ["--ks", key, "--ks-pass", "pass:android", "--out"]
    toolchain.run(["apksigner", "sign", *schemes, *arguments, signed, aligned])
    return signed


def printed_digest(path: Path) -> str:
    said = toolchain.run(["apksigner", "verify", "--print-certs", path]).stdout
    found = re.search(r"SHA-256 digest: ([0-9a-f]{64})", said)
    assert found is not None
    return found[1]


def badging(path: Path) -> str:
    return toolchain.run(["aapt2", "dump", "badging", path]).stdout


def agrees(package: ApkPackage, said: str) -> bool:
    version = f"versionCode='{package.version_code}' versionName='{package.version_name}'"
    wanted = (
        f"package: name='{package.application_id}' {version}",
        f"sdkVersion:'{package.min_sdk}'",
        f"targetSdkVersion:'{package.target_sdk}'",
        *(f"uses-permission: name='{name}'" for name in package.permissions),
    )
    return all(text in said for text in wanted)


def test_the_manifest_is_read_as_aapt2_reads_it(tmp_path: Path) -> None:
    path = link(tmp_path)
    package = read_package(path)
    assert agrees(package, badging(path))
    assert package.version_name == "4.2-β"
    assert ("application-debuggable" in badging(path)) is package.debuggable is True
    assert ("testOnly='-1'" in badging(path)) is package.test_only is True
    assert package.instrumentations == ("com.example.reader.Bench",)
    assert package.abis == ("arm64-v8a",)
    assert package.certificate_sha256 == ()


def test_a_split_is_told(tmp_path: Path) -> None:
    package = read_package(link(tmp_path, 'split="config.arm64_v8a"'))
    assert package.split == "config.arm64_v8a"


@pytest.mark.parametrize(
    "schemes",
    [
        ("--v1-signing-enabled", "true", "--v2-signing-enabled", "true"),
        ("--v1-signing-enabled", "false", "--v2-signing-enabled", "false"),
        ("--v2-signing-enabled", "false", "--v3-signing-enabled", "false"),
    ],
    ids=["all", "v3", "v1"],
)
def test_the_certificate_is_the_one_apksigner_tells(
    tmp_path: Path, key: Path, schemes: tuple[str, ...]
) -> None:
    signed = sign(link(tmp_path), key, *schemes)
    package = read_package(signed)
    assert package.certificate_sha256 == (printed_digest(signed),)
    assert agrees(package, badging(signed))


def test_a_cut_package_is_refused_everywhere(tmp_path: Path, key: Path) -> None:
    from ortlab.errors import ToolchainError

    whole = sign(link(tmp_path), key).read_bytes()
    path = tmp_path / "cut.apk"
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ToolchainError):
            read_package(path)
    shutil.copyfile(tmp_path / "signed.apk", path)
    assert read_package(path).version_code == 42
