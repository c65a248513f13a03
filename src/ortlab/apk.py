"""What an Android package says of itself, read without any Android tool.

Sources: AOSP `frameworks/base/libs/androidfw/include/androidfw/ResourceTypes.h` (binary XML),
`tools/apksig` and https://source.android.com/docs/security/features/apksigning/v2 (signing block),
RFC 5652 (signature files of scheme v1). Attributes are known by resource id, because shrinkers may
strip their names. Signatures are not verified: the digest tells whose they claim to be.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ortlab.errors import ToolchainError, UsageError

PARTS: Final = ("code", "native", "models", "resources", "other")

_MANIFEST: Final = "AndroidManifest.xml"
_LARGEST_MANIFEST: Final = 16 << 20
_LARGEST_SIGNATURE_FILE: Final = 1 << 20
_LARGEST_SIGNING_BLOCK: Final = 64 << 20
_MOST_SIGNERS: Final = 16
_MOST_ENTRIES: Final = 200_000
_LONGEST_TEXT: Final = 1 << 16


class _DamagedError(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApkPackage:
    """One APK, the base of an app or a split of it.

    Attributes:
        application_id: Such as ``com.example.reader``.
        version_code: With the major part in the upper 32 bits.
        version_name: As people see it; a resource that would have to be looked up is ``@0x…``.
        min_sdk: Least API level it installs on.
        target_sdk: API level it was made for.
        debuggable: Whether a debugger may attach.
        test_only: Whether it installs with ``-t`` only.
        split: Name of the split, or None for the base.
        split_required: Whether the base does not install alone.
        permissions: It asks for, sorted.
        instrumentations: Full class names, in order.
        abis: With native libraries, sorted.
        certificate_sha256: Of each signer's certificate, as `apksigner verify --print-certs` tells
            it; empty when it is not signed.
        entries: Name to stored bytes of each file in it.
    """

    application_id: str
    version_code: int
    version_name: str
    min_sdk: int = 1
    target_sdk: int = 1
    debuggable: bool = False
    test_only: bool = False
    split: str | None = None
    split_required: bool = False
    permissions: tuple[str, ...] = ()
    instrumentations: tuple[str, ...] = ()
    abis: tuple[str, ...] = ()
    certificate_sha256: tuple[str, ...] = ()
    entries: Mapping[str, int] = field(default_factory=dict)

    @property
    def size_by_part(self) -> dict[str, int]:
        """Stored bytes of each of :data:`PARTS`."""
        sizes = dict.fromkeys(PARTS, 0)
        for name, size in self.entries.items():
            sizes[part_of(name)] += size
        return sizes


def part_of(entry: str) -> str:
    """Return which of :data:`PARTS` a file of an APK belongs to."""
    if entry.startswith("assets/ortlab/"):
        return "models"
    if entry.startswith("lib/"):
        return "native"
    if "/" not in entry and entry.endswith(".dex"):
        return "code"
    if entry.startswith("res/") or entry in ("resources.arsc", _MANIFEST):
        return "resources"
    return "other"


def read_package(path: Path) -> ApkPackage:
    """Read an APK.

    Raises:
        UsageError: There is no such file, or it cannot be opened.
        ToolchainError: It is no APK, or a damaged one.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = {item.filename: item.compress_size for item in archive.infolist()}
            if len(entries) > _MOST_ENTRIES:
                message = f"it holds more than {_MOST_ENTRIES} files"
                raise _DamagedError(message)
            manifest = _Manifest()
            for tag, attributes, depth in elements(_content(archive, _MANIFEST)):
                manifest.take(tag, attributes, depth)
            digests = _block_certificates(path, archive.start_dir) or _v1_certificates(archive)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise UsageError(message) from error
    except (
        _DamagedError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,  # an encrypted entry
        OverflowError,
        ValueError,
        struct.error,
    ) as error:
        message = f"cannot read {path} as an Android package: {error}"
        raise ToolchainError(message, next_step="build it again") from error
    return manifest.package(path, entries, digests)


def _content(archive: zipfile.ZipFile, name: str, largest: int = _LARGEST_MANIFEST) -> bytes:
    with archive.open(name) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        message = f"{name} is larger than {largest} bytes"
        raise _DamagedError(message)
    return content


# ------------------------------------------------------------------------------ manifest

