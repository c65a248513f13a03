"""What a program for Apple's systems says of itself in its header.

Sources: Apple's `mach-o/loader.h`, `mach-o/fat.h` and `kern/cs_blobs.h`. Nothing is verified: a
signature that is there may still be wrong, which only the phone tells.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from ortlab.plists import read_plist

IPHONE: Final = "iphoneos"
SIMULATOR: Final = "iphonesimulator"

_LARGEST_COMMANDS: Final = 4 << 20
_LARGEST_SIGNATURE: Final = 16 << 20
_MOST_SLICES: Final = 16
_MOST_BLOBS: Final = 64

_THIN_64, _THIN_32 = 0xFEEDFACF, 0xFEEDFACE
_FAT, _FAT_64 = 0xCAFEBABE, 0xCAFEBABF
_LC_ENCRYPTION_INFO: Final = {0x21, 0x2C}
_LC_CODE_SIGNATURE: Final = 0x1D
_LC_BUILD_VERSION: Final = 0x32
_OLD_VERSION_COMMANDS: Final = {0x24: "macos", 0x25: IPHONE, 0x2F: "appletvos", 0x30: "watchos"}

_PLATFORMS: Final = {
    1: "macos",
    2: IPHONE,
    3: "appletvos",
    4: "watchos",
    5: "bridgeos",
    6: "maccatalyst",
    7: SIMULATOR,
    8: "appletvsimulator",
    9: "watchsimulator",
    10: "driverkit",
    11: "xros",
    12: "xrsimulator",
}
_ARM64, _ARM, _X86_64, _X86 = 0x0100000C, 12, 0x01000007, 7
_ARCHITECTURES: Final = {_ARM64: "arm64", _ARM: "arm", _X86_64: "x86_64", _X86: "i386"}
_ARM_KINDS: Final = {9: "armv7", 11: "armv7s"}

_SUPER_BLOB: Final = 0xFADE0CC0
_ENTITLEMENTS: Final = 0xFADE7171
_CMS: Final = 0xFADE0B01


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSlice:
    """The part of a program for one architecture.

    Attributes:
        architecture: Such as ``arm64``.
        platform: As Xcode names SDKs: ``iphoneos``, ``iphonesimulator``, ``macos`` …; empty where
            it does not say.
        minimum_os: Least version of that platform; empty where it does not say.
        signed: Whether it holds a code signature, of whatever identity.
        ad_hoc: Whether that signature names no identity, which phones refuse.
        encrypted: Whether it is encrypted, as what comes from the App Store is.
        entitlements: What the signature grants, as far as it says; empty otherwise.
    """

    architecture: str
    platform: str
    minimum_os: str
    signed: bool
    ad_hoc: bool
    encrypted: bool
    entitlements: dict[str, object]


class NoProgramError(ValueError):
    """The file is no Mach-O program, or a damaged one."""


def read_program(file: BinaryIO, size_bytes: int) -> tuple[ProgramSlice, ...]:
    """Read the header of a program, thin or fat.

    Args:
        file: At its start; seeked forwards alone, but for the signature.
        size_bytes: Of the file.

    Raises:
        NoProgramError: It is no such program, or a damaged one.
        OSError: It cannot be read.
    """
    try:
        return tuple(
            _slice(file, start, length) for start, length in sorted(_places(file, size_bytes))
        )
    except struct.error as error:
        message = "its header is cut"
        raise NoProgramError(message) from error


def _places(file: BinaryIO, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield where slices begin and how long they are."""
    (magic,) = struct.unpack(">I", file.read(4))
    little = struct.unpack("<I", struct.pack(">I", magic))[0]
    if little in (_THIN_64, _THIN_32):
        yield 0, size_bytes
        return
    if magic not in (_FAT, _FAT_64):
        message = "it is no program for an iPhone"
        raise NoProgramError(message)
    (count,) = struct.unpack(">I", file.read(4))
    if not 1 <= count <= _MOST_SLICES:
        message = f"it claims to have {count} architectures"
        raise NoProgramError(message)
    layout = ">iiIII" if magic == _FAT else ">iiQQII"
    table = file.read(count * struct.calcsize(layout))
    for entry in struct.iter_unpack(layout, table):
        start, length = entry[2:4]
        if start + length > size_bytes:
            message = "an architecture lies outside of the file"
            raise NoProgramError(message)
        yield start, length
    if len(table) < count * struct.calcsize(layout):
        message = "its header is cut"
        raise NoProgramError(message)


