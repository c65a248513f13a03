"""The starter page in headless Chromium: by keyboard, on a phone's width, without a network."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from ortlab.devices.web.browsers import chromium
from web import packages

pytestmark = [pytest.mark.requires("node"), pytest.mark.requires("chromium")]

PHONE_WIDTH = 360
DONE = "document.querySelector('[role=status]')?.textContent.startsWith('Done')"
FAILED = "document.querySelector('[role=alert]')?.textContent !== ''"
WAIT_MS = 60_000
NAME = "<img src=x onerror=\"document.title='taken'\"> & co"


def project(directory: Path, **settings: Any) -> Path:
    """Build the template with other settings; return the project."""
    skipped = shutil.ignore_patterns("node_modules", "dist", "build", "test")
    shutil.copytree(packages.TEMPLATE, directory, ignore=skipped)
    packages.use_packages(directory)
    path = directory / "app.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**told, **settings}), encoding="utf-8")
    packages.run("vite", "build", directory=directory)
    return directory


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("starter")
    return project(root / "app", name=NAME, serviceWorker=True)


@dataclass
class Server:
    """The project's own server, which can be ended."""

    process: subprocess.Popen[str]
    address: str

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def served(directory: Path) -> Iterator[Server]:
    command = ("node", "serve.mjs", "dist", "0")
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(process, process.stdout.readline().strip())
        finally:
            process.terminate()


@dataclass
class Visit:
    """A page, and all that it asked for and said."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.wait_for_function(DONE, timeout=WAIT_MS)


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    found = chromium()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=found.executable,
            chromium_sandbox=found.sandbox,
            args=list(found.arguments),
            headless=True,
            viewport={"width": PHONE_WIDTH, "height": 740},
        )
        try:
            yield context
        finally:
            context.close()


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))


def tab_to(page: Any, wanted: str) -> None:
    for _ in range(12):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            return
    message = f"the keyboard does not reach {wanted}"
    raise AssertionError(message)


def test_the_page_works_by_keyboard_on_a_phones_width_and_without_a_network(
    built: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (640, 480), (20, 40, 220)).save(tmp_path / "blue.png")
    with served(built) as server, browser(tmp_path / "profile") as context:
        visit = Visit(context.new_page())
        page = visit.page
        visit.open(server.address)

        assert page.title() == NAME
        assert page.locator("h1").inner_text() == NAME
        assert page.evaluate("crossOriginIsolated")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH
        # Every control has a name, and what changes by itself is said.
        unnamed = "e => e.filter(each => !each.labels?.length && !each.innerText).length"
        assert page.locator("button, input, select").evaluate_all(unnamed) == 0
        assert page.locator("canvas[role=img][aria-label]").count() == 1

        # Run many times, by keyboard; the focus stays where it is.
        tab_to(page, "Run 20 times")
        page.keyboard.press("Enter")
        page.wait_for_function("document.body.innerText.includes('median of 20')", timeout=WAIT_MS)
        assert focused(page) == "Run 20 times"

        # A picture of one's own.
        page.set_input_files("input[type=file]", tmp_path / "blue.png")
        page.wait_for_function(
            "document.querySelector('.classes li')?.innerText.startsWith('blue')", timeout=WAIT_MS
        )
        text = page.locator("main").inner_text()
        for word in ("Latency", "Memory of WebAssembly", "WebAssembly (CPU)", "1.30.0"):
            assert word in text

        # The other file, by keyboard.
        page.locator("body").focus()
        tab_to(page, "style")
        page.keyboard.press("ArrowDown")
        page.wait_for_function("document.body.innerText.includes('runtime-arm')", timeout=WAIT_MS)

        # A file that is no picture is refused in words.
        (tmp_path / "no.png").write_bytes(b"no picture")
        page.set_input_files("input[type=file]", tmp_path / "no.png")
        page.wait_for_function(FAILED, timeout=WAIT_MS)
        assert "Cannot read the picture" in page.locator("[role=alert]").inner_text()
        assert page.title() == NAME

        assert visit.said == []
        assert all(url.startswith((server.address, "data:", "blob:")) for url in visit.asked)

        # Kept whole by the service worker: the second visit needs no server.
        page.wait_for_function("navigator.serviceWorker.controller !== null", timeout=WAIT_MS)
        server.end()
        again = Visit(context.new_page())
        again.open(server.address)
        assert "blue" in again.page.locator("main").inner_text()
        assert again.page.evaluate("crossOriginIsolated")
        assert again.said == []


PICTURES = """
import { decodePicture } from "../sdk/index";

