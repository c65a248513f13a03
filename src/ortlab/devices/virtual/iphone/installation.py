"""The services that install, list and remove apps, and that open their containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.apps import AppStore, InstalledApp, InstallRefusedError
from ortlab.devices.virtual.iphone.processes import ProcessTable
from ortlab.devices.virtual.iphone.streams import Stream, receive_plist, send_plist

INSTALLED: Final = "com.apple.mobile.application_installed"
UNINSTALLED: Final = "com.apple.mobile.application_uninstalled"

_LISTED_AT_ONCE: Final = 20


class InstallingPhone(Protocol):
    """What these services need of the phone."""

    apps: AppStore
    processes: ProcessTable

    def media_path(self, name: str) -> Path | None:
        """Return the file of this machine behind a path that AFC shows, or None."""
        ...

    def serve_files(self, stream: Stream, root: Path, only: str | None) -> None:
        """Serve AFC on a directory of this machine."""
        ...

    def post(self, notification: str) -> None:
        """Tell whoever observes it."""
        ...

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class InstallationProxy:
    """`com.apple.mobile.installation_proxy`."""

    def __init__(self, phone: InstallingPhone) -> None:
        self._phone = phone
        self._commands: dict[str, Callable[[Stream, dict[str, Any]], None]] = {
            "Install": self._install,
            "Upgrade": self._install,
            "Uninstall": self._uninstall,
            "Lookup": self._lookup,
            "Browse": self._browse,
            "CheckCapabilitiesMatch": _match,
        }

    def serve(self, stream: Stream) -> None:
        """Answer commands until the other side closes."""
        while True:
            request = receive_plist(stream)
            name = str(request.get("Command"))
            self._phone.note("installation", name)
            command = self._commands.get(name)
            if command is None:
                self._phone.note("unmodelled", f"installation_proxy {name}")
                send_plist(stream, {"Error": "UnknownCommand"})
                continue
            command(stream, request)

    def _install(self, stream: Stream, request: dict[str, Any]) -> None:
        def progress(stage: str, percent: int) -> None:
            send_plist(stream, {"Status": stage, "PercentComplete": percent})

        name = str(request.get("PackagePath", ""))
        package = self._phone.media_path(name)
        try:
            if package is None or not package.exists():
                raise InstallRefusedError(_INSPECTION, f"there is no package at {name}")
            self._phone.apps.install(package, progress, stop=self._phone.processes.end)
        except InstallRefusedError as refusal:
            answer: dict[str, Any] = {
                "Error": refusal.error,
                "ErrorDescription": refusal.description,
            }
            if refusal.detail:
                answer["ErrorDetail"] = refusal.detail
            send_plist(stream, answer)
            return
        self._phone.post(INSTALLED)
        send_plist(stream, {"Status": "Complete"})

    def _uninstall(self, stream: Stream, request: dict[str, Any]) -> None:
        name = str(request.get("ApplicationIdentifier"))
        self._phone.processes.end(name)
        send_plist(stream, {"Status": "RemovingApplication", "PercentComplete": 50})
        self._phone.apps.uninstall(name)  # the system says nothing of an app that is not there
        self._phone.post(UNINSTALLED)
        send_plist(stream, {"Status": "Complete"})

    def _lookup(self, stream: Stream, request: dict[str, Any]) -> None:
        found = self._select(_options(request))
        result = {str(facts["CFBundleIdentifier"]): facts for facts in found}
        send_plist(stream, {"LookupResult": result, "Status": "Complete"})

    def _browse(self, stream: Stream, request: dict[str, Any]) -> None:
        found = self._select(_options(request))
        for start in range(0, len(found), _LISTED_AT_ONCE):
            part = found[start : start + _LISTED_AT_ONCE]
            told = {
                "Status": "BrowsingApplications",
                "CurrentIndex": start,
                "CurrentAmount": len(part),
                "Total": len(found),
                "CurrentList": part,
            }
            send_plist(stream, told)
        send_plist(stream, {"Status": "Complete"})

    def _select(self, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        wanted, attributes = options.get("BundleIDs"), options.get("ReturnAttributes")
        if options.get("ApplicationType", "Any") not in ("Any", "User"):
            return []
        found = []
        for app in self._phone.apps.all():
            if wanted is None or app.info.bundle_id in wanted:
                facts = app.described()
                if attributes:
                    kept = {"CFBundleIdentifier", *attributes}
                    facts = {key: value for key, value in facts.items() if key in kept}
                found.append(facts)
        return found


class HouseArrest:
    """`com.apple.mobile.house_arrest`: AFC in the container of an app, one a connection."""

    def __init__(self, phone: InstallingPhone) -> None:
        self._phone = phone

    def serve(self, stream: Stream) -> None:
        """Answer one command, then be AFC."""
        request = receive_plist(stream)
        command, name = str(request.get("Command")), request.get("Identifier")
        app = self._phone.apps.find(name)
        self._phone.note("house_arrest", f"{command} {name}")
        error = _refusal(command, app)
        if error is not None or app is None:
            send_plist(stream, {"Error": error or _LOOKUP_FAILED})
            return
        send_plist(stream, {"Status": "Complete"})
        only = "Documents" if command == _VEND_DOCUMENTS else None
        self._phone.serve_files(stream, app.container, only)


_INSPECTION: Final = "PackageInspectionFailed"
_VEND_DOCUMENTS: Final = "VendDocuments"
_VEND_CONTAINER: Final = "VendContainer"
_LOOKUP_FAILED: Final = "ApplicationLookupFailed"
_NOT_ALLOWED: Final = "InstallationLookupFailed"


def _refusal(command: str, app: InstalledApp | None) -> str | None:
    if command not in (_VEND_DOCUMENTS, _VEND_CONTAINER):
        return "UnknownCommand"
    if app is None:
        return _LOOKUP_FAILED
    if command == _VEND_DOCUMENTS and not app.info.file_sharing:
        return _NOT_ALLOWED
    if command == _VEND_CONTAINER and not app.debuggable:
        return _NOT_ALLOWED
    return None


def _options(request: Mapping[str, Any]) -> Mapping[str, Any]:
    options = request.get("ClientOptions")
    return options if isinstance(options, dict) else {}


def _match(stream: Stream, _: dict[str, Any]) -> None:
    send_plist(stream, {"LookupResult": True, "Status": "Complete"})
