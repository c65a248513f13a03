"""Reading app bundles: small ones made here, and whatever an enemy may hand us."""

from __future__ import annotations

import contextlib
import io
import plistlib
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bundle_writer as writer
from bundle_writer import bundle_files, info_plist, make_app, make_ipa, profile, program
from ortlab.apk import PARTS
from ortlab.bundle import BundleInfo, read_bundle_info, version_key
from ortlab.errors import ToolchainError, UsageError
from ortlab.mach_o import NoProgramError, read_program
from ortlab.plists import cms_content, read_plist


def read(directory: Path, **changes: Any) -> BundleInfo:
    return read_bundle_info(make_app(directory / "Bench.app", bundle_files(**changes)))


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize("binary", [False, True])
def test_a_bundle_tells_who_and_what_it_is(tmp_path: Path, binary: bool) -> None:
    info = read(tmp_path, binary=binary)
    assert (info.bundle_id, info.executable) == ("com.example.reader.bench", "Bench")
    assert (info.name, info.version, info.build) == ("Bench", "1.2", "7")
    assert (info.minimum_os, info.platforms, info.architectures) == (
        *("15.1", ("iphoneos",)),
        ("arm64",),
    )
    assert info.signed
    assert info.file_sharing
    assert info.get_task_allow
    assert not info.script
    assert not info.encrypted
    assert info.directory_name == "Bench.app"


def test_a_profile_tells_team_expiry_and_devices(tmp_path: Path) -> None:
    found = read(tmp_path).profile
    assert found is not None
    assert (found.team_id, found.team_name) == ("A1B2C3D4E5", "Example Ltd")
    assert found.application_id == "A1B2C3D4E5.*"
    assert found.expires_at == datetime(2099, 1, 1, tzinfo=UTC)
    assert found.devices == (writer.UDID,)
    assert (found.get_task_allow, found.all_devices) == (True, False)


def test_an_enterprise_profile_is_for_all_devices(tmp_path: Path) -> None:
    content = profile(devices=None, all_devices=True, get_task_allow=False, expires_at=None)
    found = read(tmp_path, provisioning=content).profile
    assert found is not None
    assert (found.devices, found.all_devices, found.expires_at) == ((), True, None)
    assert not found.get_task_allow


def test_an_archive_says_what_its_directory_says(tmp_path: Path) -> None:
    files = bundle_files(files={"en.lproj/a b.strings": b"x" * 900})
    app = read_bundle_info(make_app(tmp_path / "Bench.app", files))
    ipa = read_bundle_info(make_ipa(tmp_path / "Bench.ipa", files))
    assert set(ipa.entries) == set(app.entries) == set(files)
    assert app.entries["en.lproj/a b.strings"] == 900 > ipa.entries["en.lproj/a b.strings"]
    assert replace(ipa, entries={}) == replace(app, entries={})


def test_sizes_are_told_by_part(tmp_path: Path) -> None:
    files = {
        "ModelSDK.bundle/ortlab/cls/model.ort": bytes(1000),
        "ModelSDK.bundle/Info.plist": bytes(10),
        "Frameworks/Ops.framework/Ops": bytes(200),
        "Assets.car": bytes(30),
        "Base.lproj/Main.storyboardc/x": bytes(4),
        "notes": bytes(2),
    }
    made = bundle_files(files=files)
    sizes = read(tmp_path, files=files).size_by_part
    assert tuple(sizes) == PARTS
    assert sizes["code"] == len(program())
    assert (sizes["models"], sizes["native"]) == (1000, 200)
    assert sizes["resources"] == 10 + 30 + 4 + len(made["Info.plist"])
    assert sum(sizes.values()) == sum(map(len, made.values()))


@pytest.mark.parametrize(
    ("changes", "signed"),
    [
        ({"executable": program(signed=False)}, False),
        ({"sealed": False}, False),
        ({"executable": writer.fat(program(), program(cpu=writer.ARM64E, signed=False))}, False),
        ({"executable": writer.fat(program(), program(cpu=writer.ARM64E))}, True),
        ({"executable": program(entitlements=None)}, True),
    ],
)
def test_it_is_signed_where_seal_and_signatures_are(
    tmp_path: Path, changes: Mapping[str, Any], signed: bool
) -> None:
    assert read(tmp_path, **changes).signed is signed


@pytest.mark.parametrize(
    ("granted", "allowed_by_profile", "expected"),
    [
        ({"get-task-allow": True}, False, True),
        ({"get-task-allow": False}, True, False),
        ({"other": 1}, True, False),
        (None, True, True),
        (None, False, False),
    ],
)
def test_the_signature_decides_who_may_attach(
    tmp_path: Path, granted: Mapping[str, Any] | None, allowed_by_profile: bool, expected: bool
) -> None:
    info = read(
        tmp_path,
        executable=program(entitlements=granted),
        provisioning=profile(get_task_allow=allowed_by_profile),
    )
    assert info.get_task_allow is expected


