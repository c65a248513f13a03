"""The benchmark page's timed loop ÷ a bare loop over ``session.run``, alternating in one page.

    python benchmarks/web_block_loop.py [--rounds N]

Reach: 1.00 ± 0.02 for a model of about 5 ms on one thread of WebAssembly, in headless Chromium.
Both loops make the same call; the bare one is two clock readings and a store. See `block_loop.py`
for Python's. Needs Node.js, Chromium and Playwright.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from convolutions import CHANNELS, SIZE, save_model
from ortlab.devices.web.browsers import chromium
from web import packages

ROOT = Path(__file__).parents[1]

LAYERS = 20
"""Of the model: about 5 ms."""
CHUNK_RUNS = 4
"""Short chunks, so that what others do to the machine meets both loops alike."""
REACH = 0.02
_SKIPPED = shutil.ignore_patterns("node_modules", "dist", "build", "test")


def build_page(directory: Path) -> None:
    """Build the template with the two loops in the place of its benchmark page."""
    shutil.copytree(packages.TEMPLATE, directory, ignore=_SKIPPED)
    packages.use_packages(directory)
    shutil.copy(ROOT / "benchmarks/web/loop.ts", directory / "src/bench")
    page = directory / "bench.html"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("/src/bench/page.ts", "/src/bench/loop.ts"), encoding="utf-8")
    packages.run("vite", "build", directory=directory)
    save_model(directory / "dist/chain.onnx", layers=LAYERS)


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve the page with the headers that a fine clock needs; give its address."""
    with subprocess.Popen(
        ("node", "serve.mjs", "dist", "0"), cwd=directory, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def compare(address: str, rounds: int, profile: Path) -> list[tuple[float, float]]:
    """Return wall milliseconds of the page's loop and the bare one, one pair a round."""
    from playwright.sync_api import sync_playwright

    found = chromium()
    question = {
        "model": "chain.onnx",
        "shape": [1, CHANNELS, SIZE, SIZE],
        "rounds": rounds,
        "runs": CHUNK_RUNS,
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=found.executable,
            headless=True,
            chromium_sandbox=found.sandbox,
            args=list(found.arguments),
        )
        page = browser.new_page()
        page.goto(f"{address}bench.html")
        page.wait_for_function("'compare' in globalThis && crossOriginIsolated")
        pairs: list[tuple[float, float]] = page.evaluate("question => compare(question)", question)
        browser.close()
    return pairs


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=600)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name, "page")
        build_page(directory)
        with served(directory) as address:
            pairs = compare(address, rounds, Path(name, "profile"))
    ratio = math.exp(statistics.median(math.log(block / bare) for block, bare in pairs))
    run_ms = statistics.median(bare for _, bare in pairs) / CHUNK_RUNS
    good = abs(ratio - 1) <= REACH
    word = "reached" if good else "MISSED"
    print(f"page's block ÷ bare loop, model of {run_ms:.2f} ms: {ratio:.4f} (1.00 ± 0.02) {word}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
