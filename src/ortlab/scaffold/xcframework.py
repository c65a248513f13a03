"""XCFrameworks that a user gives for an app: what is in them, and what of them is packaged.

Sources: Apple's "Distributing binary frameworks as Swift packages", and `mach-o/loader.h`.
"""

from __future__ import annotations

import plistlib
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ortlab.errors import UsageError
from ortlab.plists import read_plist
from ortlab.scaffold.files import Content

_INFO: Final = "Info.plist"
_LIBRARIES: Final = "AvailableLibraries"
_IDENTIFIER, _LIBRARY = "LibraryIdentifier", "LibraryPath"
_PLATFORM, _VARIANT = "SupportedPlatform", "SupportedPlatformVariant"
_TAKEN_PLATFORMS: Final = frozenset({"ios", "macos"})
_HEADER: Final = "Headers/onnxruntime_c_api.h"
_NEXT_STEP: Final = "make it with xcodebuild -create-xcframework"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_THIN_64, _THIN_32, _FAT, _FAT_64 = 0xFEEDFACF, 0xFEEDFACE, 0xCAFEBABE, 0xCAFEBABF
_MH_DYLIB: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class XCFramework:
    """An XCFramework with a slice for iPhones.

    Attributes:
        path: Of its directory, absolute.
        library: Name of the framework or library in it, such as ``CustomOps.framework``.
        is_dynamic: Whether it is loaded when the app runs, and not linked into the app.
        has_simulator: Whether it has a slice for simulators.
        has_ort_headers: Whether the slice for iPhones has ONNX Runtime's C header.
        slices: Entries of its Info.plist that are packaged: those for iPhones and Macs.
        left_out: Names of slices that are not.
    """

    path: Path
    library: str
    is_dynamic: bool
    has_simulator: bool
    has_ort_headers: bool
    slices: tuple[Mapping[str, Any], ...]
    left_out: tuple[str, ...]

    def files(self) -> Iterator[tuple[str, Content]]:
        """Yield what is packaged, by path relative to it."""
        info = {
            _LIBRARIES: [dict(entry) for entry in self.slices],
            "CFBundlePackageType": "XFWK",
            "XCFrameworkFormatVersion": "1.0",
        }
        yield _INFO, Content.of(plistlib.dumps(info))
        for entry in self.slices:
            directory = self.path / entry[_IDENTIFIER]
            for path in sorted(directory.rglob("*")):
                if path.is_file() and path.name != ".DS_Store":
                    executable = bool(path.stat().st_mode & 0o100)
                    relative = path.relative_to(self.path).as_posix()
                    yield relative, replace(Content.at(path), executable=executable)


def read_xcframework(path: Path) -> XCFramework:
    """Read an XCFramework.

    Slices for other systems than iOS and macOS are left out, and so are those with symbolic links,
    as frameworks for Macs have them: no record could say what they hold.

    Raises:
        UsageError: It is none, or has nothing for iPhones.
    """
    path = path.absolute()
    entries = _entries(path)
    taken: list[Mapping[str, Any]] = []
    left_out: list[Mapping[str, Any]] = []
    for entry in entries:
        slice_path = path / entry[_IDENTIFIER]
        plain = not any(inside.is_symlink() for inside in slice_path.rglob("*"))
        known = entry.get(_PLATFORM) in _TAKEN_PLATFORMS and entry.get(_VARIANT) != "maccatalyst"
        (taken if plain and known else left_out).append(entry)
    iphone = next((e for e in taken if e.get(_PLATFORM) == "ios" and not e.get(_VARIANT)), None)
    if iphone is None:
        raise _refusal(path, "it has no slice for iPhones", _NEXT_STEP)
    library = path / iphone[_IDENTIFIER] / iphone[_LIBRARY]
    binary = library / library.stem if library.suffix == ".framework" else library
    return XCFramework(
        path=path,
        library=library.name,
        is_dynamic=_is_dynamic(path, binary),
        has_simulator=any(entry.get(_VARIANT) == "simulator" for entry in taken),
        has_ort_headers=(library / _HEADER).is_file(),
        slices=tuple(taken),
        left_out=tuple(str(entry[_IDENTIFIER]) for entry in left_out),
    )


def _entries(path: Path) -> Sequence[Mapping[str, Any]]:
    if path.suffix != ".xcframework" or not _NAME.fullmatch(path.name):
        why = "its name is to be of ASCII letters, digits, '_', '-', '+' and '.', with .xcframework"
        raise _refusal(path, why, "rename it")
    try:
        info = read_plist((path / _INFO).read_bytes())
    except OSError as error:
        why = f"{_INFO}: {error.strerror or error}"
        raise _refusal(path, why, _NEXT_STEP) from error
    except ValueError as error:
        raise _refusal(path, f"{_INFO} is no property list", _NEXT_STEP) from error
    entries = info.get(_LIBRARIES) if isinstance(info, dict) else None
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise _refusal(path, f"{_INFO} does not list its libraries", _NEXT_STEP)
    return entries


def _is_entry(entry: object) -> bool:
    """Return whether an entry names a library inside of the XCFramework."""
    if not isinstance(entry, dict):
        return False
    paths = (entry.get(_IDENTIFIER), entry.get(_LIBRARY))
    return all(
        isinstance(path, str) and path and ".." not in PurePosixPath(path).parts and path[0] != "/"
        for path in paths
    )


def _is_dynamic(path: Path, binary: Path) -> bool:
    try:
        with binary.open("rb") as file:
            return _file_type(file.read(1 << 16)) == _MH_DYLIB
    except OSError as error:
        why = f"{binary.relative_to(path)}: {error.strerror or error}"
        raise _refusal(path, why, _NEXT_STEP) from error
    except (struct.error, ValueError) as error:
        why = f"{binary.relative_to(path)} is no library for iPhones"
        raise _refusal(path, why, _NEXT_STEP) from error


def _file_type(data: bytes) -> int:
    """Return the Mach-O file type of a library's first architecture; 0 for an archive."""
    if data.startswith(b"!<arch>\n"):
        return 0
    (big,), (little,) = struct.unpack_from(">I", data), struct.unpack_from("<I", data)
    if big in (_FAT, _FAT_64):
        (start,) = struct.unpack_from(">I" if big == _FAT else ">Q", data, 16)
        return _file_type(data[start:])
    if little not in (_THIN_64, _THIN_32):
        raise ValueError
    file_type: int = struct.unpack_from("<I", data, 12)[0]
    return file_type


def _refusal(path: Path, why: str, step: str) -> UsageError:
    return UsageError(f"cannot package {path}: {why}", next_step=step)