def test_a_script_is_said_to_be_one(tmp_path: Path) -> None:
    info = read(tmp_path, executable=b'#!/bin/sh\nexec bench-cli "$@"\n', provisioning=b"")
    assert info.script
    assert (info.slices, info.profile) == ((), None)
    assert info.platforms == ("iphoneos",)  # as its Info.plist claims
    assert info.signed
    assert not info.get_task_allow


def test_the_program_decides_which_platform_it_is(tmp_path: Path) -> None:
    info = read(tmp_path, executable=program(platform=writer.SIMULATOR, cpu=writer.X86_64))
    assert (info.platforms, info.architectures) == (("iphonesimulator",), ("x86_64",))


def test_the_least_system_may_stand_in_the_program_alone(tmp_path: Path) -> None:
    executable = writer.fat(
        program(minimum_os="9.3"), program(cpu=writer.ARM64E, minimum_os="14.0.1")
    )
    info = read(tmp_path, info=info_plist(MinimumOSVersion=None), executable=executable)
    assert info.minimum_os == "14.0.1"


def test_odd_values_count_as_not_said(tmp_path: Path) -> None:
    info = read(
        tmp_path,
        info=info_plist(
            CFBundleVersion=7, CFBundleShortVersionString=[1], UIFileSharingEnabled="YES",
            CFBundleSupportedPlatforms={"a": 1},
        ),
        executable=program(platform=None),
    )  # fmt: skip
    assert (info.version, info.build, info.platforms) == ("", "", ("iphoneos",))
    assert not info.file_sharing


# ------------------------------------------------------------------ programs


def slices_of(content: bytes) -> Any:
    return read_program(io.BytesIO(content), len(content))


@pytest.mark.parametrize("wide", [False, True])
def test_every_slice_of_a_fat_program_is_read(wide: bool) -> None:
    parts = [
        program(encrypted=True),
        program(cpu=writer.ARM64E, platform=writer.SIMULATOR, minimum_os="17.4"),
        program(cpu=writer.X86_64, platform=writer.MACOS, signed=False),
    ]
    found = slices_of(writer.fat(*parts, wide=wide))
    assert [(item.architecture, item.platform) for item in found] == [
        ("arm64", "iphoneos"), ("arm64e", "iphonesimulator"), ("x86_64", "macos"),
    ]  # fmt: skip
    assert [item.encrypted for item in found] == [True, False, False]
    assert [item.signed for item in found] == [True, True, False]
    assert found[1].minimum_os == "17.4"


def test_a_signature_without_identity_is_ad_hoc() -> None:
    (with_one,), (without,) = slices_of(program()), slices_of(program(identity=False))
    assert (with_one.ad_hoc, without.ad_hoc) == (False, True)
    assert without.signed


@pytest.mark.parametrize(
    ("cpu", "number", "platform"),
    [
        (writer.ARM64, 0x25, "iphoneos"),
        (writer.X86_64, 0x25, "iphonesimulator"),
        (writer.X86_64, 0x24, "macos"),
    ],
)
def test_the_older_version_command_counts(cpu: tuple[int, int], number: int, platform: str) -> None:
    old = writer.command(number, struct.pack("<II", writer.packed("12.1"), 0))
    (found,) = slices_of(program(cpu=cpu, platform=None, commands=[old]))
    assert (found.platform, found.minimum_os) == (platform, "12.1")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_program_is_refused_or_read_never_more(data: st.DataObject) -> None:
    content = bytearray(
        data.draw(st.sampled_from([program(), writer.fat(program(), program(cpu=writer.X86_64))]))
    )
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with contextlib.suppress(NoProgramError):
        slices_of(bytes(content[:cut]))


@given(st.binary(max_size=400))
def test_whatever_a_program_holds_is_read_or_refused(content: bytes) -> None:
    for start in (b"", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\1"):
        with contextlib.suppress(NoProgramError):
            slices_of(start + content)


@given(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 255))
def test_versions_are_read_as_they_were_packed(major: int, minor: int, patch: int) -> None:
    text = f"{major}.{minor}.{patch}"
    (found,) = slices_of(program(minimum_os=text))
    assert version_key(found.minimum_os) == version_key(text)


def test_versions_are_ordered_by_their_numbers() -> None:
    assert version_key("15.1") == version_key("15.1.0") < version_key("15.10") < version_key("16")


# ------------------------------------------------------------------ property lists


@given(st.binary(max_size=5000), st.booleans())
def test_what_a_signed_message_holds_comes_out(content: bytes, open_length: bool) -> None:
    assert cms_content(writer.cms(content, open_length=open_length)) == content


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_whatever_is_no_signed_message_is_refused(content: bytes, open_length: bool) -> None:
    whole = writer.cms(b"x" * 40, open_length=open_length)
    for text in (content, whole[: len(content) % len(whole)] + content):
        with contextlib.suppress(ValueError):
            cms_content(text)


