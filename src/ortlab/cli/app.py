"""The commands. Each parses, calls `pipeline` and renders; nothing heavy is imported up here.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="ortlab",
    help="From model.onnx to a trustworthy latency answer, and to an app that ships it.",
    epilog="Start with: ortlab demo, or: ortlab init MODEL.onnx && ortlab run ortlab.toml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]


def _listed(values: list[str] | None) -> tuple[str, ...]:
    """Flatten repeated and comma-separated options."""
    return tuple(part.strip() for value in values or () for part in value.split(",") if part)


def _show_version(wanted: bool) -> None:
    if wanted:
        from ortlab import __version__

        typer.echo(f"ortlab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every program that is started.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    if verbose:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")


@app.command(rich_help_panel="From model to report")
def prepare(
    models: Annotated[
        list[Path], typer.Argument(help=".onnx files, or directories of them.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for the prepared models.")
    ] = Path("prepared"),
    style: Annotated[
        list[str] | None, typer.Option(help="onnx, fixed, runtime; all if left out.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="arm, amd64: the CPU family; both if left out.")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, fp16, int8-dynamic, int8-static, int4.")
    ] = None,
    level: Annotated[
        str, typer.Option(help="Optimization level: disabled, basic, extended, layout, all.")
    ] = "all",
    input_shape: Annotated[
        list[str] | None, typer.Option(help="Fix an input's shape: x=1,3,224,224.")
    ] = None,
    dim: Annotated[
        list[str] | None, typer.Option(help="Fix a symbolic dimension: batch=1.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Real inputs: an .npz file or a folder of them.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The framework's own outputs, an .npz file.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of .npz, one a sample, for int8-static.")
    ] = None,
    custom_op_library: Annotated[
        Path | None, typer.Option(help="Shared library with the model's own operators.")
    ] = None,
    type_reduction: Annotated[
        bool,
        typer.Option("--type-reduction", help="Recommend the operator config with element types."),
    ] = False,
    save_optimized_onnx: Annotated[
        bool,
        typer.Option(
            "--save-optimized-onnx",
            help="Also save what each style optimized as .onnx, to look at.",
        ),
    ] = False,
    nnapi_stop_op: Annotated[
        list[str] | None, typer.Option(help="NNAPI partitioning stop operators.")
    ] = None,
    min_sqnr_db: Annotated[
        float | None, typer.Option(help="Least SQNR of int8 and int4 variants.")
    ] = None,
    min_top1_agreement: Annotated[
        float | None, typer.Option(help="Least top-1 agreement of int8 and int4, 0 to 1.")
    ] = None,
    allow_failures: Annotated[
        bool,
        typer.Option(
            "--allow-failures", help="Go on with the other variants when one cannot be made."
        ),
    ] = False,
    allow_parity_failure: Annotated[
        bool,
        typer.Option(
            "--allow-parity-failure", help="Exit 0 although a variant is out of tolerance."
        ),
    ] = False,
    parity: Annotated[bool, typer.Option(help="Compare every variant with the original.")] = True,
    configs: Annotated[
        bool, typer.Option(help="Write operator configs for reduced builds.")
    ] = True,
    predictions: Annotated[bool, typer.Option(help="Predict NNAPI and CoreML partitions.")] = True,
    seed: Annotated[int, typer.Option(help="Of made-up inputs.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Models at once.", min=1)] = 2,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first bad model.")
    ] = False,
    deadline_s: Annotated[float, typer.Option(help="Time one model may take.", min=1)] = 600.0,
    as_json: AsJson = False,
) -> int:
    """Make .ort variants of models, check them, and write down the proofs.

    [bold]Examples[/bold]

      ortlab prepare model.onnx -o prepared

      ortlab prepare models/ --precision fp32,fp16 --target arm

      ortlab prepare cls.onnx --input-shape x=1,3,48,192
    """
    from ortlab.cli import commands

    return commands.prepare(**locals())


@app.command(rich_help_panel="From model to report")
def inspect(
    file: Annotated[Path, typer.Argument(help=".ort or .onnx file, or a prepared directory.")],
    package: Annotated[
        Path | None,
        typer.Option(help="Operator config of a reduced package to check the model against."),
    ] = None,
    release: Annotated[
        list[str] | None, typer.Option(help="ORT releases to answer for; all if left out.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Tell what is in a file, and which ORT releases load and replay it.

    [bold]Examples[/bold]

      ortlab inspect model.ort

      ortlab inspect prepared/ --package required_operators.config
    """
    from ortlab.cli import commands

    return commands.inspect(file=file, package=package, releases=_listed(release), as_json=as_json)


