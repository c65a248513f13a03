"""Small APKs for tests: a writer of binary XML, of packages and of signing blocks.

Nobody signed them; the certificate is all that a reader looks for.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        resources = chunk(0x0180, b"", struct.pack(f"<{len(self.ids)}I", *self.ids))
        return chunk(0x0003, b"", pool + resources + nodes)

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
        yield chunk(0x0102, struct.pack("<II", 1, NONE), body)
        for child in element.children:
            yield from self._node(child)
        yield chunk(0x0103, struct.pack("<II", 1, NONE), struct.pack("<II", NONE, tag))

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
        return chunk(0x0001, header, struct.pack(f"<{len(offsets)}I", *offsets) + data)


def _length8(size: int) -> bytes:
    return bytes([size]) if size < 0x80 else bytes([0x80 | size >> 8, size & 0xFF])


def _length16(size: int) -> bytes:
    if size < 0x8000:
        return struct.pack("<H", size)
    return struct.pack("<HH", 0x8000 | size >> 16, size & 0xFFFF)


def chunk(kind: int, header: bytes, body: bytes) -> bytes:
    header_size = 8 + len(header)
    return struct.pack("<HHI", kind, header_size, header_size + len(body)) + header + body


def _all(element: Element) -> Iterable[Element]:
    yield element
    for child in element.children:
        yield from _all(child)


# ------------------------------------------------------------------ a writer of packages


def manifest(package: str = "com.example.reader", **changes: Any) -> Element:
    attributes: dict[str, Any] = {"package": package, "versionCode": 7, "versionName": "1.7"}
    return Element(
        "manifest",
        attributes | changes,
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
    moved = bytearray(data[:start] + block + data[start:])
    struct.pack_into("<I", moved, end + len(block) + 16, start + len(block))
    path.write_bytes(moved)
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
