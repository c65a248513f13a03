"""Reading APKs: small ones made here, and whatever an enemy may hand us."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortlab.apk import elements, read_package
from ortlab.errors import ToolchainError, UsageError

IDS = {
    "name": 0x01010003,
    "debuggable": 0x0101000F,
    "minSdkVersion": 0x0101020C,
    "versionCode": 0x0101021B,
    "versionName": 0x0101021C,
    "targetSdkVersion": 0x01010270,
    "testOnly": 0x01010272,
    "versionCodeMajor": 0x01010576,
}
NONE = 0xFFFFFFFF
CERTIFICATE = b"\x30\x03\x02\x01\x2a"  # a DER SEQUENCE, as certificates are


# ------------------------------------------------------------------ a writer of binary XML


@dataclass
class Element:
    tag: str
    attributes: Mapping[str, str | int | bool] = field(default_factory=dict)
    children: Sequence[Element] = ()


class Writer:
    """Writes binary XML as aapt2 does: attributes with an id first in the string pool."""

    def __init__(self, *, utf8: bool = False, strip_names: bool = False) -> None:
        self.utf8 = utf8
        self.strip_names = strip_names
        self.texts: list[str] = []
        self.ids: list[int] = []

    def write(self, root: Element) -> bytes:
        names = sorted({name for e in _all(root) for name in e.attributes if name in IDS})
        self.ids = [IDS[name] for name in names]
        self.texts = ["" if self.strip_names else name for name in names]
        self.places = {name: number for number, name in enumerate(names)}
        nodes = b"".join(self._node(root))
        pool = self._pool()
        resources = _chunk(0x0180, b"", struct.pack(f"<{len(self.ids)}I", *self.ids))
        return _chunk(0x0003, b"", pool + resources + nodes)

    def _text(self, text: str) -> int:
        if text not in self.texts[len(self.ids) :]:
            self.texts.append(text)
            return len(self.texts) - 1
        return self.texts.index(text, len(self.ids))

    def _node(self, element: Element) -> Iterable[bytes]:
        attributes = b""
        for name, value in element.attributes.items():
            key = self.places[name] if name in IDS else self._text(name)
            raw = self._text(value) if isinstance(value, str) else NONE
            if isinstance(value, str):
                kind, data = 0x03, raw
            elif isinstance(value, bool):
                kind, data = 0x12, NONE if value else 0
            else:
                kind, data = 0x10, value & NONE
            attributes += struct.pack("<IIIHBBI", NONE, key, raw, 8, 0, kind, data)
        tag = self._text(element.tag)
        sizes = (20, 20, len(element.attributes), 0, 0, 0)
        body = struct.pack("<II6H", NONE, tag, *sizes) + attributes
        yield _chunk(0x0102, struct.pack("<II", 1, NONE), body)
        for child in element.children:
            yield from self._node(child)
        yield _chunk(0x0103, struct.pack("<II", 1, NONE), struct.pack("<II", NONE, tag))

    def _pool(self) -> bytes:
        offsets, data = [], b""
        for text in self.texts:
            offsets.append(len(data))
            if self.utf8:
                raw = text.encode()
                units = len(text.encode("utf-16-le")) // 2
                data += _length8(units) + _length8(len(raw)) + raw + b"\0"
            else:
                raw = text.encode("utf-16-le")
                data += _length16(len(raw) // 2) + raw + b"\0\0"
        data += bytes(-len(data) % 4)
        start = 28 + 4 * len(offsets)
        header = struct.pack("<5I", len(offsets), 0, 0x100 if self.utf8 else 0, start, 0)
        return _chunk(0x0001, header, struct.pack(f"<{len(offsets)}I", *offsets) + data)


def _length8(size: int) -> bytes:
    return bytes([size]) if size < 0x80 else bytes([0x80 | size >> 8, size & 0xFF])


def _length16(size: int) -> bytes:
    if size < 0x8000:
        return struct.pack("<H", size)
    return struct.pack("<HH", 0x8000 | size >> 16, size & 0xFFFF)


def _chunk(kind: int, header: bytes, body: bytes) -> bytes:
    header_size = 8 + len(header)
    return struct.pack("<HHI", kind, header_size, header_size + len(body)) + header + body


def _all(element: Element) -> Iterable[Element]:
    yield element
    for child in element.children:
        yield from _all(child)


# ------------------------------------------------------------------ a writer of packages


def manifest(package: str = "com.example.reader", **changes: object) -> Element:
    attributes = {"package": package, "versionCode": 7, "versionName": "1.7"} | changes
    return Element(
        "manifest",
        attributes,  # type: ignore[arg-type]
        (
            Element("uses-sdk", {"minSdkVersion": 24, "targetSdkVersion": 36}),
            Element("uses-permission", {"name": "android.permission.INTERNET"}),
            Element("uses-permission", {"name": "android.permission.CAMERA"}),
            Element("instrumentation", {"name": ".Bench"}),
            Element("instrumentation", {"name": "dev.ortlab.bench.BenchInstrumentation"}),
            Element(
                "application",
                {"debuggable": True, "testOnly": False},
                (Element("activity", {"name": "com.example.Main"}),),
            ),
        ),
    )


def make_apk(
    path: Path, xml: bytes, *, files: Mapping[str, bytes] | None = None, block: bytes = b""
) -> Path:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as output:
        output.writestr("AndroidManifest.xml", xml)
        for name, content in (files or {}).items():
            output.writestr(name, content)
    data = archive.getvalue()
    end = data.rindex(b"PK\5\6")
    (start,) = struct.unpack_from("<I", data, end + 16)
    data = bytearray(data[:start] + block + data[start:])
    struct.pack_into("<I", data, end + len(block) + 16, start + len(block))
    path.write_bytes(data)
    return path


def signing_block(scheme: int, *certificates: bytes) -> bytes:
    signers = b"".join(
        _prefixed(_prefixed(_prefixed(b"") + _prefixed(_prefixed(c)) + _prefixed(b"")))
        for c in certificates
    )
    padding = struct.pack("<QI", 4 + 8, 0x42726577) + bytes(8)
    value = _prefixed(signers)
    pairs = padding + struct.pack("<QI", 4 + len(value), scheme) + value
    size = len(pairs) + 24
    return struct.pack("<Q", size) + pairs + struct.pack("<Q", size) + b"APK Sig Block 42"


def _prefixed(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


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
        st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)),
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
    pool = _chunk(0x0001, header, offsets + data)
    attributes = b"".join(struct.pack("<IIIHBBI", NONE, n, n, 8, 0, 3, n) for n in range(count))
    body = struct.pack("<II6H", NONE, 0, 20, 20, count, 0, 0, 0) + attributes
    node = _chunk(0x0102, struct.pack("<II", 1, NONE), body)
    with pytest.raises(ValueError, match="damaged"):
        list(elements(_chunk(0x0003, b"", pool + node)))


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
