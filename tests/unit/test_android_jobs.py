"""A request's way to a phone: paths there, hostile names, files that are not here."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.android.apps import check_application_id
from ortlab.devices.android.files import FILES, PhoneFiles
from ortlab.devices.android.jobs import lay_out, make_job
from ortlab.devices.android.quoting import command_line
from ortlab.devices.answers import named_files
from ortlab.devices.file_sets import external_data, phone_name
from ortlab.errors import UsageError
from ortlab.wire import BlockRequest, ModelReference, Purpose, SessionSettings, TensorFile

APP = "com.example.reader.bench"


@pytest.fixture
def files() -> PhoneFiles:
    return PhoneFiles(None, lambda _: None)  # type: ignore[arg-type]


def request(directory: Path, model: str = "model.onnx", block_id: str = "b-1") -> BlockRequest:
    return BlockRequest(
        block_id=block_id,
        purpose=Purpose.PARITY,
        model=ModelReference(path=str(directory / model), sha256="0" * 64),
        session=SessionSettings(),
        providers=(),
        inputs=(
            TensorFile(name="x", element_type="float", shape=(1,), path=str(directory / "x.bin")),
        ),
        output_directory=str(directory / "out"),
    )


def test_paths_become_the_phones(tmp_path: Path, files: PhoneFiles) -> None:
    (tmp_path / "model.onnx").write_bytes(b"model")
    (tmp_path / "x.bin").write_bytes(b"1234")
    job = make_job(request(tmp_path), APP, None, files.describe)
    assert job.request.model.path.startswith(f"{FILES}/")
    assert job.request.model.path.endswith("/content.onnx")
    assert job.request.inputs[0].path.startswith(f"{FILES}/")
    assert job.request.output_directory == f"/sdcard/Android/media/{APP}/blocks/b-1"
    assert [item.size_bytes for item in job.file_sets] == [5, 4]
    text = lay_out(job, "S1")
    assert json.loads(text)["model"]["path"] == job.request.model.path
    command = (tmp_path / "out" / "command.txt").read_text()
    assert shlex.split(command)[:4] == ["adb", "-s", "S1", "shell"]
    assert shlex.split(shlex.split(command)[4])[:2] == ["am", "instrument"]


def test_equal_files_are_one(tmp_path: Path, files: PhoneFiles) -> None:
    for name in ("model.onnx", "other.onnx"):
        (tmp_path / name).write_bytes(b"model")
    jobs = [
        make_job(request(tmp_path, name), APP, None, files.describe)
        for name in ("model.onnx", "other.onnx")
    ]
    directories = {Path(job.request.model.path).parent for job in jobs}
    assert len(directories) == 1


def test_a_changed_file_is_another(tmp_path: Path, files: PhoneFiles) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"one")
    first = files.describe((model,))
    model.write_bytes(b"two!")
    assert files.describe((model,)).sha256 != first.sha256


def test_external_data_comes_along(tmp_path: Path, files: PhoneFiles) -> None:
    for name in ("model.onnx", "model.onnx.data", "model.onnx_data_1", "model.onnx.txt"):
        (tmp_path / name).write_bytes(name.encode())
    found = external_data(tmp_path / "model.onnx")
    assert [path.name for path in found] == ["model.onnx.data", "model.onnx_data_1"]
    job = make_job(request(tmp_path), APP, None, files.describe)
    (model,) = job.file_sets
    remote = model.paths_under(FILES)
    assert [Path(path).name for path in remote] == [
        "model.onnx",
        "model.onnx.data",
        "model.onnx_data_1",
    ]
    assert len({Path(path).parent for path in remote}) == 1


def test_a_file_that_is_not_here_is_left_to_the_app(tmp_path: Path, files: PhoneFiles) -> None:
    job = make_job(request(tmp_path), APP, None, files.describe)
    assert job.file_sets == ()
    assert job.request.model.path == f"{FILES}/none/model.onnx"


HOSTILE = ("a'b.onnx", "$(reboot).onnx", "`id`;rm -rf ..onnx", '"x" & y.onnx', "模型 😀.onnx")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_one_argument(tmp_path: Path, files: PhoneFiles, name: str) -> None:
    (tmp_path / name).write_bytes(b"model")
    job = make_job(request(tmp_path, name, block_id=name), APP, None, files.describe)
    assert Path(job.request.model.path).name == "content.onnx"
    (path,) = job.file_sets[0].paths_under(FILES)
    assert shlex.split(command_line(("sha256sum", path))) == ["sha256sum", path]
    assert "/" not in job.remote_directory.removeprefix(f"/sdcard/Android/media/{APP}/blocks/")
    assert shlex.split(command_line(job.command()))[6] == job.remote_request
    assert job.request.block_id == name


@given(st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name))
def test_every_name_becomes_one_that_a_phone_can_take(name: str) -> None:
    made = phone_name(name)
    assert made
    assert "/" not in made
    assert made not in (".", "..")
    assert len(made.encode()) <= 120
    assert made.isprintable()
    assert phone_name(made) == made


@pytest.mark.parametrize("name", ["", "a", "a b.c", "a.b;reboot", "../x.y", "a..b", "1a.b"])
def test_what_is_no_application_id_reaches_no_phone(name: str) -> None:
    with pytest.raises(UsageError):
        check_application_id(name)


def test_only_files_of_the_block_are_brought(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    paths = [
        "y.bin",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "",
        ".",
        "..",
        7,
        None,
        "result.json",
    ]
    result.write_text(
        json.dumps({"outputs": [{"path": path} for path in paths], "profile_path": "p.json"})
    )
    assert list(named_files(result)) == ["p.json", "y.bin"]
    for text in ("", "[", "[]", "7", '{"outputs": 3, "profile_path": []}', '{"outputs": [1]}'):
        result.write_text(text)
        assert list(named_files(result)) == []


def test_a_block_has_its_own_directory(tmp_path: Path, files: PhoneFiles) -> None:
    names = ["b-1", "b 1", "b/1", "../b", "x" * 500]
    made = {
        make_job(
            replace(request(tmp_path), block_id=name), APP, None, files.describe
        ).remote_directory
        for name in names
    }
    assert len(made) == len(names)
