"""An iPhone as a device: every block is a fresh process of the benchmark app.

One block costs four questions beside its own work: the request, the run, the answer, and clearing
away. `result.json` is the authority; how the process ended only explains why there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ortlab import codec
from ortlab.devices.answers import PROGRESS, BadAnswerError, blames_its_files
from ortlab.devices.ios.apps import IphoneApps, custom_ops_in, open_bundle
from ortlab.devices.ios.by_hand import Person
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.evidence import Evidence
from ortlab.devices.ios.exchange import BlockExchange
from ortlab.devices.ios.facts import IphoneFacts, IphoneStatus, facts_of, status_of
from ortlab.devices.ios.failures import REPLUG, TRUST
from ortlab.devices.ios.files import IphoneFiles
from ortlab.devices.ios.jobs import Job, lay_out, make_job
from ortlab.devices.ios.messages import Action
from ortlab.devices.ios.preflight import findings, warmth_of
from ortlab.devices.ios.runs import AppRun, AppRuns, object_in
from ortlab.devices.journal import IOS, Journal
from ortlab.devices.readiness import CoolDown, Limits, check_ready
from ortlab.domain import Arm, BuiltApp, DeviceInfo, DeviceKind
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    OrtlabError,
    UsageError,
)
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Conditions,
    Death,
    Purpose,
    RuntimeFacts,
)

GRACE_S: Final = 8.0
"""Beyond a block's deadline: an app takes seconds to start on a slow phone."""

_QUESTION_S: Final = 30.0
_MOUNT_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IosOptions:
    """What a user may decide about iPhones.

    Attributes:
        limits: What a phone is held to before each block.
        trust_s: Longest wait for somebody to tap Trust.
        by_hand: Whether a person opens the app and leaves it open, on phones that cannot be made
            ready for developers; its results are marked ``shared_process`` and support no verdict.
        by_hand_s: Longest wait for that, and longest without a sign of the app.
        by_hand_poll_s: Between two looks.
    """

    limits: Limits = field(default_factory=Limits)
    trust_s: float = 60.0
    by_hand: bool = False
    by_hand_s: float = 300.0
    by_hand_poll_s: float = 1.0