_NAME: Final = 0x01010003
_DEBUGGABLE: Final = 0x0101000F
_MIN_SDK: Final = 0x0101020C
_VERSION_CODE: Final = 0x0101021B
_VERSION_NAME: Final = 0x0101021C
_TARGET_SDK: Final = 0x01010270
_TEST_ONLY: Final = 0x01010272
_VERSION_CODE_MAJOR: Final = 0x01010576
_SPLIT_REQUIRED: Final = 0x01010591
_REQUIRED_SPLIT_TYPES: Final = 0x0101064E

Attribute = str | int
Attributes = Mapping[int | str, Attribute]


class _Manifest:
    """Collects what the elements of a manifest say."""

    def __init__(self) -> None:
        self._manifest: Attributes = {}
        self._sdk: Attributes = {}
        self._application: Attributes = {}
        self._permissions: set[str] = set()
        self._instrumentations: list[str] = []

    def take(self, tag: str, attributes: Attributes, depth: int) -> None:
        if depth == 0 and tag == "manifest":
            self._manifest = attributes
        elif depth != 1:
            return
        elif tag == "uses-sdk":
            self._sdk = attributes
        elif tag == "application":
            self._application = attributes
        elif tag in ("uses-permission", "uses-permission-sdk-23"):
            self._permissions.add(str(attributes.get(_NAME, "")))
        elif tag == "instrumentation":
            self._instrumentations.append(str(attributes.get(_NAME, "")))

    def package(
        self, path: Path, entries: Mapping[str, int], digests: tuple[str, ...]
    ) -> ApkPackage:
        manifest = self._manifest
        application_id = str(manifest.get("package", ""))
        if not application_id:
            message = f"cannot read {path} as an Android package: its manifest names no package"
            raise ToolchainError(message, next_step="build it again")
        min_sdk = _level(self._sdk.get(_MIN_SDK), 1)
        high = _level(manifest.get(_VERSION_CODE_MAJOR), 0) & 0xFFFFFFFF
        low = _level(manifest.get(_VERSION_CODE), 0) & 0xFFFFFFFF
        split = manifest.get("split")
        required = manifest.get(_SPLIT_REQUIRED) or manifest.get(_REQUIRED_SPLIT_TYPES)
        return ApkPackage(
            application_id=application_id,
            version_code=high << 32 | low,
            version_name=str(manifest.get(_VERSION_NAME, "")),
            min_sdk=min_sdk,
            target_sdk=_level(self._sdk.get(_TARGET_SDK), min_sdk),
            debuggable=bool(self._application.get(_DEBUGGABLE, 0)),
            test_only=bool(self._application.get(_TEST_ONLY, 0)),
            split=str(split) if split else None,
            split_required=bool(required or self._application.get(_SPLIT_REQUIRED)),
            permissions=tuple(sorted(self._permissions)),
            instrumentations=tuple(_full(name, application_id) for name in self._instrumentations),
            abis=tuple(sorted({name.split("/")[1] for name in entries if _is_library(name)})),
            certificate_sha256=digests,
            entries=entries,
        )


def _is_library(name: str) -> bool:
    return name.startswith("lib/") and name.count("/") == 2 and name.endswith(".so")


def _full(name: str, application_id: str) -> str:
    if name.startswith("."):
        return application_id + name
    return name if "." in name else f"{application_id}.{name}"


def _level(value: Attribute | None, default: int) -> int:
    """Return an API level or version; a preview's letter counts as the newest."""
    if isinstance(value, int):
        return value
    if value is None:
        return default
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else 10_000


# ------------------------------------------------------------------------------ binary XML

_STRING_POOL: Final = 0x0001
_XML: Final = 0x0003
_START_ELEMENT: Final = 0x0102
_END_ELEMENT: Final = 0x0103
_RESOURCE_MAP: Final = 0x0180
_UTF8: Final = 0x100
_NO_INDEX: Final = 0xFFFFFFFF
_TYPE_REFERENCE: Final = 0x01
_TYPE_STRING: Final = 0x03
_FIRST_INTEGER, _LAST_INTEGER = 0x10, 0x1F


def elements(content: bytes) -> Iterator[tuple[str, Attributes, int]]:
    """Yield the elements of a binary XML document: tag, attributes, depth from 0.

    Attributes are keyed by resource id, or by name where they have none.

    Raises:
        ValueError: It is no binary XML, or damaged. (`struct.error` and others are kept inside.)
    """
    try:
        yield from _elements(content)
    except (struct.error, _DamagedError, IndexError) as error:
        message = f"its manifest is damaged ({error})"
        raise ValueError(message) from error


