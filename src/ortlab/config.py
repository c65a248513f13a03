"""`ortlab.toml` to frozen values; unknown keys and wrong types are refused with their place.

pydantic stays inside this module. Paths in the file are relative to the file's directory.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ortlab.errors import UsageError

_STRICT: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """`[model]`: what to prepare.

    Attributes:
        path: The `.onnx` file.
        name: Of the prepared model; the file's stem if None.
        input_shapes: Input name to fixed dimensions.
        dims: Symbolic dimension to size.
        inputs: `.npz` file or folder of `.npz` files with real inputs.
        reference: `.npz` with the framework's own outputs.
        calibration: Folder of `.npz`, one a sample, for static int8.
        custom_op_library: Shared library with the model's own operators.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    path: str
    name: str | None = None
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    inputs: str | None = None
    reference: str | None = None
    calibration: str | None = None
    custom_op_library: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSection:
    """`[prepare]`: which variants; the names are those of `ortlab prepare --help`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    output: str = "prepared"
    style: tuple[str, ...] = ("onnx", "fixed", "runtime")
    target: tuple[str, ...] = ("arm", "amd64")
    precision: tuple[str, ...] = ("fp32",)
    level: str = "all"
    type_reduction: bool = False
    save_optimized_onnx: bool = False
    nnapi_stop_ops: tuple[str, ...] = ()
    min_sqnr_db: float | None = None
    min_top1_agreement: float | None = None
    allow_failures: bool = False
    allow_parity_failure: bool = False
    parity: bool = True
    configs: bool = True
    predictions: bool = True
    seed: int = 0
    deadline_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSection:
    """`[bench]`: the arms are crossed from these lists, as from the options of `ortlab bench`.

    ``app`` names the benchmark app that phones run, or several: each phone takes the one for its
    platform, which the app itself tells. ``by_hand`` is for iPhones on which nothing can be started
    from a computer: a person opens the app and leaves it open.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    output: str = "runs"
    device: tuple[str, ...] = ("host",)
    style: tuple[str, ...] = ()
    ep: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    load: tuple[str, ...] = ()
    precision: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    replay: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    baseline: str | None = None
    min_rounds: int = 8
    max_rounds: int = 24
    block_s: float = 2.0
    seed: int | None = None
    equivalence_margin: str = "2%"
    memory_blocks: int = 3
    cold_start_blocks: int = 5
    by_hand: bool = False
    app: str | tuple[str, ...] | None = None

    @property
    def apps(self) -> tuple[str, ...]:
        """Return the apps, one or several."""
        if self.app is None:
            return ()
        return (self.app,) if isinstance(self.app, str) else self.app


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSection:
    """`[app]`: the apps to generate; the names are those of `ortlab generate --help`.

    Attributes:
        name: As people see it; the model's name if None.
        id: Application id; one made from the name if None.
        version: As people see it.
        version_code: Rises with every release.
        ship: ``fixed``, ``runtime``, ``both``, or ``auto``: what the newest run recommends.
        runs: Directory of runs that ``auto`` looks at.
        android: Directory of the Android project; none is generated if None.
        ort_android: ORT release, or path of an AAR.
        ios: Directory of the iOS project; none is generated if None.
        ort_ios: ORT release, or path of a podspec or an XCFramework.
        ort_ios_checksum: SHA-256 of that release's archive, for Swift packages.
        team: Apple developer team that signs.
        web: Directory of the web project; none is generated if None.
        web_ep: ``wasm``, ``webgpu``, ``webnn``, the best first; only their ONNX Runtime is shipped.
        service_worker: Whether the page keeps its files in the browser.
        custom_ops: Android ABI, or ``ios``, to library with the model's own operators.
        inputs: Input name to its kind; source: `docs/kinds.md`.
        outputs: Output name to its kind.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str | None = None
    id: str | None = None
    version: str = "1.0"
    version_code: int = 1
    ship: str = "both"
    runs: str = "runs"
    android: str | None = None
    ort_android: str | None = None
    ios: str | None = None
    ort_ios: str | None = None
    ort_ios_checksum: str | None = None
    team: str = ""
    web: str | None = None
    web_ep: tuple[str, ...] = ("wasm",)
    service_worker: bool = False
    custom_ops: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSection:
    """`[report]`: formats to write, such as ``html`` or ``markdown``; all of them if empty."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    format: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSection:
    """`[gate]`: the limit, such as ``"2%"``; no gate if the section is absent."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    max_slowdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    model: ModelSection
    prepare: PrepareSection = field(default_factory=PrepareSection)
    bench: BenchSection = field(default_factory=BenchSection)
    app: AppSection | None = None
    report: ReportSection = field(default_factory=ReportSection)
    gate: GateSection | None = None


def load_config(path: Path) -> Config:
    """Read `ortlab.toml`.

    Raises:
        UsageError: The file is missing, is not TOML, or holds a key or value that means nothing.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"cannot read {path}: there is no such file"
        raise UsageError(message, next_step="ortlab init MODEL.onnx") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise UsageError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"cannot read {path}: it is not TOML: {error}"
        raise UsageError(message) from error
    return parse_config(plain, source=str(path))


