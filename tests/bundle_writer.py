"""Small app bundles for tests: a writer of Mach-O headers, signatures, profiles, `.app` and `.ipa`.

Nobody signed them, and their programs run nowhere: a reader finds what it looks for, in the places
that Apple's own tools put it. With a script as program, a virtual iPhone runs the bundle.
"""

from __future__ import annotations

import plistlib
import struct
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

BUNDLE_ID = "com.example.reader.bench"
TEAM = "A1B2C3D4E5"
UDID = "00008110-001A2B3C4D5E6F70"
IPHONE, SIMULATOR, MACOS = 2, 7, 1
ARM64, ARM64E, X86_64 = (0x0100000C, 0), (0x0100000C, 2), (0x01000007, 3)
FOREVER = datetime(2099, 1, 1)
GRANTED = {"application-identifier": f"{TEAM}.{BUNDLE_ID}", "get-task-allow": True}


# ------------------------------------------------------------------ programs


def program(
    *,
    cpu: tuple[int, int] = ARM64,
    platform: int | None = IPHONE,
    minimum_os: str = "15.1",
    signed: bool = True,
    identity: bool = True,
    entitlements: Mapping[str, Any] | None = GRANTED,
    encrypted: bool = False,
    commands: Sequence[bytes] = (),
    padding: int = 64,
) -> bytes:
    """Return a thin program for 64-bit machines that holds a header and a signature alone."""
    own = [*commands]
    if platform is not None:
        own.append(command(0x32, struct.pack("<4I", platform, packed(minimum_os), 0x120000, 0)))
    if encrypted:
        own.append(command(0x2C, struct.pack("<4I", 0x4000, 0x4000, 1, 0)))
    blob = signature(entitlements, identity=identity) if signed else b""
    before = 32 + sum(map(len, own)) + (16 if signed else 0)
    if signed:
        own.append(command(0x1D, struct.pack("<2I", before + padding, len(blob))))
    body = b"".join(own)
    header = struct.pack("<IiiIIIII", 0xFEEDFACF, *cpu, 2, len(own), len(body), 0, 0)
    return header + body + bytes(padding) + blob


def command(number: int, content: bytes) -> bytes:
    return struct.pack("<II", number, 8 + len(content)) + content


def packed(version: str) -> int:
    parts = [*map(int, version.split(".")), 0, 0]
    return parts[0] << 16 | parts[1] << 8 | parts[2]


def fat(*programs: bytes, wide: bool = False) -> bytes:
    """Return a fat program of thin ones."""
    layout = ">iiQQII" if wide else ">iiIII"
    start = (8 + len(programs) * struct.calcsize(layout) + 63) // 64 * 64
    table, body = b"", b""
    for part in programs:
        cpu = struct.unpack_from("<ii", part, 4)
        entry = (*cpu, start + len(body), len(part), 6, *((0,) if wide else ()))
        table += struct.pack(layout, *entry)
        body += part + bytes(-len(part) % 64)
    header = struct.pack(">II", 0xCAFEBABF if wide else 0xCAFEBABE, len(programs)) + table
    return header.ljust(start, b"\0") + body


def signature(entitlements: Mapping[str, Any] | None, *, identity: bool = True) -> bytes:
    """Return the blobs that `codesign` appends: code directory, entitlements, CMS message."""
    blobs = [(0, _blob(0xFADE0C02, bytes(40)))]
    if entitlements is not None:
        blobs.append((5, _blob(0xFADE7171, plistlib.dumps(dict(entitlements)))))
    blobs.append((0x10000, _blob(0xFADE0B01, b"a CMS message" if identity else b"")))
    place, index = 12 + 8 * len(blobs), b""
    for slot, blob in blobs:
        index += struct.pack(">II", slot, place)
        place += len(blob)
    return (
        struct.pack(">III", 0xFADE0CC0, place, len(blobs)) + index + b"".join(b for _, b in blobs)
    )


def _blob(magic: int, content: bytes) -> bytes:
    return struct.pack(">II", magic, 8 + len(content)) + content


# ------------------------------------------------------------------ property lists