def _elements(content: bytes) -> Iterator[tuple[str, Attributes, int]]:
    kind, header_size, size = struct.unpack_from("<HHI", content)
    if kind != _XML or header_size < 8 or size > len(content):
        message = "it is no binary XML"
        raise _DamagedError(message)
    ids: tuple[int, ...] = ()
    strings, depth = _Strings(b""), 0
    position = header_size
    while position + 8 <= size:
        kind, header_size, chunk_size = struct.unpack_from("<HHI", content, position)
        if chunk_size < 8 or header_size > chunk_size or position + chunk_size > size:
            message = "a part has an impossible size"
            raise _DamagedError(message)
        chunk = content[position : position + chunk_size]
        if kind == _STRING_POOL:
            strings = _Strings(chunk)
        elif kind == _RESOURCE_MAP:
            count = (chunk_size - header_size) // 4
            ids = struct.unpack_from(f"<{count}I", chunk, header_size)
        elif kind == _START_ELEMENT:
            yield (*_element(chunk, header_size, strings, ids), depth)
            depth += 1
        elif kind == _END_ELEMENT:
            depth -= 1
        position += chunk_size


def _element(
    chunk: bytes, header_size: int, strings: _Strings, ids: tuple[int, ...]
) -> tuple[str, Attributes]:
    _, name, start, width, count = struct.unpack_from("<IIHHH", chunk, header_size)
    if count and width < 20:
        message = "an attribute is too short"
        raise _DamagedError(message)
    attributes: dict[int | str, Attribute] = {}
    for number in range(count):
        place = header_size + start + number * width
        _, key, raw, _, _, kind, data = struct.unpack_from("<IIIHBBI", chunk, place)
        identity = ids[key] if key < len(ids) and ids[key] else strings[key]
        if kind == _TYPE_STRING:
            value: Attribute = strings[data]
        elif kind == _TYPE_REFERENCE:
            value = f"@0x{data:08x}"
        elif _FIRST_INTEGER <= kind <= _LAST_INTEGER:
            value = data - (1 << 32) if data >= 1 << 31 and kind == _FIRST_INTEGER else data
        else:
            value = strings[raw] if raw != _NO_INDEX else data
        attributes[identity] = value
    return strings[name], attributes


class _Strings:
    """A string pool, decoded where asked."""

    def __init__(self, chunk: bytes) -> None:
        self._chunk = chunk
        self._count = self._start = self._header_size = 0
        self._utf8 = False
        self._known: dict[int, str] = {}
        self._budget = _LARGEST_MANIFEST
        if chunk:
            fields = struct.unpack_from("<HHIIIIII", chunk)
            self._header_size, self._count = fields[1], fields[3]
            self._utf8, self._start = bool(fields[5] & _UTF8), fields[6]

    def __getitem__(self, index: int) -> str:
        if index not in self._known:
            self._known[index] = self._decoded(index)
            self._budget -= len(self._known[index])
            if self._budget < 0:
                message = "its texts are too long"
                raise _DamagedError(message)
        return self._known[index]

    def _decoded(self, index: int) -> str:
        if not 0 <= index < self._count:
            message = f"string {index} is missing"
            raise _DamagedError(message)
        (offset,) = struct.unpack_from("<I", self._chunk, self._header_size + 4 * index)
        position = self._start + offset
        if self._utf8:
            position = self._length(position, 1)[1]  # in UTF-16 units
            length, position = self._length(position, 1)
        else:
            length, position = self._length(position, 2)
            length *= 2
        if length > _LONGEST_TEXT or position + length > len(self._chunk):
            message = f"string {index} is cut"
            raise _DamagedError(message)
        text = self._chunk[position : position + length]
        return text.decode("utf-8" if self._utf8 else "utf-16-le", "replace")

    def _length(self, position: int, width: int) -> tuple[int, int]:
        """Return a length and where the text begins; the top bit says that it goes on."""
        kind, bits = ("<B", 7) if width == 1 else ("<H", 15)
        (first,) = struct.unpack_from(kind, self._chunk, position)
        position += width
        if not first >> bits:
            return first, position
        (second,) = struct.unpack_from(kind, self._chunk, position)
        return (first & ((1 << bits) - 1)) << (8 * width) | second, position + width


# ------------------------------------------------------------------------------ signers

