"""What is installed on the phone, and what it refuses to install.

Codes and words of refusals: AOSP `PackageManager.java` and the installer's own exceptions.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ortlab.apk import ApkPackage, read_package
from ortlab.devices.virtual.android.faults import Faults, InstallRefused
from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.runner_packages import read_runner_package
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec
from ortlab.errors import OrtlabError

BENCH_INSTRUMENTATION: Final = "dev.ortlab.bench.BenchInstrumentation"
_NO_CERTIFICATES: Final = "INSTALL_PARSE_FAILED_NO_CERTIFICATES"
_MISSING_SPLIT: Final = "INSTALL_FAILED_MISSING_SPLIT"
_OLDER_SDK: Final = "INSTALL_FAILED_OLDER_SDK"
_TEST_ONLY: Final = "INSTALL_FAILED_TEST_ONLY"
_NO_MATCHING_ABIS: Final = "INSTALL_FAILED_NO_MATCHING_ABIS"
_ALREADY_EXISTS: Final = "INSTALL_FAILED_ALREADY_EXISTS"
_UPDATE_INCOMPATIBLE: Final = "INSTALL_FAILED_UPDATE_INCOMPATIBLE"
_VERSION_DOWNGRADE: Final = "INSTALL_FAILED_VERSION_DOWNGRADE"
INSTRUCTION_SETS: Final = {"arm64-v8a": "arm64", "armeabi-v7a": "arm", "armeabi": "arm"}
"""Directory of an ABI's unpacked libraries, where it is not the ABI's own name."""
_BAD_NAME: Final = "INSTALL_PARSE_FAILED_BAD_PACKAGE_NAME"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", re.ASCII)
_LONGEST_NAME: Final = 200
_FIRST_APP_USER: Final = 10100
_REPLACES_BY_DEFAULT: Final = 28
_RUNNER_CERTIFICATE: Final = hashlib.sha256(b"ortlab runner package").hexdigest()


class InstallRefusedError(Exception):
    """The package manager does not take an app.

    Args:
        code: The platform's own.
        reason: Its words after the code.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """An app on the phone.

    Attributes:
        package: Its base, as read from the file; a runner package looks like one.
        splits: Names of its splits.
        paths: Of its files on the phone, the base first.
        user: Number of its user on the phone.
        first_install_s: Seconds since 1970.
        last_update_s: Likewise.
    """

    package: ApkPackage
    splits: tuple[str, ...]
    paths: tuple[str, ...]
    user: int
    first_install_s: float
    last_update_s: float

    @property
    def media_directory(self) -> str:
        """Where it may write and the shell user may read."""
        return f"/storage/emulated/0/Android/media/{self.package.application_id}"


@dataclass(slots=True)
class InstallSession:
    """Files that are being brought for one app.

    Attributes:
        number: Of the session.
        flags: Of the install command.
        directory: Of the phone, that holds the files.
        files: Name to path on the phone.
    """

    number: int
    flags: frozenset[str]
    directory: str
    files: dict[str, str] = field(default_factory=dict)