@app.command(rich_help_panel="From model to report")
def bench(
    prepared: Annotated[Path, typer.Argument(help="A prepared directory, or an .onnx file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the runs.")] = Path(
        "runs"
    ),
    device: Annotated[
        list[str] | None, typer.Option("--device", "-d", help="Where to run; host if left out.")
    ] = None,
    style: Annotated[list[str] | None, typer.Option(help="onnx, fixed, runtime.")] = None,
    ep: Annotated[
        list[str] | None,
        typer.Option(help="Execution providers with options: xnnpack:threads=2; cpu is last."),
    ] = None,
    threads: Annotated[list[str] | None, typer.Option(help="Intra-op threads: 1,2,4.")] = None,
    load: Annotated[list[str] | None, typer.Option(help="path, bytes, direct-bytes.")] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, fp16, int8-dynamic, int8-static, int4.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="arm, amd64; the device's own if left out.")
    ] = None,
    replay: Annotated[
        list[str] | None, typer.Option(help="on, off, default: saved runtime optimizations.")
    ] = None,
    level: Annotated[
        list[str] | None, typer.Option(help="Graph optimization levels at load.")
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            help="Session config entry: key=value; several values of one key are crossed."
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="A prepared directory, or onnxruntime==VERSION, to interleave with."),
    ] = None,
    app_: Annotated[
        list[str] | None,
        typer.Option(
            "--app",
            help="Benchmark app for phones, one a platform: a built project, an APK, .app or .ipa.",
        ),
    ] = None,
    by_hand: Annotated[
        bool,
        typer.Option(
            "--by-hand",
            help="You open the app on an iPhone without Developer Mode; no verdict follows.",
        ),
    ] = False,
    baseline: Annotated[str | None, typer.Option(help="Arm the others are compared with.")] = None,
    min_rounds: Annotated[int, typer.Option(help="First look at the data.", min=2)] = 8,
    max_rounds: Annotated[int, typer.Option(help="Last look at the data.", min=2)] = 24,
    block_s: Annotated[
        float, typer.Option(help="Measured time of a latency block.", min=0.05)
    ] = 2.0,
    equivalence_margin: Annotated[
        str, typer.Option(help="Differences below this are none.")
    ] = "2%",
    memory_blocks: Annotated[
        int, typer.Option(help="Blocks of each arm that read memory.", min=0)
    ] = 3,
    cold_start_blocks: Annotated[
        int, typer.Option(help="Blocks of each arm that only start.", min=0)
    ] = 5,
    seed: Annotated[int | None, typer.Option(help="Of the order of arms.")] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start another run although a finished one exists.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the arms and the time needed, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Measure arms against each other in interleaved rounds, and report.

    Options that take several values are crossed. The same command again resumes an unfinished
    run and finds a finished one.

    [bold]Examples[/bold]

      ortlab bench prepared/cls

      ortlab bench prepared/cls --style onnx,fixed --threads 1,2

      ortlab bench prepared/cls --against old/cls --max-rounds 16

      ortlab bench prepared/cls --device R58M123ABC --app android

      ortlab bench prepared/cls --device 00008110-001A2B3C4D5E6F70 --app Bench.app

      ortlab bench prepared/cls --device virtual:android,virtual:ios
    """
    from ortlab.cli import commands

    return commands.bench(**locals())


@app.command(rich_help_panel="From model to report")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory; RUN/report if left out.")
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", help="html, markdown, csv, parquet, json, …; all if left out."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write the report of finished or unfinished runs.

    [bold]Example[/bold]

      ortlab report runs/20261121-cls --format html,markdown
    """
    from ortlab.cli import commands

    return commands.report(runs=runs, output=output, formats=_listed(format_), as_json=as_json)


