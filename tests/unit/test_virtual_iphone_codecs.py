"""The virtual iPhone's codecs: what is written is read back; what is damaged ends in one error."""

from __future__ import annotations

import json
import math
import plistlib
import signal
import struct
import uuid
from datetime import UTC, datetime, timedelta
from plistlib import UID
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortlab.devices.virtual.iphone.darwin_signals import number_on_iphone, signal_here
from ortlab.devices.virtual.iphone.dtx import (
    DtxConnection,
    DtxMessage,
    Integer32,
    Integer64,
    Kind,
    decode_arguments,
    encode_arguments,
    encode_body,
    fragments,
)
from ortlab.devices.virtual.iphone.keyed_archive import (
    ArchivedError,
    ArchivedObject,
    KeyedArchiveError,
    TapMessage,
    archive,
    unarchive,
)
from ortlab.devices.virtual.iphone.remote_xpc import (
    MessageBuffer,
    RemoteXpc,
    XpcMessage,
    encode_message,
)
from ortlab.devices.virtual.iphone.streams import ProtocolError, StreamClosedError
from ortlab.devices.virtual.iphone.tcp_segment import (
    IP_HEADER_BYTES,
    Flag,
    Segment,
    checksum,
    decode_packet,
    encode_packet,
    packet_size,
)
from ortlab.devices.virtual.iphone.tunnel import encode_handshake, receive_handshake
from ortlab.devices.virtual.iphone.xpc_objects import (
    Nanoseconds,
    Unsigned,
    XpcError,
    decode_object,
    decode_payload,
    encode_object,
    encode_payload,
)

SIGNED = st.integers(-(1 << 63), (1 << 63) - 1)
WORDS = st.integers(0, (1 << 32) - 1)
PLAIN = st.none() | st.booleans() | SIGNED | st.floats(allow_nan=False) | st.binary() | st.text()
LARGE = 5_000


class MemoryStream:
    """A stream whose other side has said all it will say."""

    def __init__(self, incoming: bytes = b"") -> None:
        self.incoming = incoming
        self.sent = b""

    def receive_exactly(self, size: int) -> bytes:
        if size > len(self.incoming):
            raise StreamClosedError
        taken, self.incoming = self.incoming[:size], self.incoming[size:]
        return taken

    def send(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.incoming = b""


def damaged(content: bytes, position: int, mask: int, cut: int) -> bytes:
    """Return content with one byte changed and its end cut off."""
    changed = bytearray(content)
    if changed:
        changed[position % len(changed)] ^= mask
    return bytes(changed[: len(changed) - cut % (len(changed) + 1)])


DAMAGE = (st.integers(0, 1 << 16), st.integers(0, 255), st.integers(0, 40) | st.just(0))


# ------------------------------------------------------------------------------ keyed archives


def archived_values() -> st.SearchStrategy[Any]:
    dates = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
    names = st.text(min_size=1, max_size=8)

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        keyed = st.dictionaries(names, inner, max_size=4)
        return (
            st.lists(inner, max_size=4)
            | st.dictionaries(names | SIGNED, inner, max_size=4)
            | st.builds(ArchivedError, domain=names, code=SIGNED, information=keyed)
            | st.builds(TapMessage, content=inner)
        )

    return st.recursive(PLAIN | dates, extend, max_leaves=20)


def same(left: Any, right: Any) -> bool:
    """Compare, a date to the millisecond: an archive holds seconds as a float."""
    if isinstance(left, datetime) and isinstance(right, datetime):
        return abs(left - right) < timedelta(milliseconds=1)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, ArchivedError):
        return (left.domain, left.code) == (right.domain, right.code) and same(
            left.information, right.information
        )
    if isinstance(left, TapMessage):
        return left.kind == right.kind and same(left.content, right.content)
    return type(left) is type(right) and left == right


@given(archived_values())
def test_archives_give_back_what_was_archived(value: Any) -> None:
    assert same(value, unarchive(archive(value)))


