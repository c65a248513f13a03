"""App bundles that Xcode built or that somebody gives: found, read, held to what a phone wants."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ortlab.bundle import BundleInfo, ProvisioningProfile, read_bundle_info
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import ToolchainError
from ortlab.mach_o import IPHONE, SIMULATOR

SETTINGS: Final = "App.xcconfig"
PRODUCTS: Final = "build/xcode/Build/Products"
CONFIGURATIONS: Final = {"release": "Release", "debug": "Debug"}
SCHEMES: Final = {"app": "App", "bench": "Bench"}
BENCH_SUFFIX: Final = ".bench"

_CHUNK_BYTES: Final = 1 << 20
_BUILD_STEP: Final = "build it for devices: ortlab build DIR --module bench, on a Mac"


def read_bundle(path: Path) -> BuiltApp:
    """Read an app bundle for iPhones: an `.app` directory or an `.ipa`.

    A bundle whose program is a script is taken as well: virtual phones run it.

    Raises:
        UsageError: There is no such file or directory.
        ToolchainError: It is no app bundle, a damaged one, or none for iPhones.
    """
    path = path.absolute()
    info = read_bundle_info(path)
    _check_platform(path, info)
    return BuiltApp(
        platform=AppPlatform.IOS,
        files=(path,),
        sha256=_sha256_of(path),
        application_id=info.bundle_id,
        version_code=_number(info.build),
        version_name=info.version,
        abis=info.architectures,
        debuggable=f"{info.executable}.debug.dylib" in info.entries,
        size_by_part=info.size_by_part,
        minimum_os=info.minimum_os,
        signed=info.signed,
        executable=info.executable,
    )


def _check_platform(path: Path, info: BundleInfo) -> None:
    if IPHONE not in info.platforms:
        named = ", ".join(info.platforms) or "a platform that it does not name"
        what = "the simulator" if info.platforms == (SIMULATOR,) else named
        message = f"cannot use {path.name}: it was built for {what}, not for iPhones"
        raise ToolchainError(message, next_step=_BUILD_STEP)
    if info.encrypted:
        message = f"cannot use {path.name}: it is encrypted, as what comes from the App Store is"
        raise ToolchainError(message, next_step=_BUILD_STEP)


def _number(build: str) -> int:
    """Return the first number of a build such as ``7`` or ``7.2``; 0 where there is none."""
    first = build.partition(".")[0]
    return int(first) if first.isascii() and first.isdecimal() and len(first) < 19 else 0


def _sha256_of(path: Path) -> str:
    """Return the digest of an archive, or of the names and contents of a directory."""
    digest = hashlib.sha256()
    if path.is_file():
        _add(digest, path)
        return digest.hexdigest()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(file.relative_to(path).as_posix().encode(errors="surrogateescape") + b"\0")
        _add(digest, file)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)


# ------------------------------------------------------------------------------ for a phone


def check_signature(
    app: BuiltApp, *, launch: bool = True, device_id: str | None = None, now: datetime | None = None
) -> None:
    """Hold a bundle to what iPhones want, as far as this machine can tell.

    One whose program is a script is left to the phone: a virtual one runs it, no other does.

    Args:
        app: As :func:`read_bundle` gives it.
        launch: Whether it is to be started over USB, which needs a development signature.
        device_id: UDID of the phone that it goes to, or None.
        now: Moment that profiles must not have expired at; the present if None.

    Raises:
        ToolchainError: A phone would refuse it; the message says why.
    """
    path = app.files[0]
    info = read_bundle_info(path)
    problem = _problem(info, launch=launch, device_id=device_id, now=now or datetime.now(UTC))
    if problem is not None:
        why, step = problem
        message = f"cannot use {path.name} on an iPhone: {why}"
        raise ToolchainError(message, next_step=step)


def check_benchmark(app: BuiltApp) -> None:
    """Hold a bundle to what a benchmark app of ours has; a script is left to the phone.

    Raises:
        ToolchainError: It is another app, or its results could not be fetched.
    """
    path = app.files[0]
    info = read_bundle_info(path)
    if info.script:
        return
    why = ""
    if not info.bundle_id.endswith(BENCH_SUFFIX):
        why = f"{info.bundle_id} is no benchmark app, whose id ends with {BENCH_SUFFIX}"
    elif not info.file_sharing:
        why = "its Info.plist lacks UIFileSharingEnabled, so that no result could be fetched"
    if why:
        message = f"cannot measure with {path.name}: {why}"
        step = "name the app that ortlab build DIR --module bench makes"
        raise ToolchainError(message, next_step=step)


def _problem(
    info: BundleInfo, *, launch: bool, device_id: str | None, now: datetime
) -> tuple[str, str] | None:
    rebuild = "ortlab build DIR --module bench on a Mac, with DEVELOPMENT_TEAM in App.xcconfig"
    if info.script:
        return None
    if not info.signed:
        return "it is not signed", rebuild
    if any(item.ad_hoc for item in info.slices):
        return "it is signed without an identity (ad hoc)", rebuild
    if info.profile is None:
        return "it holds no provisioning profile", rebuild
    if why := _profile_problem(info.profile, info.bundle_id, device_id, now):
        return why, f"{rebuild}; the iPhone must be registered with the team"
    if launch and not info.get_task_allow:
        why = "it is signed for distribution (no get-task-allow), so it cannot be started over USB"
        return why, "sign it for development: ortlab build does; or open it by hand on the phone"
    return None


def _profile_problem(
    profile: ProvisioningProfile, bundle_id: str, device_id: str | None, now: datetime
) -> str:
    if profile.expires_at is not None and profile.expires_at <= now:
        return f"its provisioning profile expired on {profile.expires_at:%Y-%m-%d}"
    covered = profile.application_id.partition(".")[2]
    fits = covered == bundle_id or (covered.endswith("*") and bundle_id.startswith(covered[:-1]))
    if covered and not fits:
        return f"its provisioning profile is for {covered}, not for {bundle_id}"
    known = {udid.upper() for udid in profile.devices}
    if device_id is not None and known and device_id.upper() not in known:
        return f"its provisioning profile does not list {device_id}"
    return ""


# ------------------------------------------------------------------------------ finding


def is_ios_project(directory: Path) -> bool:
    """Whether a directory holds a generated project for iPhones."""
    return (directory / SETTINGS).is_file()


def is_bundle(target: Path) -> bool:
    """Whether a path is named as an app bundle is."""
    return target.suffix.lower() == (".app" if target.is_dir() else ".ipa")


def built_bundle(project: Path, module: str, variant: str) -> Path | None:
    """Return the bundle that Xcode made of a module; None where it made none."""
    products = project / PRODUCTS / f"{CONFIGURATIONS[variant]}-iphoneos"
    found = bundles_in(products)
    named = [path for path in found if path.stem == SCHEMES.get(module)]
    if named:
        return named[0]
    for path in found:  # the project's owner may have given it another name
        if path.stem in SCHEMES.values():
            continue
        is_bench = read_bundle_info(path).bundle_id.endswith(BENCH_SUFFIX)
        if is_bench == (module == "bench"):
            return path
    return None


def bundles_in(directory: Path) -> tuple[Path, ...]:
    """Return the app bundles directly in a directory, or in an Xcode archive, sorted."""
    if not directory.is_dir():
        return ()
    if directory.suffix == ".xcarchive":
        directory = directory / "Products" / "Applications"
    return tuple(sorted(path.absolute() for path in directory.glob("*") if is_bundle(path)))
