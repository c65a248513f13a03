"""What an app bundle for iPhones says of itself, read without any tool of Apple's.

An `.app` directory or an `.ipa`. Sources: Apple's "Information Property List" and TN3125 "Inside
Code Signing: Provisioning Profiles". Signatures and profiles are not verified, only read.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from ortlab.apk import PARTS
from ortlab.errors import ToolchainError, UsageError
from ortlab.mach_o import NoProgramError, ProgramSlice, read_program
from ortlab.plists import cms_content, read_plist

_INFO: Final = "Info.plist"
_PROFILE: Final = "embedded.mobileprovision"
_SEAL: Final = "_CodeSignature/CodeResources"
_LARGEST_PLIST: Final = 16 << 20
_LARGEST_PROGRAM: Final = 2 << 30
_MOST_ENTRIES: Final = 200_000
_RESOURCES: Final = (".car", ".lproj", ".nib", ".plist", ".png", ".storyboardc", ".strings")
_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
_NEXT_STEP: Final = "build it again"


class _DamagedError(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningProfile:
    """Who may install an app where, as Apple said when the profile was made.

    Attributes:
        name: For people.
        team_id: Ten characters; empty where it does not say.
        team_name: For people.
        application_id: With the team in front; ``*`` stands for any end.
        expires_at: Moment from which phones refuse it; None where it does not say.
        get_task_allow: Whether a debugger may attach, which launching over USB needs.
        devices: UDIDs that it is for.
        all_devices: Whether it is for every device, as an enterprise's are.
    """

    name: str
    team_id: str
    team_name: str
    application_id: str
    expires_at: datetime | None
    get_task_allow: bool
    devices: tuple[str, ...]
    all_devices: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInfo:
    """An app bundle.

    Attributes:
        bundle_id: Such as ``com.example.reader``.
        executable: Name of its program, a file at the top of the bundle.
        directory_name: Of the bundle, such as ``Reader.app``.
        name: As people see it.
        version: As people see it.
        build: Rises with every build.
        minimum_os: Least version of the system; empty where it does not say.
        platforms: That its program runs on, sorted: ``iphoneos``, ``iphonesimulator`` …
        slices: Of its program, one an architecture; empty for a script.
        script: Whether its program is a script: virtual phones run it, no iPhone does.
        signed: Whether the bundle is sealed and every slice holds a signature, of whatever
            identity.
        profile: The provisioning profile in it, or None.
        file_sharing: Whether computers may read and write its documents.
        entries: Name to bytes of each file in it; as stored, in an `.ipa`.
    """

    bundle_id: str
    executable: str
    directory_name: str
    name: str = ""
    version: str = ""
    build: str = ""
    minimum_os: str = ""
    platforms: tuple[str, ...] = ()
    slices: tuple[ProgramSlice, ...] = ()
    script: bool = False
    signed: bool = False
    profile: ProvisioningProfile | None = None
    file_sharing: bool = False
    entries: Mapping[str, int] = field(default_factory=dict)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Of its program, sorted."""
        return tuple(sorted({item.architecture for item in self.slices}))

    @property
    def encrypted(self) -> bool:
        """Whether its program is encrypted, as what comes from the App Store is."""
        return any(item.encrypted for item in self.slices)

    @property
    def get_task_allow(self) -> bool:
        """Whether it was signed so that it can be launched over USB.

        The signature decides; where it does not tell, the profile.
        """
        granted = [item.entitlements for item in self.slices if item.entitlements]
        if granted:
            return all(entitlements.get("get-task-allow") is True for entitlements in granted)
        return self.profile is not None and self.profile.get_task_allow

    @property
    def size_by_part(self) -> dict[str, int]:
        """Stored bytes of each of :data:`ortlab.apk.PARTS`."""
        sizes = dict.fromkeys(PARTS, 0)
        for name, size in self.entries.items():
            sizes[self._part_of(name)] += size
        return sizes

    def _part_of(self, entry: str) -> str:
        if entry == self.executable:
            return "code"
        if "ortlab" in entry.split("/")[:-1]:
            return "models"
        if entry.startswith("Frameworks/"):
            return "native"
        if any(part.endswith(_RESOURCES) for part in entry.split("/")):
            return "resources"
        return "other"