def parse_config(plain: dict[str, Any], *, source: str) -> Config:
    """Check a parsed TOML document.

    Raises:
        UsageError: A key or a value means nothing; the message names its place.
    """
    from pydantic import TypeAdapter, ValidationError

    adapter: TypeAdapter[Config] = TypeAdapter(Annotated[Config, "ortlab.toml"])
    try:
        return adapter.validate_python(plain)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'top level'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        message = f"cannot use {source}: " + "; ".join(lines[:5])
        raise UsageError(message, next_step="compare it with what 'ortlab init' writes") from error


def starter_config(model: Path, input_shapes: dict[str, tuple[int | str | None, ...]]) -> str:
    """Return a commented `ortlab.toml` for a model.

    Args:
        model: The `.onnx` file, as it should stand in the file.
        input_shapes: Input name to its dimensions; unknown ones become a comment to fill in.
    """
    unknown = {
        name: shape
        for name, shape in input_shapes.items()
        if any(not isinstance(size, int) or size <= 0 for size in shape)
    }
    lines = [
        "# What to prepare, measure and report: ortlab run ortlab.toml",
        "",
        "[model]",
        f"path = {_toml_string(str(model))}",
        '# inputs = "inputs/"            # .npz files with real inputs: parity and timing use them',
        '# reference = "outputs.npz"     # the framework\'s own outputs to hold the variants to',
    ]
    if unknown:
        lines += ["", "# These inputs have unknown sizes; fix them for the sizes your app uses."]
        lines += ["[model.input_shapes]"]
        for name, shape in unknown.items():
            known = [size if isinstance(size, int) and size > 0 else 1 for size in shape]
            said = ", ".join("?" if size is None else _plain(str(size)) for size in shape)
            lines.append(f"# {_toml_string(name)} = {known}    # the model says: {said}")
    lines += [
        "",
        "[prepare]",
        'output = "prepared"',
        'style = ["onnx", "fixed", "runtime"]',
        'target = ["arm", "amd64"]',
        'precision = ["fp32"]            # also fp16, int8-dynamic, int8-static, int4',
        "",
        "[bench]",
        'output = "runs"',
        'device = ["host"]               # also "virtual:android", "virtual:ios", or a phone\'s',
        "                                # serial or UDID: ortlab devices lists them",
        '# app = ["android", "ios"]      # built projects whose benchmark app phones run; for',
        "                                # iPhones also an .app or .ipa that a Mac built",
        "# Every list is crossed with the others; leave one out for ortlab's own choice.",
        '# ep = ["cpu"]',
        "# threads = [1, 2]",
        '# load = ["path", "bytes"]',
        '# config = ["session.intra_op.allow_spinning=0"]',
        "min_rounds = 8",
        "max_rounds = 24",
        "",
        "# [app]                         # ortlab generate, or this section, writes projects",
        '# name = "Reader"',
        '# id = "com.example.reader"',
        '# android = "android"',
        '# ios = "ios"',
        '# web = "web"',
        '# team = "A1B2C3D4E5"           # Apple developer team that signs',
        '# ship = "auto"                 # fixed, runtime, both; auto: what the run recommends',
        '# inputs."x" = { kind = "image", color_order = "rgb", resize = "fit" }',
        '# outputs."y" = { kind = "classification", labels = "labels.txt", top_k = 3 }',
        "",
        "[report]",
        "format = []                     # empty: all of them",
        "",
        "# [gate]",
        '# max_slowdown = "2%"           # of every arm against the baseline',
        "",
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