def info_plist(bundle_id: str = BUNDLE_ID, **changes: Any) -> dict[str, Any]:
    """Return what Xcode writes of our apps; a change of None leaves a key out."""
    values: dict[str, Any] = {
        "CFBundleDevelopmentRegion": "en",
        "CFBundleExecutable": "Bench",
        "CFBundleIdentifier": bundle_id,
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundleName": "Bench",
        "CFBundlePackageType": "APPL",
        "CFBundleShortVersionString": "1.2",
        "CFBundleSupportedPlatforms": ["iPhoneOS"],
        "CFBundleVersion": "7",
        "DTPlatformName": "iphoneos",
        "LSRequiresIPhoneOS": True,
        "MinimumOSVersion": "15.1",
        "UIDeviceFamily": [1, 2],
        "UIFileSharingEnabled": True,
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


def profile(
    *,
    team: str = TEAM,
    application_id: str = f"{TEAM}.*",
    expires_at: datetime | None = FOREVER,
    get_task_allow: bool = True,
    devices: Sequence[str] | None = (UDID,),
    all_devices: bool = False,
    open_length: bool = False,
) -> bytes:
    """Return an embedded.mobileprovision: a property list in a CMS message nobody signed."""
    values: dict[str, Any] = {
        "AppIDName": "Reader",
        "Entitlements": {
            "application-identifier": application_id,
            "com.apple.developer.team-identifier": team,
            "get-task-allow": get_task_allow,
        },
        "Name": "iOS Team Provisioning Profile: *",
        "TeamIdentifier": [team],
        "TeamName": "Example Ltd",
        "Version": 1,
    }
    if expires_at is not None:
        values["ExpirationDate"] = expires_at
    if devices is not None:
        values["ProvisionedDevices"] = list(devices)
    if all_devices:
        values["ProvisionsAllDevices"] = True
    return cms(plistlib.dumps(values), open_length=open_length)


_DATA = bytes.fromhex("2a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")


def cms(content: bytes, *, open_length: bool = False) -> bytes:
    """Return a CMS SignedData without signers; with open lengths as streaming writers make it."""
    write = _open if open_length else _der
    if open_length:
        parts = [_der(0x04, content[at : at + 1000]) for at in range(0, len(content), 1000)]
        octets = _open(0x24, b"".join(parts))
    else:
        octets = _der(0x04, content)
    inner = write(0x30, _der(0x06, _DATA) + write(0xA0, octets))
    signed = _der(0x02, b"\1") + _der(0x31, b"") + inner + _der(0x31, b"")
    return write(0x30, _der(0x06, _SIGNED_DATA) + write(0xA0, write(0x30, signed)))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _open(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x80]) + content + b"\0\0"


# ------------------------------------------------------------------ bundles


def bundle_files(
    info: Mapping[str, Any] | None = None,
    *,
    executable: bytes | None = None,
    provisioning: bytes | None = None,
    sealed: bool = True,
    binary: bool = True,
    files: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Return name to content of a bundle as Xcode builds it for development.

    Args:
        info: Its Info.plist; that of :func:`info_plist` if None.
        executable: Its program; that of :func:`program` if None, a script for a virtual phone.
        provisioning: Its embedded.mobileprovision; that of :func:`profile` if None, none if empty.
        sealed: Whether it holds the list of what was signed.
        binary: How the Info.plist is written.
        files: More of them.
    """
    info = info_plist() if info is None else info
    kind = plistlib.FMT_BINARY if binary else plistlib.FMT_XML
    made = {
        "Info.plist": plistlib.dumps(dict(info), fmt=kind),
        "PkgInfo": b"APPL????",
        str(info.get("CFBundleExecutable", "Bench")): (
            program() if executable is None else executable
        ),
    }
    made["embedded.mobileprovision"] = profile() if provisioning is None else provisioning
    if sealed:
        made["_CodeSignature/CodeResources"] = plistlib.dumps({"files": {}, "files2": {}})
    made.update(files or {})
    return {name: content for name, content in made.items() if content}


def make_app(path: Path, files: Mapping[str, bytes] | None = None) -> Path:
    """Write an `.app` directory; its program may be executed."""
    files = bundle_files() if files is None else files
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for name in _programs(files):
        (path / name).chmod(0o755)
    return path


def make_ipa(
    path: Path, files: Mapping[str, bytes] | None = None, *, directory: str = "Bench.app"
) -> Path:
    """Write an `.ipa`, with the modes that `zip` keeps."""
    files = bundle_files() if files is None else files
    path.parent.mkdir(parents=True, exist_ok=True)
    executables = _programs(files)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(f"Payload/{directory}/{name}")
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = (0o100755 if name in executables else 0o100644) << 16
            archive.writestr(member, content)
    return path


def _programs(files: Mapping[str, bytes]) -> set[str]:
    info = plistlib.loads(files["Info.plist"]) if "Info.plist" in files else {}
    return {str(info.get("CFBundleExecutable"))} & set(files)
