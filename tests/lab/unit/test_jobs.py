"""Job files: what they mean, and that hostile ones end in a `UsageError` with the place."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_lab.jobs import MAX_FILE_BYTES, load_job, parse_job
from ortlab.domain import DeviceKind
from ortlab.errors import UsageError

SMALL = 'name = "nightly"\nmodels = ["prepared/reader"]\n'
WHOLE = """
name = "nightly"
models = ["prepared/reader", "prepared/detector"]
priority = 5
deadline = 2026-11-22T08:00:00+02:00
retries = 3

[requirements]
platform = "android"
soc = "SM8650"
min_os = "13"
max_os = "15"
min_memory_bytes = 6_000_000_000
labels = ["rack-2", "rack-1"]
phone_count = 2

[bench]
threads = [1, 4]
"""


def refusal(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(UsageError) as caught:
        parse_job(content, source="job.toml")
    assert "job.toml" in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 10_000
    return caught.value.message


def test_every_key_arrives(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(WHOLE)
    job = load_job(path)
    assert job.name == "nightly"
    assert job.models == ("prepared/reader", "prepared/detector")
    assert (job.priority, job.retries) == (5, 3)
    assert job.deadline == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert job.requirements.platform is DeviceKind.ANDROID
    assert job.requirements.soc == "SM8650"
    assert (job.requirements.min_os, job.requirements.max_os) == ("13", "15")
    assert job.requirements.min_memory_bytes == 6_000_000_000
    assert job.requirements.labels == ("rack-1", "rack-2")
    assert job.requirements.phone_count == 2
    assert job.bench.threads == (1, 4)


def test_a_small_file_requires_one_phone_of_any_kind() -> None:
    job = parse_job(SMALL.encode(), source="job.toml")
    assert job.requirements.phone_count == 1
    assert job.requirements.platform is None
    assert job.deadline is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "models"),
        ('models = ["m"]', "name"),
        ('name = "n"', "models"),
        ('name = "n"\nmodels = "m"', "models"),
        ('name = "n"\nmodels = ["m", 3]', "models[1]"),
        ('name = "n"\nmodels = ["m", "m"]', "models"),
        ('name = "a\\nb"\nmodels = ["m"]', "name"),
        ('name = "  "\nmodels = ["m"]', "name"),
        ('name = "\\u202Etxt"\nmodels = ["m"]', "name"),
        (SMALL + "priority = true", "priority"),
        (SMALL + "priority = 1e3", "priority"),
        (SMALL + "retries = -1", "retries"),
        (SMALL + "retries = 99999999999999999999", "retries"),
        (SMALL + "deadline = 2026-11-22T06:00:00", "deadline"),
        (SMALL + "deadline = 2026-11-22", "deadline"),
        (SMALL + "deadline = 0001-01-01T00:00:00+23:00", "deadline"),
        (SMALL + "shell = 'rm'", "shell"),
        (SMALL + '"a\\u001B[2J" = 1', "a?[2J"),
        (SMALL + "requirements = 3", "requirements"),
        (SMALL + "[requirements]\nplatform = 'palm'", "requirements.platform"),
        (SMALL + "[requirements]\nmin_os = 13", "requirements.min_os"),
        (SMALL + "[requirements]\nmax_os = 'new'", "requirements.max_os"),
        (SMALL + "[requirements]\nphone_count = 0", "requirements.phone_count"),
        (SMALL + "[requirements]\nmin_memory_bytes = -1", "requirements.min_memory_bytes"),
        (SMALL + "[requirements]\ncolor = 'red'", "requirements.color"),
        (SMALL + "bench = []", "bench"),
        (SMALL + "[bench]\nthreads = ['many']", "bench.threads.0"),
        (SMALL + "[bench]\nspeed = 1", "bench.speed"),
        (SMALL + "[bench]\ndevice = ['phone']", "bench.device"),
        (SMALL + "[bench]\noutput = '/etc'", "bench.output"),
        (SMALL + "[bench]\nby_hand = true", "bench.by_hand"),
        (SMALL + "retries = " + "9" * 5000, "not TOML"),
        (SMALL + "deep = " + "[" * 50_000, "not TOML"),
        (b"name = '\xff'", "not TOML"),
        (b"\0" * 10, "not TOML"),
        (b"#" * (MAX_FILE_BYTES + 1), "larger than"),
    ],
    ids=range(36),
)
def test_a_hostile_file_is_refused_with_its_place(text: str | bytes, place: str) -> None:
    assert place in refusal(text)


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_job_or_a_refusal(content: bytes) -> None:
    try:
        parse_job(content, source="job.toml")
    except UsageError as error:
        assert error.message.isprintable()  # noqa: PT017 (most inputs raise nothing)


KEYS = ("name", "models", "priority", "deadline", "retries", "requirements", "bench", "other")
VALUES = (
    "1",
    "-1",
    "true",
    "nan",
    '""',
    '"x"',
    "[]",
    '["x"]',
    "[[1]]",
    "{}",
    "{ a = 1 }",
    "12:00:00",
)


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES)))
def test_any_value_under_any_key_ends_in_a_job_or_a_refusal(plain: dict[str, str]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in plain.items())
    try:
        job = parse_job(text.encode(), source="job.toml")
    except UsageError as error:
        assert "job.toml" in error.message  # noqa: PT017 (likewise)
    else:
        assert job.models
        assert job.name


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "absent.toml", tmp_path / "a\0b"):
        with pytest.raises(UsageError, match="cannot read"):
            load_job(path)
