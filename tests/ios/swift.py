"""Swift on Linux: building, testing, formatting and running the iOS template's packages.

A `swift` of this machine is used where ONNX Runtime's C headers are there too; else the directory
tree that `scripts/install_swift.sh` made. Programs built in that tree also run outside it, with its
loader. The runtime that they load is the library of the Python wheel.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ortlab.process import Command, Completed, SystemProcesses

CHECKOUT = Path(__file__).parents[2]
TEMPLATE = CHECKOUT / "ios_template"
CACHE = CHECKOUT / ".cache" / "ios"
HEADER = "usr/include/onnxruntime/onnxruntime_c_api.h"
_ENTER = CHECKOUT / "scripts" / "in_swift_root.sh"
_SWIFT_LIBRARIES = "usr/libexec/swift/lib/swift/linux"


class SwiftFailedError(Exception):
    """A tool ended with an error; the message is what it said."""


def root() -> Path | None:
    """Return the directory tree with Swift, or None where the machine's own is used."""
    if shutil.which("swift") and Path("/", HEADER).is_file():
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("ORTLAB_SWIFT_ROOT") or home / "ortlab" / "swift")


def present() -> bool:
    """Whether Swift can be used here."""
    tree = root()
    return tree is None or ((tree / ".ready").is_file() and shutil.which("unshare") is not None)


@functools.cache
def ort_directory() -> Path:
    """Return a directory with the wheel's runtime under the names that a linker looks for."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    capi = Path(spec.submodule_search_locations[0]) / "capi"
    library = next(capi.glob("libonnxruntime.so.*"))
    directory = CACHE / "onnxruntime" / library.name
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        link = directory / name
        if not (link.is_symlink() and link.readlink() == library):
            staged = directory / f"{name}.{os.getpid()}"
            staged.symlink_to(library)
            staged.replace(link)
    return directory


def run(
    arguments: Sequence[str | Path],
    *,
    directory: Path,
    deadline_s: float = 600.0,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    """Run a tool of the Swift toolchain, such as ``["swift", "build"]``.

    Raises:
        SwiftFailedError: It failed, unless ``check`` is off.
    """
    tree = root()
    entering = () if tree is None else (_ENTER, tree, directory)
    completed = SystemProcesses().run(
        Command(
            arguments=tuple(map(str, (*entering, *arguments))),
            deadline_s=deadline_s,
            working_directory=directory,
            environment={"LD_LIBRARY_PATH": str(ort_directory()), **(environment or {})},
        )
    )
    if check and not completed.succeeded:
        message = f"{completed.command.line()}\n{completed.stdout}{completed.stderr}"
        raise SwiftFailedError(message)
    return completed


def build(package: Path, *, product: str | None = None, configuration: str = "release") -> Path:
    """Build a package with warnings as errors; return the directory with what was built.

    The work of earlier builds of the same directory is used again.

    Raises:
        SwiftFailedError: It does not compile.
    """
    scratch = CACHE / "build" / hashlib.sha256(str(package).encode()).hexdigest()[:16]
    scratch.mkdir(parents=True, exist_ok=True)
    arguments: list[str | Path] = [
        *("swift", "build", "--configuration", configuration, "--scratch-path", scratch),
        *("-Xswiftc", "-warnings-as-errors", "-Xlinker", f"-L{ort_directory()}"),
    ]
    if product is not None:
        arguments += ["--product", product]
    run(arguments, directory=package)
    return scratch / configuration


def program(path: Path, *arguments: str | Path) -> tuple[str, ...]:
    """Return how to start a program that was built here, from outside the toolchain's tree."""
    tree = root()
    if tree is None:
        return (str(path), *map(str, arguments))
    libraries = (tree / _SWIFT_LIBRARIES, tree / "usr/lib/x86_64-linux-gnu", ort_directory())
    loader = (tree / "lib64/ld-linux-x86-64.so.2", "--library-path", ":".join(map(str, libraries)))
    return tuple(map(str, (*loader, path, *arguments)))


def format_lint(paths: Sequence[Path], directory: Path) -> None:
    """Check files with swift-format's strict rules, in the template's style wherever they are.

    Raises:
        SwiftFailedError: There is something to mend.
    """
    style = ("--configuration", TEMPLATE / ".swift-format")
    run(["swift", "format", "lint", "--strict", *style, "--recursive", *paths], directory=directory)


def parse(paths: Sequence[Path], directory: Path) -> None:
    """Parse sources that need Apple's frameworks, without resolving what they import.

    Raises:
        SwiftFailedError: One is no Swift.
    """
    run(["swiftc", "-frontend", "-parse", *paths], directory=directory)
