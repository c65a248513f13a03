"""Custom-op libraries: what a file is, registering it, and what a model needs of one."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.errors import ModelError, UsageError

if TYPE_CHECKING:
    import onnx

ORT_DOMAINS = frozenset(
    {
        "ai.onnx",
        "ai.onnx.ml",
        "ai.onnx.training",
        "ai.onnx.preview",
        "ai.onnx.preview.training",
        "com.microsoft",
        "com.microsoft.experimental",
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
        "org.pytorch.aten",
    }
)
"""Domains whose kernels ORT may bring itself; every other domain needs a custom-op library."""

_EXTENSIONS_DOMAIN = "ai.onnx.contrib"

_HEADER_BYTES = 64
_SHARED_OBJECT = 3  # ET_DYN
_ELF_TYPES = {1: "an object file", 2: "a program", 3: "a shared object", 4: "a core dump"}
_ELF_MACHINES = {
    3: "x86",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "s390x",
    40: "ARM",
    62: "x86-64",
    183: "ARM64",
    243: "RISC-V",
    258: "LoongArch",
}
_THIS_MACHINE = {
    "x86_64": "x86-64",
    "amd64": "x86-64",
    "i386": "x86",
    "i686": "x86",
    "aarch64": "ARM64",
    "arm64": "ARM64",
    "armv7l": "ARM",
    "armv8l": "ARM",
    "riscv64": "RISC-V",
}
_MACH_O_MACHINES = {0x01000007: "x86-64", 0x0100000C: "ARM64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFacts:
    """What the header of a file says.

    Attributes:
        description: In words, such as ``a shared object for ARM64 Linux or Android``.
        system: ``linux`` for ELF, ``darwin`` for Mach-O, ``windows`` for PE, else None.
        machines: Architectures it holds code for.
        shared: Whether it is a shared library.
    """

    description: str
    system: str | None
    machines: tuple[str, ...]
    shared: bool


def describe_library(header: bytes) -> LibraryFacts:
    """Say what a file is from its first bytes (64 are enough for one architecture)."""
    if header[:4] == b"\x7fELF":
        return _describe_elf(header)
    if header[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return _describe_mach_o(header)
    if header[:2] == b"MZ":
        return _foreign("a Windows library or program", "windows")
    if header[:2] == b"PK":
        return _foreign("an archive (zip, AAR, APK or wheel): unpack the library first")
    if header[:7] == b"!<arch>":
        return _foreign("a static library: link it into a shared one")
    return _foreign("empty" if not header else "no library of any known kind")


def _foreign(description: str, system: str | None = None) -> LibraryFacts:
    return LibraryFacts(description=description, system=system, machines=(), shared=False)


def _describe_elf(header: bytes) -> LibraryFacts:
    if len(header) < 20 or header[5] not in (1, 2):
        return _foreign("a truncated or damaged ELF file")
    order: Any = "little" if header[5] == 1 else "big"
    kind = int.from_bytes(header[16:18], order)
    number = int.from_bytes(header[18:20], order)
    machine = _ELF_MACHINES.get(number, f"machine {number}")
    if order == "big":
        machine += " (big-endian)"
    what = _ELF_TYPES.get(kind, f"an ELF file of type {kind}")
    return LibraryFacts(
        description=f"{what} for {machine} Linux or Android",
        system="linux",
        machines=(machine,),
        shared=kind == _SHARED_OBJECT,
    )


def _elf_end(header: bytes) -> int:
    """Return where the section headers end; linkers write them last."""
    order: Any = "little" if header[5] == 1 else "big"

    def number(offset: int, size: int) -> int:
        return int.from_bytes(header[offset : offset + size], order)

    if header[4] == 2:
        return number(40, 8) + number(58, 2) * number(60, 2)
    return number(32, 4) + number(46, 2) * number(48, 2)


def _describe_mach_o(header: bytes) -> LibraryFacts:
    if header[:4] == b"\xca\xfe\xba\xbe":
        count = int.from_bytes(header[4:8], "big")
        if count > 16:  # the same magic starts a Java class file
            return _foreign("a Java class file")
        entries = (header[8 + 20 * index : 12 + 20 * index] for index in range(count))
        numbers = [int.from_bytes(entry, "big") for entry in entries if len(entry) == 4]
        kind = 6
    else:
        numbers = [int.from_bytes(header[4:8], "little")]
        kind = int.from_bytes(header[12:16], "little")
    machines = tuple(_MACH_O_MACHINES.get(number, f"machine {number:#x}") for number in numbers)
    shared = kind in (6, 8)
    what = "a shared library" if shared else "a Mach-O file that is no shared library"
    return LibraryFacts(
        description=f"{what} for {' and '.join(machines)} macOS or iOS",
        system="darwin",
        machines=machines,
        shared=shared,
    )


def check_custom_op_library(path: Path) -> LibraryFacts:
    """Check that a custom-op library can be loaded on this machine, by its header alone.

    Raises:
        UsageError: It does not exist, cannot be read, is no shared library, or is one for
            another system or architecture; the message says what it is.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES * 4)
            size_bytes = file.seek(0, 2)
    except OSError as error:
        message = f"cannot use the custom-op library {path}: {error.strerror or error}"
        raise UsageError(message) from error
    facts = describe_library(header)
    if facts.system == "linux" and _elf_end(header) > size_bytes:
        facts = _foreign("a truncated ELF file")  # loading it would end this process
    machine = _THIS_MACHINE.get(platform.machine().lower(), platform.machine())
    system = "darwin" if sys.platform == "darwin" else "linux"
    if facts.shared and facts.system == system and machine in facts.machines:
        return facts
    here = f"{machine} {'macOS' if system == 'darwin' else 'Linux'}"
    message = (
        f"cannot use the custom-op library {path} on this machine: it is {facts.description},"
        f" and conversion needs a shared library for {here}"
    )
    raise UsageError(message, next_step=f"build the library for {here} and give that file")