def test_an_object_of_an_unknown_class_keeps_its_values() -> None:
    value = ArchivedObject(kind="XCTCapabilities", values={"capabilities-dictionary": {"a": 1}})
    assert unarchive(archive(value)) == value


@given(archived_values(), *DAMAGE)
def test_damaged_archives_are_read_or_refused(
    value: Any, position: int, mask: int, cut: int
) -> None:
    try:
        unarchive(damaged(archive(value), position, mask, cut))
    except KeyedArchiveError:
        return


@given(st.binary(max_size=300))
def test_bytes_that_are_no_archive_are_refused(content: bytes) -> None:
    for bytes_ in (content, b"bplist00" + content):
        with pytest.raises(KeyedArchiveError):
            unarchive(bytes_)


def archive_of(objects: list[Any]) -> bytes:
    content = {"$archiver": "NSKeyedArchiver", "$top": {"root": UID(1)}, "$objects": objects}
    return plistlib.dumps(content, fmt=plistlib.FMT_BINARY)


ARRAY = {"$classname": "NSArray", "$classes": ["NSArray", "NSObject"]}


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param(["$null", {"NS.objects": [UID(1)], "$class": UID(2)}, ARRAY], id="in itself"),
        pytest.param(["$null", {"NS.objects": [UID(9)], "$class": UID(2)}, ARRAY], id="absent"),
        pytest.param(["$null", {"NS.objects": 7, "$class": UID(2)}, ARRAY], id="no list"),
        pytest.param(["$null", {"NS.objects": [], "$class": UID(1)}], id="its own class"),
        pytest.param(["$null", {"NS.objects": [], "$class": "NSArray"}], id="no class"),
        pytest.param(["$null", [UID(0)]], id="a bare list"),
        pytest.param(
            [
                "$null",
                {"NS.keys": [UID(3)], "NS.objects": [UID(0)], "$class": UID(2)},
                {"$classname": "NSDictionary"},
                {"NS.objects": [], "$class": UID(4)},
                ARRAY,
            ],
            id="a list as key",
        ),
        pytest.param(
            [
                "$null",
                {"NS.keys": [], "NS.objects": [UID(0)], "$class": UID(2)},
                {"$classname": "NSDictionary"},
            ],
            id="a value without key",
        ),
        pytest.param(
            ["$null", {"NS.time": math.inf, "$class": UID(2)}, {"$classname": "NSDate"}],
            id="a date beyond all",
        ),
    ],
)
def test_impossible_archives_are_refused(objects: list[Any]) -> None:
    with pytest.raises(KeyedArchiveError):
        unarchive(archive_of(objects))


def nested_archive(depth: int) -> bytes:
    lists = [{"NS.objects": [UID(n + 2)], "$class": UID(depth + 2)} for n in range(depth)]
    return archive_of(["$null", *lists, "inmost", ARRAY])


def test_an_archive_that_is_nested_too_deeply_is_refused() -> None:
    value = unarchive(nested_archive(50))
    for _ in range(50):
        [value] = value
    assert value == "inmost"
    with pytest.raises(KeyedArchiveError, match="deep"):
        unarchive(nested_archive(LARGE))


def test_an_archive_that_refers_much_is_read_once() -> None:
    """Each of 60 lists holds the next one twice: 2⁶⁰ objects, were they not shared."""
    doubled = [{"NS.objects": [UID(n + 2), UID(n + 2)], "$class": UID(62)} for n in range(60)]
    value = unarchive(archive_of(["$null", *doubled, "end", ARRAY]))
    assert value[0] is value[1]


@pytest.mark.parametrize("value", [object(), 1 << 64, {"a": {1, 2}}, "\ud800"])
def test_what_no_archive_holds_is_refused(value: object) -> None:
    with pytest.raises(KeyedArchiveError):
        archive(value)


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    value: list[Any] = []
    for _ in range(LARGE):
        value = [value]
    with pytest.raises(KeyedArchiveError):
        archive(value)
    with pytest.raises(XpcError):
        encode_object(value)


# ------------------------------------------------------------------------------ DTX

