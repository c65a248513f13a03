"""The commands that set a lab up, run its phones and give it work.

Annotations are real ones here, not postponed: Typer would evaluate each string at every start.
"""

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "From one phone to a lab"
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
Store = Annotated[
    str | None,
    typer.Option("--store", help="The store's URL; else ORTLAB_LAB_STORE, lab.toml, a file."),
]
HostId = Annotated[
    str | None, typer.Option("--host-id", help="What this machine is called in the lab.")
]
Devices = Annotated[
    list[str] | None,
    typer.Option("--device", help="Beside attached phones: virtual:android, virtual:ios, host."),
]
HostDevice = Annotated[
    bool, typer.Option("--host-device", help="This machine measures too, as a device.")
]
PhoneName = Annotated[
    str, typer.Argument(help="The phone's id, or enough of it.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (init, agent, submit, status, cancel):
        app.command(rich_help_panel=_PANEL)(command)
    phones = typer.Typer(
        invoke_without_command=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    )
    phones.callback()(phones_or_list)
    phones.command("list")(list_phones)
    phones.command("release")(release)
    phones.command("quarantine")(quarantine)
    phones.command("label")(label)
    app.add_typer(phones, name="phones", rich_help_panel=_PANEL)


def init(
    store: Annotated[
        str | None, typer.Option("--store", help="URL of a database; a file if left out.")
    ] = None,
    host_id: HostId = None,
    device: Devices = None,
    host_device: HostDevice = False,
    force: Annotated[bool, typer.Option("--force", help="Replace lab.toml.")] = False,
    as_json: AsJson = False,
) -> int:
    """Make the lab's store, write lab.toml, and show the phones of this machine.

    [bold]Examples[/bold]

      ortlab lab init

      ortlab lab init --device virtual:android --device virtual:ios

      ortlab lab init --store postgresql+psycopg://lab@db.example/lab
    """
    given = dict(locals())
    from device_lab.cli import lab_commands

    return lab_commands.init(**given)


def agent(
    store: Store = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="tcp://HOST:PORT of ortlab lab scheduler, in a lab of several hosts."),
    ] = None,
    without_tls: Annotated[
        bool,
        typer.Option("--without-tls", help="Do without TLS to a scheduler beyond loopback."),
    ] = False,
    host_id: HostId = None,
    device: Devices = None,
    host_device: HostDevice = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End once no cell waits or runs.")
    ] = False,
    look_every_s: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Time between two looks at the phones.")
    ] = 5.0,
    lease_s: Annotated[
        float, typer.Option(min=5, max=3600, help="How long a lease lasts unless renewed.")
    ] = 120.0,
    as_json: AsJson = False,
) -> int:
    """Measure on this machine's phones, cell after cell, until Ctrl-C.

    Stop it, kill it, start it again: each experiment goes on from its last stored block.

    [bold]Examples[/bold]

      ortlab lab agent

      ortlab lab agent --until-done --device virtual:android

      ortlab lab agent --scheduler tls://lab.example:8786
    """
    given = dict(locals())
    from device_lab.cli import lab_commands

    return lab_commands.agent(**given)