class IosDevice:
    """Runs blocks on an iPhone; see :class:`ortlab.domain.Device`.

    Args:
        client: Of the phone; closed with the device.
        app: Benchmark app; None where every arm brings its own, or only :meth:`deploy` is wanted.
        state_directory: Where it is kept what was installed on the phone.
        say: Told what is sent and waited for.
        options: What the user decided.
        device_id: What the device is called in results; the phone's UDID if None.

    Raises:
        DeviceNotReadyError: Another process uses the phone, or a person has to do something.
        DeviceError: The phone does not answer.
        StorageError: The state directory cannot be written.
    """

    def __init__(
        self,
        client: IphoneClient,
        app: BuiltApp | None,
        state_directory: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        options: IosOptions | None = None,
        device_id: str | None = None,
    ) -> None:
        self._client = client
        self._app = app
        self._say = say
        self._options = options = options or IosOptions()
        self._journal = Journal(state_directory, client.udid, platform=IOS)
        try:
            self._facts = self._connect()
        except BaseException:
            self._journal.close()
            raise
        client.name = self._facts.title
        self._device_id = device_id or client.udid
        self._files = IphoneFiles(client, say)
        self._exchange = BlockExchange(client)
        self._runs = AppRuns(client)
        self._evidence = Evidence(client, say)
        self._person = Person(
            self._exchange,
            self._facts.title,
            say,
            patience_s=options.by_hand_s,
            poll_s=options.by_hand_poll_s,
        )
        self._apps = IphoneApps(client, self._facts, self._journal, say)
        self._cool_down: CoolDown[IphoneStatus] = CoolDown(
            options.limits, read=self._look_again, warmth=warmth_of, say=say
        )
        self._probes: dict[str, dict[str, Any]] = {}
        self._opened: dict[str, BuiltApp] = {}
        self._conditions: Conditions | None = None
        self._prepared = False
        self._ends: list[Callable[[], object]] = []

    # -- what it is -----------------------------------------------------------------------------

    @property
    def facts(self) -> IphoneFacts:
        """What the phone says of itself."""
        return self._facts

    @property
    def worker_number(self) -> int | None:
        """Of the process that speaks to the phone, where it runs."""
        return self._client.process_number

    @cached_property
    def info(self) -> DeviceInfo:
        """The phone, and the runtime of the benchmark app.

        Raises:
            UsageError: No app was given.
            DeviceError: The phone is not ready, or the app's runtime cannot be started.
        """
        facts = self._facts
        app = self._own_app()
        runtime = self._runtime_of(app)
        machine = self._probes.get(app.sha256, {})
        chip = f"{facts.chip}, " if facts.chip and not facts.virtual else ""
        return DeviceInfo(
            device_id=self._device_id,
            kind=DeviceKind.IOS,
            name=facts.title,
            os_version=facts.system,
            architecture=facts.architecture or str(machine.get("architecture") or "unknown"),
            cpu=f"{chip}{machine.get('cpu') or facts.product}",
            memory_bytes=int(machine.get("memory_bytes") or 0),
            ort_version=runtime.ort_version,
            available_providers=runtime.available_providers,
            virtual=facts.virtual,
        )

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return ORT version and available providers of the arm's app, as it answers itself.

        Raises:
            DeviceError: The phone is not ready, or the app cannot be installed or started.
        """
        runtime = self._runtime_of(self._app_of(arm))
        return runtime.ort_version, runtime.available_providers

    def conditions(self) -> Conditions:
        """Read the phone's state: what the app reports, and what the phone tells beside it."""
        status = self._status()
        if self._app is not None and not self._options.by_hand:
            self._make_ready(self._app)
            self._conditions = self._runs.conditions(self._app)
        told = self._conditions or Conditions()
        return replace(
            told,
            battery_percent=told.battery_percent if status.percent is None else status.percent,
            charging=told.charging if status.charging is None else status.charging,
            temperature_c=status.temperature_c or told.temperature_c,
        )

    # -- blocks ---------------------------------------------------------------------------------

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh process of the app; see :class:`ortlab.domain.Device`.

        The request, the command that repeats it, and after a crash the system's reports stay in
        ``request.output_directory``. A phone that is too warm is waited for.

        Raises:
            DeviceLostError: The phone went away or answers no more.
            DeviceNotReadyError: A person has to do something at it.
            DeviceError: It cannot run this block at all.
            StorageError: The output directory cannot be written.
        """
        app = self._app_of(arm)
        by_hand = self._options.by_hand
        try:
            self._make_ready(app)
            # A virtual iPhone's program takes libraries of this machine, where it runs.
            library = None if self._facts.virtual else custom_ops_in(app)
            describe = self._files.describe
            job = make_job(request, app.application_id, describe, library=library, by_hand=by_hand)
            answer = self._carry_out(job, app)
            if blames_its_files(answer) and self._files.verify(job.bundle_id, job.file_sets):
                name = self._facts.title
                self._say(f"note: what {name} had kept of the block's files was damaged")
                answer = self._carry_out(job, app)
        except DeviceTimeoutError as error:
            raise DeviceLostError(
                error.message, next_step=error.next_step or REPLUG, log_path=error.log_path
            ) from error
        if isinstance(answer, BlockResult) and answer.conditions_after is not None:
            self._conditions = answer.conditions_after
        return answer

    def deploy(self, app: BuiltApp, *, start: bool) -> None:
        """Install an app, whether it is there already or not, and open it if asked.

        Raises:
            InstallError: The phone refuses it.
            DeviceError: It cannot be opened.
        """
        self._apps.install(app)
        self._files.forget(app.application_id)
        if not start:
            return
        self._check(self._status(), self._say)
        # A second is enough to see it start; it goes on when nobody follows it any more.
        self._runs.run(app, [], limit_s=1.0, leave=True)

    def on_close(self, end: Callable[[], object]) -> None:
        """Have something ended with the device, such as the phone where that is a program."""
        self._ends.append(end)

    def close(self) -> None:
        """Let go of the phone; safe to call twice."""
        self._client.close()
        self._journal.close()
        while self._ends:
            self._ends.pop()()

    # -- getting ready --------------------------------------------------------------------------

    def _connect(self) -> IphoneFacts:
        """Return what the phone says of itself, once it trusts this computer."""
        values = self._client.ask(
            Action.CONNECT,
            deadline_s=self._options.trust_s + 2 * _QUESTION_S,
            doing="connect",
            pair_s=self._options.trust_s,
        )
        facts = facts_of(self._client.udid, values)
        if not facts.paired:
            message = f"cannot connect to {facts.title}: it does not trust this computer"
            raise DeviceNotReadyError(message, next_step=TRUST)
        return facts

    def _own_app(self) -> BuiltApp:
        if self._app is None:
            message = f"cannot run blocks on {self._facts.title}: no benchmark app was given"
            step = "ortlab generate … --ios DIR && ortlab build DIR, then bench --app DIR"
            raise UsageError(message, next_step=step)
        return self._app

    def _app_of(self, arm: Arm) -> BuiltApp:
        if arm.runtime is None:
            return self._own_app()
        if arm.runtime not in self._opened:
            self._opened[arm.runtime] = open_bundle(Path(arm.runtime))
        return self._opened[arm.runtime]

    def _status(self) -> IphoneStatus:
        values = self._client.ask(
            Action.STATUS, deadline_s=2 * _QUESTION_S, doing="ask for its state"
        )
        return status_of(values, self._conditions)

    def _look_again(self) -> IphoneStatus:
        """Read what changes while a phone cools down, from the app too."""
        app = self._app or next(iter(self._opened.values()), None)
        if app is not None and not self._options.by_hand:
            self._conditions = self._runs.conditions(app)
        return self._status()

    def _make_ready(self, app: BuiltApp) -> None:
        if not self._prepared:
            status = self._check(self._status(), self._say)
            if status.image_mounted is False and not self._options.by_hand:
                self._say(f"mounting the developer disk image on {self._facts.title}")
                self._client.ask(
                    Action.MOUNT, deadline_s=_MOUNT_S, doing="mount the developer disk image"
                )
            self._prepared = True
        if self._apps.ensure(app):
            self._files.forget(app.application_id)

    def _check(self, status: IphoneStatus, say: Callable[[str], None]) -> IphoneStatus:
        """Hold the phone to what blocks need."""
        options = self._options
        found = findings(self._facts, status, options.limits, by_hand=options.by_hand)
        check_ready(found, self._facts.title, say)
        return status

    def _runtime_of(self, app: BuiltApp) -> RuntimeFacts:
        """Ask an app once what it runs with."""
        if app.sha256 not in self._probes:
            self._make_ready(app)
            self._probes[app.sha256] = object_in(self._probe(app))
        probe = self._probes[app.sha256]
        try:
            text = json.dumps(probe["runtime"])
            return codec.from_json(RuntimeFacts, text, source="the runtime")
        except (KeyError, OrtlabError) as error:
            del self._probes[app.sha256]
            message = f"cannot tell what {app.application_id} on {self._facts.title} runs"
            step = "build the benchmark app again (ortlab build), and look at its crash reports"
            raise DeviceError(message, next_step=step) from error

    def _probe(self, app: BuiltApp) -> str:
        """Return what an app says of itself, started for it or opened by a person."""
        if not self._options.by_hand:
            return self._runs.probe(app)
        return self._person.runtime_of(app.application_id)

    # -- running --------------------------------------------------------------------------------

    def _carry_out(self, job: Job, app: BuiltApp) -> BlockResult | Death:
        self._files.ensure(job.bundle_id, job.file_sets)
        if self._options.by_hand:
            return self._person.carry_out(job)
        self._cool(app)
        self._evidence.note_older(app)
        request = lay_out(job, self._client.udid)
        self._exchange.send(job, request, job.remote_request)
        sample = job.request.purpose is Purpose.MEMORY
        ran = self._runs.run(
            app, [job.argument], limit_s=job.request.deadline_s + GRACE_S, sample=sample
        )
        return self._answer(job, app, ran)

    def _cool(self, app: BuiltApp) -> None:
        """Wait until the app reports that the phone is cool; check what it reports."""
        if self._conditions is None:
            self._conditions = self._runs.conditions(app)
        status = IphoneStatus(app=self._conditions)
        if not warmth_of(status).is_cool:
            status = self._cool_down.wait(self._status())
        if self._conditions is not None:
            battery = self._conditions.battery_percent
            status = replace(status, percent=battery if battery is None else float(battery))
        wanted = ("battery", "low power mode")
        found = findings(self._facts, status, self._options.limits, by_hand=True)
        known = [item for item in found if item.subject in wanted]
        check_ready(known, self._facts.title, lambda _: None)

    def _answer(self, job: Job, app: BuiltApp, ran: AppRun) -> BlockResult | Death:
        bad: BadAnswerError | None = None
        try:
            result = self._exchange.result(job)
        except BadAnswerError as error:
            bad = error
        if bad is None:
            self._clear(job)
            return replace(result, memory=(*result.memory, *ran.memory))
        self._exchange.fetch(job, PROGRESS)
        death = self._evidence.death(job, app, ran, bad)
        self._clear(job)
        return death

    def _clear(self, job: Job) -> None:
        self._exchange.remove(job.bundle_id, job.remote_directory, job.remote_request)