Object.assign(globalThis, {
  decode: async (base64) => {
    const response = await fetch(`data:image/any;base64,${base64}`);
    const { width, height, data } = await decodePicture(await response.blob());
    if (data.length > 1e6) return { width: 1, height, data: Array.from(data.slice(0, 4 * height)) };
    return { width, height, data: Array.from(data) };
  },
});
"""


def decoded(page: Any, picture: Image.Image, kind: str, **options: Any) -> np.ndarray:
    """Return what the page reads out of a picture's file: rows, columns, RGBA."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    read = page.evaluate("text => decode(text)", base64.b64encode(file.getvalue()).decode())
    return np.asarray(read["data"], np.uint8).reshape(read["height"], read["width"], 4)


def on_white(rgba: np.ndarray) -> np.ndarray:
    colour, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    blended: np.ndarray = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return blended


def test_pictures_are_read_upright_and_as_they_are(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "app", symlinks=True)
    page_html = tmp_path / "app/bench.html"
    (tmp_path / "app/src/bench/pictures.js").write_text(PICTURES, encoding="utf-8")
    text = page_html.read_text(encoding="utf-8")
    page_html.write_text(text.replace("bench/page.ts", "bench/pictures.js"), encoding="utf-8")
    packages.run("vite", "build", directory=tmp_path / "app")
    random = np.random.default_rng(5)
    colours = random.integers(0, 256, (17, 23, 4), np.uint8)
    with served(tmp_path / "app") as server, browser(tmp_path / "profile") as context:
        page = context.new_page()
        page.goto(f"{server.address}bench.html")
        page.wait_for_function("'decode' in globalThis")

        opaque = np.dstack([colours[..., :3], np.full((17, 23), 255, np.uint8)])
        assert np.array_equal(decoded(page, Image.fromarray(opaque), "PNG"), opaque)

        glass = decoded(page, Image.fromarray(colours), "PNG")
        assert np.array_equal(glass[..., 3], colours[..., 3])
        assert np.abs(on_white(glass) - on_white(colours)).max() <= 1

        halves = np.zeros((16, 32, 3), np.uint8)
        halves[:, :16] = 255  # white on the left, as stored
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            stored = Image.fromarray(halves)
            seen = decoded(page, stored, "JPEG", exif=exif, quality=95)[..., :3].astype(int)
            file = io.BytesIO()
            stored.save(file, "JPEG", exif=exif, quality=95)
            upright = np.asarray(ImageOps.exif_transpose(Image.open(file)), int)
            assert seen.shape == upright.shape
            assert np.abs(seen - upright).max() <= 4, orientation

        large = Image.new("RGB", (5000, 4000), (10, 200, 30))
        halved = decoded(page, large, "PNG")[:, :1]
        assert halved.shape[0] == 2000
        assert set(map(tuple, halved.reshape(-1, 4).tolist())) == {(10, 200, 30, 255)}


def test_without_the_two_headers_the_model_runs_with_one_thread(
    built: Path, tmp_path: Path
) -> None:
    server_file = tmp_path / "plain"
    shutil.copytree(built, server_file, symlinks=True)
    script = server_file / "serve.mjs"
    text = script.read_text(encoding="utf-8")
    plain = "".join(line for line in text.splitlines(keepends=True) if '"Cross-Origin' not in line)
    assert plain != text
    script.write_text(plain, encoding="utf-8")
    with served(server_file) as server, browser(tmp_path / "profile") as context:
        visit = Visit(context.new_page())
        visit.open(server.address)
        assert not visit.page.evaluate("crossOriginIsolated")
        assert "1 thread" in visit.page.locator("main").inner_text()
        assert visit.said == []


def test_a_runtime_that_cannot_be_fetched_is_told_in_words(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "cut", symlinks=True)
    (wasm,) = (tmp_path / "cut/dist/assets").glob("*.wasm")
    wasm.write_bytes(wasm.read_bytes()[:1000])
    with served(tmp_path / "cut") as server, browser(tmp_path / "profile") as context:
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_function(FAILED, timeout=WAIT_MS)
        assert "Cannot start ONNX Runtime" in page.locator("[role=alert]").inner_text()
