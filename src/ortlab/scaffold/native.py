"""Native files that a user gives for an app: an ORT package, libraries with custom operators.

Source of the ELF layout: the System V ABI; of the page size: Android's documentation "Support 16 KB
page sizes".
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.errors import UsageError

ABIS: Final[Mapping[str, tuple[int, int]]] = {
    "arm64-v8a": (183, 64),
    "armeabi-v7a": (40, 32),
    "x86": (3, 32),
    "x86_64": (62, 64),
}
"""ELF machine and bits of each Android ABI."""

PAGE_BYTES: Final = 16384
_RUNTIME: Final = "libonnxruntime.so"
_BINDING: Final = "libonnxruntime4j_jni.so"
_RELEASE: Final = re.compile(r"[0-9]+(\.[0-9]+)+([.-][0-9A-Za-z.-]+)?")
_MACHINE_NAMES: Final = {machine: abi for abi, (machine, _) in ABIS.items()}
_PT_LOAD: Final = 1
_WIDE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OrtPackage:
    """What an app runs its models with.

    Attributes:
        release: Version on Maven Central, or None.
        aar: File of the user's, or None.
        abis: That the file carries, sorted; empty for a release.
    """

    release: str | None = None
    aar: Path | None = None
    abis: tuple[str, ...] = ()


def ort_package(text: str) -> OrtPackage:
    """Read what a user gave as the ORT package.

    Raises:
        UsageError: It is neither a version nor an AAR of onnxruntime.
    """
    if _RELEASE.fullmatch(text):
        return OrtPackage(release=text)
    path = Path(text)
    if not path.is_file():
        message = (
            f"cannot use {text!r} as the ORT package: it is no version, and no such file is there"
        )
        raise UsageError(message, next_step="give a version such as 1.23.0, or the path of an AAR")
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        message = f"cannot use {path} as the ORT package: it is not an AAR ({error})"
        raise UsageError(message, next_step="build it again, or fetch it again") from error
    if "classes.jar" not in names:
        message = (
            f"cannot use {path} as the ORT package: it has no classes.jar, so it is not an AAR"
        )
        raise UsageError(message, next_step="build it with --build_java --android")
    complete = [abi for abi in ABIS if f"jni/{abi}/{_RUNTIME}" in names]
    abis = [abi for abi in complete if f"jni/{abi}/{_BINDING}" in names]
    if not abis:
        missing = _BINDING if complete else _RUNTIME
        message = f"cannot use {path} as the ORT package: no jni/<ABI>/{missing} is in it"
        raise UsageError(message, next_step="build it with --build_java --android")
    return OrtPackage(aar=path.absolute(), abis=tuple(sorted(abis)))


def check_library(abi: str, path: Path) -> str:
    """Check that a library is one for an Android ABI.

    Returns:
        What a user should know of it in a sentence, or nothing.

    Raises:
        UsageError: There is no such ABI or file, or the file is for another machine.
    """
    if abi not in ABIS:
        message = f"cannot package {path} for the ABI {abi!r}: known are {', '.join(ABIS)}"
        raise UsageError(message)
    if not re.fullmatch(r"lib[A-Za-z0-9_.+-]+\.so", path.name):
        message = (
            f"cannot package {path}: Android loads libraries named lib….so, of ASCII letters,"
            " digits, '_', '.', '+' and '-'"
        )
        raise UsageError(message, next_step="rename the file")
    try:
        with path.open("rb") as file:
            head = file.read(64)
            machine, bits = _machine(head)
            table = _program_headers(head, bits)
            file.seek(table[0])
            headers = file.read(table[1] * table[2])
    except (OSError, struct.error, IndexError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no ELF library"
        message = f"cannot package {path} for {abi}: {reason}"
        raise UsageError(message) from error
    if (machine, bits) != ABIS[abi]:
        other = _MACHINE_NAMES.get(machine, f"machine {machine}")
        message = f"cannot package {path} for {abi}: it is for {other}"
        raise UsageError(message, next_step=f"build it for {abi} with the Android NDK")
    alignments = _load_alignments(headers, bits, table[1])
    if bits == _WIDE and any(alignment < PAGE_BYTES for alignment in alignments):
        return (
            f"{path.name} ({abi}) is not aligned to pages of 16 KB: devices with such pages refuse"
            " it; link it with -Wl,-z,max-page-size=16384"
        )
    return ""


def _machine(head: bytes) -> tuple[int, int]:
    if head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] != 1:
        raise ValueError
    return struct.unpack_from("<H", head, 18)[0], 32 * head[4]


def _program_headers(head: bytes, bits: int) -> tuple[int, int, int]:
    """Return offset, size of an entry, and count."""
    wide = bits == _WIDE
    (offset,) = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
    return offset, size, count


def _load_alignments(headers: bytes, bits: int, size: int) -> list[int]:
    wide = bits == _WIDE
    found = []
    for at in range(0, len(headers) - size + 1, size or 1):
        if struct.unpack_from("<I", headers, at)[0] == _PT_LOAD:
            kind, where = ("<Q", 48) if wide else ("<I", 28)
            found.append(struct.unpack_from(kind, headers, at + where)[0])
    return found