_BLOCK_MAGIC: Final = b"APK Sig Block 42"
_SCHEME_V31: Final = 0x1B93AD61
_SCHEME_V3: Final = 0xF05368C0
_SCHEME_V2: Final = 0x7109871A


def _block_certificates(path: Path, directory_start: int) -> tuple[str, ...]:
    """Return the digests of the APK Signing Block before the zip's directory; empty for none."""
    if directory_start < 32:
        return ()
    with path.open("rb") as file:
        file.seek(directory_start - 24)
        size, magic = struct.unpack("<Q16s", file.read(24))
        if magic != _BLOCK_MAGIC:
            return ()
        if not 24 <= size <= min(directory_start - 8, _LARGEST_SIGNING_BLOCK):
            message = "its signing block has an impossible size"
            raise _DamagedError(message)
        file.seek(directory_start - size)
        block = memoryview(file.read(size - 24))
    schemes = {}
    while len(block) >= 12:
        length, scheme = struct.unpack_from("<QI", block)
        if not 4 <= length <= len(block) - 8:
            message = "its signing block is damaged"
            raise _DamagedError(message)
        schemes[scheme] = block[12 : 8 + length]
        block = block[8 + length :]
    for scheme in (_SCHEME_V3, _SCHEME_V31, _SCHEME_V2):
        if scheme in schemes:
            return _scheme_certificates(schemes[scheme])
    return ()


def _scheme_certificates(value: memoryview) -> tuple[str, ...]:
    signers, _ = _prefixed(value)
    digests = []
    while signers:
        signer, signers = _prefixed(signers)
        signed, _ = _prefixed(signer)
        _, rest = _prefixed(signed)  # digests of the content
        certificates, _ = _prefixed(rest)
        certificate, _ = _prefixed(certificates)
        digests.append(hashlib.sha256(certificate).hexdigest())
        if len(digests) > _MOST_SIGNERS:
            message = "it has too many signers"
            raise _DamagedError(message)
    return tuple(digests)


def _prefixed(data: memoryview) -> tuple[memoryview, memoryview]:
    """Return the part after a length of four bytes, and the rest."""
    if len(data) < 4:
        message = "its signing block is cut"
        raise _DamagedError(message)
    (length,) = struct.unpack_from("<I", data)
    if length > len(data) - 4:
        message = "its signing block is cut"
        raise _DamagedError(message)
    return data[4 : 4 + length], data[4 + length :]


def _v1_certificates(archive: zipfile.ZipFile) -> tuple[str, ...]:
    """Return the digest of the first certificate in each signature file of scheme v1."""
    digests: list[str] = []
    for name in archive.namelist():
        upper = name.upper()
        signs = upper.startswith("META-INF/") and upper.endswith((".RSA", ".DSA", ".EC"))
        if signs and name.count("/") == 1 and len(digests) < _MOST_SIGNERS:
            content = _content(archive, name, _LARGEST_SIGNATURE_FILE)
            digests.append(hashlib.sha256(_first_certificate(content)).hexdigest())
    return tuple(digests)


_SEQUENCE, _SET, _CONTEXT_0, _OBJECT, _INTEGER = 0x30, 0x31, 0xA0, 0x06, 0x02


def _first_certificate(content: bytes) -> bytes:
    """Return the first certificate of a PKCS #7 SignedData, as it stands there."""
    message, _ = _der(content, _SEQUENCE)
    _, rest = _der(message, _OBJECT)
    wrapped, _ = _der(rest, _CONTEXT_0)
    signed, _ = _der(wrapped, _SEQUENCE)
    for tag in (_INTEGER, _SET, _SEQUENCE):  # version, digest algorithms, content
        _, signed = _der(signed, tag)
    certificates, _ = _der(signed, _CONTEXT_0)
    _, rest = _der(certificates, _SEQUENCE)
    return certificates[: len(certificates) - len(rest)]


def _der(data: bytes, expected_tag: int) -> tuple[bytes, bytes]:
    """Return the content of a DER value, and what follows it."""
    if len(data) < 2 or data[0] != expected_tag:
        message = "a signature file is damaged"
        raise _DamagedError(message)
    length, start = data[1], 2
    if length >= 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
        if not 1 <= count <= 4:
            length = len(data)  # refused below
    if length > len(data) - start:
        message = "a signature file is cut"
        raise _DamagedError(message)
    return data[start : start + length], data[start + length :]
