"""The virtual iPhone's services without a network: what is damaged or hostile ends in an answer."""

from __future__ import annotations

import os
import plistlib
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.afc import MAGIC, FileConduit, Operation, Status
from ortlab.devices.virtual.iphone.faults import StorageFull
from ortlab.devices.virtual.iphone.session import open_virtual_iphone
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.storage import Storage
from ortlab.devices.virtual.iphone.streams import (
    ProtocolError,
    StreamClosedError,
    parse_plist,
    receive_plist,
    send_plist,
)
from ortlab.devices.virtual.programs import (
    SWIFT_CORE_VARIABLE,
    PythonRunner,
    SwiftCore,
    default_ios_program,
)
from ortlab.errors import ToolchainError, UsageError

HEADER = struct.Struct("<8sQQQQ")
PATH_PIECES = st.sampled_from(["", ".", "..", "a", "out", "Documents", "Library", "secret", "\0x"])
PATHS = st.lists(PATH_PIECES, max_size=6).map(lambda parts: "/" + "/".join(parts))


class Wire:
    """A stream whose other side has said everything already."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.sent = b""

    def receive_exactly(self, size: int) -> bytes:
        if len(self.content) < size:
            raise StreamClosedError
        data, self.content = self.content[:size], self.content[size:]
        return data

    def send(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.content = b""


def packet(operation: int, body: bytes = b"", number: int = 0) -> bytes:
    size = HEADER.size + len(body)
    return HEADER.pack(MAGIC, size, size, number, operation) + body


def answers(sent: bytes) -> list[tuple[int, bytes]]:
    found = []
    while sent:
        magic, size, _, _, operation = HEADER.unpack_from(sent)
        assert magic == MAGIC
        found.append((operation, sent[HEADER.size : size]))
        sent = sent[size:]
    return found


def conduit(root: Path, *faults: Any, only: str | None = None, room: int = 1 << 30) -> FileConduit:
    return FileConduit(
        root,
        storage=Storage(root, room),
        faults=lambda: Faults(*faults),
        model="iPhone14,5",
        only=only,
    )


def converse(files: FileConduit, *packets: bytes) -> list[tuple[int, bytes]]:
    wire = Wire(b"".join(packets))
    with pytest.raises(StreamClosedError):
        files.serve(wire)
    return answers(wire.sent)


def opened(path: str, mode: int = 3) -> bytes:
    return packet(Operation.OPEN, struct.pack("<Q", mode) + path.encode() + b"\0")


def written(data: bytes, handle: int = 1) -> bytes:
    return packet(Operation.WRITE, struct.pack("<Q", handle) + data)


def status(answer: tuple[int, bytes]) -> int:
    assert answer[0] == Operation.STATUS
    return int(struct.unpack("<Q", answer[1])[0])


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    told = converse(
        conduit(tmp_path),
        packet(Operation.MAKE_DIRECTORY, b"/a/b\0"),
        opened("/a/b/c", 3),
        written(b"hello "),
        written(b"world"),
        packet(Operation.CLOSE, struct.pack("<Q", 1)),
        opened("/a/b/c", 1),
        packet(Operation.SEEK, struct.pack("<QQq", 2, 0, 6)),
        packet(Operation.READ, struct.pack("<QQ", 2, 100)),
        packet(Operation.TELL, struct.pack("<Q", 2)),
        packet(Operation.FILE_INFO, b"/a/b/c\0"),
        packet(Operation.READ_DIRECTORY, b"/a\0"),
        packet(Operation.RENAME, b"/a/b/c\0/a/d\0"),
        packet(Operation.REMOVE_PATH, b"/a/b/c\0"),
        packet(Operation.REMOVE_TREE, b"/a\0"),
    )
    assert told[7] == (Operation.DATA, b"world")
    assert told[8] == (Operation.TELL_RESULT, struct.pack("<Q", 11))
    assert b"st_size\x0011\0" in told[9][1]
    assert told[10] == (Operation.DATA, b".\0..\0b\0")
    assert [status(told[n]) for n in (0, 2, 11, 12, 13)] == [0, 0, 0, Status.NOT_FOUND, 0]
    assert not list(tmp_path.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=PATHS, other=PATHS, only=st.sampled_from([None, "Documents"]))
def test_no_path_leads_out(
    tmp_path_factory: pytest.TempPathFactory, path: str, other: str, only: str | None
) -> None:
    place = tmp_path_factory.mktemp("phone")
    root = place / "root"
    for name in ("Documents", "Library"):
        (root / name).mkdir(parents=True)
    (root / "Library/secret").write_bytes(b"library")
    (place / "secret").write_bytes(b"outside")
    (root / "Documents/out").symlink_to(place)
    before = sorted(place.iterdir())
    first, second = path.encode() + b"\0", other.encode() + b"\0"
    told = converse(
        conduit(root, only=only),
        opened(path, 1),
        packet(Operation.READ, struct.pack("<QQ", 1, 100)),
        opened(path, 3),
        written(b"changed", 1),
        written(b"changed", 2),
        packet(Operation.MAKE_LINK, struct.pack("<Q", 2) + first + second),
        packet(Operation.MAKE_LINK, struct.pack("<Q", 1) + first + second),
        packet(Operation.RENAME, first + second),
        packet(Operation.REMOVE_TREE, second),
        packet(Operation.TRUNCATE, struct.pack("<Q", 1) + first),
    )
    assert len(told) == 10
    assert (place / "secret").read_bytes() == b"outside"
    assert sorted(place.iterdir()) == before
    assert (Operation.DATA, b"outside") not in told
    if only is not None:
        assert (root / "Library/secret").read_bytes() == b"library"
        assert (Operation.DATA, b"library") not in told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(operation=st.integers(0, 64), body=st.binary(max_size=64))
def test_every_packet_gets_one_answer(tmp_path: Path, operation: int, body: bytes) -> None:
    if operation == Operation.WRITE or b".." in body:
        body = b""
    assert len(converse(conduit(tmp_path), packet(operation, body))) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 40,
        HEADER.pack(MAGIC, 8, 8, 0, 3),
        HEADER.pack(MAGIC, 1 << 40, 40, 0, 3),
    ],
)
def test_what_is_no_packet_ends_the_connection(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ProtocolError):
        conduit(tmp_path).serve(Wire(content))


def test_writing_ends_where_storage_does(tmp_path: Path) -> None:
    told = converse(conduit(tmp_path, room=10), opened("/a"), written(b"12345"), written(b"123456"))
    assert [status(answer) for answer in told[1:]] == [0, Status.NO_SPACE]
    assert (tmp_path / "a").read_bytes() == b"12345"


def test_storage_ends_by_script(tmp_path: Path) -> None:
    fault = StorageFull(after_bytes=5, path="^/a$")
    told = converse(
        conduit(tmp_path, fault),
        opened("/b"),
        written(b"1234567"),
        opened("/a"),
        written(b"123", 2),
    )
    assert status(told[1]) == status(told[3]) == 0
    told = converse(conduit(tmp_path, fault), opened("/a"), written(b"123456"))
    assert status(told[1]) == Status.NO_SPACE


def test_an_app_sees_at_once_what_was_written(tmp_path: Path) -> None:
    wire = Wire(opened("/a") + written(b"whole"))
    seen: list[bytes] = []
    send = wire.send

    def look(data: bytes) -> None:
        send(data)
        seen.append((tmp_path / "a").read_bytes())

    wire.send = look  # type: ignore[method-assign]
    with pytest.raises(StreamClosedError):
        conduit(tmp_path).serve(wire)
    assert seen == [b"", b"whole"]


# ------------------------------------------------------------------------------ property lists


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 1 << 40) | st.binary()))
def test_property_lists_come_back(value: dict[str, Any]) -> None:
    wire = Wire()
    send_plist(wire, value)
    assert receive_plist(Wire(wire.sent)) == value


@given(st.binary(max_size=200))
def test_what_is_no_property_list_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_plist(content)


@pytest.mark.parametrize("value", [[1], "text", 7])
def test_a_property_list_must_be_a_dictionary(value: Any) -> None:
    with pytest.raises(ProtocolError, match="no dictionary"):
        parse_plist(plistlib.dumps(value))


def test_a_property_list_has_a_largest_size() -> None:
    with pytest.raises(ProtocolError):
        receive_plist(Wire(struct.pack(">I", 1 << 31)))


# ------------------------------------------------------------------------------ specification


@pytest.mark.parametrize(
    ("version", "build", "tunnel", "personalized"),
    [
        ("15.8", "19H370", False, False),
        ("16.7.2", "20H115", False, False),
        ("16.4", "20E100", False, False),
        ("17.3", "21D100", False, True),
        ("17.4", "21E100", True, True),
        ("26.1", "23B85", True, True),
    ],
)
def test_a_version_decides_how_a_phone_is_spoken_to(
    version: str, build: str, tunnel: bool, personalized: bool
) -> None:
    spec = VirtualIPhoneSpec(ios_version=version)
    assert spec.build_version == build
    assert spec.has_tunnel is tunnel
    assert spec.has_personalized_image is personalized


@pytest.mark.parametrize(
    "changes",
    [{"ios_version": "14.8"}, {"ios_version": "new"}, {"udid": "short"}, {"udid": "0" * 25}],
)
def test_impossible_phones_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        VirtualIPhoneSpec(**changes)


@pytest.mark.parametrize("device_id", ["virtual:iosx", "virtual:ios:", "virtual:ios:9", "ios"])
def test_unknown_virtual_iphones_are_refused(device_id: str) -> None:
    with pytest.raises(UsageError):
        open_virtual_iphone(device_id)


def test_the_swift_program_is_taken_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bench-cli"
    program.write_text("#!/bin/sh\n")
    monkeypatch.setenv(SWIFT_CORE_VARIABLE, str(program))
    with pytest.raises(ToolchainError, match="no such program"):
        default_ios_program()
    program.chmod(0o755)
    assert default_ios_program() == SwiftCore(str(program))
    monkeypatch.delenv(SWIFT_CORE_VARIABLE)
    monkeypatch.setattr("ortlab.devices.virtual.programs._SWIFT_CORE", tmp_path / "nothing")
    assert isinstance(default_ios_program(), PythonRunner)
    assert os.environ.get(SWIFT_CORE_VARIABLE) is None
