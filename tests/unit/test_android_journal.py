"""What was changed on a phone survives on this machine's disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.journal import Change, InstalledApp, Journal, changes_left
from ortlab.errors import DeviceNotReadyError, StorageError

STAY_ON = Change(setting="stay_on", before="0", ours="7")
SCREEN = Change(setting="screen", before="Asleep", ours="Awake")


def test_what_was_written_is_found_by_the_next_command(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "S1")
    journal.add(STAY_ON)
    journal.add(SCREEN)
    installed = InstalledApp(sha256="ab", version_code=7, last_update_time="now")
    journal.set_installed("a.b.bench", installed)
    assert changes_left(tmp_path, "S1") == ("stay_on", "screen")
    journal.close()
    again = Journal(tmp_path, "S1")
    found = again.record
    assert found.changes == (STAY_ON, SCREEN)
    assert found.installed == {"a.b.bench": installed}
    again.remove(STAY_ON)
    assert again.record.changes == (SCREEN,)
    again.set_installed("a.b.bench", None)
    assert again.record.installed == {}
    again.close()
    again.close()


def test_one_process_uses_a_phone_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "S1")
    with pytest.raises(DeviceNotReadyError, match="another ortlab command"):
        Journal(tmp_path, "S1")
    Journal(tmp_path, "S2").close()
    journal.close()
    Journal(tmp_path, "S1").close()


def test_a_torn_staged_file_is_never_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "S1")
    journal.add(STAY_ON)
    journal.path.with_suffix(".part").write_text('{"serial": "S1", "cha')
    journal.close()
    assert Journal(tmp_path, "S1").record.changes == (STAY_ON,)


def test_a_damaged_journal_is_not_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "S1")
    journal.add(STAY_ON)
    journal.close()
    journal.path.write_text("{")
    with pytest.raises(StorageError) as caught:
        Journal(tmp_path, "S1")
    assert str(journal.path) in (caught.value.next_step or "")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_no_serial_leaves_the_directory(serial: str) -> None:
    from ortlab.devices.journal import _path

    root = Path("/state")
    assert _path(root, serial).parent == root / "android"


def test_addresses_are_serials(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "127.0.0.1:5555")
    journal.add(STAY_ON)
    journal.close()
    assert changes_left(tmp_path, "127.0.0.1:5555") == ("stay_on",)
    assert changes_left(tmp_path, "127.0.0.1:5556") == ()
