"""Web projects are written whole, the same twice, and again around what a user changed."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.build import find_app, read_page
from ortlab.build.pages import is_page
from ortlab.config import AppSection, parse_config
from ortlab.domain import (
    AppPlatform,
    AppSpec,
    Basis,
    GeneratedApp,
    PreparedModel,
    ReleaseVerdict,
    ReplayAnswer,
    ShippedStyles,
    WebProvider,
)
from ortlab.errors import ModelError, ToolchainError, UsageError
from ortlab.scaffold import generate_web
from ortlab.scaffold.json_settings import json_value, merge_json_settings, read_json_settings
from ortlab.settings import app_spec
from prepared_models import prepared_model, with_other_weights, write

SPEC = AppSpec(name="Reader", application_id="dev.example.reader")
GENERATED = "src/generated"
FIXED = f"{GENERATED}/assets/ortlab/small/fixed-arm.ort"
PACKAGE = {"dependencies": {"onnxruntime-web": "1.30.0"}}


def small_template(directory: Path) -> Path:
    for name, text in {
        "app.json": '{\n  "name": "Sample",\n  "theirs": [1, 2]\n}\n',
        "package.json": json.dumps(PACKAGE),
        "vite.config.ts": "export default {};\n",
        ".npmrc": "fund=false\n",
        "src/sdk/session.ts": "export class Session {}\n",
        f"{GENERATED}/models/Sample.ts": "export class Sample {}\n",
        "node_modules/x/index.js": "x",
        "dist/index.html": "built",
        "build/ortlab-npm.log": "log",
        "x.tsbuildinfo": "{}",
    }.items():
        write(directory, name, text.encode())
    return directory


class Workshop:
    """A prepared model, a small template, and the project that is generated from them."""

    def __init__(self, directory: Path) -> None:
        self.prepared_directory = directory / "prepared"
        self.prepared = prepared_model(self.prepared_directory)
        self.template = small_template(directory / "template")
        self.project = directory / "project"

    def generate(self, spec: AppSpec = SPEC, *, destination: Path | None = None) -> GeneratedApp:
        return generate_web(
            self.prepared,
            self.prepared_directory,
            spec,
            destination or self.project,
            template=self.template,
        )

    def settings(self) -> Mapping[str, Any]:
        settings: Mapping[str, Any] = json.loads((self.project / "app.json").read_text("utf-8"))
        return settings

    def tree(self, directory: Path | None = None) -> Mapping[str, bytes]:
        directory = directory or self.project
        return {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


# ------------------------------------------------------------------------------ a first run


def test_a_project_is_the_template_with_the_generated_folder_filled(workshop: Workshop) -> None:
    app = workshop.generate()
    expected = {
        "app.json", "package.json", "vite.config.ts", ".npmrc", "src/sdk/session.ts", FIXED,
        f"{GENERATED}/assets/ortlab/small/runtime-arm.ort",
        f"{GENERATED}/assets/ortlab/small/sample/input-0.bin",
        f"{GENERATED}/models/Small.ts", f"{GENERATED}/models/index.ts", f"{GENERATED}/runtime.ts",
    }  # fmt: skip
    assert set(app.written) == expected
    assert set(workshop.tree()) == {*expected, ".ortlab/generated.json"}
    assert (app.platform, app.kept, app.notes) == (AppPlatform.WEB, (), ())
    assert "class Small" in (workshop.project / GENERATED / "models/Small.ts").read_text()
    assert workshop.settings() == {
        "name": "Reader",
        "theirs": [1, 2],
        "id": "dev.example.reader",
        "version": "1.0",
        "versionCode": 1,
        "serviceWorker": False,
    }


def test_the_same_twice_byte_for_byte(workshop: Workshop, tmp_path: Path) -> None:
    workshop.generate()
    workshop.generate(destination=tmp_path / "second")
    assert workshop.tree() == workshop.tree(tmp_path / "second")
    before = workshop.tree()
    assert workshop.generate().written == ()
    assert workshop.tree() == before


def test_only_the_build_with_the_providers_is_named(workshop: Workshop) -> None:
    both = (WebProvider.WEBGPU, WebProvider.WASM)
    app = workshop.generate(replace(SPEC, web_providers=both))
    runtime = (workshop.project / GENERATED / "runtime.ts").read_text()
    assert runtime.count('from "onnxruntime-web/') == 2
    assert 'providers: ["webgpu", "wasm"]' in runtime
    assert "27 MB; with wasm alone it has 14 MB" in app.notes[0]
    workshop.generate()
    assert "asyncify" not in (workshop.project / GENERATED / "runtime.ts").read_text()


# ------------------------------------------------------------------------------ a later run


def test_edits_stay_and_are_told(workshop: Workshop) -> None:
    workshop.generate()
    write(workshop.project, "src/sdk/session.ts", b"mine\n")
    (workshop.project / ".npmrc").unlink()
    write(workshop.project, f"{GENERATED}/models/Small.ts", b"changed\n")
    write(workshop.project, "node_modules/x/index.js", b"x")
    write(workshop.project, "dist/index.html", b"built")
    workshop.prepared = with_other_weights(workshop.prepared, workshop.prepared_directory)
    app = workshop.generate()
    assert app.kept == ("src/sdk/session.ts",)
    assert not (workshop.project / ".npmrc").exists()
    assert (workshop.project / FIXED).read_bytes() == b"other weights"
    assert "class Small" in (workshop.project / GENERATED / "models/Small.ts").read_text()
    aside = workshop.project / ".ortlab/replaced" / GENERATED / "models/Small.ts"
    assert aside.read_text() == "changed\n"
    assert (workshop.project / "dist/index.html").read_bytes() == b"built"
    assert any("you deleted .npmrc" in note for note in app.notes)


def test_settings_of_the_users_stay_and_ours_follow_the_spec(workshop: Workshop) -> None:
    workshop.generate()
    path = workshop.project / "app.json"
    path.write_text(json.dumps({**workshop.settings(), "name": "Mine", "more": {"a": 1}}))
    app = workshop.generate(replace(SPEC, version_name="2.0", service_worker=True))
    assert any("your name='\"Mine\"' stays" in note for note in app.notes)
    settings = workshop.settings()
    assert (settings["name"], settings["more"], settings["theirs"]) == ("Mine", {"a": 1}, [1, 2])
    assert (settings["version"], settings["serviceWorker"]) == ("2.0", True)


def test_settings_that_are_no_json_are_refused(workshop: Workshop) -> None:
    workshop.generate()
    (workshop.project / "app.json").write_text("{ name: 1 }")
    with pytest.raises(UsageError, match="they are no JSON") as caught:
        workshop.generate(replace(SPEC, name="Other"))
    assert caught.value.next_step == "mend the file, or delete it"


texts = st.text(st.characters(), max_size=20)
values = st.one_of(texts, st.integers(), st.booleans(), st.lists(st.integers(), max_size=2))


@given(st.dictionaries(texts, values, max_size=4), st.dictionaries(texts, values, max_size=4))
def test_any_settings_read_back_as_they_were_meant(
    before: dict[str, Any], wanted: dict[str, Any]
) -> None:
    data = json.dumps(before).encode()
    given_values: dict[str, str | None] = {key: json_value(v) for key, v in wanted.items()}
    merged = merge_json_settings(data, given_values, {})
    assert json.loads(merged.data) == {**before, **wanted}
    assert merge_json_settings(merged.data, given_values, {}).data == merged.data
    assert read_json_settings(merged.data) == {
        key: json_value(value) for key, value in {**before, **wanted}.items()
    }
    if merged.data != data:
        assert all(line.isprintable() for line in merged.data.decode().split("\n"))


# ------------------------------------------------------------------------------ refusals


def with_operator(prepared: PreparedModel, *variant_ids: str) -> PreparedModel:
    operators = {"com.microsoft.nchwc:ReorderInput": 1}
    variants = tuple(
        replace(item, operator_counts=operators) if item.variant_id in variant_ids else item
        for item in prepared.variants
    )
    return replace(prepared, variants=variants)


def test_a_file_that_webassembly_cannot_load_is_not_shipped(workshop: Workshop) -> None:
    kept = [v for v in workshop.prepared.variants if v.variant_id in {"fixed-amd64", "runtime-arm"}]
    workshop.prepared = with_operator(
        replace(workshop.prepared, variants=tuple(kept)), "fixed-amd64"
    )
    app = workshop.generate()
    assert not (workshop.project / FIXED).exists()
    assert "only runtime style is shipped" in app.notes[0]
    assert "WebAssembly does not have" in app.notes[0]
    with pytest.raises(ModelError, match="WebAssembly does not have") as caught:
        workshop.generate(replace(SPEC, ship=ShippedStyles.FIXED))
    assert "--target arm" in (caught.value.next_step or "")


def test_a_release_that_does_not_load_the_model_is_refused(workshop: Workshop) -> None:
    verdict = ReleaseVerdict(
        release="1.30",
        loads=False,
        replay=ReplayAnswer.NOT_LOADED,
        reason="too new",
        basis=Basis.EXPECTED,
    )
    compatibility = {v.variant_id: (verdict,) for v in workshop.prepared.variants}
    workshop.prepared = replace(workshop.prepared, compatibility=compatibility)
    with pytest.raises(ModelError, match=r"fixed-arm of small with ONNX Runtime 1\.30\.0: too new"):
        workshop.generate()


def test_operators_of_its_own_are_refused(workshop: Workshop) -> None:
    workshop.prepared = replace(workshop.prepared, custom_op_library="libops.so")
    with pytest.raises(ModelError, match="onnxruntime-web loads no library"):
        workshop.generate()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (replace(SPEC, name=" "), "as the app's name: it is empty"),
        (replace(SPEC, version_name=""), "as the app's version: it is empty"),
        (replace(SPEC, version_code=0), "as the version code"),
        (replace(SPEC, web_providers=()), "no provider is chosen"),
        (replace(SPEC, ort_package="1.23.0"), "an ONNX Runtime or operators of your own"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(
    workshop: Workshop, spec: AppSpec, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        workshop.generate(spec)
    assert not workshop.project.exists()


def test_a_template_without_the_runtime_is_refused(workshop: Workshop) -> None:
    write(workshop.template, "package.json", b"{}")
    with pytest.raises(ToolchainError, match="names no onnxruntime-web"):
        workshop.generate()


# ------------------------------------------------------------------------------ `[app]`


def test_a_section_becomes_a_spec(tmp_path: Path) -> None:
    plain = {
        "model": {"path": "m.onnx"},
        "app": {
            "web": "web",
            "web_ep": ["webgpu", "wasm"],
            "service_worker": True,
            "ort_android": "1.23.0",
            "team": "A1B2C3D4E5",
            "custom_ops": {"arm64-v8a": "libops.so", "ios": "Ops.xcframework"},
        },
    }
    section = parse_config(plain, source="ortlab.toml").app
    assert section
    assert section.web == "web"
    spec, _ = app_spec(
        section, prepared_model(tmp_path), AppPlatform.WEB, base=tmp_path, analysis=None
    )
    assert spec.web_providers == (WebProvider.WEBGPU, WebProvider.WASM)
    assert spec.service_worker
    assert (spec.ort_package, spec.team_id, dict(spec.custom_op_libraries)) == (None, "", {})


def test_an_unknown_provider_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    section = AppSection(web_ep=("webgl",))
    with pytest.raises(UsageError, match="wasm, webgpu, webnn"):
        app_spec(section, prepared_model(tmp_path), AppPlatform.WEB, base=tmp_path, analysis=None)


# ------------------------------------------------------------------------------ pages


def page(directory: Path, **more: bytes) -> Path:
    for name, data in {
        "index.html": b"<!doctype html>",
        "assets/index-a1.js": b"code",
        "assets/ort-b2.wasm": b"w" * 100,
        "assets/fixed-arm-c3.ort": b"m" * 30,
        "assets/input-0-d4.bin": b"s" * 8,
        "LICENSE": b"l",
        **more,
    }.items():
        write(directory, name, data)
    return directory


def test_a_page_is_read_part_by_part(tmp_path: Path) -> None:
    settings = {"name": "x", "id": "dev.example.x", "version": "2.1 β", "versionCode": 7}
    data = json.dumps(settings).encode()
    app = read_page(page(tmp_path / "dist", **{"bench.html": b"b", "app.json": data}))
    assert app.platform is AppPlatform.WEB
    assert app.files[0] == tmp_path / "dist/bench.html"
    assert len(app.files) == 8
    assert (app.application_id, app.version_name, app.version_code) == ("dev.example.x", "2.1 β", 7)
    assert dict(app.size_by_part) == {
        "code": 20,
        "wasm": 100,
        "models": 30,
        "resources": 8 + len(data),
        "other": 1,
    }
    assert not app.debuggable


def test_a_page_without_settings_takes_those_of_its_project(tmp_path: Path) -> None:
    write(tmp_path, "app.json", b'{"id": "dev.example.y", "versionCode": "7"}')
    app = read_page(page(tmp_path / "dist", **{"assets/index.js.map": b"{}"}))
    assert (app.application_id, app.version_code, app.debuggable) == ("dev.example.y", 0, True)


def test_any_change_of_a_page_changes_what_it_is(tmp_path: Path) -> None:
    before = read_page(page(tmp_path / "dist")).sha256
    assert read_page(tmp_path / "dist").sha256 == before
    (tmp_path / "dist/LICENSE").rename(tmp_path / "dist/LICENCE")
    assert read_page(tmp_path / "dist").sha256 != before


def test_pages_are_found(tmp_path: Path) -> None:
    write(tmp_path, "vite.config.ts", b"")
    write(tmp_path, "app.json", b"{}")
    with pytest.raises(UsageError, match="it was not built") as caught:
        find_app(tmp_path)
    assert caught.value.next_step == f"ortlab build {tmp_path}"
    page(tmp_path / "dist")
    assert find_app(tmp_path).files == find_app(tmp_path / "dist").files
    (tmp_path / "dist/assets/ort-b2.wasm").unlink()
    assert not is_page(tmp_path / "dist")
    with pytest.raises(UsageError, match="no page"):
        find_app(tmp_path / "dist")


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1), values, max_size=3))
def test_whatever_the_settings_of_a_page_say_it_is_read(settings: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        write(Path(place), "index.html", b"")
        write(Path(place), "app.json", json.dumps({**settings, "id": 5}).encode())
        assert read_page(Path(place)).application_id == "5"
