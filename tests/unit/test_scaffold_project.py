"""Projects are written whole, the same twice, and again around what a user changed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortlab.domain import (
    AppSpec,
    Basis,
    GeneratedApp,
    PreparedModel,
    ReleaseVerdict,
    ReplayAnswer,
    StateKind,
    TensorSpec,
)
from ortlab.errors import ModelError, OrtlabError, StorageError, UsageError
from ortlab.scaffold import generate_android
from ortlab.scaffold.android import android_parts
from ortlab.scaffold.properties import read_properties
from prepared_models import (
    prepared_model,
    small_template,
    variant,
    with_other_weights,
    write,
)

SPEC = AppSpec(name="Reader", application_id="dev.example.reader")
GENERATED = "sdk/src/generated"
FIXED = f"{GENERATED}/assets/ortlab/small/fixed-arm.ort"
CLASS = f"{GENERATED}/kotlin/dev/ortlab/sdk/models/Small.kt"


def tree(directory: Path) -> Mapping[str, tuple[bytes, int]]:
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o111)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


class Workshop:
    """A prepared model, a small template, and the project that is generated from them."""

    def __init__(self, directory: Path) -> None:
        self.prepared_directory = directory / "prepared"
        self.prepared: PreparedModel = prepared_model(self.prepared_directory)
        self.template = small_template(directory / "template")
        self.project = directory / "project"
        self.spec = SPEC

    def generate(self, destination: Path | None = None) -> GeneratedApp:
        return generate_android(
            self.prepared,
            self.prepared_directory,
            self.spec,
            destination or self.project,
            template=self.template,
        )


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


# ------------------------------------------------------------------------------ a first run


def test_a_project_is_the_template_with_the_generated_folder_filled(workshop: Workshop) -> None:
    app = workshop.generate()
    expected = {
        ".gitignore", "app.properties", "app/src/Main.kt", "gradlew", "sdk/src/main/Tensor.kt",
        "settings.gradle.kts", FIXED, CLASS,
        f"{GENERATED}/assets/ortlab/small/runtime-arm.ort",
        f"{GENERATED}/assets/ortlab/small/sample/input-0.bin",
        f"{GENERATED}/kotlin/dev/ortlab/sdk/models/Models.kt",
    }  # fmt: skip
    assert set(tree(workshop.project)) == {*expected, ".ortlab/generated.json"}
    assert set(app.written) == expected
    assert (app.directory, app.kept, app.notes) == (workshop.project, (), ())
    assert (workshop.project / FIXED).read_bytes() == b"file of fixed-arm"
    assert os.access(workshop.project / "gradlew", os.X_OK)
    assert "class Small " in (workshop.project / CLASS).read_text()


def test_settings_say_what_the_app_is_and_keep_the_templates_comments(workshop: Workshop) -> None:
    name = 'Tom\'s "$x" <b> & @string/a ?attr \\n 🐙\n\u202etxt'
    workshop.spec = replace(SPEC, name=name, version_name="1.2 β", version_code=12)
    workshop.generate()
    data = (workshop.project / "app.properties").read_bytes()
    assert data.startswith(b"# Yours and ours.\n")
    assert data.isascii()
    assert read_properties(data) == {
        "app.name": name,
        "app.id": "dev.example.reader",
        "app.versionName": "1.2 β",
        "app.versionCode": "12",
    }


def test_the_same_twice_byte_for_byte(workshop: Workshop, tmp_path: Path) -> None:
    workshop.generate()
    workshop.generate(tmp_path / "elsewhere" / "deeper")
    assert tree(workshop.project) == tree(tmp_path / "elsewhere" / "deeper")
    before = tree(workshop.project)
    again = workshop.generate()
    assert (again.written, again.kept, again.notes) == ((), (), ())
    assert tree(workshop.project) == before


def test_an_empty_directory_may_be_there_already(workshop: Workshop) -> None:
    workshop.project.mkdir()
    workshop.generate()
    assert (workshop.project / "gradlew").is_file()


def _occupied(path: Path) -> None:
    write(path, "thesis.txt", b"mine")


def _a_file(path: Path) -> None:
    path.write_bytes(b"mine")


def _a_link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _another_platform(path: Path) -> None:
    record = {"platform": "ios", "version": "1", "files": {}, "settings": {}}
    write(path, ".ortlab/generated.json", json.dumps(record).encode())


def _a_newer_record(path: Path) -> None:
    record = {
        "platform": "android", "version": "1", "files": {}, "settings": {}, "schema_version": 9,
    }  # fmt: skip
    write(path, ".ortlab/generated.json", json.dumps(record).encode())


@pytest.mark.parametrize(
    ("occupy", "why"),
    [
        (_occupied, "not a project of ours"),
        (_a_file, "not a directory"),
        (_a_link_to_nowhere, "a link to nowhere"),
        (_another_platform, "a project for ios"),
        (_a_newer_record, "another version of ortlab"),
    ],
)
def test_what_is_not_ours_is_left_alone(
    workshop: Workshop, occupy: Callable[[Path], None], why: str
) -> None:
    occupy(workshop.project)
    before = sorted(workshop.project.parent.rglob("*"))
    with pytest.raises(UsageError, match=why):
        workshop.generate()
    assert sorted(workshop.project.parent.rglob("*")) == before


def test_places_that_would_lose_the_project_are_refused(workshop: Workshop) -> None:
    with pytest.raises(UsageError, match="next preparation would remove it"):
        workshop.generate(workshop.prepared_directory / "android")
    with pytest.raises(UsageError, match="it is the template"):
        workshop.generate(workshop.template / "x")


def test_a_failure_leaves_nothing(workshop: Workshop) -> None:
    (workshop.prepared_directory / "variants/runtime-arm.ort").write_bytes(b"!" * 19)
    with pytest.raises(OrtlabError, match="changed meanwhile"):
        workshop.generate()
    assert {path.name for path in workshop.project.parent.iterdir()} == {"prepared", "template"}


def test_leftovers_of_a_run_that_was_killed_are_removed(workshop: Workshop) -> None:
    write(workshop.project.parent, ".project.4194999.abcdefgh/half", b"")
    write(workshop.project.parent, f".project.{os.getpid()}.abcdefgh/half", b"")
    workshop.generate()
    hidden = {path.name for path in workshop.project.parent.iterdir() if path.name[0] == "."}
    assert hidden == {f".project.{os.getpid()}.abcdefgh"}


# ------------------------------------------------------------------------------ a later run


def test_another_model_replaces_the_first_whole(workshop: Workshop) -> None:
    workshop.generate()
    workshop.prepared = replace(
        with_other_weights(workshop.prepared, workshop.prepared_directory), name="other"
    )
    app = workshop.generate()
    generated = {path for path in tree(workshop.project) if path.startswith(GENERATED)}
    assert generated == {path for path in app.written if path.startswith(GENERATED)}
    assert not any("small" in path.lower() for path in generated)
    assert app.kept == ()


def test_edits_stay_and_are_told(workshop: Workshop) -> None:
    workshop.generate()
    edited = write(workshop.project, "app/src/Main.kt", b"fun main() = println(1)\n")[0]
    own = write(workshop.project, "app/src/Mine.kt", b"class Mine\n")[0]
    (workshop.project / "sdk/src/main/Tensor.kt").unlink()
    write(workshop.template, "app/src/Main.kt", b"fun main() = TODO()\n")
    write(workshop.template, "sdk/src/main/Tensor.kt", b"class Tensor2\n")
    write(workshop.template, ".gitignore", b"build/\n.gradle/\n")
    app = workshop.generate()
    assert (workshop.project / edited).read_bytes() == b"fun main() = println(1)\n"
    assert (workshop.project / own).read_bytes() == b"class Mine\n"
    assert not (workshop.project / "sdk/src/main/Tensor.kt").exists()
    assert (workshop.project / ".gitignore").read_bytes() == b"build/\n.gradle/\n"
    assert (app.kept, app.written) == (("app/src/Main.kt",), (".gitignore",))
    assert app.notes == ("you deleted sdk/src/main/Tensor.kt; it stays deleted",)
    assert workshop.generate().kept == ("app/src/Main.kt",)  # and still so the next time


@pytest.mark.parametrize("template_does", ["nothing", "change", "remove"])
@pytest.mark.parametrize("user_does", ["nothing", "edit", "delete", "same edit"])
def test_every_pair_of_what_a_user_and_the_template_do(
    workshop: Workshop, user_does: str, template_does: str
) -> None:
    path = "app/src/Main.kt"
    before, after, mine = b"fun main() = Unit\n", b"changed\n", b"mine\n"
    workshop.generate()
    if user_does == "delete":
        (workshop.project / path).unlink()
    elif user_does != "nothing":
        write(workshop.project, path, mine if user_does == "edit" else after)
    if template_does == "remove":
        (workshop.template / path).unlink()
    elif template_does == "change":
        write(workshop.template, path, after)
    app = workshop.generate()
    follows = {"nothing": before, "change": after, "remove": None}[template_does]
    expected = {"nothing": follows, "edit": mine, "same edit": after, "delete": None}[user_does]
    place = workshop.project / path
    assert (place.read_bytes() if place.exists() else None) == expected
    kept = user_does == "edit" or (user_does == "same edit" and template_does != "change")
    assert app.kept == ((path,) if kept else ())
    assert (path in app.written) == (user_does == "nothing" and template_does == "change")
    deleted = f"you deleted {path}; it stays deleted"
    assert (deleted in app.notes) == (user_does == "delete" and template_does != "remove")
    again = workshop.generate()
    assert again.written == ()
    assert again.kept == (app.kept if template_does != "remove" else ())


def test_what_left_the_template_goes_unless_it_was_changed(workshop: Workshop) -> None:
    write(workshop.template, "old/gone.kt", b"1")
    write(workshop.template, "old/edited.kt", b"2")
    workshop.generate()
    write(workshop.project, "old/edited.kt", b"mine")
    (workshop.template / "old/gone.kt").unlink()
    (workshop.template / "old/edited.kt").unlink()
    app = workshop.generate()
    assert not (workshop.project / "old/gone.kt").exists()
    assert (workshop.project / "old/edited.kt").read_bytes() == b"mine"
    assert app.kept == ("old/edited.kt",)
    assert "old/gone.kt is no longer part" in app.notes[0]
    assert workshop.generate().kept == ()


def test_a_file_of_the_users_where_the_template_gets_one_stays(workshop: Workshop) -> None:
    workshop.generate()
    write(workshop.project, "LICENSE", b"mine")
    write(workshop.template, "LICENSE", b"ours")
    assert workshop.generate().kept == ("LICENSE",)
    assert (workshop.project / "LICENSE").read_bytes() == b"mine"


def test_generated_files_are_written_anew_and_edits_put_aside(workshop: Workshop) -> None:
    workshop.generate()
    write(workshop.project, CLASS, b"// mine\n")
    own = write(workshop.project, f"{GENERATED}/assets/mine.bin", b"mine")[0]
    (workshop.project / FIXED).unlink()
    app = workshop.generate()
    assert set(app.written) == {CLASS, FIXED}
    assert (workshop.project / ".ortlab/replaced" / CLASS).read_bytes() == b"// mine\n"
    assert (workshop.project / own).read_bytes() == b"mine"
    assert len(app.notes) == 1
    assert f".ortlab/replaced/{CLASS}" in app.notes[0]
    assert workshop.generate().written == ()


def test_settings_of_the_users_stay_and_ours_follow_the_spec(workshop: Workshop) -> None:
    workshop.generate()
    path = workshop.project / "app.properties"
    path.write_bytes(path.read_bytes().replace(b"versionCode=1", b"versionCode=7") + b"# me\nx=1\n")
    workshop.spec = replace(SPEC, name="New name")
    app = workshop.generate()
    values = read_properties(path.read_bytes())
    assert (values["app.name"], values["app.versionCode"], values["x"]) == ("New name", "7", "1")
    assert b"# me\n" in path.read_bytes()
    assert app.written == ("app.properties",)
    assert app.notes == ("app.properties: your app.versionCode='7' stays",)
    path.unlink()
    assert workshop.generate().written == ("app.properties",)


def test_folders_are_exchanged_where_the_system_has_no_call_for_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, and on file systems that know no exchange; also killed in between."""
    monkeypatch.setattr("ortlab.scaffold.files._exchanged", lambda *_: False)
    workshop.generate()
    own = write(workshop.project, f"{GENERATED}/assets/mine.bin", b"mine")[0]
    workshop.prepared = with_other_weights(workshop.prepared, workshop.prepared_directory)
    assert FIXED in workshop.generate().written
    assert (workshop.project / FIXED).read_bytes() == b"other weights"
    staging = workshop.project / ".ortlab/staging"
    assert not staging.exists()
    staging.mkdir()
    (workshop.project / GENERATED).rename(staging / "generated.old")
    assert workshop.generate().written == ()
    assert (workshop.project / own).read_bytes() == b"mine"


