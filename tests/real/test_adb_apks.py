"""APKs made and signed by Android's own tools go through our install, splits among them."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adb_server import OwnAdb, adb_programs, own_adb
from android import toolchain
from ortlab.devices.android.adb import AdbPhone
from ortlab.devices.virtual import SleepingProgram, VirtualAndroidPhone, VirtualPhoneSpec
from ortlab.errors import InstallError

pytestmark = [pytest.mark.requires("apk"), pytest.mark.requires("adb")]

APP = "dev.ortlab.splits"
PROGRAMS = adb_programs()
MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{package}"
    android:versionCode="{version}" {attributes}>
    <uses-sdk android:minSdkVersion="{lowest}" android:targetSdkVersion="29"/>
    <application android:hasCode="false" {application}/>
</manifest>
"""


def make_key(path: Path) -> Path:
    toolchain.run(
        [
            *("keytool", "-genkeypair", "-keystore", path, "-storetype", "PKCS12", "-alias", "a"),
            *("-storepass", "android", "-keyalg", "EC", "-dname", "CN=a", "-validity", "1000"),
        ]
    )
    return path


def build(
    path: Path,
    key: Path,
    *,
    version: int = 2,
    lowest: int = 24,
    abi: str = "arm64-v8a",
    attributes: str = "",
    application: str = "",
) -> Path:
    """Make and sign an APK, in the directory of its own that its path names."""
    path.parent.mkdir()
    manifest, linked = path.with_suffix(".xml"), path.with_name("linked")
    manifest.write_text(
        MANIFEST.format(
            package=APP,
            version=version,
            lowest=lowest,
            attributes=attributes,
            application=application,
        ),
        encoding="utf-8",
    )
    framework = toolchain.jar(toolchain.FRAMEWORK_RESOURCES)
    toolchain.run(["aapt2", "link", "-I", framework, "--manifest", manifest, "-o", linked])
    with zipfile.ZipFile(linked, "a") as archive:
        archive.writestr(f"lib/{abi}/libx.so", bytes(200_000))
    toolchain.run(["zipalign", "-f", "4", linked, path])
    toolchain.run(["apksigner", "sign", "--ks", key, "--ks-pass", "pass:android", path])
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key") / "key.p12")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory, key: Path) -> list[Path]:
    place = tmp_path_factory.mktemp("splits")
    base = build(place / "base" / "base.apk", key)
    split = build(
        place / "split" / "split config's.apk", key, attributes='split="config.arm64_v8a"'
    )
    return [base, split]


@pytest.fixture(scope="module", params=PROGRAMS)
def adb(request: pytest.FixtureRequest) -> Iterator[OwnAdb]:
    with own_adb(PROGRAMS[request.param]) as running:
        yield running


@pytest.fixture(params=[24, 34])
def phone(request: pytest.FixtureRequest, adb: OwnAdb) -> Iterator[AdbPhone]:
    spec = VirtualPhoneSpec(api_level=request.param)
    with VirtualAndroidPhone(spec, program=SleepingProgram(0.1)) as virtual:
        serial = adb.server.connect(virtual.address, deadline_s=20)
        yield adb.server.phone(serial)
        adb.server.disconnect(serial)
        # adb 36 tries it and falls back.
        assert not [line for line in virtual.unmodelled if "install-incremental" not in line]


def installed_parts(phone: AdbPhone) -> list[str]:
    paths = phone.shell("pm", "path", APP, deadline_s=20).stdout.split()
    return sorted(path.rpartition("/")[2] for path in paths)


def test_splits_are_installed_together(
    adb: OwnAdb, phone: AdbPhone, splits: list[Path], tmp_path: Path
) -> None:
    phone.install(splits, deadline_s=60)
    assert installed_parts(phone) == ["base.apk", "split_config.arm64_v8a.apk"]
    assert phone.uninstall(APP, deadline_s=20)
    assert installed_parts(phone) == []
    # The program fails over an apostrophe in a name, which it does not quote.
    plain = [shutil.copy(apk, tmp_path / f"{number}.apk") for number, apk in enumerate(splits)]
    said = adb.command("install-multiple", *map(str, plain), serial=phone.serial)
    assert said.succeeded, said.stdout + said.stderr
    assert installed_parts(phone) == ["base.apk", "split_config.arm64_v8a.apk"]
    said = adb.command("uninstall", APP, serial=phone.serial)
    assert said.succeeded, said.stdout + said.stderr


def test_a_split_without_its_base_is_refused(phone: AdbPhone, splits: list[Path]) -> None:
    with pytest.raises(InstallError) as caught:
        phone.install(splits[1:], deadline_s=60)
    assert caught.value.code == "INSTALL_FAILED_MISSING_SPLIT"
    assert "all its APKs" in (caught.value.next_step or "")


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, key: Path) -> dict[str, tuple[Path, str]]:
    """APKs by the code with which they are refused, with words of the advice."""
    place = tmp_path_factory.mktemp("refused")
    other = make_key(place / "other.p12")
    test_only = 'android:testOnly="true"'
    return {
        "INSTALL_FAILED_UPDATE_INCOMPATIBLE": (
            build(place / "a" / "a.apk", other),
            f"uninstall {APP}",
        ),
        "INSTALL_FAILED_VERSION_DOWNGRADE": (
            build(place / "b" / "b.apk", key, version=1),
            "versionCode",
        ),
        "INSTALL_FAILED_OLDER_SDK": (build(place / "c" / "c.apk", key, lowest=35), "minSdk"),
        "INSTALL_FAILED_NO_MATCHING_ABIS": (
            build(place / "d" / "d.apk", key, abi="mips"),
            "ro.product.cpu.abilist",
        ),
        "INSTALL_FAILED_TEST_ONLY": (
            build(place / "e" / "e.apk", key, application=test_only),
            "flag -t",
        ),
    }


def test_each_refusal_gives_its_code_and_what_to_do(
    adb: OwnAdb, splits: list[Path], refused: dict[str, tuple[Path, str]]
) -> None:
    spec = VirtualPhoneSpec(api_level=33)
    with VirtualAndroidPhone(spec, program=SleepingProgram(0.1)) as virtual:
        phone = adb.server.phone(adb.server.connect(virtual.address, deadline_s=20))
        phone.install(splits[:1], deadline_s=60)
        for code, (apk, advice) in refused.items():
            with pytest.raises(InstallError, match=code) as caught:
                phone.install([apk], flags=("-r",), deadline_s=60, package=APP)
            assert caught.value.code == code
            assert advice in (caught.value.next_step or "")
        assert installed_parts(phone) == ["base.apk"]
        adb.server.disconnect(virtual.address)