def test_open_lengths_in_each_other_end(tmp_path: Path) -> None:
    content = b"\x30\x80" * 100_000
    with pytest.raises(ValueError, match="cut"):
        cms_content(content)
    with pytest.raises(ToolchainError, match="provisioning profile"):
        read(tmp_path, provisioning=content)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_property_lists_are_refused_or_read(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([plistlib.FMT_BINARY, plistlib.FMT_XML]))
    content = bytearray(plistlib.dumps({**info_plist(), "at": writer.FOREVER}, fmt=kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert all(isinstance(key, str) for key in read_plist(bytes(content)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"bplist00",
        plistlib.dumps([1]),
        b"<plist><dict><key>a</key><date>soon</date></dict></plist>",
        b"<plist>" + b"<array>" * 100_000 + b"</plist>",
        b'<!DOCTYPE plist [<!ENTITY a "aa">]><plist><dict><key>a</key><string>&a;</string></dict>',
        b"<plist><dict><key>n</key><integer>" + b"9" * 5000 + b"</integer></dict></plist>",
        b"bplist00" + b"\xd1\x01" * 8 + struct.pack(">6xBBQQQ", 1, 1, 1 << 62, 0, 8),
    ],
)
def test_what_is_no_property_list_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="property list"):
        read_plist(content)
    app = make_app(tmp_path / "A.app")
    (app / "Info.plist").write_bytes(content)
    with pytest.raises(ToolchainError, match=r"A\.app as an app bundle: its Info\.plist"):
        read_bundle_info(app)


# ------------------------------------------------------------------ enemies


def test_what_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_bundle_info(tmp_path / "None.app")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"info": info_plist(CFBundleIdentifier=None)}, "has no CFBundleIdentifier"),
        ({"info": info_plist(CFBundleExecutable=None)}, "has no CFBundleExecutable"),
        ({"info": info_plist(CFBundleExecutable="x/../../sh")}, "is missing"),
        ({"info": info_plist("../../etc")}, "its CFBundleIdentifier '../../etc' is none"),
        ({"info": info_plist("a b")}, "is none"),
        ({"executable": b"\x7fELF" + bytes(60)}, "no program for an iPhone"),
        ({"executable": program()[:40]}, "load commands have an impossible size"),
        ({"provisioning": b"x" * 100}, "provisioning profile cannot be read"),
        ({"provisioning": writer.cms(b"no plist")}, "provisioning profile cannot be read"),
    ],
)
def test_what_is_damaged_is_said_so(tmp_path: Path, changes: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ToolchainError, match=why) as caught:
        read(tmp_path, **changes)
    assert caught.value.next_step


def test_a_program_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    app = make_app(tmp_path / "A.app")
    (app / "Bench").unlink()
    (app / "Bench").symlink_to("/bin/sh")
    with pytest.raises(ToolchainError, match="Bench is no file"):
        read_bundle_info(app)
    (app / "Info.plist").unlink()
    (app / "Info.plist").symlink_to("/etc/passwd")
    with pytest.raises(ToolchainError, match=r"Info\.plist is no file"):
        read_bundle_info(app)


def archive_of(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name", ["Payload/A.app/../../x", "/etc/x", "Payload//x", "Payload\\x", "Payload/./x", ".."]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    members = {f"Payload/A.app/{n}": c for n, c in bundle_files().items()} | {name: b"x"}
    with pytest.raises(ToolchainError, match="it holds a file named"):
        read_bundle_info(archive_of(tmp_path / "a.ipa", members))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"a": b"x"}, "its Payload holds no app"),
        ({"Bench.app/Info.plist": b"x"}, "its Payload holds no app"),
        ({f"Payload/{a}.app/Info.plist": b"x" for a in "AB"}, "its Payload holds 2 apps"),
    ],
)
def test_an_archive_holds_one_app(tmp_path: Path, members: Mapping[str, bytes], why: str) -> None:
    with pytest.raises(ToolchainError, match=why):
        read_bundle_info(archive_of(tmp_path / "a.ipa", members))


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = make_ipa(tmp_path / "a.ipa")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("Payload/Bench.app/Info.plist", b"another")
    with pytest.raises(ToolchainError, match="twice"):
        read_bundle_info(path)


def test_a_plist_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    members = {f"Payload/A.app/{n}": c for n, c in bundle_files().items()}
    members["Payload/A.app/Info.plist"] = bytes(40 << 20)
    path = archive_of(tmp_path / "a.ipa", members)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ToolchainError, match=r"Info\.plist is larger than"):
        read_bundle_info(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_read(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = make_ipa(Path(name) / "a.ipa")
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
        with contextlib.suppress(ToolchainError):
            read_bundle_info(path)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.ipa"
        path.write_bytes(content)
        with pytest.raises(ToolchainError):
            read_bundle_info(path)