def test_links_are_not_followed(workshop: Workshop, tmp_path: Path) -> None:
    workshop.generate()
    outside = tmp_path / "outside"
    (workshop.project / "app/src").rename(outside)
    (workshop.project / "app/src").symlink_to(outside)
    write(workshop.template, "app/src/Main.kt", b"changed\n")
    app = workshop.generate()
    assert app.kept == ("app/src/Main.kt",)
    assert (outside / "Main.kt").read_bytes() == b"fun main() = Unit\n"


def test_two_runs_at_once_do_not_mix(workshop: Workshop) -> None:
    workshop.generate()
    descriptor = os.open(workshop.project / ".ortlab", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(StorageError, match="another run writes it now"):
            workshop.generate()
    finally:
        os.close(descriptor)
    workshop.generate()


def test_a_damaged_record_is_told(workshop: Workshop) -> None:
    workshop.generate()
    write(workshop.project, ".ortlab/generated.json", b"{")
    with pytest.raises(StorageError, match="Record"):
        workshop.generate()


@pytest.mark.parametrize("path", ["../precious.txt", "/etc/passwd", ""])
def test_a_record_cannot_reach_outside(workshop: Workshop, path: str) -> None:
    workshop.generate()
    write(workshop.project.parent, "precious.txt", b"precious")
    place = workshop.project / ".ortlab/generated.json"
    record = json.loads(place.read_bytes())
    record["files"][path] = hashlib.sha256(b"precious").hexdigest()
    place.write_text(json.dumps(record))
    with pytest.raises(StorageError, match="names files outside it"):
        workshop.generate()
    assert (workshop.project.parent / "precious.txt").exists()


# ------------------------------------------------------------------------------ what is shipped


def test_a_file_that_is_missing_is_told(workshop: Workshop) -> None:
    (workshop.prepared_directory / "variants/fixed-arm.ort").unlink()
    with pytest.raises(ModelError, match=r"fixed-arm\.ort: No such file") as missing:
        workshop.generate()
    assert missing.value.next_step == "prepare the model again"


def test_a_state_is_no_part_of_the_sample(workshop: Workshop) -> None:
    spec = replace(SPEC, kinds={"y": StateKind(input_name="x")})
    parts = android_parts(workshop.prepared, workshop.prepared_directory, spec)
    assert not any("sample/" in path for path in parts.files)


def test_packages_and_libraries_travel_with_the_project(workshop: Workshop, tmp_path: Path) -> None:
    from test_scaffold_choices import BOTH_LIBRARIES, aar, library

    path = aar(tmp_path / "own build.aar", "classes.jar", *BOTH_LIBRARIES)
    ops = library(tmp_path / "libops.so", "arm64-v8a", alignment=4096)
    workshop.spec = replace(
        SPEC, ort_package=str(path), custom_op_libraries={"arm64-v8a": str(ops)}
    )
    app = workshop.generate()
    values = read_properties((workshop.project / "app.properties").read_bytes())
    for key, source in (("ort.android", path), ("ort.customOps.arm64-v8a", ops)):
        assert (workshop.project / values[key]).read_bytes() == source.read_bytes()
        assert not Path(values[key]).is_absolute()
    assert "16 KB" in app.notes[0]
    assert 'customOpLibraries = listOf("libops.so")' in (workshop.project / CLASS).read_text()
    workshop.spec = replace(SPEC, ort_package="1.23.0")
    workshop.generate()
    values = read_properties((workshop.project / "app.properties").read_bytes())
    assert values["ort.android"] == "1.23.0"
    assert "ort.customOps.arm64-v8a" not in values
    assert not list(workshop.project.rglob("libops.so"))


def test_a_library_has_one_name_for_all_abis(workshop: Workshop, tmp_path: Path) -> None:
    paths = {abi: str(tmp_path / f"lib{abi}.so") for abi in ("arm64-v8a", "x86_64")}
    workshop.spec = replace(SPEC, custom_op_libraries=paths)
    with pytest.raises(UsageError, match="one name for all ABIs"):
        workshop.generate()


def test_a_model_with_operators_of_its_own_needs_a_library(workshop: Workshop) -> None:
    workshop.prepared = replace(workshop.prepared, custom_op_library="/srv/me/libops.so")
    assert "--custom-ops arm64-v8a=FILE" in workshop.generate().notes[0]


def test_a_release_that_does_not_load_the_model_is_refused(workshop: Workshop) -> None:
    verdict = ReleaseVerdict(
        release="1.8",
        loads=False,
        replay=ReplayAnswer.NOT_LOADED,
        reason="it reads no format 6",
        basis=Basis.MEASURED,
    )
    workshop.prepared = replace(workshop.prepared, compatibility={"fixed-arm": (verdict,)})
    workshop.spec = replace(SPEC, ort_package="1.8.1")
    with pytest.raises(ModelError, match=r"with ONNX Runtime 1\.8\.1: it reads no format 6"):
        workshop.generate()


def test_element_types_that_the_platform_lacks_are_refused(workshop: Workshop) -> None:
    wide = TensorSpec(name="x", element_type="uint32", shape=(1,))
    original = replace(workshop.prepared.original, inputs=(wide,))
    workshop.prepared = replace(workshop.prepared, original=original)
    with pytest.raises(ModelError, match="input 'x' takes uint32"):
        workshop.generate()
    assert not workshop.project.exists()


def test_weights_in_files_of_their_own_are_refused(workshop: Workshop) -> None:
    onnx = variant(workshop.prepared_directory, "onnx")
    workshop.prepared = replace(workshop.prepared, variants=(replace(onnx, size_bytes=1 << 30),))
    with pytest.raises(ModelError, match="weights are in files of their own"):
        workshop.generate()


def test_large_models_come_with_a_note_and_large_samples_stay_out(workshop: Workshop) -> None:
    for path, size in (("variants/fixed-arm.ort", 101_000_000), ("samples/seeded/x.bin", 17 << 20)):
        with (workshop.prepared_directory / path).open("r+b") as file:
            file.truncate(size)
    variants = tuple(
        replace(v, size_bytes=(workshop.prepared_directory / v.path).stat().st_size)
        for v in workshop.prepared.variants
    )
    prepared = replace(workshop.prepared, variants=variants)
    parts = android_parts(prepared, workshop.prepared_directory, SPEC)
    assert "101 MB of models" in parts.notes[0]
    assert "no sample: its inputs have 18 MB" in parts.notes[1]
    assert not any("sample/" in path for path in parts.files)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"application_id": "reader"}, "two parts"),
        ({"name": "  "}, "it is empty"),
        ({"name": "a\0b"}, r"cannot hold U\+0000"),
        ({"name": "a\ud800b"}, r"cannot hold U\+D800"),
        ({"version_name": ""}, "it is empty"),
        ({"version_code": 0}, "from 1 to 2100000000"),
        ({"version_code": 2_100_000_001}, "from 1 to 2100000000"),
    ],
)
def test_specs_that_android_would_not_take_are_refused(
    workshop: Workshop, changes: dict[str, Any], why: str
) -> None:
    workshop.spec = replace(SPEC, **changes)
    with pytest.raises(UsageError, match=why):
        workshop.generate()
    assert not workshop.project.exists()


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a/b", "_hidden", ".dot", "ümlaut"])
def test_a_models_name_cannot_leave_the_assets(workshop: Workshop, name: str) -> None:
    workshop.prepared = replace(workshop.prepared, name=name)
    parts = android_parts(workshop.prepared, workshop.prepared_directory, SPEC)
    for path in parts.files:
        assert path.startswith(GENERATED + "/")
        assert ".." not in Path(path).parts
        assert not any(part.startswith((".", "_")) for part in Path(path).parts)
