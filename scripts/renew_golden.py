"""Write `tests/data/golden_*/`: what is generated for three models, to read and to compare.

``python scripts/renew_golden.py`` generates anew from the prepared models in `golden_android/`;
``--prepare`` prepares these anew too, which changes bytes of `.ort` files that mean nothing.
``--check`` says whether the golden trees are current.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "real")]

from ortlab.domain import (  # noqa: E402
    AppPlatform,
    AppSpec,
    ShippedStyles,
    TargetPlatform,
    WebProvider,
)
from ortlab.prepare import PrepareOptions, load_prepared, prepare_models  # noqa: E402
from ortlab.scaffold import generate_android, generate_ios, generate_web  # noqa: E402

DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "golden_android"
LISTING = "files.txt"
PREPARED = "prepared"
ANDROID, IOS, WEB = AppPlatform.ANDROID, AppPlatform.IOS, AppPlatform.WEB


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What is compared of a platform's projects."""

    generate: Callable[..., object]
    kept: tuple[str, ...]
    shown: tuple[str, ...]


PLATFORMS = {
    ANDROID: Platform(
        generate=generate_android,
        kept=("sdk/src/generated/", "app.properties"),
        shown=(".kt", ".properties"),
    ),
    IOS: Platform(
        generate=generate_ios,
        kept=("Sources/ModelSDK/Generated/", "App.xcconfig"),
        shown=(".swift", ".xcconfig"),
    ),
    WEB: Platform(
        generate=generate_web,
        kept=("src/generated/", "app.json"),
        shown=(".ts", ".json"),
    ),
}


def specs(platform: AppPlatform = ANDROID) -> Mapping[str, AppSpec]:
    """Return the apps, by the names of their models."""
    from sdk_models import KINDS

    android = {
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
    if platform is ANDROID:
        return android
    if platform is WEB:
        both = (WebProvider.WEBGPU, WebProvider.WASM)
        return {
            "digits": replace(android["digits"], name="Tom's </title><script>alert(1)// $1 🐙"),
            "counter": replace(android["counter"], ort_package=None, service_worker=True),
            "product": replace(android["product"], web_providers=both),
        }
    hostile = ' \u202egnp.exe // $(HOME) ${X}[sdk=*] = "a;\\'
    return {
        "digits": replace(android["digits"], team_id="A1B2C3D4E5"),
        "counter": replace(android["counter"], ort_checksum="5" * 64),
        "product": replace(android["product"], name=hostile),
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


def generate(name: str, destination: Path, platform: AppPlatform = ANDROID) -> None:
    """Generate the project of one of the models."""
    directory = GOLDEN / name / PREPARED
    spec = specs(platform)[name]
    PLATFORMS[platform].generate(load_prepared(directory), directory, spec, destination)


def golden_files(project: Path, platform: AppPlatform = ANDROID) -> dict[str, bytes]:
    """Return what is kept of a project: sources and settings as they are, the rest as hashes."""
    kept: dict[str, bytes] = {}
    lines = []
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_dir() or not name.startswith(PLATFORMS[platform].kept):
            continue
        if name.endswith(PLATFORMS[platform].shown):
            kept[name] = path.read_bytes()
        else:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    return {**kept, LISTING: "".join(lines).encode()}


def stored_files(name: str, platform: AppPlatform = ANDROID) -> dict[str, bytes]:
    """Return what is kept of a project in the repository."""
    directory = DATA / f"golden_{platform}" / name
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.is_relative_to(directory / PREPARED)
    }


def renew(name: str, platform: AppPlatform, *, check: bool) -> bool:
    """Write a golden tree, unless it is only checked; return whether it was stale."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary) / "project"
        generate(name, project, platform)
        files = golden_files(project, platform)
    stored = stored_files(name, platform)
    if files != stored and not check:
        directory = DATA / f"golden_{platform}" / name
        for path in stored:
            (directory / path).unlink()
        for path, data in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(data)
    return files != stored


def main() -> int:
    """Write or check the golden trees."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prepare", action="store_true", help="prepare the models anew too")
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    options = parser.parse_args()
    if options.prepare:
        prepare()
    stale = [
        f"{platform} {name}"
        for platform in PLATFORMS
        for name in specs(platform)
        if renew(name, platform, check=options.check)
    ]
    print(f"{'stale' if options.check else 'written'}: {', '.join(stale) or 'none'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
