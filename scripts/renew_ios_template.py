"""Write what is generated in `ios_template/`: both Xcode projects, and the sample model.

``python scripts/renew_ios_template.py`` lists the files of `App` and `Bench` in the projects and
fills `Sources/ModelSDK/Generated` as `ortlab generate` would, from the prepared sample that
`renew_template.py` keeps. ``--check`` says whether all of it is current.
"""

# ruff: noqa: D103 (small functions whose names say it)

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ios_projects import PACKAGES, PODS, project_files
from renew_template import PREPARED, SPEC

from ortlab.prepare import load_prepared
from ortlab.scaffold.files import place
from ortlab.scaffold.ios import GENERATED, SETTINGS, ios_parts
from ortlab.scaffold.xcconfig import read_xcconfig

TEMPLATE = Path(__file__).parents[1] / "ios_template"
WRITTEN = (GENERATED, f"{PODS}.xcodeproj", f"{PACKAGES}.xcodeproj")
"""Directories whose files all come from here."""

_OF_ONE_USER = ("xcuserdata", "swiftpm")


def wanted_files(template: Path = TEMPLATE) -> dict[str, bytes]:
    """Return all that is generated, by path in the template."""
    wanted = {path: text.encode() for path, text in project_files(template).items()}
    defaults = read_xcconfig((template / SETTINGS).read_bytes())
    parts = ios_parts(load_prepared(PREPARED), PREPARED, SPEC, defaults)
    with tempfile.TemporaryDirectory() as temporary:
        for path, content in parts.files.items():
            place(content, Path(temporary, path))
            wanted[path] = Path(temporary, path).read_bytes()
    return wanted


def current_files(template: Path = TEMPLATE) -> dict[str, bytes]:
    return {
        path.relative_to(template).as_posix(): path.read_bytes()
        for directory in WRITTEN
        for path in _files_below(template / directory)
    }


def _files_below(directory: Path) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.is_file() and not any(name in path.parts for name in _OF_ONE_USER):
            yield path


def write(wanted: Mapping[str, bytes], template: Path = TEMPLATE) -> None:
    for directory in WRITTEN:
        shutil.rmtree(template / directory, ignore_errors=True)
    for path, data in wanted.items():
        (template / path).parent.mkdir(parents=True, exist_ok=True)
        (template / path).write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    options = parser.parse_args()
    wanted, current = wanted_files(), current_files()
    stale = sorted(path for path in {*wanted, *current} if wanted.get(path) != current.get(path))
    if stale and not options.check:
        write(wanted)
    for path in stale:
        print(path)
    print("current" if not stale else "stale" if options.check else "written")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
