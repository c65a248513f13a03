"""Take the README's picture of the newest report, with headless Chromium.

usage: python scripts/readme_picture.py [DIRECTORY]

DIRECTORY is where `ortlab demo` wrote (default: demo). The picture goes to docs/images/report.png.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "report.png"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1100, 1400

# A README need not tell whose kernel it was: 6.18.4-some-build becomes 6.18.
SHORTEN_KERNEL = r"""
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const node = walker.currentNode;
    node.data = node.data.replace(/(Linux \d+\.\d+)[.\w-]*/g, "$1");
}
"""


def newest_report(directory: Path) -> Path:
    """Return the report that was written last."""
    reports = list(directory.rglob("report.html"))
    if not reports:
        message = f"there is no report.html below {directory}: make demo"
        raise SystemExit(message)
    return max(reports, key=lambda path: path.stat().st_mtime)


def take_picture(report: Path, picture: Path) -> None:
    """Show the top of the report and save what is seen."""
    from playwright.sync_api import sync_playwright

    chromium = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if chromium is None:
        message = "there is no Chromium here: apt-get install chromium"
        raise SystemExit(message)
    picture.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", offline=True
        )
        page.goto(report.as_uri())
        page.wait_for_load_state("networkidle")
        page.evaluate(SHORTEN_KERNEL)
        page.screenshot(path=str(picture))
        browser.close()


def main() -> None:
    """Take the picture of the newest report below the directory that was named."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo"
    report = newest_report(directory)
    take_picture(report, PICTURE)
    print(f"{PICTURE.relative_to(ROOT)} shows {report}")


if __name__ == "__main__":
    main()
