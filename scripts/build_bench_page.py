"""Build the web template's benchmark page and say where it is.

    python scripts/build_bench_page.py

Needs Node.js. The page is built once for each state of the template, into `.cache/web/pages`, and
its directory is printed: `ORTLAB_BENCH_PAGE` names it to the tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ortlab.devices.web.bench_page import bench_page
from ortlab.errors import OrtlabError
from ortlab.process import SystemProcesses

PAGES = Path(__file__).parents[1] / ".cache" / "web" / "pages"


def main() -> int:
    """Build, print."""
    try:
        print(bench_page(PAGES, processes=SystemProcesses(), say=lambda _: None))
    except OrtlabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