def _slice(file: BinaryIO, start: int, length: int) -> ProgramSlice:
    file.seek(start)
    (magic,) = struct.unpack("<I", file.read(4))
    if magic not in (_THIN_64, _THIN_32):
        message = "an architecture holds no program"
        raise NoProgramError(message)
    cpu, kind, _, count, commands_size, _ = struct.unpack("<iIIIII", file.read(24))
    header_size = 32 if magic == _THIN_64 else 28
    if commands_size > min(length - header_size, _LARGEST_COMMANDS):
        message = "its load commands have an impossible size"
        raise NoProgramError(message)
    file.seek(start + header_size)
    commands = file.read(commands_size)
    if len(commands) < commands_size:
        message = "its load commands are cut"
        raise NoProgramError(message)
    architecture = _ARCHITECTURES.get(cpu, f"cpu {cpu}")
    if cpu == _ARM:
        architecture = _ARM_KINDS.get(kind & 0xFFFFFF, "arm")
    elif cpu == _ARM64 and kind & 0xFFFFFF == 2:
        architecture = "arm64e"
    found = _Commands()
    for number, data in _commands(commands, count):
        found.take(number, data)
    platform = found.platform
    if platform == IPHONE and found.old_version and cpu in (_X86_64, _X86):
        platform = SIMULATOR  # the older command does not tell them apart
    signature = _signature(file, start, length, found.signature)
    return ProgramSlice(
        architecture=architecture,
        platform=platform,
        minimum_os=found.minimum_os,
        signed=signature is not None,
        ad_hoc=signature is not None and signature.ad_hoc,
        encrypted=found.encrypted,
        entitlements=signature.entitlements if signature else {},
    )


def _commands(commands: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    position = 0
    for _ in range(count):
        if position + 8 > len(commands):
            message = "its load commands are cut"
            raise NoProgramError(message)
        number, size = struct.unpack_from("<II", commands, position)
        if size < 8 or position + size > len(commands):
            message = "a load command has an impossible size"
            raise NoProgramError(message)
        yield number, commands[position : position + size]
        position += size


class _Commands:
    """Collects what load commands say."""

    def __init__(self) -> None:
        self.platform = ""
        self.minimum_os = ""
        self.old_version = False
        self.encrypted = False
        self.signature: tuple[int, int] | None = None

    def take(self, number: int, data: bytes) -> None:
        if number == _LC_BUILD_VERSION:
            platform, least = struct.unpack_from("<II", data, 8)
            self.platform = _PLATFORMS.get(platform, f"platform {platform}")
            self.minimum_os = _version(least)
            self.old_version = False
        elif number in _OLD_VERSION_COMMANDS and not self.platform:
            (least,) = struct.unpack_from("<I", data, 8)
            self.platform = _OLD_VERSION_COMMANDS[number]
            self.minimum_os = _version(least)
            self.old_version = True
        elif number in _LC_ENCRYPTION_INFO:
            self.encrypted = struct.unpack_from("<III", data, 8)[2] != 0
        elif number == _LC_CODE_SIGNATURE:
            self.signature = struct.unpack_from("<II", data, 8)


def _version(packed: int) -> str:
    """Return ``15.1`` of nibbles ``xxxx.yy.zz``; a last zero is left out."""
    major, minor, patch = packed >> 16, packed >> 8 & 0xFF, packed & 0xFF
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"


# ------------------------------------------------------------------------------ signature


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    ad_hoc: bool
    entitlements: dict[str, object]


def _signature(
    file: BinaryIO, start: int, length: int, place: tuple[int, int] | None
) -> _Signature | None:
    """Read what a signature claims; None where there is none."""
    if place is None or place[1] == 0:
        return None
    offset, size = place
    if offset + size > length or size > _LARGEST_SIGNATURE:
        message = "its signature lies outside of the file"
        raise NoProgramError(message)
    file.seek(start + offset)
    blob = file.read(size)
    if len(blob) < size:
        message = "its signature is cut"
        raise NoProgramError(message)
    if size < 12:
        message = "its signature is damaged"
        raise NoProgramError(message)
    magic, _, count = struct.unpack_from(">III", blob)
    if magic != _SUPER_BLOB or count > _MOST_BLOBS or 12 + 8 * count > size:
        message = "its signature is damaged"
        raise NoProgramError(message)
    ad_hoc, entitlements = True, {}
    for number in range(count):
        (place_of_blob,) = struct.unpack_from(">I", blob, 16 + 8 * number)
        if place_of_blob + 8 > size:
            message = "its signature is damaged"
            raise NoProgramError(message)
        kind, blob_size = struct.unpack_from(">II", blob, place_of_blob)
        content = blob[place_of_blob + 8 : place_of_blob + blob_size]
        if kind == _CMS and content:
            ad_hoc = False
        elif kind == _ENTITLEMENTS:
            entitlements = _granted(content)
    return _Signature(ad_hoc=ad_hoc, entitlements=entitlements)


def _granted(content: bytes) -> dict[str, object]:
    try:
        return read_plist(content)
    except ValueError as error:
        message = "the entitlements in its signature are damaged"
        raise NoProgramError(message) from error
