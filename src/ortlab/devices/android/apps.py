"""The app that runs blocks: on the phone once, in the version that an arm asks for."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.preflight import check_fits
from ortlab.devices.android.properties import InstalledPackage, PhoneFacts, read_package
from ortlab.devices.journal import InstalledApp, Journal
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import DeviceError, InstallError, UsageError

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

BENCH_SUFFIX: Final = ".bench"

_REPLACEABLE: Final = frozenset(
    {
        "INSTALL_FAILED_UPDATE_INCOMPATIBLE",
        "INSTALL_FAILED_VERSION_DOWNGRADE",
        "INSTALL_PARSE_FAILED_INCONSISTENT_CERTIFICATES",
    }
)
_APPLICATION_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_QUESTION_DEADLINE_S: Final = 20.0
_INSTALL_LEAST_S: Final = 180.0
_UNINSTALL_DEADLINE_S: Final = 60.0
_SLOWEST_BYTES_PER_S: Final = 1 << 20


class PhoneApps:
    """Installs apps on one phone.

    Args:
        phone: To ask.
        facts: Of the phone.
        journal: Remembers what was installed.
        say: Told when something is installed.
    """

    def __init__(
        self, phone: AdbPhone, facts: PhoneFacts, journal: Journal, say: Callable[[str], None]
    ) -> None:
        self._phone = phone
        self._facts = facts
        self._journal = journal
        self._say = say
        self._present: dict[str, str] = {}

    def ensure(self, app: BuiltApp) -> None:
        """See that exactly this app is installed; it is not sent again when it is.

        Raises:
            InstallError: The phone refuses it; the message gives the platform's own code.
        """
        name = check_application_id(app.application_id)
        if self._present.get(name) == app.sha256:
            return
        recorded = self._journal.record.installed.get(name)
        if recorded is None or recorded.sha256 != app.sha256 or not self._unchanged(name, recorded):
            self.install(app)
        self._present[name] = app.sha256

    def install(self, app: BuiltApp) -> None:
        """Install an app; an older one of ours in its way is removed first.

        Raises:
            InstallError: The phone refuses it.
        """
        check_fits(app, self._facts)
        name = check_application_id(app.application_id)
        self.forget(name)
        self._journal.set_installed(name, None)
        size = sum(path.stat().st_size for path in app.files if path.is_file())
        self._say(f"installing {name} ({size / 1e6:.1f} MB) on {self._facts.name}")
        deadline_s = _INSTALL_LEAST_S + size / _SLOWEST_BYTES_PER_S
        try:
            self._phone.install(app.files, deadline_s=deadline_s, package=name)
        except InstallError as error:
            if error.code not in _REPLACEABLE or not name.endswith(BENCH_SUFFIX):
                raise
            self._say(f"note: removing the installed {name}, which cannot be updated")
            self._phone.uninstall(name, deadline_s=_UNINSTALL_DEADLINE_S)
            self._phone.install(app.files, deadline_s=deadline_s, package=name)
        now = self._installed(name)
        if now is None:
            return
        entry = InstalledApp(
            sha256=app.sha256,
            version_code=now.version_code,
            last_update_time=now.last_update_time,
        )
        self._journal.set_installed(name, entry)

    def library_path(self, app: BuiltApp, library: str) -> str:
        """Return the phone's path of a custom-operator library that an app carries.

        Args:
            app: Installed.
            library: Path on this machine.

        Raises:
            DeviceError: The app does not carry it.
        """
        found = packaged_library(app, self._facts, library)
        name = app.application_id
        done = self._phone.shell("pm", "path", name, deadline_s=_QUESTION_DEADLINE_S)
        paths = [
            line.removeprefix("package:").strip()
            for line in done.stdout.splitlines()
            if line.startswith("package:")
        ]
        if not paths:
            message = f"cannot find {name} on {self._facts.name}: {done.stderr.strip() or 'gone'}"
            raise DeviceError(message, next_step="run the same command again")
        index = found.file_index if len(paths) == len(app.files) else 0
        return found.path_in(paths[index])

    def forget(self, name: str) -> None:
        """Have an app looked for again before it is used next."""
        self._present.pop(name, None)

    def _unchanged(self, name: str, recorded: InstalledApp) -> bool:
        now = self._installed(name)
        if now is None or now.last_update_time is None:
            return False
        return (now.version_code, now.last_update_time) == (
            recorded.version_code,
            recorded.last_update_time,
        )

    def _installed(self, name: str) -> InstalledPackage | None:
        done = self._phone.shell("dumpsys", "package", name, deadline_s=_QUESTION_DEADLINE_S)
        return read_package(done.stdout, name)


def check_application_id(name: str) -> str:
    """Return an application id.

    Raises:
        UsageError: It is none: no shell and no directory may be given it.
    """
    if not _APPLICATION_ID.fullmatch(name) or len(name) > 200:
        message = f"cannot use the app {name!r}: this is no application id"
        raise UsageError(message, next_step="give one such as com.example.reader")
    return name


def open_apk(path: Path) -> BuiltApp:
    """Read an APK that an arm names; virtual phones also take a runner package.

    Raises:
        UsageError: There is no such file.
        ToolchainError: It is no APK.
    """
    from ortlab.apk import read_package as read_apk
    from ortlab.devices.virtual.android.runner_packages import read_runner_package

    runner = read_runner_package(path)
    if runner is not None:
        return _built(path, runner.application_id, runner.version_code, runner.version_name)
    package = read_apk(path)
    app = _built(path, package.application_id, package.version_code, package.version_name)
    return replace(
        app,
        abis=tuple(sorted(package.abis)),
        debuggable=package.debuggable,
        size_by_part=package.size_by_part,
        minimum_api_level=package.min_sdk,
    )


def _built(path: Path, application_id: str, version_code: int, version_name: str) -> BuiltApp:
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise UsageError(message) from error
    return BuiltApp(
        platform=AppPlatform.ANDROID,
        files=(path.absolute(),),
        sha256=sha256,
        application_id=application_id,
        version_code=version_code,
        version_name=version_name,
        abis=(),
        debuggable=False,
        size_by_part={},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedLibrary:
    """A shared library inside an app.

    Attributes:
        file_index: Of the app's file that holds it.
        abi: It is for.
        name: Its file name.
        stored: Whether it is uncompressed, so that the system loads it from the APK itself.
    """

    file_index: int
    abi: str
    name: str
    stored: bool

    def path_in(self, apk: str) -> str:
        """Return the path that loads it.

        Args:
            apk: Of the installed file that holds it.
        """
        if self.stored:
            return f"{apk}!/lib/{self.abi}/{self.name}"
        directory = apk.rpartition("/")[0]
        return f"{directory}/lib/{_INSTRUCTION_SETS.get(self.abi, self.abi)}/{self.name}"


_OF_THE_RUNTIME: Final = re.compile(r"libonnxruntime|libc\+\+_shared|libQnn")
_INSTRUCTION_SETS: Final = {"arm64-v8a": "arm64", "armeabi-v7a": "arm", "armeabi": "arm"}


def packaged_library(app: BuiltApp, facts: PhoneFacts, library: str) -> PackagedLibrary:
    """Find a shared library in an app for a phone.

    Apps may not execute what lies in `/data/local/tmp`, so a library of custom operators must be
    in the app.

    Args:
        app: Where it must be.
        facts: Of the phone.
        library: Path on this machine; its file name counts, with or without ``lib``. Where the app
            carries no such name but one library that is not the runtime's, that one is meant: the
            library of another platform often has another name.

    Raises:
        DeviceError: The app does not carry it.
    """
    wanted = Path(library).name
    names = {wanted, wanted if wanted.startswith("lib") else f"lib{wanted}"}
    for abi in facts.abis:
        carried = [
            PackagedLibrary(file_index=index, abi=abi, name=name, stored=stored)
            for index, path in enumerate(app.files)
            for name, stored in _libraries(path, abi)
        ]
        others = [item for item in carried if not _OF_THE_RUNTIME.match(item.name)]
        named = [item for item in others if item.name in names]
        if named or len(others) == 1:
            return (named or others)[0]
    abi = facts.abis[0] if facts.abis else "ABI"
    message = (
        f"cannot run with the custom operators of {wanted}: {app.application_id} carries no such"
        f" library for {abi}"
    )
    step = f"set ort.customOps.{abi} in app.properties to the library for Android, build again"
    raise DeviceError(message, next_step=step)


def _libraries(path: Path, abi: str) -> tuple[tuple[str, bool], ...]:
    """Return the libraries of an APK for an ABI, each with whether it is stored as it is."""
    prefix = f"lib/{abi}/"
    try:
        with zipfile.ZipFile(path) as package:
            return tuple(
                (item.filename.removeprefix(prefix), item.compress_type == zipfile.ZIP_STORED)
                for item in package.infolist()
                if item.filename.startswith(prefix)
            )
    except (OSError, zipfile.BadZipFile):
        return ()
