"""What a phone's package manager is asked and what its answers mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from ortlab.devices.android.channel import Buffer, Channel
from ortlab.devices.android.quoting import command_line, quoted
from ortlab.devices.android.sync import Source
from ortlab.devices.local_files import size_bytes
from ortlab.errors import InstallError

_CHUNK_BYTES = 1 << 20

_ADVICE: Final = {
    "INSTALL_FAILED_USER_RESTRICTED": (
        "the phone asks a person and nobody agreed, or its settings forbid it",
        (
            "unlock the phone, press Install when it asks; on Xiaomi, Oppo and Vivo also switch on "
            "Developer options, Install via USB"
        ),
    ),
    "INSTALL_FAILED_ABORTED": (
        "it was cancelled on the phone",
        "unlock the phone and press Install when it asks",
    ),
    "INSTALL_FAILED_UPDATE_INCOMPATIBLE": (
        "the same app, signed with another key, is installed",
        "adb -s {serial} uninstall {package} (this deletes the app's data)",
    ),
    "INSTALL_FAILED_SHARED_USER_INCOMPATIBLE": (
        "an app that shares its user is signed with another key",
        "adb -s {serial} uninstall {package} (this deletes the app's data)",
    ),
    "INSTALL_FAILED_VERSION_DOWNGRADE": (
        "a newer version is installed",
        "raise app.versionCode, or adb -s {serial} uninstall {package} (deletes the app's data)",
    ),
    "INSTALL_FAILED_ALREADY_EXISTS": (
        "the app is installed already",
        "adb -s {serial} uninstall {package} (this deletes the app's data)",
    ),
    "INSTALL_FAILED_INSUFFICIENT_STORAGE": (
        "the phone's storage is full",
        "make room; how much there is: adb -s {serial} shell df /data",
    ),
    "INSTALL_FAILED_MEDIA_UNAVAILABLE": (
        "the storage it should go to is not there",
        "restart the phone, or take the memory card out",
    ),
    "INSTALL_FAILED_NO_MATCHING_ABIS": (
        "the app holds no native code for this phone's processor",
        "build for it; what it takes: adb -s {serial} shell getprop ro.product.cpu.abilist",
    ),
    "INSTALL_FAILED_CPU_ABI_INCOMPATIBLE": (
        "the app holds no native code for this phone's processor",
        "build for it; what it takes: adb -s {serial} shell getprop ro.product.cpu.abilist",
    ),
    "INSTALL_FAILED_TEST_ONLY": (
        "the app is marked as one for tests only",
        "install it with the flag -t, or build it without testOnly",
    ),
    "INSTALL_FAILED_OLDER_SDK": (
        "the phone's Android is older than the app allows",
        "use a phone with a newer Android, or lower the app's minSdk",
    ),
    "INSTALL_FAILED_NEWER_SDK": (
        "the phone's Android is newer than the app allows",
        "raise the app's maxSdkVersion",
    ),
    "INSTALL_FAILED_DEPRECATED_SDK_VERSION": (
        "the app's targetSdk is too old for this phone",
        "raise targetSdk",
    ),
    "INSTALL_FAILED_VERIFICATION_FAILURE": (
        "a check of the phone, such as Play Protect, refused it",
        "allow the app when the phone asks, or switch off Developer options, Verify apps over USB",
    ),
    "INSTALL_FAILED_VERIFICATION_TIMEOUT": (
        "a check of the phone, such as Play Protect, did not end",
        "look at the phone: it may ask; or switch off Developer options, Verify apps over USB",
    ),
    "INSTALL_FAILED_INVALID_APK": ("the file is no valid APK", "build it again"),
    "INSTALL_FAILED_MISSING_SPLIT": (
        "a part of a split app is missing",
        "install all its APKs together, the base one among them",
    ),
    "INSTALL_FAILED_MISSING_SHARED_LIBRARY": (
        "it uses a library that this phone does not have",
        "remove uses-library, or mark it as not required",
    ),
    "INSTALL_FAILED_MISSING_FEATURE": (
        "it needs a feature that this phone does not have",
        "mark the feature as not required",
    ),
    "INSTALL_FAILED_CONFLICTING_PROVIDER": (
        "another app provides under the same authority",
        "uninstall the other app, or change the authority",
    ),
    "INSTALL_FAILED_DUPLICATE_PERMISSION": (
        "another app defines the same permission",
        "uninstall the other app",
    ),
    "INSTALL_FAILED_DEXOPT": ("its code could not be prepared", "make room on the phone"),
    "INSTALL_FAILED_INTERNAL_ERROR": (
        "the phone's package manager failed",
        "restart the phone; why: adb -s {serial} logcat -d -s PackageManager",
    ),
    "INSTALL_PARSE_FAILED_NOT_APK": ("the file is no APK", "build it again"),
    "INSTALL_PARSE_FAILED_NO_CERTIFICATES": (
        "the APK is not signed, or not in a way this phone reads",
        "sign it: apksigner sign",
    ),
    "INSTALL_PARSE_FAILED_INCONSISTENT_CERTIFICATES": (
        "its parts are signed with different keys, or another key than the installed app",
        "adb -s {serial} uninstall {package} (this deletes the app's data)",
    ),
    "INSTALL_PARSE_FAILED_MANIFEST_MALFORMED": ("its manifest is malformed", "build it again"),
}

_CODE = re.compile(r"\b((?:INSTALL|DELETE)_[A-Z][A-Z_0-9]*)")
_FAILURE = re.compile(r"Failure(?: \[(?P<reason>[^\n]*)\])?")
_SESSION = re.compile(r"created install session \[(\d+)\]")
_OTHER_ERRORS = (
    (
        re.compile(r"not enough space|ENOSPC|No space left", re.IGNORECASE),
        "INSTALL_FAILED_INSUFFICIENT_STORAGE",
    ),
    (
        re.compile(r"Failed to parse APK|not a valid zip|Unable to (?:parse|open)", re.IGNORECASE),
        "INSTALL_FAILED_INVALID_APK",
    ),
    (
        re.compile(r"restricted|canceled by user", re.IGNORECASE),
        "INSTALL_FAILED_USER_RESTRICTED",
    ),
)


def succeeded(answer: str) -> bool:
    """Whether the package manager says that it did what it was asked."""
    return re.search(r"^Success\b", answer, re.MULTILINE) is not None


def failure_code(answer: str) -> str | None:
    """Return the platform's code for a refusal, or None where it gave none."""
    if match := _CODE.search(answer):
        return match[1]
    return next((code for pattern, code in _OTHER_ERRORS if pattern.search(answer)), None)


