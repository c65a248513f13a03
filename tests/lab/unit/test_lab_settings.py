"""`lab.toml`, the environment and the option: which store, which host, which devices."""

from __future__ import annotations

import socket
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_lab.planning import ReadinessLimits
from device_lab.settings import (
    LabSettings,
    host_id,
    lab_directory,
    load_settings,
    only_agent,
    open_store,
    store_url,
    write_settings,
)
from ortlab.errors import ToolchainError, UsageError


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("ORTLAB_LAB_STORE", raising=False)
    directory = lab_directory()
    directory.mkdir(parents=True)
    return directory


def test_without_a_file_everything_is_as_it_comes(lab: Path) -> None:
    assert load_settings() == LabSettings()
    assert store_url() == f"sqlite:///{lab / 'lab.db'}"


def test_the_option_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_settings(store="postgresql://file/lab", host_id=None, devices=())
    assert store_url() == "postgresql://file/lab"
    monkeypatch.setenv("ORTLAB_LAB_STORE", "postgresql://environment/lab")
    assert store_url() == "postgresql://environment/lab"
    assert store_url("sqlite:///option.db") == "sqlite:///option.db"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_what_is_written_is_read_whatever_the_password(secret: str) -> None:
    url = f"postgresql://lab:{secret}@db/lab"
    path = write_settings(store=url, host_id="rack-1", devices=("host", "host"), replace=True)
    assert load_settings() == LabSettings(store=url, host_id="rack-1", devices=("host",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_the_users_is_not_replaced_unasked(lab: Path) -> None:
    (lab / "lab.toml").write_text('host_id = "mine"\n')
    with pytest.raises(UsageError, match="there already"):
        write_settings(store=None, host_id="other", devices=())
    assert load_settings().host_id == "mine"


def test_limits_are_read(lab: Path) -> None:
    (lab / "lab.toml").write_text("[limits]\nmin_battery_percent = 50\nmax_temperature_c = 35.5\n")
    assert load_settings().limits == ReadinessLimits(min_battery_percent=50, max_temperature_c=35.5)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("stores = 1", "stores"),
        ('store = "no url"', "store"),
        ('host_id = "../x"', "host_id"),
        ('host_id = "a:b"', "host_id"),
        ('devices = ["R58M"]', "devices"),
        ("devices = [1]", "devices"),
        ("limits = 3", "limits"),
        ("[limits]\nspeed = 3", "limits.speed"),
        ("[limits]\nmin_free_bytes = true", "limits.min_free_bytes"),
        ("[limits]\nmin_battery_percent = nan", "limits.min_battery_percent"),
        ("[limits]\nmax_silence_s = 0", "limits.max_silence_s"),
        ("= 1", "TOML"),
        ("\udcff", "TOML"),
    ],
)
def test_what_means_nothing_is_refused_with_its_place(lab: Path, text: str, place: str) -> None:
    (lab / "lab.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=place) as refused:
        load_settings()
    assert refused.value.next_step


def test_a_password_is_in_no_message(lab: Path) -> None:
    (lab / "lab.toml").write_text('store = "postgresql://lab:hunter2@db/lab"\nhost_id = 3\n')
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert "hunter2" not in refused.value.message


def test_a_name_is_made_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Räck 1/b.example")
    made = host_id(LabSettings())
    assert host_id(LabSettings()) == made
    assert host_id(LabSettings(host_id="named")) == "named"
    assert ":" not in made
    assert "/" not in made


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "device_lab.store", None)
    with pytest.raises(ToolchainError, match="not installed") as missing:
        open_store()
    assert missing.value.next_step == "pip install 'ortlab[lab]'"


def test_one_agent_a_host() -> None:
    with (
        only_agent("rack"),
        only_agent("other"),
        pytest.raises(UsageError, match="is one already"),
        only_agent("rack"),
    ):
        pytest.fail("two agents")
    with only_agent("rack"):
        pass