ARGUMENTS = st.lists(
    archived_values()
    | st.builds(Integer32, st.integers(-(1 << 31), (1 << 31) - 1))
    | st.builds(Integer64, SIGNED),
    max_size=5,
)


@given(ARGUMENTS)
def test_arguments_of_calls_arrive(arguments: list[Any]) -> None:
    wanted = [a.value if isinstance(a, Integer32 | Integer64) else a for a in arguments]
    assert same(wanted, list(decode_arguments(encode_arguments(arguments))))


@given(ARGUMENTS, *DAMAGE)
def test_damaged_arguments_are_read_or_refused(
    arguments: list[Any], position: int, mask: int, cut: int
) -> None:
    try:
        decode_arguments(damaged(encode_arguments(arguments), position, mask, cut))
    except ProtocolError:
        return


@given(st.binary(max_size=100))
def test_bytes_that_are_no_arguments_are_refused(content: bytes) -> None:
    content = content or b"\0"
    header = struct.pack("<IIQ", 0x1F0, 0, len(content))
    for bytes_ in (content, header + content):
        try:
            decode_arguments(bytes_)
        except ProtocolError:
            continue


MESSAGES = st.builds(
    DtxMessage,
    kind=st.sampled_from((Kind.DISPATCH, Kind.OBJECT)),
    channel=st.integers(-1000, 1000),
    identifier=st.integers(1, 5),
    conversation=st.integers(0, 3),
    expects_reply=st.booleans(),
    payload=st.text(min_size=1),
    arguments=st.lists(st.binary(max_size=200) | SIGNED, max_size=4).map(tuple),
)


@given(st.lists(MESSAGES, max_size=5, unique_by=lambda m: m.identifier), st.data())
def test_fragmented_messages_arrive_whole_however_they_are_mixed(
    messages: list[DtxMessage], data: st.DataObject
) -> None:
    """Fragments of one message keep their order; several messages may be under way at once."""
    waiting = []
    for message in messages:
        limit = data.draw(st.integers(7, 400))
        parts = fragments(encode_body(message), message, message.identifier, limit)
        first = [parts[0]] if len(parts) > 2 else [parts[0] + parts[1]]
        waiting.append(first + [a + b for a, b in zip(parts[1::2], parts[2::2], strict=False)])
    sent = b""
    while any(waiting):
        chosen = data.draw(st.sampled_from([w for w in waiting if w]))
        sent += chosen.pop(0)
    connection = DtxConnection(MemoryStream(sent))
    received = [connection.receive() for _ in messages]
    assert sorted(received, key=lambda m: m.identifier) == sorted(
        messages, key=lambda m: m.identifier
    )
    with pytest.raises(StreamClosedError):
        connection.receive()


def receive_all(connection: DtxConnection) -> None:
    while True:
        connection.receive()


@given(MESSAGES, st.integers(7, 400), *DAMAGE)
def test_a_damaged_connection_ends_in_one_of_two_errors(
    message: DtxMessage, limit: int, position: int, mask: int, cut: int
) -> None:
    sent = b"".join(fragments(encode_body(message), message, message.identifier, limit))
    connection = DtxConnection(MemoryStream(damaged(sent, position, mask, cut)))
    with pytest.raises((StreamClosedError, ProtocolError)):
        receive_all(connection)


@pytest.mark.parametrize(
    "header",
    [
        (0x1F3D5B79, 32, 1, 1, 10, 1, 0, 0, 0),
        (0x1F3D5B79, 32, 0, 0, 10, 1, 0, 0, 0),
        (0x1F3D5B79, 32, 0, 1, 1 << 31, 1, 0, 0, 0),
        (0x1F3D5B79, 1 << 30, 0, 1, 10, 1, 0, 0, 0),
        (0x1F3D5B79, 32, 1, 2, 10, 1, 0, 0, 0),
        (0x1F3D5B79, 32, 0, 1, 3, 1, 0, 0, 0),
        (7, 32, 0, 1, 10, 1, 0, 0, 0),
    ],
)
def test_impossible_fragments_are_refused(header: tuple[int, ...]) -> None:
    sent = struct.pack("<IIHHIIIiI", *header) + bytes(100)
    with pytest.raises(ProtocolError):
        DtxConnection(MemoryStream(sent)).receive()


