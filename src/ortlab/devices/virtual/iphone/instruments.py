"""Instruments on a phone: channels over DTX, each with one service behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.apps import AppStore
from ortlab.devices.virtual.iphone.dtx import DtxConnection, DtxMessage, Kind
from ortlab.devices.virtual.iphone.instrument_services import (
    CallRefusedError,
    DeviceInformation,
    InstalledApplications,
    InstrumentService,
    SystemMonitor,
    UnknownSelectorError,
)
from ortlab.devices.virtual.iphone.keyed_archive import ArchivedError, KeyedArchiveError
from ortlab.devices.virtual.iphone.process_control import ProcessControl
from ortlab.devices.virtual.iphone.processes import ProcessTable
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.streams import Stream

INSTRUMENTS_SERVICE: Final = "com.apple.instruments.remoteserver.DVTSecureSocketProxy"
"""Under which lockdown starts it, with the developer disk image."""

INSTRUMENTS_HUB: Final = "com.apple.instruments.dtservicehub"
"""Under which it is found inside a tunnel."""

_ROOT: Final = 0
_SERVICES: Final = "com.apple.instruments.server.services."
_VERSIONS: Final = {
    f"{_SERVICES}processcontrol": 1,
    f"{_SERVICES}processcontrol.feature.deviceio": 103,
    f"{_SERVICES}deviceinfo": 102,
    f"{_SERVICES}sysmontap": 1,
    f"{_SERVICES}device.applictionListing": 1,  # so spelt by Apple
    "com.apple.private.DTXConnection": 1,
}


class InstrumentsPhone(Protocol):
    """What Instruments needs of the phone."""

    spec: VirtualIPhoneSpec
    processes: ProcessTable
    apps: AppStore

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class InstrumentsSession:
    """One connection of Instruments.

    Args:
        phone: The phone.
        stream: From the computer.
    """

    def __init__(self, phone: InstrumentsPhone, stream: Stream) -> None:
        self._phone = phone
        self._connection = DtxConnection(stream)
        self._channels: dict[int, tuple[str, InstrumentService]] = {}

    def serve(self) -> None:
        """Answer until the computer leaves; then nothing is told of processes any more.

        Raises:
            StreamClosedError: It left.
            ProtocolError: It sent what is no message.
        """
        try:
            while True:
                message = self._connection.receive()
                if message.conversation % 2 == 0:  # else it answers what was told
                    self._answer(message)
        finally:
            for _, service in self._channels.values():
                service.close()

    def _answer(self, message: DtxMessage) -> None:
        if message.kind is not Kind.DISPATCH or not isinstance(message.payload, str):
            self._phone.note("unmodelled", f"instruments: a message of kind {message.kind.name}")
            return
        result: Any
        try:
            result = self._call(message.channel, message.payload, message.arguments)
        except UnknownSelectorError:
            name = self._name(message.channel)
            self._phone.note("unmodelled", f"instruments {name} {message.payload}")
            text = f"Unable to invoke -[{name} {message.payload}] - it does not respond to it"
            result = _refusal(text)
        except CallRefusedError as refused:
            result = refused.error
        if message.expects_reply:
            self._reply(message, result)

    def _reply(self, message: DtxMessage, result: Any) -> None:
        kind = Kind.OBJECT
        if result is None:
            kind = Kind.OK
        elif isinstance(result, ArchivedError):
            kind = Kind.ERROR
        reply = DtxMessage(
            kind=kind,
            channel=message.channel,
            identifier=message.identifier,
            conversation=message.conversation + 1,
            payload=result,
        )
        try:
            self._connection.send(reply)
        except KeyedArchiveError as error:
            self._phone.note("bug", f"instruments {message.payload}: {error}")
            self._reply(message, _refusal(str(error)))

    def _call(self, channel: int, selector: str, arguments: tuple[Any, ...]) -> Any:
        if channel != _ROOT:
            if channel not in self._channels:
                raise CallRefusedError(_refusal(f"there is no channel {channel}"))
            name, service = self._channels[channel]
            self._phone.note("instruments", f"{name.removeprefix(_SERVICES)} {selector}")
            return service.call(selector, arguments)
        self._phone.note("instruments", selector)
        match selector, arguments:
            case "_notifyOfPublishedCapabilities:", _:
                told = DtxMessage(
                    kind=Kind.DISPATCH, channel=_ROOT, payload=selector, arguments=(_VERSIONS,)
                )
                self._connection.send(told)
            case "_requestChannelWithCode:identifier:", (int(code), str(name)):
                self._open(code, name)
            case "_channelCanceled:", (int(code),):
                if code in self._channels:
                    self._channels.pop(code)[1].close()
            case _:
                raise UnknownSelectorError
        return None

    def _open(self, code: int, name: str) -> None:
        make = self._makers().get(name.removeprefix(_SERVICES))
        if make is None or code <= 0 or code in self._channels:
            if make is None:
                self._phone.note("unmodelled", f"instruments service {name}")
            raise CallRefusedError(_refusal(f"Unable to find service {name}"))
        self._channels[code] = (name, make(_Teller(self._connection, code)))

    def _makers(self) -> Mapping[str, Callable[[_Teller], InstrumentService]]:
        phone = self._phone
        return {
            "processcontrol": lambda teller: ProcessControl(phone.processes, teller),
            "deviceinfo": lambda _: DeviceInformation(phone.processes, phone.spec),
            "sysmontap": lambda teller: SystemMonitor(phone.processes, phone.spec, teller),
            "device.applictionListing": lambda _: InstalledApplications(phone.apps),
        }

    def _name(self, channel: int) -> str:
        return self._channels[channel][0] if channel in self._channels else "root"


class _Teller:
    """Tells the computer something on a channel that it opened: under the negated code."""

    def __init__(self, connection: DtxConnection, code: int) -> None:
        self._connection = connection
        self._code = code

    def invoke(self, selector: str, *arguments: Any) -> None:
        """See :class:`ortlab.devices.virtual.iphone.instrument_services.Teller`."""
        self._connection.send(
            DtxMessage(
                kind=Kind.DISPATCH, channel=-self._code, payload=selector, arguments=arguments
            )
        )

    def tell(self, content: Any) -> None:
        """See :class:`ortlab.devices.virtual.iphone.instrument_services.Teller`."""
        self._connection.send(DtxMessage(kind=Kind.OBJECT, channel=-self._code, payload=content))


def _refusal(text: str) -> ArchivedError:
    return ArchivedError(domain="DTXMessage", code=1, information={"NSLocalizedDescription": text})


def serve_instruments(phone: InstrumentsPhone, stream: Stream) -> None:
    """Serve Instruments on a stream until the computer leaves.

    Raises:
        StreamClosedError: It left.
        ProtocolError: It sent what is no message.
    """
    InstrumentsSession(phone, stream).serve()
