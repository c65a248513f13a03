"""The apps of a virtual iPhone: what it takes, what it refuses, and where their files lie."""

from __future__ import annotations

import plistlib
import shutil
import threading
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ortlab.bundle import BundleInfo, ProvisioningProfile, read_bundle_info, version_key
from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.faults import InstallRefused, StorageFull
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.storage import Storage, size_of_tree
from ortlab.errors import OrtlabError

Progress = Callable[[str, int], None]
"""Told a stage of installing and percents."""

_VERIFICATION: Final = "ApplicationVerificationFailed"
_INSPECTION: Final = "PackageInspectionFailed"
_OS_TOO_LOW: Final = "DeviceOSVersionTooLow"
_EXTRACTION: Final = "PackageExtractionFailed"
_EXPIRED_PROFILE: Final = 0xE8008011
_OTHER_PHONE: Final = 0xE8008012
_NO_PROFILE: Final = 0xE8008015
_UNSIGNED: Final = 0xE800801C
_WORDS: Final = {
    _EXPIRED_PROFILE: "The provisioning profile has expired.",
    _OTHER_PHONE: "This provisioning profile cannot be installed on this device.",
    _NO_PROFILE: "A valid provisioning profile for this executable was not found.",
    _UNSIGNED: "No code signature found.",
}
_EXECUTABLE_MODE: Final = 0o755
_CONTAINER_DIRECTORIES: Final = ("Documents", "Library/Caches", "Library/Preferences", "tmp")


class InstallRefusedError(Exception):
    """The phone does not take an app, with what installd says of it.

    Args:
        error: Its name.
        description: In words.
        detail: A number; 0 where there is none.
    """

    def __init__(self, error: str, description: str, detail: int = 0) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledApp:
    """An app on the phone.

    Attributes:
        info: Of its bundle.
        plist: All of its Info.plist.
        identifier: Of its places on the phone.
        bundle: Directory of this machine.
        container: Directory of this machine, its home.
    """

    info: BundleInfo
    plist: dict[str, Any]
    identifier: str
    bundle: Path
    container: Path

    @property
    def debuggable(self) -> bool:
        """Whether developers may look into its container and start it."""
        return self.info.script or self.info.get_task_allow

    def described(self) -> dict[str, Any]:
        """Return what the installation proxy says of it."""
        return {
            **self.plist,
            "ApplicationType": "User",
            "Path": f"/private/var/containers/Bundle/Application/{self.identifier}/"
            f"{self.bundle.name}",
            "Container": f"/private/var/mobile/Containers/Data/Application/{self.identifier}",
            "Entitlements": {"get-task-allow": self.debuggable},
            "IsUpgradeable": True,
            "ProfileValidated": True,
            "SignerIdentity": "Apple Development: virtual" if self.info.signed else "",
            "StaticDiskUsage": size_of_tree(self.bundle),
            "DynamicDiskUsage": size_of_tree(self.container),
        }