def read_bundle_info(path: Path) -> BundleInfo:
    """Read an app bundle: an `.app` directory or an `.ipa`.

    Raises:
        UsageError: There is no such file or directory, or it cannot be opened.
        ToolchainError: It is no app bundle, or a damaged one.
    """
    try:
        with _opened(path) as files:
            return _read(files)
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
    ) as error:
        message = f"cannot read {path} as an app bundle: {error}"
        raise ToolchainError(message, next_step=_NEXT_STEP) from error


# ------------------------------------------------------------------------------ files


class _Files(Protocol):
    """The files of a bundle, wherever they are; names have slashes."""

    @property
    def directory_name(self) -> str: ...

    @property
    def stored(self) -> Mapping[str, int]: ...

    def open(self, name: str) -> BinaryIO: ...

    def size_of(self, name: str) -> int: ...


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Files]:
    if path.is_dir():
        yield _Directory(path)
        return
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        yield _Archive(archive)


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.directory_name = root.absolute().name
        self.stored: dict[str, int] = {}
        for directory, _, names in os.walk(root):
            for name in names:
                file = Path(directory) / name
                self.stored[file.relative_to(root).as_posix()] = file.lstat().st_size
            _check_count(len(self.stored))

    def open(self, name: str) -> BinaryIO:
        path = self._root / name
        if path.is_symlink() or not path.is_file():  # a link may lead out of the bundle
            message = f"{name} is no file"
            raise _DamagedError(message)
        return path.open("rb")

    def size_of(self, name: str) -> int:
        return self.stored[name]


