"""The benchmark apps on an iPhone: there in the right build, or brought there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ortlab.bundle import read_bundle_info
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.facts import IphoneFacts
from ortlab.devices.ios.messages import Action
from ortlab.devices.ios.preflight import check_fits
from ortlab.devices.journal import InstalledApp, Journal
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import StorageError

LINKED_OPERATORS: Final = "@linked/RegisterCustomOps"
"""Operators that are linked into the app, by the function's name that such libraries share."""

_FRAMEWORKS: Final = "Frameworks/"
_QUESTION_S: Final = 30.0
_INSTALL_LEAST_S: Final = 180.0
_SLOWEST_BYTES_PER_S: Final = 1 << 20


def custom_ops_in(app: BuiltApp) -> str:
    """Return how the benchmark app's program names the operators of its own that it carries.

    They are a framework inside of it, or linked into the program, as the template builds either.
    ONNX Runtime itself is linked into the program.
    """
    names = {
        name[len(_FRAMEWORKS) :].partition(".framework/")[0]
        for name in read_bundle_info(app.files[0]).entries
        if name.startswith(_FRAMEWORKS) and ".framework/" in name
    }
    if not names:
        return LINKED_OPERATORS
    name = min(names)
    return f"@rpath/{name}.framework/{name}"


class IphoneApps:
    """Installs apps on one phone and remembers which are there.

    Args:
        client: To ask.
        facts: Of the phone.
        journal: Where it is kept what was installed.
        say: Told what is installed.
    """

    def __init__(
        self,
        client: IphoneClient,
        facts: IphoneFacts,
        journal: Journal,
        say: Callable[[str], None],
    ) -> None:
        self._client = client
        self._facts = facts
        self._journal = journal
        self._say = say
        self._ensured: set[str] = set()

    def ensure(self, app: BuiltApp) -> bool:
        """Install an app unless this build of it is there.

        Returns:
            Whether it was installed now.

        Raises:
            InstallError: The phone refuses it.
        """
        if app.sha256 in self._ensured:
            return False
        known = self._journal.record.installed.get(app.application_id)
        if known is not None and known.sha256 == app.sha256:
            there = self._look(app.application_id)
            if there is not None and there.get("place") == known.place:
                self._ensured.add(app.sha256)
                return False
        self.install(app)
        return True

    def install(self, app: BuiltApp) -> None:
        """Install an app, whether it is there or not.

        Raises:
            InstallError: The phone refuses it.
            DeviceError: It cannot be brought there.
        """
        check_fits(app, self._facts)
        name = app.application_id
        size = _size_bytes(app.files[0])
        self._say(f"installing {name} ({size / 1e6:.1f} MB) on {self._client.name}")
        self._journal.set_installed(name, None)
        self._ensured.discard(app.sha256)
        self._client.ask(
            Action.INSTALL,
            deadline_s=_INSTALL_LEAST_S + size / _SLOWEST_BYTES_PER_S,
            doing=f"install {name}",
            what=name,
            on_percent=lambda percent: self._say(f"installing {name}: {percent} %"),
            path=str(app.files[0]),
            bundle_id=name,
        )
        there = self._look(name) or {}
        self._journal.set_installed(
            name, InstalledApp(sha256=app.sha256, place=there.get("place", ""))
        )
        self._ensured.add(app.sha256)

    def forget(self, app: BuiltApp) -> None:
        """Look anew whether an app is there."""
        self._ensured.discard(app.sha256)
        self._journal.set_installed(app.application_id, None)

    def _look(self, bundle_id: str) -> dict[str, str] | None:
        found: dict[str, str] | None = self._client.ask(
            Action.APP,
            deadline_s=_QUESTION_S,
            doing="ask for installed apps",
            what=bundle_id,
            bundle_id=bundle_id,
        )
        return found


def open_bundle(path: Path) -> BuiltApp:
    """Read an app that an arm brings.

    Raises:
        UsageError: There is no such file, or it is no app.
        ToolchainError: It is a damaged one.
        StorageError: It cannot be read.
    """
    info = read_bundle_info(path)
    digest = hashlib.sha256()
    try:
        for file in sorted(path.rglob("*")) if path.is_dir() else (path,):
            if file.is_file():
                digest.update(file.relative_to(path.parent).as_posix().encode() + b"\0")
                with file.open("rb") as stream:
                    while chunk := stream.read(1 << 20):
                        digest.update(chunk)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise StorageError(message) from error
    return BuiltApp(
        platform=AppPlatform.IOS,
        files=(path.absolute(),),
        sha256=digest.hexdigest(),
        application_id=info.bundle_id,
        version_code=1,
        version_name=info.version,
        abis=(),
        debuggable=info.profile is None or info.profile.get_task_allow,
        size_by_part={},
        minimum_os=info.minimum_os,
        signed=info.signed or info.script,
        executable=info.executable,
    )


def _size_bytes(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return path.stat().st_size
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise StorageError(message) from error
