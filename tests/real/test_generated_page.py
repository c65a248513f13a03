"""A generated project built with npm and opened in Chromium: hostile names stay names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import pytest
from sdk_models import HOSTILE, all_types, hostile, product
from sdk_prepared import check_outputs, prepared_models

from conftest import find_chromium
from ortlab.build import build_web, find_app
from ortlab.domain import AppSpec, BuiltApp, ClassificationKind, TargetPlatform
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.process import SystemProcesses
from ortlab.scaffold import generate_web
from ortlab.tensors import decode
from web import packages, projects

pytestmark = [pytest.mark.requires("node"), pytest.mark.requires("chromium")]

NAME = "</title><script>alert('name')</script><img src=x onerror=alert(1)> \u202e$1 ${x} 🐙"
LABELS = ("<img src=x onerror=alert('label')>", '"></td><script>alert(2)</script>')
DIRECTORY = "a page's <b> $HOME `x` %2e ü"
WAIT_MS = 60_000
SOFTWARE_ADAPTER = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
LARGEST_RATIO = 1.05
"""Shipped bytes ÷ those of the models and of the runtime's own files."""


@dataclass
class Seen:
    """A page, and what it did that it should not."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        assert self.complaints == []
        assert self.dialogs == []
        assert self.strangers == []


@contextmanager
def served(page: Path) -> Iterator[str]:
    """Serve a built page as the project's own server does; give its address."""
    server = page.parent / "serve.mjs"
    command = ("node", str(server), str(page), "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().strip()
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--disable-gpu", "--disable-dev-shm-usage", *SOFTWARE_ADAPTER]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        yield started
        started.close()


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Seen]:
    context = browser.new_context()
    seen = Seen(page=context.new_page())
    page = seen.page
    page.on("console", lambda told: seen.complaints.append(told.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))

    def dismiss(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)

    def note(request: Any) -> None:
        if not request.url.startswith((address, "data:")):
            seen.strangers.append(request.url)

    page.on("request", note)
    try:
        page.goto(address)
        yield seen
    finally:
        context.close()


# ------------------------------------------------------------------------------ hostile names


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a model all of whose names are hostile, with a hostile name in such a place."""
    place = tmp_path_factory.mktemp("hostile")
    onnx.save(hostile(), place / "hostile.onnx")
    options = PrepareOptions(targets=(TargetPlatform.ARM,), configs=False, predictions=False)
    (result,) = prepare_models([place / "hostile.onnx"], place / "prepared", options).results
    assert result.prepared
    assert result.directory
    scores = next(t.name for t in result.prepared.original.outputs if t.shape)
    spec = AppSpec(
        name=NAME,
        application_id="dev.example.hostile",
        kinds={scores: ClassificationKind(labels=LABELS, top_k=2)},
        service_worker=True,
    )
    generate_web(result.prepared, result.directory, spec, place / DIRECTORY)
    return place / DIRECTORY


@pytest.fixture(scope="module")
def app(project: Path) -> BuiltApp:
    """Built as users do, packages and all; what npm has in its cache is not fetched again."""
    packages.node_modules()  # the first time on a machine it fills that cache
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("npm_config_prefer_offline", "true")
        return build_web(project, processes=SystemProcesses())


def test_the_page_carries_its_models_and_the_one_runtime(project: Path, app: BuiltApp) -> None:
    assert find_app(project) == app
    files = (project / "src/generated/assets").rglob("*.ort")
    models = [len(data) for data in {path.read_bytes() for path in files}]  # equal ones are one
    assert app.size_by_part["models"] == sum(models)
    runtime = packages.node_modules() / "onnxruntime-web/dist"
    own = [runtime / "ort.wasm.bundle.min.mjs", runtime / "ort-wasm-simd-threaded.wasm"]
    assert app.size_by_part["wasm"] == own[1].stat().st_size
    needed = sum(models) + sum(path.stat().st_size for path in own)
    assert sum(app.size_by_part.values()) <= LARGEST_RATIO * needed


def test_hostile_names_run_no_script(browser: Any, app: BuiltApp) -> None:
    with served(app.files[0].parent) as address, opened(browser, address) as seen:
        page = seen.page
        page.get_by_text("Done in").wait_for(timeout=WAIT_MS)
        assert page.title().split() == NAME.split()
        text = page.inner_text("body")
        assert all(label in text for label in LABELS)
        assert page.evaluate("document.querySelectorAll('img[src=x], h1 script').length") == 0
        assert page.evaluate("crossOriginIsolated")
        seen.assert_quiet()


def test_the_page_starts_again_without_a_network(browser: Any, app: BuiltApp) -> None:
    """Its service worker keeps all of it, as was asked for."""
    with served(app.files[0].parent) as address, opened(browser, address) as seen:
        page = seen.page
        page.get_by_text("Done in").wait_for(timeout=WAIT_MS)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.context.set_offline(True)
        page.reload()
        page.get_by_text("Done in").wait_for(timeout=WAIT_MS)
        assert seen.dialogs == []


# ------------------------------------------------------------------------------ answers

PAGE = """
import { models } from "../generated/models";
import { loadSample, ModelSession } from "../sdk/index";
import { encodeTensor } from "../sdk/tensor_files";

