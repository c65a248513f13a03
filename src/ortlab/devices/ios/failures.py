"""What pymobiledevice3 and an iPhone say went wrong, as an error of ours: one table.

Sources: pymobiledevice3's `exceptions`, lockdownd's error names, installd's codes (signed 32 bits
in ``ErrorDetail``), the codes of ``FBSOpenApplicationErrorDomain``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ortlab.devices.ios.messages import Problem
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    InstallError,
    OrtlabError,
    StorageError,
    ToolchainError,
    UsageError,
)

UNLOCK: Final = "unlock the iPhone and keep its screen on, then run the same command again"
TRUST: Final = (
    "unlock the iPhone, pull the cable and plug it in again, tap Trust, and enter its passcode"
)
DEVELOPER_MODE: Final = (
    "on the iPhone: Settings, Privacy & Security, Developer Mode, on; it restarts and asks once"
    " more"
)
IMAGE: Final = (
    "connect this computer to the internet once, or mount it yourself: pymobiledevice3 mounter"
    " auto-mount; a Mac with Xcode does it when the iPhone is plugged in"
)
TUNNELD: Final = (
    "iOS 17.0 to 17.3 needs it: sudo python3 -m pymobiledevice3 remote tunneld, and leave it"
    " running; or update the iPhone to 17.4 or later"
)
REPLUG: Final = "plug the iPhone in again, unlock it, and run the same command to go on"
VERIFY: Final = (
    "on the iPhone: Settings, General, VPN & Device Management, your developer, Trust; it needs"
    " the internet for that"
)
SIGN: Final = (
    "sign it for this iPhone: set app.team, add its UDID to the team (Xcode does it when the"
    " iPhone is plugged into the Mac), and build again"
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    family: type[OrtlabError]
    sentence: str
    next_step: str


_MEANINGS: Final = {
    "ConnectionFailedToUsbmuxdError": _Meaning(
        ToolchainError,
        "nothing answers as usbmuxd",
        "start it: sudo systemctl start usbmuxd (apt-get install usbmuxd); on a Mac it runs",
    ),
    "NoDeviceConnectedError": _Meaning(DeviceLostError, "no iPhone is attached", REPLUG),
    "DeviceNotFoundError": _Meaning(DeviceLostError, "it is not attached", REPLUG),
    "BadDevError": _Meaning(DeviceLostError, "it is not attached any more", REPLUG),
    "UserDeniedPairingError": _Meaning(
        DeviceNotReadyError, "somebody tapped Don't Trust on it", TRUST
    ),
    "PairingDialogResponsePendingError": _Meaning(
        DeviceNotReadyError, "nobody has tapped Trust on it", "unlock the iPhone and tap Trust"
    ),
    "PasswordRequiredError": _Meaning(DeviceNotReadyError, "it is locked", UNLOCK),
    "PasscodeRequiredError": _Meaning(DeviceNotReadyError, "it is locked", UNLOCK),
    "NotPairedError": _Meaning(DeviceNotReadyError, "it does not trust this computer", TRUST),
    "InvalidHostIDError": _Meaning(
        DeviceNotReadyError, "it does not trust this computer any more", TRUST
    ),
    "FatalPairingError": _Meaning(
        DeviceNotReadyError, "it does not trust this computer any more", TRUST
    ),
    "NotTrustedError": _Meaning(DeviceNotReadyError, "it does not trust this computer", TRUST),
    "MCProtectedError": _Meaning(
        DeviceNotReadyError,
        "a configuration profile of its owner forbids it",
        "ask who manages the iPhone, or use another",
    ),
    "DeveloperModeIsNotEnabledError": _Meaning(
        DeviceNotReadyError, "its Developer Mode is off", DEVELOPER_MODE
    ),
    "DeveloperDiskImageNotFoundError": _Meaning(
        DeviceNotReadyError, "there is no developer disk image for its iOS", IMAGE
    ),
    "RSDRequiredError": _Meaning(
        DeviceNotReadyError, "its developer disk image needs a tunnel", IMAGE
    ),
    "TunneldConnectionError": _Meaning(
        DeviceNotReadyError, "no tunnel to it is open, as its iOS needs", TUNNELD
    ),
    "NoTunnelError": _Meaning(
        DeviceNotReadyError, "no tunnel to it is open, as its iOS needs", TUNNELD
    ),
    "UserspaceTunnelUnavailableError": _Meaning(
        DeviceNotReadyError,
        "it does not grant the tunnel that its iOS needs",
        "unlock it, pull the cable and plug it in again; if that does not help, restart it",
    ),
    "QuicProtocolNotSupportedError": _Meaning(
        DeviceNotReadyError, "the tunnel needs another Python", "use Python 3.13 or later"
    ),
    "RemoteXPCHandshakeTimeoutError": _Meaning(
        DeviceNotReadyError,
        "the tunnel to it does not open",
        "unlock it, pull the cable and plug it in again",
    ),
    "AppNotInstalledError": _Meaning(
        DeviceError, "the app is not on it", "run the same command again: it is installed anew"
    ),
    "CannotLaunchError": _Meaning(
        DeviceError, "it does not start the app", "open it on the iPhone and look what it says"
    ),
    "InvalidServiceError": _Meaning(
        DeviceNotReadyError,
        "it does not offer a service for developers",
        "see ortlab doctor: Developer Mode must be on and the developer disk image mounted",
    ),
    "StartServiceError": _Meaning(
        DeviceNotReadyError,
        "it does not start a service for developers",
        "see ortlab doctor: Developer Mode must be on and the developer disk image mounted",
    ),
    "VerifyFailedError": _Meaning(
        DeviceError,
        "what arrived on it is not what was sent",
        "try another cable; then run the same command again",
    ),
    "PhoneFullError": _Meaning(
        DeviceNotReadyError,
        "its storage is full",
        "make room: Settings, General, iPhone Storage",
    ),
    "LocalFileError": _Meaning(
        StorageError, "a file of this computer cannot be used", "make room, or set TMPDIR"
    ),
}

LOST: Final = frozenset(
    {
        "ConnectionTerminatedError",
        "StreamClosedError",
        "QueueShutDown",
        "ChannelClosedError",
        "ConnectionFailedError",
        "MuxException",
        "ConnectionError",
        "BrokenPipeError",
        "IncompleteReadError",
        "EOFError",
        "SSLError",
        "NotConnectedError",
    }
)
"""Exceptions that mean that a connection ended, whoever ended it."""


# ------------------------------------------------------------------------------ installing

_INSTALLD: Final = {
    "e8008001": ("its signature cannot be read", SIGN),
    "e8008015": ("no provisioning profile allows it on this iPhone", SIGN),
    "e8008016": ("its entitlements are not those of its provisioning profile", SIGN),
    "e8008017": ("a file in it changed after it was signed", "build it again, and sign it last"),
    "e8008018": ("the identity that signed it is not valid any more", SIGN),
    "e800801c": ("it has no signature", SIGN),
    "e8008029": ("its signature is of an old kind", "build it again with a newer Xcode"),
    "e800801a": ("its provisioning profile has expired", SIGN),
}
_REFUSALS: Final = (
    (
        r"(?i)no space|not enough (?:disk )?space|insufficient.?(?:storage|space)",
        "its storage is full",
        "make room: Settings, General, iPhone Storage",
    ),
    (
        r"DeviceOSVersionTooLow|MinimumOSVersion|requires a newer version|OS version too low",
        "its iOS is older than the app allows",
        "use an iPhone with a newer iOS, or lower the app's deployment target",
    ),
    (
        r"DeviceNotSupportedByThinning|IncorrectArchitecture|DeviceFamilyNotSupported|Simulator",
        "the app is built for another kind of device",
        "build it for iphoneos (generic/platform=iOS)",
    ),
    (
        r"MismatchedApplicationIdentifierEntitlement|ApplicationIdentifierMismatch",
        "the same app, signed by another team, is installed",
        "delete it on the iPhone (this deletes its data), then run the same command again",
    ),
    (
        r"MaximumAppLimit|maximum number of (?:apps|installed)",
        "a free developer account may have three apps on it",
        "delete one of your apps on the iPhone",
    ),
    (
        r"Package(?:Inspection|Extraction)Failed|InvalidPackage|not a valid|MissingBundle",
        "the file is no app that it can read",
        "build it again",
    ),
    (r"ApplicationVerificationFailed|verif", "it does not accept the app's signature", SIGN),
    (r"ProhibitedByProfile|BlockedByMDM|RestrictedBy", "its owner does not allow installing", ""),
)


def install_code(words: str) -> str | None:
    """Return installd's own code for a refusal, or None where it gave none."""
    number = re.search(r"0x(e80[0-9a-f]{5})", words, re.IGNORECASE)
    if number:
        return "0x" + number[1].lower()
    name = re.match(r"\s*([A-Z][A-Za-z]+)\b", words)
    return name[1] if name else None