@app.command(rich_help_panel="From model to report")
def gate(
    runs: Annotated[list[Path], typer.Argument(help="One interleaved run, or stored ones.")],
    max_slowdown: Annotated[str, typer.Option(help="Limit, such as 2%.")],
    arm: Annotated[list[str] | None, typer.Option(help="Only these arms.")] = None,
    base: Annotated[
        list[Path] | None, typer.Option(help="Stored runs of the base side (≥ 3 sessions).")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="Arm measured in both stored runs, as the common control.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here.")] = None,
    as_json: AsJson = False,
) -> int:
    """Pass (0), fail (7) or stay inconclusive (8) on a slowdown limit.

    [bold]Examples[/bold]

      ortlab gate runs/20261121-cls --max-slowdown 2%

      ortlab gate new1 new2 new3 --base old1 --base old2 --base old3 --max-slowdown 3%
    """
    from ortlab.cli import commands

    return commands.gate(
        runs=runs,
        max_slowdown=max_slowdown,
        arms=_listed(arm),
        base=base or [],
        control=control,
        junit=junit,
        as_json=as_json,
    )


@app.command(rich_help_panel="From model to app")
def generate(
    prepared: Annotated[Path, typer.Argument(help="A prepared directory.", show_default=False)],
    android: Annotated[
        Path | None, typer.Option(help="Directory of the Android project.", show_default=False)
    ] = None,
    ios: Annotated[
        Path | None, typer.Option(help="Directory of the iOS project.", show_default=False)
    ] = None,
    web: Annotated[
        Path | None, typer.Option(help="Directory of the web project.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the app; the model's if left out.")] = None,
    application_id: Annotated[
        str | None, typer.Option("--id", help="Such as com.example.reader.")
    ] = None,
    ship: Annotated[
        str | None,
        typer.Option(help="fixed, runtime, both, or auto: what the newest run recommends."),
    ] = None,
    ort_android: Annotated[
        str | None, typer.Option(help="ONNX Runtime: a release, or the path of an AAR.")
    ] = None,
    ort_ios: Annotated[
        str | None,
        typer.Option(help="ONNX Runtime: a release, or the path of a podspec or XCFramework."),
    ] = None,
    ort_ios_checksum: Annotated[
        str | None, typer.Option(help="SHA-256 of that release's archive, for Swift packages.")
    ] = None,
    team: Annotated[
        str | None, typer.Option(help="Apple developer team that signs, such as A1B2C3D4E5.")
    ] = None,
    custom_ops: Annotated[
        list[str] | None,
        typer.Option(
            help="Library of custom operators by ABI: arm64-v8a=libops.so, ios=Ops.xcframework"
        ),
    ] = None,
    web_ep: Annotated[
        list[str] | None,
        typer.Option(help="wasm, webgpu or webnn, the best first; only theirs is shipped."),
    ] = None,
    service_worker: Annotated[
        bool | None,
        typer.Option(help="Whether the page keeps its files in the browser.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="ortlab.toml whose \\[app] says more: pictures, labels, state."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write Android, iOS and web projects with a typed SDK, a starter app and a benchmark app.

    Again over the same directory it renews what it wrote and leaves alone what you changed.

    [bold]Examples[/bold]

      ortlab generate prepared/cls --android android --name Reader --id com.example.reader

      ortlab generate prepared/cls --android android --config ortlab.toml --ship auto

      ortlab generate prepared/cls --android android --ios ios --team A1B2C3D4E5

      ortlab generate prepared/cls --web web --web-ep webgpu --web-ep wasm
    """
    from ortlab.cli import apps

    return apps.generate(**locals())


@app.command(rich_help_panel="From model to app")
def build(
    project: Annotated[Path, typer.Argument(help="A generated project.", show_default=False)],
    module: Annotated[str, typer.Option(help="app, or bench: the benchmark app.")] = "app",
    debug: Annotated[
        bool, typer.Option("--debug", help="Debuggable; its measurements earn at most grade C.")
    ] = False,
    deadline_s: Annotated[float, typer.Option(help="Total time allowed.", min=1)] = 3600.0,
    as_json: AsJson = False,
) -> int:
    """Build a generated project with its own Gradle, with Xcode on a Mac, or with npm.

    [bold]Examples[/bold]

      ortlab build android

      ortlab build ios --module bench

      ortlab build web
    """
    from ortlab.cli import apps

    return apps.build(
        project=project,
        module=module,
        variant="debug" if debug else "release",
        deadline_s=deadline_s,
        as_json=as_json,
    )


@app.command(rich_help_panel="From model to app")
def deploy(
    target: Annotated[
        Path, typer.Argument(help="A built project, an APK, .app or .ipa.", show_default=False)
    ],
    device: Annotated[str, typer.Option("--device", "-d", help="Which phone: serial or UDID.")],
    module: Annotated[str, typer.Option(help="app, or bench: the benchmark app.")] = "app",
    start: Annotated[bool, typer.Option(help="Open the app on the phone.")] = True,
    as_json: AsJson = False,
) -> int:
    """Install an app on a phone, and open it.

    [bold]Examples[/bold]

      ortlab deploy android --device R58M123ABC

      ortlab deploy App.ipa --device 00008110-001A2B3C4D5E6F70
    """
    from ortlab.cli import apps

    return apps.deploy(target=target, device=device, module=module, start=start, as_json=as_json)


@app.command(rich_help_panel="Devices")
def calibrate(
    prepared: Annotated[Path, typer.Argument(help="A prepared directory, or an .onnx file.")],
    device: Annotated[str, typer.Option("--device", "-d", help="Which device.")] = "host",
    experiments: Annotated[int, typer.Option(help="A/A experiments.", min=20)] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds of each.", min=8)] = 12,
    block_s: Annotated[float, typer.Option(help="Measured time of a block.", min=0.05)] = 2.0,
    app_: Annotated[
        str | None,
        typer.Option(
            "--app", help="Benchmark app for phones: a built project, an APK, .app or .ipa."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the runs.")] = Path(
        "runs"
    ),
    as_json: AsJson = False,
) -> int:
    """Measure a device's noise floor: the smallest difference that may be claimed there.

    [bold]Example[/bold]

      ortlab calibrate prepared/cls --device host
    """
    from ortlab.cli import commands

    return commands.calibrate(**locals())


@app.command(rich_help_panel="Devices")
def devices(as_json: AsJson = False) -> int:
    """List what is attached and whether it is ready."""
    from ortlab.cli import commands

    return commands.devices(as_json=as_json)


@app.command(rich_help_panel="Devices")
def doctor(as_json: AsJson = False) -> int:
    """Tell which tools are there, what is missing, and what installs it."""
    from ortlab.cli import commands

    return commands.doctor(as_json=as_json)


@app.command(rich_help_panel="Everything from one file")
def init(
    model: Annotated[Path, typer.Argument(help="The .onnx file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "ortlab.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> int:
    """Write a commented ortlab.toml for a model.

    [bold]Example[/bold]

      ortlab init model.onnx && ortlab run ortlab.toml
    """
    from ortlab.cli import commands

    return commands.init(model=model, output=output, force=force)


@app.command(rich_help_panel="Everything from one file")
def run(
    config: Annotated[Path, typer.Argument(help="The configuration.")] = Path("ortlab.toml"),
    new: Annotated[
        bool, typer.Option("--new", help="Start another run although a finished one exists.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Prepare, measure, report and gate as ortlab.toml says; resumable.

    [bold]Example[/bold]

      ortlab run ortlab.toml
    """
    from ortlab.cli import commands

    return commands.run(config=config, new=new, as_json=as_json)


@app.command(rich_help_panel="Everything from one file")
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for everything it writes.")
    ] = Path("demo"),
    new: Annotated[
        bool, typer.Option("--new", help="Start another run although a finished one exists.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Prepare, measure and report a trained mobile model on this machine.

    The model is PP-OCR's text-direction classifier, with its input fixed to 1x3x48x192.
    """
    from ortlab.cli import commands

    return commands.demo(output=output, new=new, as_json=as_json)


def _add_plugins() -> None:
    """Let other packages add commands (entry-point group ``ortlab.commands``)."""
    if not _may_have_plugins():
        return
    from importlib.metadata import entry_points

    for entry in entry_points(group=_PLUGIN_GROUP):
        app.add_typer(entry.load(), name=entry.name)


def _may_have_plugins() -> bool:
    """Look for the group's name alone: importing ``importlib.metadata`` takes 20 ms.

    Without `pathlib`, for it runs at every start and once for each package that is installed.
    """
    wanted = f"[{_PLUGIN_GROUP}]".encode()
    for directory in sys.path:
        with contextlib.suppress(OSError):
            for name in os.listdir(directory or "."):  # noqa: PTH208
                if name.endswith(".dist-info") and wanted in _entry_points(directory, name):
                    return True
    return False


def _entry_points(directory: str, name: str) -> bytes:
    try:
        with open(f"{directory}/{name}/entry_points.txt", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


_PLUGIN_GROUP = "ortlab.commands"
_add_plugins()
