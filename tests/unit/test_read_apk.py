"""Reading APKs: small ones made here, and whatever an enemy may hand us."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apk_writer import (
    CERTIFICATE,
    IDS,
    NONE,
    Element,
    Writer,
    chunk,
    make_apk,
    manifest,
    signing_block,
)
from ortlab.apk import elements, read_package
from ortlab.errors import ToolchainError, UsageError

# ------------------------------------------------------------------ tests


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("strip_names", [False, True])
def test_it_reads_what_a_manifest_says(tmp_path: Path, utf8: bool, strip_names: bool) -> None:
    xml = Writer(utf8=utf8, strip_names=strip_names).write(manifest())
    package = read_package(make_apk(tmp_path / "a.apk", xml))
    assert package.application_id == "com.example.reader"
    assert (package.version_code, package.version_name) == (7, "1.7")
    assert (package.min_sdk, package.target_sdk) == (24, 36)
    assert package.debuggable
    assert not package.test_only
    assert package.split is None
    assert package.permissions == ("android.permission.CAMERA", "android.permission.INTERNET")
    assert package.instrumentations == (
        "com.example.reader.Bench",
        "dev.ortlab.bench.BenchInstrumentation",
    )
    assert package.certificate_sha256 == ()
    assert package.abis == ()


def test_the_entries_tell_abis_and_parts(tmp_path: Path) -> None:
    files = {
        "classes.dex": bytes(10),
        "classes2.dex": bytes(1),
        "lib/arm64-v8a/libonnxruntime.so": bytes(100),
        "lib/x86_64/libonnxruntime.so": bytes(50),
        "lib/README": bytes(5),
        "res/a.xml": bytes(3),
        "assets/ortlab/m/model.ort": bytes(1000),
        "assets/other": bytes(4),
    }
    xml = Writer().write(manifest())
    package = read_package(make_apk(tmp_path / "a.apk", xml, files=files))
    assert package.abis == ("arm64-v8a", "x86_64")
    assert package.size_by_part == {
        "code": 11,
        "native": 155,
        "models": 1000,
        "resources": 3 + len(xml),
        "other": 4,
    }
    assert set(package.entries) == {*files, "AndroidManifest.xml"}


def test_a_split_and_a_large_version_code(tmp_path: Path) -> None:
    element = Element(
        "manifest",
        {"package": "a.b", "split": "config.arm64_v8a", "versionCode": -1, "versionCodeMajor": 2},
    )
    package = read_package(make_apk(tmp_path / "a.apk", Writer().write(element)))
    assert package.split == "config.arm64_v8a"
    assert package.version_code == (2 << 32) + 0xFFFFFFFF
    assert (package.min_sdk, package.target_sdk) == (1, 1)


@given(
    st.text(
        st.characters(codec="utf-8", exclude_characters="\0"),
        min_size=1,
        max_size=300,
    ),
    st.booleans(),
)
def test_every_text_survives(text: str, utf8: bool) -> None:
    root = Element("manifest", {"package": text, "versionName": text})
    ((tag, attributes, depth),) = elements(Writer(utf8=utf8).write(root))
    assert (tag, depth) == ("manifest", 0)
    assert attributes == {"package": text, IDS["versionName"]: text}


def test_long_texts_survive() -> None:
    root = Element("manifest", {"package": "x" * 20_000})
    for utf8 in (False, True):
        ((_, attributes, _),) = elements(Writer(utf8=utf8).write(root))
        assert attributes["package"] == "x" * 20_000


@pytest.mark.parametrize("scheme", [0x7109871A, 0xF05368C0, 0x1B93AD61])
def test_the_signers_are_told(tmp_path: Path, scheme: int) -> None:
    block = signing_block(scheme, CERTIFICATE, b"another")
    package = read_package(make_apk(tmp_path / "a.apk", Writer().write(manifest()), block=block))
    assert package.certificate_sha256 == tuple(
        hashlib.sha256(c).hexdigest() for c in (CERTIFICATE, b"another")
    )


def test_a_signature_of_scheme_1_is_told(tmp_path: Path) -> None:
    def der(tag: int, content: bytes) -> bytes:
        return bytes([tag, len(content)]) + content

    head = der(0x02, b"\1") + der(0x31, b"") + der(0x30, der(0x06, b"\1"))
    signed = der(0x30, head + der(0xA0, CERTIFICATE) + der(0x31, b""))
    content = der(0x30, der(0x06, b"\1\2") + der(0xA0, signed))
    files = {"META-INF/CERT.RSA": content}
    package = read_package(make_apk(tmp_path / "a.apk", Writer().write(manifest()), files=files))
    assert package.certificate_sha256 == (hashlib.sha256(CERTIFICATE).hexdigest(),)


# ------------------------------------------------------------------ enemies


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_package(tmp_path / "none.apk")
    with pytest.raises(UsageError, match="cannot read"):
        read_package(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"no zip at all", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18]
)
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(content)
    with pytest.raises(ToolchainError, match="as an Android package"):
        read_package(path)


def test_a_text_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="no binary XML"):
        read_package(make_apk(tmp_path / "a.apk", b"<manifest package='a.b'/>"))


def test_a_manifest_without_a_package_is_refused(tmp_path: Path) -> None:
    xml = Writer().write(Element("manifest", {"versionCode": 1}))
    with pytest.raises(ToolchainError, match="names no package"):
        read_package(make_apk(tmp_path / "a.apk", xml))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AndroidManifest.xml", bytes(17 << 20))
    with pytest.raises(ToolchainError, match="larger than"):
        read_package(path)


def test_one_text_named_by_many_strings_is_not_decoded_without_end() -> None:
    count = 600
    text = b"\xff\xff" + b"x" * 0x7FFF  # a length of 0x7fff, in UTF-8, for all strings
    offsets = struct.pack(f"<{count}I", *range(count))
    data = b"\xff\xff" * count + text
    header = struct.pack("<5I", count, 0, 0x100, 28 + len(offsets), 0)
    pool = chunk(0x0001, header, offsets + data)
    attributes = b"".join(struct.pack("<IIIHBBI", NONE, n, n, 8, 0, 3, n) for n in range(count))
    body = struct.pack("<II6H", NONE, 0, 20, 20, count, 0, 0, 0) + attributes
    node = chunk(0x0102, struct.pack("<II", 1, NONE), body)
    with pytest.raises(ValueError, match="damaged"):
        list(elements(chunk(0x0003, b"", pool + node)))


@settings(max_examples=300)
@given(st.data())
def test_damaged_manifests_end_in_one_kind_of_error(data: st.DataObject) -> None:
    xml = bytearray(Writer(utf8=data.draw(st.booleans())).write(manifest()))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(xml) - 1))
        xml[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(xml)))
    for content in (bytes(xml), bytes(xml[:cut])):
        with contextlib.suppress(ValueError):
            list(elements(content))


@settings(max_examples=300)
@given(st.data())
def test_damaged_packages_end_in_one_kind_of_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.apk"
    block = signing_block(0xF05368C0, CERTIFICATE)
    files = {"META-INF/A.RSA": base64.b64decode("MAMCASo="), "lib/x86/a.so": b"x"}
    whole = bytearray(
        make_apk(path, Writer().write(manifest()), files=files, block=block).read_bytes()
    )
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(
        whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole
    )
    with contextlib.suppress(ToolchainError):
        assert read_package(path).application_id
