"""The commands from a model to a report: what they take, and their help.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from pathlib import Path
from typing import Annotated

import typer

from ortlab.cli.options import AsJson, listed


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (prepare, inspect, bench, report, gate):
        app.command(rich_help_panel="From model to report")(command)


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
    given = dict(locals())
    from ortlab.cli import report_commands

    return report_commands.prepare(**given)


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
    from ortlab.cli import report_commands

    return report_commands.inspect(
        file=file, package=package, releases=listed(release), as_json=as_json
    )


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
    given = dict(locals())
    from ortlab.cli import report_commands

    return report_commands.bench(**given)


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
    from ortlab.cli import report_commands

    return report_commands.report(
        runs=runs, output=output, formats=listed(format_), as_json=as_json
    )


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
    from ortlab.cli import report_commands

    return report_commands.gate(
        runs=runs,
        max_slowdown=max_slowdown,
        arms=listed(arm),
        base=base or [],
        control=control,
        junit=junit,
        as_json=as_json,
    )