def install_refusal(words: str, what: str, phone: str) -> InstallError:
    """Return the error for an app that an iPhone refuses.

    Args:
        words: All it said.
        what: Bundle id.
        phone: Its name.
    """
    code = install_code(words)
    why, step = _INSTALLD.get((code or "").removeprefix("0x"), ("", ""))
    if not why:
        for pattern, sentence, advice in _REFUSALS:
            if re.search(pattern, words):
                why, step = sentence, advice
                break
    said = words.strip()[:500] or "nothing"
    message = f"cannot install {what} on {phone}: {why + ': ' if why else 'it says: '}{said}"
    next_step = step or "plug it into a Mac and look at the Console while it is installed"
    return InstallError(message, code=code, next_step=next_step)


# ------------------------------------------------------------------------------ launching

_LAUNCHES: Final = (
    (r"reason: Locked|could not be, unlocked|was not, or could", "it is locked", UNLOCK),
    (
        r"invalid code signature|explicitly trusted|reason: Security",
        "it does not trust who signed the app",
        VERIFY,
    ),
    (
        r"get-task-allow|not debuggable|debuggable",
        "the app was not built for development (get-task-allow)",
        SIGN,
    ),
    (
        r"returned nil for|not installed|Unknown application",
        "the app is not on it",
        "run the same command again: it is installed anew",
    ),
)