def register_custom_ops(options: Any, library: Path) -> None:
    """Register a custom-op library in ``onnxruntime.SessionOptions``.

    Raises:
        UsageError: The file is no library for this machine.
        ModelError: ORT cannot load it, or it holds no custom operators.
    """
    check_custom_op_library(library)
    try:
        options.register_custom_ops_library(str(library.resolve()))
    except Exception as error:  # ORT's exceptions share no base class of their own
        text = " ".join(str(error).split())
        if "RegisterCustomOps" in text:
            cause = "it is a library, but not one of custom operators (no RegisterCustomOps)"
        else:
            cause = text.split(" : ")[-1] or type(error).__name__
        message = f"cannot register the custom-op library {library}: {cause}"
        raise ModelError(message) from error


def custom_domains(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Return the domains that a model's nodes use and ORT does not bring, with the operators.

    Subgraphs and the bodies of local functions are searched; calls of local functions need no
    library.
    """
    local = {(function.domain, function.name) for function in model.functions}
    found: dict[str, set[str]] = {}
    for node in all_nodes(model):
        domain = node.domain or "ai.onnx"
        if domain not in ORT_DOMAINS and (node.domain, node.op_type) not in local:
            found.setdefault(domain, set()).add(node.op_type)
    return {domain: tuple(sorted(found[domain])) for domain in sorted(found)}


def require_custom_op_library(model: onnx.ModelProto, name: str, library: Path | None) -> None:
    """Check that a model which needs a custom-op library was given one.

    Args:
        model: The model.
        name: Of its file, for the message.
        library: What the user gave.

    Raises:
        ModelError: It uses custom operators and no library was given.
    """
    domains = custom_domains(model)
    if not domains or library is not None:
        return
    used = "; ".join(f"{', '.join(names)} of {domain}" for domain, names in domains.items())
    if set(domains) == {_EXTENSIONS_DOMAIN}:
        next_step = (
            "pip install onnxruntime-extensions, and give the path that"
            " onnxruntime_extensions.get_library_path() returns with --custom-op-library"
        )
    else:
        next_step = "--custom-op-library PATH (the shared library with these operators' kernels)"
    message = f"cannot prepare {name}: it uses custom operators ({used}) that ORT does not have"
    raise ModelError(message, next_step=next_step)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of the graph, its subgraphs and the local functions, in no order."""
    pending: list[Any] = [*model.graph.node]
    for function in model.functions:
        pending.extend(function.node)
    while pending:
        node = pending.pop()
        yield node
        for attribute in node.attribute:
            pending.extend(attribute.g.node)
            for graph in attribute.graphs:
                pending.extend(graph.node)
