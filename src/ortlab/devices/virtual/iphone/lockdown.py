"""lockdownd: the phone's properties, pairing, sessions, and starting services."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.faults import (
    DeviceLocked,
    ServiceRefused,
    TrustAnswer,
    TrustDialog,
    TunnelRefused,
)
from ortlab.devices.virtual.iphone.pairing import PairingStore
from ortlab.devices.virtual.iphone.services import Service, WatchedStream
from ortlab.devices.virtual.iphone.streams import receive_plist, send_plist

LOCKDOWN: Final = "com.apple.mobile.lockdown"
LOCKDOWN_PORT: Final = 62078
TUNNEL_SERVICE: Final = "com.apple.internal.devicecompute.CoreDeviceProxy"
TLS_DEADLINE_S: Final = 30.0

_TRUST_ERRORS: Final = {
    TrustAnswer.PENDING: "PairingDialogResponsePending",
    TrustAnswer.DENIED: "UserDeniedPairing",
    TrustAnswer.PASSWORD: "PasswordProtected",
}
_PUBLIC: Final = frozenset(
    {
        "BuildVersion",
        "CPUArchitecture",
        "DeviceClass",
        "DeviceName",
        "DevicePublicKey",
        "HardwareModel",
        "OrtlabVirtual",
        "ProductName",
        "ProductType",
        "ProductVersion",
        "UniqueChipID",
        "UniqueDeviceID",
        "WiFiAddress",
    }
)


class LockdownPhone(Protocol):
    """What lockdownd needs of the phone."""

    services: dict[str, Service]
    pairings: PairingStore

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        ...

    @property
    def trusting(self) -> bool:
        """Whether its owner allows a new computer that asks to pair."""
        ...

    @property
    def developer_ready(self) -> bool:
        """Whether Developer Mode is on and the developer disk image is mounted."""
        ...

    def values(self, domain: str) -> Mapping[str, Any] | None:
        """Return the properties of a domain, or None; the empty name is the default one."""
        ...

    def set_value(self, domain: str, key: str, value: object) -> None:
        """Change a property."""
        ...

    def open_port(self, name: str, host_id: str) -> int:
        """Return a new port on which a service answers a computer."""
        ...

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class LockdownSession:
    """One connection to lockdownd.

    Args:
        phone: The phone.
        stream: From the computer.
        trusted: Whether it comes through a tunnel, so that it needs no session.
    """

    def __init__(self, phone: LockdownPhone, stream: WatchedStream, *, trusted: bool) -> None:
        self._phone = phone
        self._stream = stream
        self._host_id: str | None = "tunnel" if trusted else None
        self._over = False
        self._requests: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "QueryType": lambda _: {"Type": LOCKDOWN},
            "GetValue": self._get_value,
            "SetValue": self._set_value,
            "Pair": self._pair,
            "ValidatePair": self._validate_pair,
            "Unpair": self._unpair,
            "StartSession": self._start_session,
            "StopSession": self._stop_session,
            "StartService": self._start_service,
        }

    def serve(self) -> None:
        """Answer requests until one side ends it.

        Raises:
            StreamClosedError: The other side closed.
            ProtocolError: It sent what cannot be answered.
        """
        while not self._over:
            request = receive_plist(self._stream)
            name = str(request.get("Request"))
            answer = self._requests.get(name)
            detail = request.get("Service") or request.get("Key") or request.get("Domain") or ""
            self._phone.note("lockdown", f"{name} {detail}".strip())
            if answer is None:
                self._phone.note("unmodelled", f"lockdown {name}")
                send_plist(self._stream, {"Request": name, "Error": "InvalidRequest"})
                continue
            reply = answer(request)
            send_plist(self._stream, {"Request": name, **reply})
            if name == "StartSession" and "Error" not in reply:
                assert self._host_id is not None
                context = self._phone.pairings.tls(self._host_id)
                self._stream.secure(context, deadline_s=TLS_DEADLINE_S)

    # -------------------------------------------------------------------------- properties

    def _get_value(self, request: dict[str, Any]) -> dict[str, Any]:
        domain, key = request.get("Domain") or "", request.get("Key")
        told: dict[str, Any] = {k: request[k] for k in ("Domain", "Key") if k in request}
        values = self._phone.values(domain)
        if self._host_id is None:
            if domain:
                return {**told, "Error": "GetProhibited"}
            values = {k: v for k, v in (values or {}).items() if k in _PUBLIC}
        if key is None:
            return {**told, "Value": dict(values or {})}
        if values is None or key not in values:
            return {**told, "Error": "MissingValue"}
        return {**told, "Value": values[key]}

    def _set_value(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._host_id is None:
            return {"Error": "SetProhibited"}
        domain, key = request.get("Domain") or "", str(request.get("Key"))
        self._phone.set_value(domain, key, request.get("Value"))
        return {"Key": key, "Value": request.get("Value")}

    # -------------------------------------------------------------------------- pairing

    def _pair(self, request: dict[str, Any]) -> dict[str, Any]:
        fault = self._phone.faults.take(TrustDialog)
        if fault is not None:
            return {"Error": _TRUST_ERRORS[fault.answer]}
        if not self._phone.trusting:
            return {"Error": _TRUST_ERRORS[TrustAnswer.PENDING]}
        return {"EscrowBag": self._phone.pairings.add(_record(request))}

    def _validate_pair(self, request: dict[str, Any]) -> dict[str, Any]:
        return {} if self._known(_record(request)) else {"Error": "InvalidHostID"}

    def _unpair(self, request: dict[str, Any]) -> dict[str, Any]:
        self._phone.pairings.remove(_record(request).get("HostID"))
        return {}

    def _known(self, record: Mapping[str, Any]) -> bool:
        return self._phone.pairings.trusts(record.get("HostID"))

    # -------------------------------------------------------------------------- sessions

    def _start_session(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._known(request):
            return {"Error": "InvalidHostID"}
        self._host_id = str(request["HostID"])
        return {"EnableSessionSSL": True, "SessionID": str(uuid.uuid4()).upper()}

    def _stop_session(self, _: dict[str, Any]) -> dict[str, Any]:
        self._over = True
        return {}

    def _start_service(self, request: dict[str, Any]) -> dict[str, Any]:
        name = str(request.get("Service"))
        error = self._refusal(name)
        if error is not None:
            return {"Service": name, "Error": error}
        assert self._host_id is not None
        port = self._phone.open_port(name, self._host_id)
        under_tls = self._phone.services[name].under_tls
        return {"Service": name, "Port": port, "EnableServiceSSL": under_tls}

    def _refusal(self, name: str) -> str | None:
        """Return why a service is not started, or None."""
        faults, service = self._phone.faults, self._phone.services.get(name)
        if self._host_id is None:
            return "InvalidConnection"
        locked = faults.find(DeviceLocked)
        if locked is not None and locked.since_start:
            return "PasswordProtected"
        refused = faults.take(ServiceRefused, service=name)
        if refused is not None:
            return refused.error
        tunnel = faults.find(TunnelRefused) if name == TUNNEL_SERVICE else None
        if tunnel is not None and not tunnel.in_handshake and faults.spend(tunnel):
            return "InvalidService"
        if service is None or (service.needs_image and not self._phone.developer_ready):
            if service is None:
                self._phone.note("unmodelled", f"service {name}")
            return "InvalidService"
        return None


def _record(request: Mapping[str, Any]) -> Mapping[str, Any]:
    record = request.get("PairRecord")
    return record if isinstance(record, dict) else {}