def submit(
    file: Annotated[
        Path | None, typer.Argument(help="Job file; options if left out.", show_default=False)
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", "-m", help="A prepared directory, as the agents see it."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the job.")] = None,
    platform: Annotated[str | None, typer.Option(help="android, ios, host.")] = None,
    soc: Annotated[str | None, typer.Option(help="Chip, such as SM8650.")] = None,
    min_os: Annotated[str | None, typer.Option(help="Oldest system, such as 13.")] = None,
    max_os: Annotated[str | None, typer.Option(help="Newest system.")] = None,
    min_memory: Annotated[
        int | None, typer.Option("--min-memory-bytes", help="Least memory of a phone.", min=1)
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label a phone must have.")] = None,
    phones: Annotated[int, typer.Option(help="Distinct phones for each model.", min=1)] = 1,
    priority: Annotated[int, typer.Option(help="A higher one goes first.")] = 0,
    deadline: Annotated[
        str | None,
        typer.Option(help="What is not done by then is cancelled: 2026-11-22T06:00:00Z."),
    ] = None,
    retries: Annotated[int, typer.Option(help="Attempts after a failed one.", min=0, max=20)] = 2,
    app: Annotated[list[str] | None, typer.Option(help="Benchmark app, one a platform.")] = None,
    style: Annotated[list[str] | None, typer.Option(help="onnx, fixed, runtime.")] = None,
    ep: Annotated[list[str] | None, typer.Option(help="Execution providers.")] = None,
    threads: Annotated[list[str] | None, typer.Option(help="Intra-op threads: 1,2,4.")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="A prepared directory, or onnxruntime==VERSION.")
    ] = None,
    min_rounds: Annotated[int | None, typer.Option(help="First look at the data.")] = None,
    max_rounds: Annotated[int | None, typer.Option(help="Last look at the data.")] = None,
    block_s: Annotated[float | None, typer.Option(help="Measured time of a block.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Hand a job in: models, phones they need, and what to measure. The same twice is one job.

    Paths in a file start from its directory. What means nothing is refused at once.

    [bold]Examples[/bold]

      ortlab lab submit nightly.toml

      ortlab lab submit --model prepared/cls --app android --phones 2

      ortlab lab submit -m prepared/a -m prepared/b --platform ios --threads 1,2
    """
    given = dict(locals())
    from device_lab.cli import lab_commands

    return lab_commands.submit(**given)


def status(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep showing it, until Ctrl-C.")
    ] = False,
    interval_s: Annotated[
        float, typer.Option(min=0.2, max=3600, help="With --follow: time between two looks.")
    ] = 2.0,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Show the queue with its progress and estimate, the phones, and the newest verdicts.

    [bold]Examples[/bold]

      ortlab lab status

      ortlab lab status --follow
    """
    given = dict(locals())
    from device_lab.cli import lab_commands

    return lab_commands.status(**given)


def cancel(
    job: Annotated[str, typer.Argument(help="Id, beginning of an id, or name of a job.")],
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Cancel a job: what waits is dropped, what measures is cut off, what is done stays.

    [bold]Example[/bold]

      ortlab lab cancel nightly
    """
    from device_lab.cli import lab_commands

    return lab_commands.cancel(job=job, store=store, as_json=as_json)


# ------------------------------------------------------------------------------ phones


def phones_or_list(context: typer.Context, store: Store = None, as_json: AsJson = False) -> int:
    """List the lab's phones, release them from quarantine, label them."""
    if context.invoked_subcommand is None:
        return list_phones(store=store, as_json=as_json)
    return 0


def list_phones(store: Store = None, as_json: AsJson = False) -> int:
    """List every phone the lab knows: state, health, chip, labels, noise floor."""
    from device_lab.cli import phone_commands

    return phone_commands.list_phones(store=store, as_json=as_json)


def release(
    phone: PhoneName,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Only if what failed last now runs, in miniature, on this machine."
        ),
    ] = False,
    store: Store = None,
    host_id: HostId = None,
    device: Devices = None,
    host_device: HostDevice = False,
    as_json: AsJson = False,
) -> int:
    """End a phone's quarantine.

    [bold]Examples[/bold]

      ortlab lab phones release R58M123ABC

      ortlab lab phones release R58M123ABC --probe
    """
    given = dict(locals())
    from device_lab.cli import phone_commands

    return phone_commands.release(**given)


def quarantine(
    phone: PhoneName,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "put there by hand",
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Give a phone no further cell until it is released.

    [bold]Example[/bold]

      ortlab lab phones quarantine R58M123ABC --reason "its battery swells"
    """
    from device_lab.cli import phone_commands

    return phone_commands.quarantine(phone=phone, reason=reason, store=store, as_json=as_json)


def label(
    phone: PhoneName,
    labels: Annotated[
        list[str] | None, typer.Argument(help="All of its labels; none takes them away.")
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Give a phone its labels, in place of those it has.

    [bold]Example[/bold]

      ortlab lab phones label R58M123ABC rack-1 flagship
    """
    from device_lab.cli import phone_commands

    return phone_commands.label(phone=phone, labels=labels or [], store=store, as_json=as_json)