WHOLE = DtxMessage(kind=Kind.OBJECT, channel=1, identifier=9, payload="x" * 100)


def whole_fragments() -> list[bytes]:
    parts = fragments(encode_body(WHOLE), WHOLE, WHOLE.identifier, 60)
    return [parts[0], *(a + b for a, b in zip(parts[1::2], parts[2::2], strict=True))]


def test_fragments_may_come_in_another_order() -> None:
    first, *others = whole_fragments()
    connection = DtxConnection(MemoryStream(first + b"".join(reversed(others))))
    assert connection.receive() == WHOLE


def test_fragments_that_repeat_begin_twice_or_exceed_what_was_said_are_refused() -> None:
    first, second, *_ = whole_fragments()
    larger = struct.pack("<IIHHIIIiI", 0x1F3D5B79, 32, 1, 9, 60_000, 9, 0, 1, 0) + bytes(60_000)
    for sent in (first + second + second, first + first, first + larger):
        with pytest.raises(ProtocolError):
            DtxConnection(MemoryStream(sent)).receive()


def test_not_more_unfinished_messages_are_kept_than_a_client_needs() -> None:
    headers = [
        struct.pack("<IIHHIIIiI", 0x1F3D5B79, 32, 0, 2, 10, number, 0, 1, 0)
        for number in range(LARGE)
    ]
    stream = MemoryStream(b"".join(headers))
    with pytest.raises(ProtocolError):
        DtxConnection(stream).receive()
    assert len(stream.incoming) > len(headers[0]) * (LARGE - 200)


# ------------------------------------------------------------------------------ XPC

XPC_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
XPC_PLAIN = (
    st.none()
    | st.booleans()
    | SIGNED
    | st.builds(Unsigned, st.integers(0, (1 << 64) - 1))
    | st.builds(Nanoseconds, SIGNED)
    | st.floats(allow_nan=False)
    | st.binary()
    | XPC_TEXT
    | st.uuids()
)
XPC_VALUES = st.recursive(
    XPC_PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(XPC_TEXT, inner, max_size=4),
    max_leaves=20,
)
XPC_DICTIONARIES = st.dictionaries(XPC_TEXT, XPC_VALUES, max_size=4)


@given(XPC_VALUES)
def test_xpc_objects_give_back_what_was_written(value: Any) -> None:
    read = decode_object(encode_object(value))
    assert same(value, read)


@given(XPC_VALUES, *DAMAGE)
def test_damaged_xpc_objects_are_read_or_refused(
    value: Any, position: int, mask: int, cut: int
) -> None:
    try:
        decode_object(damaged(encode_object(value), position, mask, cut))
    except XpcError:
        return


@given(st.binary(max_size=200))
def test_bytes_that_are_no_payload_are_refused(content: bytes) -> None:
    for bytes_ in (content, struct.pack("<II", 0x42133742, 5) + content):
        try:
            decode_payload(bytes_)
        except XpcError:
            continue


@pytest.mark.parametrize("value", ["a\0b", {"a\0b": 1}, {1: 2}, 1 << 63, {1, 2}, "\ud800"])
def test_what_xpc_does_not_hold_is_refused(value: object) -> None:
    with pytest.raises(XpcError):
        encode_object(value)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<III", 0xE000, 4, 1 << 31),
        struct.pack("<II", 0xE000, 1 << 31),
        struct.pack("<III", 0xF000, 8, 1) + b"abcd",
        struct.pack("<II", 0x9000, 1 << 31) + b"abc\0",
        struct.pack("<II", 0x9000, 4) + b"abcd",
        struct.pack("<II", 0x9000, 4) + b"\xff\xfe\xfd\0",
        struct.pack("<II", 0x7777, 4),
        encode_object(1) + b"\0",
        struct.pack("<IIII", 0xE000, 8, 0, 0),
        struct.pack("<III", 0xE000, 8, 1) * LARGE,
    ],
)
def test_impossible_xpc_objects_are_refused(content: bytes) -> None:
    with pytest.raises(XpcError):
        decode_object(content)


