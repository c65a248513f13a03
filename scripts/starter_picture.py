"""Take the README's picture of a web project's starter page, with headless Chromium.

usage: python scripts/starter_picture.py PROJECT PHOTO

PROJECT is a web project that was built, of a model with one picture as its input; PHOTO is shown to
it. The picture goes to docs/images/starter.png.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "starter.png"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 900, 1000
WAIT_MS = 60_000
DONE = "document.querySelector('[role=status]')?.textContent.startsWith('Done')"


def take_picture(address: str, photo: Path, picture: Path) -> None:
    """Open the page, give it the photo, and save what is seen."""
    from playwright.sync_api import sync_playwright

    chromium = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if chromium is None:
        message = "there is no Chromium here: apt-get install chromium"
        raise SystemExit(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(address)
        page.wait_for_function(DONE, timeout=WAIT_MS)
        page.set_input_files("input[type=file]", str(photo))
        page.wait_for_timeout(500)
        page.wait_for_function(DONE, timeout=WAIT_MS)
        page.screenshot(path=str(picture), full_page=True)
        browser.close()


def main() -> None:
    """Serve the project with its own server and take the picture."""
    project, photo = Path(sys.argv[1]), Path(sys.argv[2])
    server = subprocess.Popen(
        ["node", "serve.mjs", "dist", "0"],  # noqa: S607
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            message = "the project's server named no address"
            raise SystemExit(message)
        take_picture(found.group(), photo, PICTURE)
    finally:
        server.terminate()
        server.wait(10)
    print(f"{PICTURE.relative_to(ROOT)} shows {project}")


if __name__ == "__main__":
    main()