class _Archive:
    """An `.ipa`: a zip with the bundle in `Payload/`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        members = archive.infolist()
        _check_count(len(members))
        names = [member.filename for member in members]
        for name in names:
            _check_name(name)
        if len(set(names)) != len(names):
            message = "a file is in it twice"
            raise _DamagedError(message)
        found = sorted(name for name in names if _is_top(name))
        if len(found) != 1:
            count = "no app" if not found else f"{len(found)} apps"
            message = f"its Payload holds {count}"
            raise _DamagedError(message)
        self._prefix = found[0].removesuffix(_INFO)
        self.directory_name = self._prefix.split("/")[1]
        self._members = {
            member.filename.removeprefix(self._prefix): member
            for member in members
            if member.filename.startswith(self._prefix) and not member.is_dir()
        }
        self.stored = {name: member.compress_size for name, member in self._members.items()}

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", self._archive.open(self._members[name]))

    def size_of(self, name: str) -> int:
        return self._members[name].file_size


def _check_count(count: int) -> None:
    if count > _MOST_ENTRIES:
        message = f"it holds more than {_MOST_ENTRIES} files"
        raise _DamagedError(message)


def _check_name(name: str) -> None:
    """Refuse names that lead out of where an archive is unpacked."""
    parts = name.removesuffix("/").split("/")
    if "\\" in name or any(part in ("", ".", "..") for part in parts):
        message = f"it holds a file named {name!r}"
        raise _DamagedError(message)


def _is_top(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) == 3
        and parts[0] == "Payload"
        and parts[1].endswith(".app")
        and parts[2] == _INFO
    )


# ------------------------------------------------------------------------------ reading


def _read(files: _Files) -> BundleInfo:
    if _INFO not in files.stored:
        message = f"there is no {_INFO} in it"
        raise _DamagedError(message)
    info = _plist(files, _INFO)
    bundle_id, executable = _text(info, "CFBundleIdentifier"), _text(info, "CFBundleExecutable")
    for key, value in (("CFBundleIdentifier", bundle_id), ("CFBundleExecutable", executable)):
        if not value:
            message = f"its {_INFO} has no {key}"
            raise _DamagedError(message)
    if not _BUNDLE_ID.fullmatch(bundle_id):
        message = f"its CFBundleIdentifier {bundle_id[:80]!r} is none"
        raise _DamagedError(message)
    if executable != posixpath.basename(executable) or executable not in files.stored:
        message = f"its program {executable!r} is missing"
        raise _DamagedError(message)
    script, slices = _program(files, executable)
    sealed = _SEAL in files.stored
    return BundleInfo(
        bundle_id=bundle_id,
        executable=executable,
        directory_name=files.directory_name,
        name=_text(info, "CFBundleDisplayName") or _text(info, "CFBundleName"),
        version=_text(info, "CFBundleShortVersionString"),
        build=_text(info, "CFBundleVersion"),
        minimum_os=_text(info, "MinimumOSVersion")
        or max((item.minimum_os for item in slices), key=version_key, default=""),
        platforms=_platforms(slices, info),
        slices=slices,
        script=script,
        signed=sealed and all(item.signed for item in slices),
        profile=_profile(files),
        file_sharing=info.get("UIFileSharingEnabled") is True,
        entries=dict(files.stored),
    )


def version_key(text: str) -> tuple[int, ...]:
    """Return what versions are ordered by; ``15.1`` equals ``15.1.0``."""
    numbers = [int(part) if part.isascii() and part.isdecimal() else 0 for part in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _program(files: _Files, name: str) -> tuple[bool, tuple[ProgramSlice, ...]]:
    """Return whether the program is a script, and its slices otherwise."""
    size = files.size_of(name)
    if size > _LARGEST_PROGRAM:
        message = f"its program {name!r} is larger than {_LARGEST_PROGRAM} bytes"
        raise _DamagedError(message)
    with files.open(name) as file:
        if file.read(2) == b"#!":
            return True, ()
        file.seek(0)
        try:
            return False, read_program(file, size)
        except NoProgramError as error:
            message = f"its program {name!r} cannot be read: {error}"
            raise _DamagedError(message) from error


def _platforms(slices: tuple[ProgramSlice, ...], info: Mapping[str, object]) -> tuple[str, ...]:
    told = {item.platform for item in slices} - {""}
    if not told:
        claimed = info.get("CFBundleSupportedPlatforms")
        names = claimed if isinstance(claimed, list) else [info.get("DTPlatformName")]
        told = {name.lower() for name in names if isinstance(name, str)}
    return tuple(sorted(told))


def _profile(files: _Files) -> ProvisioningProfile | None:
    if _PROFILE not in files.stored:
        return None
    try:
        plist = read_plist(cms_content(_content(files, _PROFILE)))
    except ValueError as error:
        message = f"its provisioning profile cannot be read: {error}"
        raise _DamagedError(message) from error
    entitlements = plist.get("Entitlements")
    granted = entitlements if isinstance(entitlements, dict) else {}
    expiry = plist.get("ExpirationDate")
    return ProvisioningProfile(
        name=_text(plist, "Name"),
        team_id=next(iter(_texts(plist, "TeamIdentifier")), ""),
        team_name=_text(plist, "TeamName"),
        application_id=_text(granted, "application-identifier"),
        expires_at=expiry.replace(tzinfo=UTC) if isinstance(expiry, datetime) else None,
        get_task_allow=granted.get("get-task-allow") is True,
        devices=_texts(plist, "ProvisionedDevices"),
        all_devices=plist.get("ProvisionsAllDevices") is True,
    )


def _plist(files: _Files, name: str) -> dict[str, object]:
    try:
        return read_plist(_content(files, name))
    except ValueError as error:
        message = f"its {name} cannot be read: {error}"
        raise _DamagedError(message) from error


def _content(files: _Files, name: str) -> bytes:
    with files.open(name) as file:
        content = file.read(_LARGEST_PLIST + 1)
    if len(content) > _LARGEST_PLIST:
        message = f"{name} is larger than {_LARGEST_PLIST} bytes"
        raise _DamagedError(message)
    return content


def _text(plist: Mapping[str, object], key: str) -> str:
    value = plist.get(key)
    return value if isinstance(value, str) else ""


def _texts(plist: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = plist.get(key)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()