@given(
    st.lists(st.tuples(WORDS, XPC_DICTIONARIES | st.none()), max_size=4),
    st.lists(st.integers(1, 50), max_size=30),
)
def test_messages_arrive_however_their_bytes_are_cut(
    messages: list[tuple[int, Any]], cuts: list[int]
) -> None:
    wanted = [XpcMessage(flags=n, number=n, payload=payload) for n, payload in messages]
    sent = b"".join(map(encode_message, wanted))
    buffer = MessageBuffer()
    received: list[XpcMessage] = []
    for size in [*cuts, len(sent)]:
        received += buffer.add(sent[:size])
        sent = sent[size:]
    assert [(m.flags, m.number) for m in received] == [(m.flags, m.number) for m in wanted]
    assert all(same(a.payload, b.payload) for a, b in zip(received, wanted, strict=True))


def test_a_message_larger_than_any_is_refused_before_it_comes() -> None:
    with pytest.raises(ProtocolError):
        list(MessageBuffer().add(struct.pack("<IIQQ", 0x29B00B92, 1, 1 << 40, 1)))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return struct.pack("!IBI", len(body) << 8 | kind, flags, number) + body


@given(XPC_DICTIONARIES, st.integers(1, 999))
def test_messages_pass_through_frames(payload: dict[str, Any], number: int) -> None:
    content = encode_message(XpcMessage(flags=0x10101, number=number, payload=payload))
    half = len(content) // 2
    incoming = PREFACE + frame(4, 0, 0, b"") + frame(1, 4, 1, b"")
    incoming += frame(0, 0, 1, content[:half]) + frame(6, 0, 0, bytes(8))
    incoming += frame(0, 0, 1, content[half:])
    stream = MemoryStream(incoming)
    connection = RemoteXpc(stream)
    [message] = take(connection)
    assert message.number == number
    assert same(message.payload, payload)
    stream.sent = b""
    connection.reply(message, {"it": "is"})
    kind, body = stream.sent[3], stream.sent[18:]
    assert (kind, stream.sent[12]) == (1, 0), "headers open the stream of answers"
    assert next(MessageBuffer().add(body)).payload == {"it": "is"}


def take(connection: RemoteXpc) -> list[XpcMessage]:
    received: list[XpcMessage] = []
    with pytest.raises(StreamClosedError):
        received.extend(connection.messages())
    return received


@given(st.binary(max_size=200))
def test_a_connection_that_is_no_remote_xpc_ends_in_one_of_two_errors(content: bytes) -> None:
    wrapped = frame(0, 0, 1, struct.pack("<IIQQ", 0x29B00B92, 1, len(content), 1) + content)
    for incoming in (content, PREFACE + content, PREFACE + wrapped):
        with pytest.raises((StreamClosedError, ProtocolError)):
            for _ in RemoteXpc(MemoryStream(incoming)).messages():
                pass


# ------------------------------------------------------------------------------ the tunnel

ADDRESSES = st.binary(min_size=16, max_size=16)
SEGMENTS = st.builds(
    Segment,
    source_port=st.integers(0, 65535),
    target_port=st.integers(0, 65535),
    sequence=WORDS,
    acknowledged=WORDS,
    flags=st.integers(0, 31),
    window=st.integers(0, 65535),
    data=st.binary(max_size=300),
    largest_segment=st.none() | st.integers(0, 65535),
    window_shift=st.none() | st.integers(0, 14),
)


