"""Fill the generated folder of `web_template/` with the sample model, as `generate` would.

``python scripts/renew_web_template.py`` writes it from the prepared sample that `renew_template.py`
keeps; ``--check`` says whether the folder is current.
"""

# ruff: noqa: D103 (small functions whose names say it)

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from renew_template import PREPARED, SPEC

from ortlab.prepare import load_prepared
from ortlab.scaffold.files import place
from ortlab.scaffold.web import GENERATED, web_parts

TEMPLATE = Path(__file__).parents[1] / "web_template"


def wanted_files() -> dict[str, bytes]:
    """Return all that is generated, by path in the template."""
    wanted = {}
    parts = web_parts(load_prepared(PREPARED), PREPARED, SPEC, release=None)
    with tempfile.TemporaryDirectory() as temporary:
        for path, content in parts.files.items():
            place(content, Path(temporary, path))
            wanted[path] = Path(temporary, path).read_bytes()
    return wanted


def current_files(template: Path = TEMPLATE) -> dict[str, bytes]:
    return {
        path.relative_to(template).as_posix(): path.read_bytes()
        for path in (template / GENERATED).rglob("*")
        if path.is_file()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    options = parser.parse_args()
    wanted, current = wanted_files(), current_files()
    stale = sorted(path for path in {*wanted, *current} if wanted.get(path) != current.get(path))
    if stale and not options.check:
        shutil.rmtree(TEMPLATE / GENERATED, ignore_errors=True)
        for path, data in wanted.items():
            (TEMPLATE / path).parent.mkdir(parents=True, exist_ok=True)
            (TEMPLATE / path).write_bytes(data)
    for path in stale:
        print(path)
    print("current" if not stale else "stale" if options.check else "written")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
