"""Write `tests/data/golden_android/`: what is generated for three models, to read and to compare.

``python scripts/renew_golden.py`` generates anew from the prepared models that are kept there;
``--prepare`` prepares these anew too, which changes bytes of `.ort` files that mean nothing.
``--check`` says whether the golden trees are current.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "real")]

from ortlab.domain import AppSpec, ShippedStyles, TargetPlatform  # noqa: E402
from ortlab.prepare import PrepareOptions, load_prepared, prepare_models  # noqa: E402
from ortlab.scaffold import generate_android  # noqa: E402

GOLDEN = ROOT / "tests" / "data" / "golden_android"
LISTING = "files.txt"
PREPARED = "prepared"
GENERATED = "sdk/src/generated/"
SETTINGS = "app.properties"


def specs() -> Mapping[str, AppSpec]:
    """Return the apps, by the names of their models."""
    from sdk_models import KINDS

    return {
        "digits": AppSpec(
            name="Tom's “digits” $1 <b>&@?\\ 🐙",
            application_id="dev.example.digits",
            version_name="2.1 β",
            version_code=21,
            kinds=KINDS["digits"],
        ),
        "counter": AppSpec(
            name="Counter",
            application_id="dev.example.counter",
            ship=ShippedStyles.FIXED,
            kinds=KINDS["counter"],
            ort_package="1.23.0",
        ),
        "product": AppSpec(
            name="\u202egnp.exe\nsecond line",
            application_id="dev.example.product",
            ship=ShippedStyles.RUNTIME,
        ),
    }


def prepare() -> None:
    """Prepare the models anew."""
    import onnx
    from sdk_models import sdk_models

    models = sdk_models()
    options = PrepareOptions(targets=(TargetPlatform.ARM,), configs=False, predictions=False)
    for name in specs():
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / f"{name}.onnx"
            onnx.save(models[name], source)
            summary = prepare_models([source], Path(temporary) / "prepared", options)
            if summary.error:
                raise summary.error
            target = GOLDEN / name / PREPARED
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Path(temporary) / "prepared" / name, target)


def generate(name: str, destination: Path) -> None:
    """Generate the project of one of the models."""
    directory = GOLDEN / name / PREPARED
    generate_android(load_prepared(directory), directory, specs()[name], destination)


def golden_files(project: Path) -> dict[str, bytes]:
    """Return what is kept of a project: sources and settings as they are, the rest as hashes."""
    kept: dict[str, bytes] = {}
    lines = []
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_dir() or not name.startswith((GENERATED, SETTINGS)):
            continue
        if name.endswith((".kt", ".properties")):
            kept[name] = path.read_bytes()
        else:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    return {**kept, LISTING: "".join(lines).encode()}


def stored_files(name: str) -> dict[str, bytes]:
    """Return what is kept of a project in the repository."""
    directory = GOLDEN / name
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.is_relative_to(directory / PREPARED)
    }


def main() -> int:
    """Write or check the golden trees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prepare", action="store_true", help="prepare the models anew too")
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    options = parser.parse_args()
    if options.prepare:
        prepare()
    stale = []
    for name in specs():
        with tempfile.TemporaryDirectory() as temporary:
            project = Path(temporary) / "project"
            generate(name, project)
            files = golden_files(project)
        if files == stored_files(name):
            continue
        stale.append(name)
        if options.check:
            continue
        for path in stored_files(name):
            (GOLDEN / name / path).unlink()
        for path, data in files.items():
            (GOLDEN / name / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name / path).write_bytes(data)
    print(f"{'stale' if options.check else 'written'}: {', '.join(stale) or 'none'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