class AppStore:
    """Installs, lists and removes apps; safe to use from several threads.

    Args:
        root: Directory of this machine for bundles and containers.
        spec: The phone's.
        storage: Of the phone.
        faults: Those that concern installing.
    """

    def __init__(
        self,
        root: Path,
        *,
        spec: VirtualIPhoneSpec,
        storage: Storage,
        faults: Callable[[], Faults],
    ) -> None:
        self._bundles = root / "Bundle"
        self._containers = root / "Data"
        self._spec = spec
        self._storage = storage
        self._faults = faults
        self._apps: dict[str, InstalledApp] = {}
        self._lock = threading.Lock()

    def find(self, bundle_id: object) -> InstalledApp | None:
        """Return an installed app, or None."""
        return self._apps.get(bundle_id) if isinstance(bundle_id, str) else None

    def all(self) -> tuple[InstalledApp, ...]:
        """Return all installed apps."""
        return tuple(self._apps.values())

    def install(self, package: Path, progress: Progress, *, stop: Callable[[str], None]) -> str:
        """Install an `.ipa` or an `.app` directory; an app that is there keeps its data.

        Args:
            package: On this machine.
            progress: Told how far it is.
            stop: Ends a running app before it is replaced.

        Returns:
            The app's bundle identifier.

        Raises:
            InstallRefusedError: The phone does not take it; what was there stays as it was.
        """
        progress("CreatingStagingDirectory", 5)
        progress("ExtractingPackage", 15)
        try:
            info = read_bundle_info(package)
        except OrtlabError as error:
            raise InstallRefusedError(_INSPECTION, error.message) from error
        progress("InspectingPackage", 20)
        with self._lock:
            progress("TakingInstallLock", 20)
            self._check_phone(info)
            progress("PreflightingApplication", 30)
            self._check_signature(info)
            progress("VerifyingApplication", 40)
            self._refuse_by_script(info)
            old = self._apps.get(info.bundle_id)
            identifier = old.identifier if old else str(uuid.uuid4()).upper()
            staged = self._bundles / f"{identifier}.part"
            try:
                self._unpack(package, info, staged)
                progress("CreatingContainer", 50)
                stop(info.bundle_id)
                place = self._bundles / identifier
                shutil.rmtree(place, ignore_errors=True)
                staged.replace(place)
            except OSError as error:
                raise InstallRefusedError(_EXTRACTION, error.strerror or str(error)) from error
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            progress("InstallingApplication", 60)
            self._register(info, identifier)
            progress("PostflightingApplication", 70)
        progress("SandboxingApplication", 80)
        progress("GeneratingApplicationMap", 90)
        return info.bundle_id

    def uninstall(self, bundle_id: str) -> bool:
        """Remove an app and its data; return whether it was there."""
        with self._lock:
            app = self._apps.pop(bundle_id, None)
            if app is None:
                return False
            shutil.rmtree(app.bundle.parent, ignore_errors=True)
            shutil.rmtree(app.container, ignore_errors=True)
            return True

    # -------------------------------------------------------------------------- checks

    def _check_phone(self, info: BundleInfo) -> None:
        if version_key(info.minimum_os) > self._spec.version:
            text = (
                f"{info.bundle_id} needs iOS {info.minimum_os} or later; "
                f"this device runs iOS {self._spec.ios_version}"
            )
            raise InstallRefusedError(_OS_TOO_LOW, text)
        if info.slices and "iphoneos" not in info.platforms:
            text = f"{info.directory_name} was built for {', '.join(info.platforms) or 'nothing'}"
            raise InstallRefusedError(_INSPECTION, text)

    def _check_signature(self, info: BundleInfo) -> None:
        if info.script and self._spec.unsigned_scripts:
            return
        code = None
        if not info.signed:
            code = _UNSIGNED
        elif info.profile is None:
            code = _NO_PROFILE
        elif info.profile.expires_at is not None and info.profile.expires_at < datetime.now(UTC):
            code = _EXPIRED_PROFILE
        elif not self._is_in(info.profile):
            code = _OTHER_PHONE
        if code is not None:
            text = (
                f"Failed to verify code signature of /var/installd/Library/Caches/"
                f"com.apple.mobile.installd.staging/{info.directory_name} : "
                f"0x{code:08x} ({_WORDS[code]})"
            )
            raise InstallRefusedError(_VERIFICATION, text, code - (1 << 32))

    def _is_in(self, profile: ProvisioningProfile) -> bool:
        everywhere = self._spec.in_every_profile or profile.all_devices
        return everywhere or self._spec.udid in profile.devices

    def _refuse_by_script(self, info: BundleInfo) -> None:
        refused = self._faults().take(InstallRefused)
        if refused is not None:
            raise InstallRefusedError(refused.error, refused.description, refused.detail)
        if self._faults().take(StorageFull, path=info.bundle_id):
            raise _no_room(info)

    # -------------------------------------------------------------------------- files

    def _unpack(self, package: Path, info: BundleInfo, staged: Path) -> None:
        shutil.rmtree(staged, ignore_errors=True)
        bundle = staged / info.directory_name
        bundle.mkdir(parents=True)
        if package.is_dir():
            if not self._storage.reserve(size_of_tree(package)):
                raise _no_room(info)
            shutil.copytree(package, bundle, dirs_exist_ok=True)
        else:
            self._unzip(package, info, bundle)
        (bundle / info.executable).chmod(_EXECUTABLE_MODE)

    def _unzip(self, package: Path, info: BundleInfo, bundle: Path) -> None:
        prefix = f"Payload/{info.directory_name}/"
        with zipfile.ZipFile(package) as archive:
            members = [
                member
                for member in archive.infolist()
                if member.filename.startswith(prefix) and not member.is_dir()
            ]
            if not self._storage.reserve(sum(member.file_size for member in members)):
                raise _no_room(info)
            for member in members:
                target = bundle / member.filename.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with archive.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                except (zipfile.BadZipFile, NotImplementedError) as error:
                    raise InstallRefusedError(_EXTRACTION, str(error)) from error

    def _register(self, info: BundleInfo, identifier: str) -> None:
        container = self._containers / identifier
        for name in _CONTAINER_DIRECTORIES:
            (container / name).mkdir(parents=True, exist_ok=True)
        bundle = self._bundles / identifier / info.directory_name
        self._apps[info.bundle_id] = InstalledApp(
            info=info,
            plist=plistlib.loads((bundle / "Info.plist").read_bytes()),
            identifier=identifier,
            bundle=bundle,
            container=container,
        )


def _no_room(info: BundleInfo) -> InstallRefusedError:
    text = f"Failed to extract {info.directory_name}: No space left on device"
    return InstallRefusedError(_EXTRACTION, text)
