"""The web template as it stands: its own tests, compiler, linter and build, and what is shipped."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from web import packages

pytestmark = pytest.mark.requires("node")

VECTORS = ("bench_protocol", "sdk_vectors")
LARGEST_SHARE = 1.05
"""Shipped bytes ÷ those of the model and the runtime's own files, with WebAssembly alone."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template, with the vectors where it looks for them."""
    root = tmp_path_factory.mktemp("template")
    skipped = shutil.ignore_patterns("node_modules", "dist", "build", ".vite")
    shutil.copytree(packages.TEMPLATE, root / "web_template", ignore=skipped)
    packages.use_packages(root / "web_template")
    for name in VECTORS:
        (root / name).symlink_to(packages.ROOT / name, target_is_directory=True)
    return root / "web_template"


@pytest.fixture(scope="module")
def dist(project: Path) -> Path:
    """What the template is built to."""
    packages.run("npm", "run", "build", directory=project)
    return project / "dist"


# ------------------------------------------------------------------------------ the sources


def test_its_own_tests_pass_and_none_is_left_out(project: Path) -> None:
    """The protocol's and the SDK's vectors, on the build of the runtime that pages ship."""
    report = project / "report.json"
    packages.run(*("vitest", "run", "--reporter=json", f"--outputFile={report}"), directory=project)
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["success"]
    assert told["numPassedTests"] == told["numTotalTests"]
    failures = packages.ROOT / "bench_protocol/vectors/failures.json"
    pictures = packages.ROOT / "sdk_vectors/image.json"
    cases = json.loads(failures.read_text(encoding="utf-8"))["cases"]
    assert told["numTotalTests"] > len(cases) + len(json.loads(pictures.read_text("utf-8")))


def test_without_the_vectors_its_tests_pass_too(project: Path, tmp_path: Path) -> None:
    """As in a project that was generated from it."""
    shutil.copytree(project, tmp_path / "app", symlinks=True)
    packages.run("vitest", "run", directory=tmp_path / "app")


def test_the_compiler_is_strict_and_content(project: Path) -> None:
    assert packages.run("tsc", directory=project).stdout == ""
    wrong = project / "src" / "wrong.ts"
    wrong.write_text("export const first: number = [1][0];\n", encoding="utf-8")
    try:
        done = packages.run("tsc", directory=project, check=False)
    finally:
        wrong.unlink()
    assert not done.succeeded
    assert "src/wrong.ts(1,14)" in done.stdout


def test_the_linter_is_content(project: Path) -> None:
    packages.run("eslint", "--max-warnings=0", ".", directory=project)


def test_the_lock_names_no_address_to_fetch_from() -> None:
    lock = json.loads((packages.TEMPLATE / "package-lock.json").read_text(encoding="utf-8"))
    named = json.loads((packages.TEMPLATE / "package.json").read_text(encoding="utf-8"))
    locked = {path: entry for path, entry in lock["packages"].items() if path}
    assert all("resolved" not in entry for entry in locked.values())
    assert all("integrity" in entry for entry in locked.values())
    version = named["dependencies"]["onnxruntime-web"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert locked["node_modules/onnxruntime-web"]["version"] == version


# ------------------------------------------------------------------------------ what is shipped


def test_the_build_ships_hardly_more_than_model_and_runtime(project: Path, dist: Path) -> None:
    runtime = project / "node_modules/onnxruntime-web/dist"
    needed = [
        runtime / "ort.wasm.bundle.min.mjs",
        runtime / "ort-wasm-simd-threaded.wasm",
        *(project / "src/generated/assets").rglob("*.ort"),
    ]
    shipped = sum(path.stat().st_size for path in dist.rglob("*") if path.is_file())
    assert shipped <= LARGEST_SHARE * sum(path.stat().st_size for path in needed)
    assert len(list(dist.rglob("*.wasm"))) == 1


def test_the_runtime_has_a_file_of_its_own(dist: Path) -> None:
    """It starts its threads from the file it is in: the page's code may not run there."""
    (script,) = (dist / "assets").glob("ort-*.js")
    text = script.read_text(encoding="utf-8")
    assert "em-pthread" in text
    assert not re.search(r"""(?:^|[;}])import\s*[\w{*"']""", text)
    assert "ortlab.block_result" not in text


def test_pages_ask_for_nothing_elsewhere(dist: Path) -> None:
    for page in ("index.html", "bench.html"):
        text = (dist / page).read_text(encoding="utf-8")
        links = re.findall(r"""(?:src|href)="([^"]+)""", text)
        assert links
        assert all(link.startswith(("./", "data:")) for link in links), links


def test_the_build_says_what_app_it_is(dist: Path) -> None:
    told = json.loads((dist / "app.json").read_text(encoding="utf-8"))
    settings = json.loads((packages.TEMPLATE / "app.json").read_text(encoding="utf-8"))
    assert told == {key: settings[key] for key in ("name", "id", "version", "versionCode")}


def test_a_hostile_name_stays_a_name_in_the_page(project: Path, tmp_path: Path) -> None:
    name = "</title><script>alert(1)</script> &amp; \"'`${1}\\ $& é"
    shutil.copytree(project, tmp_path / "app", symlinks=True)
    path = tmp_path / "app/app.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "name": name, "serviceWorker": True}), "utf-8")
    packages.run("vite", "build", directory=tmp_path / "app")
    dist = tmp_path / "app/dist"
    for page in ("index.html", "bench.html"):
        text = (dist / page).read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp;amp;" in text
    worker = (dist / "service_worker.js").read_text(encoding="utf-8")
    (kept,) = re.findall(r"^const files = (\[.*\]);$", worker, re.MULTILINE)
    files = {str(file.relative_to(dist)) for file in dist.rglob("*") if file.is_file()}
    assert set(json.loads(kept)) == {"./", *files} - {"service_worker.js"}


# ------------------------------------------------------------------------------ serving it


@contextmanager
def served(project: Path) -> Iterator[str]:
    """Serve the built app on a free port; give its address."""
    with subprocess.Popen(
        ("node", "serve.mjs", "dist", "0"), cwd=project, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def test_the_server_sends_what_threads_need_and_only_files_of_the_build(
    project: Path, dist: Path
) -> None:
    (wasm,) = (dist / "assets").glob("*.wasm")
    kinds = {"": "text/html; charset=utf-8", f"assets/{wasm.name}": "application/wasm"}
    with served(project) as address:
        for path, kind in kinds.items():
            with urlopen(address + path) as answer:
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
                assert answer.headers["Content-Type"] == kind
        for path in ("package.json", "%2e%2e/package.json", "..%2fpackage.json", "%ff", "assets"):
            with pytest.raises(HTTPError) as refused:
                urlopen(address + path)
            assert refused.value.code in {400, 404}
        with pytest.raises(HTTPError):
            urlopen(Request(address, method="POST", data=b""))