def words_sum(content: bytes) -> int:
    """Add 16-bit words as RFC 1071 writes it: every carry is added again."""
    total = 0
    for start in range(0, len(content), 2):
        total += int.from_bytes(content[start : start + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_the_standard(content: bytes) -> None:
    assert checksum(content) == words_sum(content) % 0xFFFF


@given(ADDRESSES, ADDRESSES, SEGMENTS)
def test_segments_arrive(source: bytes, target: bytes, segment: Segment) -> None:
    packet = encode_packet(source, target, segment)
    header, content = packet[:IP_HEADER_BYTES], packet[IP_HEADER_BYTES:]
    assert packet_size(header) == len(content)
    assert decode_packet(header, content, target) == segment
    pseudo = source + target + struct.pack("!II", len(content), 6)
    assert words_sum(pseudo + content) == 0xFFFF


@given(ADDRESSES, SEGMENTS, st.integers(0, 1 << 16), st.integers(0, 7))
def test_a_flipped_bit_loses_a_segment(
    address: bytes, segment: Segment, position: int, bit: int
) -> None:
    packet = encode_packet(address, address, segment)
    content = bytearray(packet[IP_HEADER_BYTES:])
    content[position % len(content)] ^= 1 << bit
    assert decode_packet(packet[:IP_HEADER_BYTES], bytes(content), address) is None


@given(st.binary(min_size=40, max_size=40), st.binary(max_size=80), st.binary(max_size=20))
def test_any_packet_is_a_segment_or_none(header: bytes, content: bytes, options: bytes) -> None:
    header = b"\x60\0\0\0" + struct.pack("!HB", len(content), 6) + header[7:]
    target = header[24:]
    decode_packet(header, content, target)
    options = options[: len(options) // 4 * 4]
    right = encode_packet(header[8:24], target, Segment(**PLAIN_SEGMENT))[IP_HEADER_BYTES:]
    start = bytearray(right[:20] + options)
    start[12] = (20 + len(options)) << 2
    start[16:18] = b"\0\0"
    pseudo = header[8:40] + struct.pack("!II", len(start), 6)
    total = words_sum(pseudo + bytes(start))
    start[16:18] = struct.pack("!H", 0xFFFF - total)
    assert decode_packet(header, bytes(start), target) is not None


PLAIN_SEGMENT: dict[str, Any] = {
    "source_port": 1,
    "target_port": 2,
    "sequence": 3,
    "acknowledged": 4,
    "flags": Flag.ACKNOWLEDGE,
    "window": 5,
}


def test_a_handshake_arrives() -> None:
    content = {"type": "clientHandshakeRequest", "mtu": 16000}
    assert receive_handshake(MemoryStream(encode_handshake(content))) == content


@settings(max_examples=50)
@given(st.binary(max_size=80))
def test_a_handshake_that_is_none_is_refused(content: bytes) -> None:
    started = struct.pack("!8sH", b"CDTunnel", len(content)) + content
    try:
        known = isinstance(json.loads(content), dict)
    except ValueError:
        known = False
    for incoming in (content, started):
        if incoming is started and known:
            continue
        with pytest.raises((StreamClosedError, ProtocolError)):
            receive_handshake(MemoryStream(incoming))


def test_a_handshake_nested_too_deeply_is_refused() -> None:
    body = b"[" * 60_000
    with pytest.raises(ProtocolError):
        receive_handshake(MemoryStream(struct.pack("!8sH", b"CDTunnel", len(body)) + body))


def test_a_payload_arrives() -> None:
    identifier = uuid.UUID(int=7)
    assert decode_payload(encode_payload({"UUID": identifier})) == {"UUID": identifier}


# ------------------------------------------------------------------------------ signals


@pytest.mark.parametrize(
    ("here", "on_iphone"), [("SIGKILL", 9), ("SIGBUS", 10), ("SIGSTOP", 17), ("SIGCONT", 19)]
)
def test_signals_have_the_numbers_of_ios(here: str, on_iphone: int) -> None:
    number = signal.Signals[here]
    assert number_on_iphone(number) == on_iphone
    assert signal_here(on_iphone) == number


def test_no_two_signals_of_ios_are_one_here() -> None:
    known = [number for n in range(64) if (number := signal_here(n)) is not None]
    assert len(known) == len(set(known))
    assert signal_here(7) is None, "SIGEMT"
    assert signal_here(1000) is None