def refusal(answer: str, *, what: str, serial: str, package: str | None = None) -> InstallError:
    """Return the error for a package manager's refusal.

    Args:
        answer: All it said.
        what: What was to be installed.
        serial: Of the phone.
        package: Application id, where known, for the advice.
    """
    code = failure_code(answer)
    why, step = _ADVICE.get(code or "", ("", ""))
    known_package = package or "PACKAGE"
    if match := re.search(r"(?:Existing p|P)ackage ([A-Za-z][\w.]+)", answer):
        known_package = package or match[1]
    match = _FAILURE.search(answer)
    said = ((match["reason"] if match else None) or answer.strip() or "nothing")[:500]
    message = (
        f"cannot install {what} on {serial}: {why + ': ' if why else 'the phone says: '}{said}"
    )
    next_step = step.format(serial=quoted(serial), package=known_package) if step else None
    if next_step is None:
        next_step = f"adb -s {quoted(serial)} logcat -d -s PackageManager PackageInstaller"
    return InstallError(message, code=code, next_step=next_step)


def not_installed(answer: str) -> bool:
    """Whether a refusal to uninstall means that there is no such app."""
    return (
        re.search(r"not installed|Unknown package|DELETE_FAILED_INTERNAL_ERROR", answer) is not None
    )


def too_old(what: str, *, serial: str) -> InstallError:
    """Return the error for a phone that cannot take a streamed app.

    Args:
        what: What was to be installed.
        serial: Of the phone.
    """
    code = "INSTALL_FAILED_OLDER_SDK"
    message = f"cannot install {what} on {serial}: its Android is older than 7.0"
    return InstallError(
        message, code=code, next_step="use a phone with Android 7.0 (API level 24) or newer"
    )


class RefusedInstallError(Exception):
    """The package manager refused; the text is all it said."""


class Ask(Protocol):
    """Asks the package manager and returns its answer."""

    def __call__(self, arguments: Sequence[str], apk: Path | None) -> str:
        """Ask with the arguments after ``package`` and the bytes of an APK, if any."""
        ...


def install(
    apks: Sequence[Path],
    flags: Sequence[str],
    *,
    ask: Ask,
    abandon: Callable[[Sequence[str]], None],
) -> None:
    """Install one APK, or several as the splits of one app in a session.

    Args:
        apks: One APK, or the base and its splits.
        flags: Of ``pm install``.
        ask: Asks the package manager.
        abandon: Asks it likewise, when a session failed; may not fail.

    Raises:
        RefusedInstallError: It refused.
        StorageError: An APK cannot be read.
    """
    sizes = [size_bytes(apk) for apk in apks]
    if len(apks) == 1:
        _expect_success(ask(("install", *flags, "-S", str(sizes[0])), apks[0]))
        return
    answer = ask(("install-create", *flags, "-S", str(sum(sizes))), None)
    match = _SESSION.search(answer)
    if match is None:
        raise RefusedInstallError(answer)
    session = match[1]
    try:
        for apk, name, size in zip(apks, split_names(apks), sizes, strict=True):
            _expect_success(ask(("install-write", "-S", str(size), session, name, "-"), apk))
        _expect_success(ask(("install-commit", session), None))
    except BaseException:
        abandon(("install-abandon", session))
        raise


def _expect_success(answer: str) -> None:
    if not succeeded(answer):
        raise RefusedInstallError(answer)


def package_service(arguments: Sequence[str], *, direct: bool) -> str:
    """Return the adb service that asks the package manager.

    Args:
        arguments: After ``package``.
        direct: Whether the phone takes arguments without a shell.
    """
    if direct:
        return "abb_exec:" + "\0".join(("package", *arguments))
    return f"exec:cmd package {command_line(arguments)}"


def ask(channel: Channel, content: Source | None = None) -> str:
    """Give the package manager an APK's bytes, if any, and return all it says.

    Raises:
        TimeoutError: The deadline has passed.
        OSError: The connection broke.
    """
    if content is not None:
        channel.send_until_answer(_chunks(content))
    return channel.read_to_end().decode(errors="replace")


def _chunks(content: Source) -> Iterator[Buffer]:
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    while size := content.readinto(view):
        yield view[:size]


def split_names(apks: Sequence[Path]) -> tuple[str, ...]:
    """Return a name for each APK of a session: plain letters, each once."""
    return tuple(
        f"{number}_{re.sub(r'[^A-Za-z0-9._-]', '_', apk.stem)[:80]}.apk"
        for number, apk in enumerate(apks)
    )
