"""The commands that judge a night and show a model's history."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import tzinfo

    from device_lab.history import History, Night, Segment
    from device_lab.night_plan import NightRequest
    from device_lab.nightly import NightAnswer
    from device_lab.values import Requirements
    from ortlab.config import BenchSection

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
Store = Annotated[
    str | None, typer.Option("--store", help="URL of the lab's store; the lab's own if left out.")
]
_PANEL = "Answers"
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=_PANEL)(gate)
    app.command(rich_help_panel=_PANEL)(history)


def gate(
    new: Annotated[
        list[Path],
        typer.Argument(help="Prepared models, or directories of them.", show_default=False),
    ],
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            help="What each is compared with, in the same order: a prepared model, a directory of"
            " them (matched by name), or onnxruntime==VERSION, which may serve all.",
        ),
    ],
    max_slowdown: Annotated[
        str, typer.Option("--max-slowdown", help="The slowdown that is allowed: 2% or 0.02.")
    ] = "2%",
    rounds: Annotated[int, typer.Option(help="Of each experiment, fixed.", min=8, max=10_000)] = 24,
    name: Annotated[
        str, typer.Option(help="Of the night; another name measures the same things again.")
    ] = "gate",
    style: Annotated[
        list[str] | None, typer.Option(help="onnx, fixed, runtime; onnx if left out.")
    ] = None,
    ep: Annotated[list[str] | None, typer.Option(help="Execution providers; CPU.")] = None,
    threads: Annotated[list[str] | None, typer.Option(help="Intra-op threads: 1,2,4.")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="fp32, fp16, int8-dynamic …")] = None,
    app_: Annotated[
        list[str] | None, typer.Option("--app", help="Benchmark app for phones, one a platform.")
    ] = None,
    block_s: Annotated[
        float, typer.Option(help="Least time of a block.", min=0.05, max=3600)
    ] = 2.0,
    phones: Annotated[
        int, typer.Option(help="Distinct phones for each model; 0 takes all that fit.", min=0)
    ] = 0,
    phone: Annotated[list[str] | None, typer.Option(help="Only these phones, by id.")] = None,
    platform: Annotated[str | None, typer.Option(help="android, ios, host …")] = None,
    soc: Annotated[str | None, typer.Option(help="Only phones with this chip.")] = None,
    min_os: Annotated[str | None, typer.Option(help="Oldest system, such as 13.")] = None,
    max_os: Annotated[str | None, typer.Option(help="Newest system.")] = None,
    min_memory_bytes: Annotated[
        int | None, typer.Option(help="Least memory of a phone.", min=1)
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Labels a phone must have.")] = None,
    priority: Annotated[int, typer.Option(help="A higher one goes first.")] = 0,
    retries: Annotated[int, typer.Option(help="After a failed attempt.", min=0, max=20)] = 2,
    hours: Annotated[
        float,
        typer.Option(
            help="Most that the screening, and then the reruns, may take; the rest is cancelled.",
            min=0.001,
        ),
    ] = 12.0,
    complete: Annotated[
        bool, typer.Option("--complete", help="A cell without a usable result is exit code 8.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML, one case a cell.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write a Markdown summary.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Hold new models to a slowdown limit, over all phones of the lab.

    Every cell measures base and new in turns. Cells that look slower are
    measured again with fresh rounds, and only these decide. The exit code is
    0 for pass, 7 for fail, 8 for inconclusive. The same command goes on where
    it was stopped; Ctrl-C leaves the jobs to the lab.

    [bold]Examples[/bold]

      ortlab lab gate prepared/new --against prepared/base --junit gate.xml

      ortlab lab gate tonight/ --against release/ --name 2026-11-21 --threads 1,4
    """
    from device_lab.night_plan import NightRequest, pair_up
    from ortlab.analysis import parse_limit

    limit = parse_limit(max_slowdown)
    _check_name(name)
    request = NightRequest(
        name=name,
        pairs=pair_up([str(path) for path in new], against),
        limit=limit,
        settings=_settings(
            rounds,
            {"style": _listed(style), "precision": _listed(precision), "ep": tuple(ep or ())},
            threads=_listed(threads),
            block_s=block_s,
            app=tuple(str(Path(text).resolve()) for text in app_ or ()),
        ),
        requirements=_requirements(
            platform=platform,
            soc=soc,
            min_os=min_os,
            max_os=max_os,
            min_memory_bytes=min_memory_bytes,
            labels=_listed(label),
            phone_count=phones,
            phone_ids=_listed(phone),
        ),
        priority=priority,
        retries=retries,
        complete=complete,
        most_hours=hours,
    )
    answer = _carried_through(request, store)
    _write(answer, junit, summary, complete=complete)
    return _show(answer, as_json=as_json)