class PackageManager:
    """Installs, replaces and removes apps.

    Args:
        files: The phone's.
        spec: The phone.
        faults: Those that concern installs.
    """

    def __init__(self, files: FileSystem, spec: VirtualPhoneSpec, faults: Faults) -> None:
        self._files = files
        self._spec = spec
        self.faults = faults
        self._installed: dict[str, InstalledPackage] = {}
        self._sessions: dict[int, InstallSession] = {}
        self._next_session = 1
        self._next_user = _FIRST_APP_USER

    def find(self, application_id: str) -> InstalledPackage | None:
        """Return an app, or None where it is not installed."""
        return self._installed.get(application_id)

    def installed(self) -> tuple[InstalledPackage, ...]:
        """Return all apps, by name."""
        return tuple(self._installed[name] for name in sorted(self._installed))

    # -------------------------------------------------------------------------- sessions

    def create_session(self, flags: Sequence[str]) -> InstallSession:
        """Begin to bring files."""
        number = self._next_session
        self._next_session += 1
        directory = f"/data/app/vmdl{number}.tmp"
        self._files.host_path(directory).mkdir()
        session = InstallSession(number=number, flags=frozenset(flags), directory=directory)
        self._sessions[number] = session
        return session

    def session(self, number: int) -> InstallSession | None:
        """Return a session that is not yet committed or abandoned."""
        return self._sessions.get(number)

    def abandon(self, session: InstallSession) -> None:
        """Forget a session and its files."""
        self._sessions.pop(session.number, None)
        shutil.rmtree(self._files.host_path(session.directory), ignore_errors=True)

    def commit(self, session: InstallSession) -> InstalledPackage:
        """Install what a session brought.

        Raises:
            InstallRefusedError: The package manager does not take it.
        """
        try:
            parts = [(path, self._read(path)) for _, path in sorted(session.files.items())]
            base = self._check_parts(parts)
            application_id = base[1].application_id
            self._check(base[1], [part for _, part in parts], session.flags)
            fault = self.faults.take(InstallRefused)
            if fault is not None:
                raise InstallRefusedError(fault.code, fault.reason)
            return self._place(application_id, base, parts)
        finally:
            self.abandon(session)

    def uninstall(self, application_id: str) -> bool:
        """Remove an app with its data; return whether it was there."""
        found = self._installed.pop(application_id, None)
        if found is None:
            return False
        directory = self._files.host_path(found.paths[0]).parent
        for place in (
            directory,
            self._files.host_path(f"/data/data/{application_id}"),
            self._files.host_path(found.media_directory),
        ):
            shutil.rmtree(place, ignore_errors=True)
        return True

    def preinstall(self, *files: Path) -> InstalledPackage:
        """Install files of this machine without a cable, as if they had always been there.

        Raises:
            InstallRefusedError: The package manager does not take them.
        """
        session = self.create_session(("-r", "-t"))
        for number, file in enumerate(files):
            path = f"{session.directory}/{number}.apk"
            shutil.copyfile(file, self._files.host_path(path))
            session.files[str(number)] = path
        return self.commit(session)

    # -------------------------------------------------------------------------- checks

    def _read(self, path: str) -> ApkPackage:
        place = self._files.host_path(path)
        runner = read_runner_package(place)
        if runner is not None:
            return ApkPackage(
                application_id=runner.application_id,
                version_code=runner.version_code,
                version_name=runner.version_name,
                instrumentations=(BENCH_INSTRUMENTATION,),
                certificate_sha256=(_RUNNER_CERTIFICATE,),
            )
        try:
            return read_package(place)
        except OrtlabError as error:
            code = "INSTALL_PARSE_FAILED_NOT_APK"
            message = f"Failed to parse {path}: {error.message}"
            raise InstallRefusedError(code, message) from error

    def _check_parts(self, parts: Sequence[tuple[str, ApkPackage]]) -> tuple[str, ApkPackage]:
        """Return the base; refuse parts that do not belong together."""
        invalid = "INSTALL_FAILED_INVALID_APK"
        names = [part.split for _, part in parts]
        for _, part in parts:
            for name in (part.application_id, part.split or "base"):
                if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
                    raise InstallRefusedError(_BAD_NAME, f"invalid name {name!r}")
        if names.count(None) != 1:
            message = "Full install must include a base package"
            raise InstallRefusedError(_MISSING_SPLIT if None not in names else invalid, message)
        base_path, base = next((path, part) for path, part in parts if part.split is None)
        for path, part in parts:
            name = part.split or "base"
            if names.count(part.split) > 1:
                raise InstallRefusedError(invalid, f"Split {name} was defined multiple times")
            if part.application_id != base.application_id:
                message = f"{path} package {part.application_id} inconsistent with "
                raise InstallRefusedError(invalid, message + base.application_id)
            if part.version_code != base.version_code:
                message = f"{path} version code {part.version_code} inconsistent with "
                raise InstallRefusedError(invalid, message + str(base.version_code))
            if part.certificate_sha256 != base.certificate_sha256:
                raise InstallRefusedError(invalid, f"{path} signatures are inconsistent")
        if base.split_required and len(parts) == 1:
            message = f"Missing split for {base.application_id}"
            raise InstallRefusedError(_MISSING_SPLIT, message)
        return base_path, base

    def _check(self, base: ApkPackage, parts: Sequence[ApkPackage], flags: frozenset[str]) -> None:
        """Refuse an app that this phone does not take."""
        if not base.certificate_sha256:
            message = "Failed to collect certificates from base.apk: Attempt to get length of null"
            raise InstallRefusedError(_NO_CERTIFICATES, message)
        if base.min_sdk > self._spec.api_level:
            message = (
                f"Requires newer sdk version #{base.min_sdk} "
                f"(current version is #{self._spec.api_level})"
            )
            raise InstallRefusedError(_OLDER_SDK, message)
        if base.test_only and "-t" not in flags:
            message = "Failed to install test-only apk. Did you forget to add -t?"
            raise InstallRefusedError(_TEST_ONLY, message)
        abis = {abi for part in parts for abi in part.abis}
        if abis and not abis & set(self._spec.abis):
            message = "Failed to extract native libraries, res=-113"
            raise InstallRefusedError(_NO_MATCHING_ABIS, message)
        self._check_update(base, flags)

    def _check_update(self, base: ApkPackage, flags: frozenset[str]) -> None:
        name = base.application_id
        present = self._installed.get(name)
        if present is None:
            return
        if "-r" not in flags and self._spec.api_level < _REPLACES_BY_DEFAULT:
            message = f"Attempt to re-install {name} without first uninstalling."
            raise InstallRefusedError(_ALREADY_EXISTS, message)
        if present.package.certificate_sha256 != base.certificate_sha256:
            message = f"Existing package {name} signatures do not match newer version; ignoring!"
            raise InstallRefusedError(_UPDATE_INCOMPATIBLE, message)
        old, new = present.package.version_code, base.version_code
        may_go_back = "-d" in flags and (base.debuggable or not self._spec.user_build)
        if new < old and not may_go_back:
            message = f"Downgrade detected: Update version code {new} is older than current {old}"
            raise InstallRefusedError(_VERSION_DOWNGRADE, message)

    def _place(
        self,
        application_id: str,
        base: tuple[str, ApkPackage],
        parts: Sequence[tuple[str, ApkPackage]],
    ) -> InstalledPackage:
        now = time.time()
        present = self._installed.get(application_id)
        mark = hashlib.sha256(f"{application_id} {now}".encode()).hexdigest()[:16]
        directory = f"/data/app/~~{mark}==/{application_id}-{mark[::-1]}=="
        self._files.host_path(directory).mkdir(parents=True)
        paths, splits = [f"{directory}/base.apk"], []
        self._files.host_path(base[0]).rename(self._files.host_path(paths[0]))
        for path, part in parts:
            if part.split is not None:
                paths.append(f"{directory}/split_{part.split}.apk")
                splits.append(part.split)
                self._files.host_path(path).rename(self._files.host_path(paths[-1]))
        if base[1].abis:
            self._extract_libraries(directory, paths)
        if present is not None:
            old = self._files.host_path(present.paths[0]).parents[1]
            shutil.rmtree(old, ignore_errors=True)
        self._files.host_path(f"/data/data/{application_id}").mkdir(exist_ok=True)
        installed = InstalledPackage(
            package=base[1],
            splits=tuple(splits),
            paths=tuple(paths),
            user=present.user if present else self._next_user,
            first_install_s=present.first_install_s if present else now,
            last_update_s=now,
        )
        self._next_user += present is None
        self._installed[application_id] = installed
        return installed

    def _extract_libraries(self, directory: str, paths: Sequence[str]) -> None:
        """Unpack the native libraries that are compressed, for the best ABI that there is."""
        for path in paths:
            with zipfile.ZipFile(self._files.host_path(path)) as archive:
                items = {item.filename: item for item in archive.infolist()}
                for abi in self._spec.abis:
                    names = [name for name in items if name.startswith(f"lib/{abi}/")]
                    for name in names:
                        if items[name].compress_type != zipfile.ZIP_STORED:
                            target = f"{directory}/lib/{INSTRUCTION_SETS.get(abi, abi)}"
                            place = self._files.host_path(f"{target}/{name.rpartition('/')[2]}")
                            place.parent.mkdir(parents=True, exist_ok=True)
                            with archive.open(name) as source, place.open("wb") as file:
                                shutil.copyfileobj(source, file, 1 << 20)
                    if names:
                        break