def launch_refusal(words: str, what: str, phone: str) -> DeviceError:
    """Return the error for an app that an iPhone does not start."""
    for pattern, why, step in _LAUNCHES:
        if re.search(pattern, words):
            family = DeviceError if step.startswith("run the same") else DeviceNotReadyError
            return family(f"cannot start {what} on {phone}: {why}", next_step=step)
    message = f"cannot start {what} on {phone}: {words.strip()[:500]}"
    return DeviceError(message, next_step="open the app on the iPhone and look what it says")


# ------------------------------------------------------------------------------ all


def error_of(problem: Problem, *, doing: str, phone: str, what: str = "the app") -> OrtlabError:
    """Return the error that a worker's problem is.

    Args:
        problem: As told.
        doing: What could not be done, such as ``run blocks``.
        phone: Its name, or its UDID.
        what: Bundle id, where an app is meant.
    """
    names = problem.names
    if "AppInstallError" in names:
        return install_refusal(problem.words, what, phone)
    if "DTXNsError" in names or "CannotLaunchError" in names:
        return launch_refusal(problem.words, what, phone)
    if names[:1] == ("TimeoutError",) and problem.attached is not False:
        message = f"cannot {doing} on {phone}: it does not answer ({problem.doing})"
        step = "unlock the iPhone; if that does not help, restart it, then run the same command"
        return DeviceTimeoutError(message, next_step=step)
    for name in names:
        meaning = _MEANINGS.get(name)
        if meaning is not None and not (
            problem.attached is False and name == "InvalidServiceError"
        ):
            return _with_meaning(problem, meaning, doing, phone)
        if name in LOST:
            break
    if problem.attached is False or LOST & set(names):
        why = "it was unplugged" if problem.attached is False else "the connection to it broke"
        during = f" while {problem.doing}" if problem.doing else ""
        return DeviceLostError(f"lost {phone}: {why}{during}", next_step=REPLUG)
    said = problem.words.strip().splitlines()
    message = f"cannot {doing} on {phone}: {said[0] if said else names[0]} ({problem.doing})"
    return DeviceError(message, next_step="unplug it, restart it, and run the same command again")


def _with_meaning(problem: Problem, meaning: _Meaning, doing: str, phone: str) -> OrtlabError:
    message = f"cannot {doing} on {phone}: {meaning.sentence}"
    if meaning.family is StorageError:
        message = f"cannot {doing} on {phone}: {problem.words}"
    elif meaning.family is ToolchainError:
        message = f"cannot reach iPhones: {meaning.sentence}"
    return meaning.family(message, next_step=meaning.next_step)


def no_such_iphone(udid: str, known: tuple[str, ...]) -> UsageError:
    """Return the error for an iPhone that is not attached."""
    there = ", ".join(known) or "none"
    message = f"cannot open device {udid!r}: no such iPhone is attached (attached: {there})"
    return UsageError(message, next_step="plug it in and unlock it; ortlab devices")


def no_extra() -> ToolchainError:
    """Return the error where pymobiledevice3 is not installed."""
    message = (
        "cannot speak to iPhones: pymobiledevice3 is not installed; it is an extra because its"
        " licence is GPL-3.0-or-later, unlike ortlab's own"
    )
    return ToolchainError(message, next_step="pip install 'ortlab[ios]'")