async function answers(threads: number): Promise<unknown> {
  const told = [];
  for (const model of models) {
    for (const { style } of model.variants) {
      const session = await ModelSession.create(model, { style, threads });
      const outputs = (await session.run(await loadSample(model))).map((output, index) => ({
        name: model.outputs[index]?.name,
        type: output.type,
        shape: output.shape,
        bytes: Array.from(encodeTensor(output)),
      }));
      const { threads: got, providers } = session.report;
      told.push({ model: model.name, threads: got, ran: providers.registered, outputs });
      await session.close();
    }
  }
  return told;
}

Object.assign(globalThis, { answers });
"""
"""What a user may write in the place of the starter page."""


@pytest.mark.parametrize(
    ("providers", "threads", "wasm"),
    [
        (("wasm",), 1, "ort-wasm-simd-threaded-"),
        (("wasm",), 2, "ort-wasm-simd-threaded-"),
        (("webgpu", "wasm"), 1, "ort-wasm-simd-threaded.asyncify-"),
    ],
)
def test_every_type_comes_out_of_the_browser_as_out_of_python(
    browser: Any, tmp_path: Path, providers: tuple[str, ...], threads: int, wasm: str
) -> None:
    """Also with WebGPU, on an adapter that is a program; and one build alone is shipped."""
    protos = {"all types": all_types(), "hostile": hostile(), "product": product()}
    prepared, models = prepared_models(protos, tmp_path)
    projects.write_project(
        tmp_path / "project", models, tmp_path / "assets", "sdk_driver", providers=providers
    )
    (tmp_path / "project/src/app/main.ts").write_text(PAGE)
    packages.run("vite", "build", directory=tmp_path / "project")
    (shipped,) = (tmp_path / "project/dist").rglob("*.wasm")
    assert shipped.name.startswith(wasm)
    with (
        served(tmp_path / "project/dist") as address,
        opened(browser, address) as seen,
    ):
        seen.page.wait_for_function("'answers' in globalThis", timeout=WAIT_MS)
        told = seen.page.evaluate(f"answers({threads})")
        seen.assert_quiet()
    by_name = {model.name: model for model in prepared.values()}
    assert {entry["model"] for entry in told} == set(by_name)
    for entry in told:
        assert (entry["threads"], tuple(entry["ran"])) == (threads, providers)
        found = {
            output["name"]: decode(
                bytes(output["bytes"]), output["type"], tuple(output["shape"]), source="page"
            )
            for output in entry["outputs"]
        }
        check_outputs(by_name[entry["model"]], models, tmp_path, found)
    assert len(HOSTILE) == len(prepared["hostile"].original.inputs)