def history(
    model: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    phone: Annotated[str | None, typer.Option(help="Only this phone, by id.")] = None,
    nights: Annotated[int, typer.Option(help="The newest ones to list of each.", min=1)] = 30,
    earlier: Annotated[
        str | None, typer.Option(help="Compare these nights: 2026-10-01..2026-10-31.")
    ] = None,
    later: Annotated[str | None, typer.Option(help="With these.")] = None,
    zone: Annotated[
        str, typer.Option(help="In which a night goes from noon to noon: Europe/Berlin.")
    ] = "UTC",
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Show a model's nights, each against the control arm that was measured with it.

    Nights are never compared as if they had been interleaved: the band says
    where a night was to be expected from the nights before it, and two periods
    need three nights each.

    [bold]Examples[/bold]

      ortlab lab history reader

      ortlab lab history reader --phone R58M --json
    """
    from device_lab.history import compare_periods, histories
    from device_lab.settings import open_store
    from ortlab.cli import render
    from ortlab.errors import UsageError

    if (earlier is None) is not (later is None):
        message = "cannot compare periods: give both --earlier and --later"
        raise UsageError(message)
    periods = [_period(text) for text in (earlier, later) if text is not None]
    where_noon_is = _zone(zone)
    with contextlib.closing(open_store(store)) as opened:
        results = opened.results(model_name=model, phone_id=phone, limit=1_000_000)
    found = histories(results, zone=where_noon_is)
    if not found:
        where = f" on {phone}" if phone else ""
        message = f"cannot show the history of {model}{where}: the lab has no result of it"
        raise UsageError(message, next_step="ortlab lab status")
    compared = [compare_periods(one, *periods) if periods else None for one in found]
    if as_json:
        render.show_json({"histories": list(found), "periods": [one for one in compared if one]})
        return 0
    for one, periods_of in zip(found, compared, strict=True):
        _show_history(one, nights)
        if periods_of is not None:
            render.say(periods_of.sentence)
    return 0


# ------------------------------------------------------------------------------ the request


def _listed(values: list[str] | None) -> tuple[str, ...]:
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _check_name(name: str) -> None:
    from ortlab.errors import UsageError

    if not name.strip() or not name.isprintable() or len(name) > 200:
        message = "cannot use --name: it must be 1 to 200 printable characters, not only spaces"
        raise UsageError(message)


def _settings(
    rounds: int, lists: dict[str, tuple[str, ...]], *, threads: tuple[str, ...], **common: Any
) -> dict[str, "BenchSection"]:
    """Cross the lists; each combination is a job of its own, for each cell has two arms."""
    import itertools

    from device_lab.night_plan import gate_section
    from ortlab.errors import UsageError
    from ortlab.settings import arm_options

    for word in threads:
        if not word.isdigit() or not 1 <= int(word) <= 1024:
            message = f"cannot use --threads {word!r}: it is a number of threads, 1 or more"
            raise UsageError(message)
    axes: dict[str, tuple[Any, ...]] = {**lists, "threads": tuple(map(int, threads))}
    axes = {key: values for key, values in axes.items() if values}
    settings = {}
    for chosen in itertools.product(*axes.values()):
        fields = {key: (value,) for key, value in zip(axes, chosen, strict=True)}
        words = [f"{key} {value}" for key, (value,) in fields.items()]
        section = gate_section(rounds, **fields, **common)
        arm_options(section, ())  # a word that means nothing is told now, not by every phone
        settings[", ".join(words)] = section
    return settings


def _requirements(
    *, platform: str | None, min_os: str | None, max_os: str | None, **plain: Any
) -> "Requirements":
    from device_lab.values import Requirements
    from ortlab.domain import DeviceKind
    from ortlab.errors import UsageError
    from ortlab.settings import choices

    for option, version in (("--min-os", min_os), ("--max-os", max_os)):
        if version is not None and not _VERSION.fullmatch(version):
            message = f"cannot use {option} {version!r}: it is a version such as 13 or 17.4"
            raise UsageError(message)
    kinds = choices(DeviceKind, [platform] if platform else [], "--platform")
    kind = kinds[0] if kinds else None
    return Requirements(platform=kind, min_os=min_os, max_os=max_os, **plain)


def _period(text: str) -> Any:
    from datetime import date

    from ortlab.errors import UsageError

    try:
        first, _, last = text.partition("..")
        return date.fromisoformat(first), date.fromisoformat(last)
    except ValueError as error:
        message = f"cannot read the period {text!r}"
        raise UsageError(message, next_step="write it as 2026-10-01..2026-10-31") from error


def _zone(name: str) -> "tzinfo":
    from datetime import UTC
    from zoneinfo import ZoneInfo

    from ortlab.errors import UsageError

    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        message = f"cannot use --zone {name!r}: this machine knows no such time zone"
        raise UsageError(message, next_step="name one such as Europe/Berlin, or UTC") from error


# ------------------------------------------------------------------------------ the night


def _carried_through(request: "NightRequest", store: str | None) -> "NightAnswer":
    import time
    from datetime import UTC, datetime

    from device_lab.nightly import Waiting, carry_through
    from device_lab.settings import open_store
    from ortlab.cli import render

    with (
        _left_to_the_lab(),
        render.Progress() as progress,
        contextlib.closing(open_store(store)) as opened,
    ):
        waiting = Waiting(clock=lambda: datetime.now(UTC), pause=time.sleep, say=progress.update)
        return carry_through(opened, request, waiting)


@contextlib.contextmanager
def _left_to_the_lab() -> Iterator[None]:
    from ortlab.errors import InterruptedRunError

    try:
        yield
    except KeyboardInterrupt as error:
        message = "stopped waiting; the lab goes on measuring what was submitted"
        step = "run the same command again for the verdict, or ortlab lab cancel to end the jobs"
        raise InterruptedRunError(message, next_step=step) from error


def _write(
    answer: "NightAnswer", junit: Path | None, summary: Path | None, *, complete: bool
) -> None:
    from device_lab import summary as texts
    from ortlab.report.files import write_staged, writing

    if junit is not None:
        write_staged(junit, writing(texts.junit(answer.verdict, complete=complete)))
    if summary is not None:
        write_staged(summary, writing(texts.markdown(answer.verdict)))


def _show(answer: "NightAnswer", *, as_json: bool) -> int:
    from device_lab.night_gate import CellOutcome, NightStatus
    from ortlab.cli import render
    from ortlab.errors import GateFailedError, GateInconclusiveError

    verdict = answer.verdict
    if as_json:
        render.show_json(answer)
    else:
        for cell in verdict.cells:
            if cell.outcome is not CellOutcome.NO_SLOWDOWN_SEEN:
                render.say(f"{cell.outcome}: {cell.sentence}")
        render.say(verdict.sentence)
    return {
        NightStatus.PASS: 0,
        NightStatus.FAIL: GateFailedError.exit_code,
        NightStatus.INCONCLUSIVE: GateInconclusiveError.exit_code,
    }[verdict.status]


# ------------------------------------------------------------------------------ the history


def _show_history(history: "History", nights: int) -> None:
    from ortlab.cli import render

    virtual = " (virtual)" if history.virtual else ""
    for segment in history.segments:
        render.show_table(
            f"{history.model_name}, {history.arm}, on {history.phone_name}{virtual};"
            f" against {segment.control_label} ({segment.control[:8]})",
            ("night", "ratio", "band (nights)", "where", "rounds", "trust"),
            [_night_row(night) for night in _newest(segment, nights)],
            right=(1, 4),
        )
    for sentence in history.sentences:
        render.say(sentence)


def _newest(segment: "Segment", count: int) -> tuple["Night", ...]:
    return segment.nights[-count:]


def _night_row(night: "Night") -> tuple[str, ...]:
    band = night.band
    return (
        str(night.night),
        f"{night.ratio:.3f}",
        f"{band.low:.3f} to {band.high:.3f} ({band.nights})" if band else "–",
        str(night.place).removesuffix(" the band").removesuffix(" than"),
        str(night.rounds),
        ", ".join(night.trust),
    )
