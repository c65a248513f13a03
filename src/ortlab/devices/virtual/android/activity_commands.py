"""`am` and `cmd activity`: the activity manager as the shell user talks to it.

Source of what `am instrument` prints: AOSP `frameworks/base/cmds/am`, `Instrument.java`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from ortlab.devices.virtual.android.activity import ActivityManager, ExitRecord
from ortlab.devices.virtual.android.packages import PackageManager
from ortlab.devices.virtual.android.shell import Call, Program


class ActivityCommands:
    """Commands on one phone's running apps.

    Args:
        activities: The phone's.
        packages: The phone's.
    """

    def __init__(self, activities: ActivityManager, packages: PackageManager) -> None:
        self._activities = activities
        self._packages = packages
        self._verbs: Mapping[str, Program] = {
            "force-stop": self._force_stop,
            "get-current-user": self._current_user,
            "instrument": self._instrument,
            "kill": self._force_stop,
            "start": self._start,
            "start-activity": self._start,
        }

    def find(self, verb: str) -> Program | None:
        """Return what does a verb, or None for one that is not known here."""
        return self._verbs.get(verb)

    async def _instrument(self, call: Call) -> int:
        options = _Options(call.arguments)
        name, _, class_name = options.component.partition("/")
        app = self._packages.find(name)
        if app is None or _full(class_name, name) not in app.package.instrumentations:
            return await self._no_instrumentation(call, options)

        told: asyncio.Queue[Mapping[str, str] | None] = asyncio.Queue()
        running = self._activities.begin(app, options.extras, told.put_nowait)
        if not options.wait:
            return 0
        running.add_done_callback(lambda _: told.put_nowait(None))
        while (status := await told.get()) is not None:
            if options.raw:
                for key, value in status.items():
                    await call.say(f"INSTRUMENTATION_STATUS: {key}={value}")
                await call.say("INSTRUMENTATION_STATUS_CODE: 0")
        end = await running
        for key, value in end.results.items():
            await call.say(f"INSTRUMENTATION_RESULT: {key}={value}")
        await call.say(f"INSTRUMENTATION_CODE: {end.code}")
        return 0

    async def _no_instrumentation(self, call: Call, options: _Options) -> int:
        component = options.component
        missing = f"Unable to find instrumentation info for: ComponentInfo{{{component}}}"
        if options.raw:
            await call.say("INSTRUMENTATION_STATUS: id=ActivityManagerService")
            await call.say(f"INSTRUMENTATION_STATUS: Error={missing}")
            await call.say("INSTRUMENTATION_STATUS_CODE: -1")
        text = f"INSTRUMENTATION_FAILED: {component}"
        await call.say(f"android.util.AndroidException: {text}")
        return await call.fail(text)

    async def _force_stop(self, call: Call) -> int:
        names = [argument for argument in call.arguments if not argument.startswith("-")]
        if not names:
            return await call.fail("Error: Argument expected", 255)
        self._activities.stop(names[-1])
        return 0

    async def _current_user(self, call: Call) -> int:
        await call.say("0")
        return 0

    async def _start(self, call: Call) -> int:
        options = _Options(call.arguments)
        component = options.component
        await call.say(f"Starting: Intent {{ cmp={component} }}")
        app = self._packages.find(component.partition("/")[0])
        if app is None:
            await call.say("Error type 3")
            await call.say(f"Error: Activity class {{{component}}} does not exist.")
            return 1
        if "request" in options.extras:  # the app's activity runs a block by itself
            self._activities.begin(app, options.extras, lambda _: None)
        if "-W" in call.arguments:
            await call.say("Status: ok\nLaunchState: COLD\nComplete")
        return 0

    async def monkey(self, call: Call) -> int:
        """Open an app from the launcher, as `monkey -p NAME 1` does."""
        options = dict(zip(call.arguments[:-1], call.arguments[1:], strict=True))
        if self._packages.find(options.get("-p", "")) is None:
            await call.say("** No activities found to run, monkey aborted.")
            return 252
        await call.say("Events injected: 1")
        return 0

    async def dump_exits(self, call: Call, name: str) -> int:
        """Print what `dumpsys activity exit-info NAME` prints."""
        await call.say("ACTIVITY MANAGER PROCESS EXIT INFO (dumpsys activity exit-info)")
        records = [r for r in self._activities.exits if name in ("", r.application_id)]
        if records:
            first = records[0]
            await call.say(f"  package: {first.application_id}")
            await call.say(f"    Historical Process Exit for uid={first.user}")
        for number, record in enumerate(records[:16]):
            await call.say(_exit_text(number, record))
        return 0


def _exit_text(number: int, record: ExitRecord) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time_s))
    milliseconds = int(record.time_s % 1 * 1000)
    return (
        f"        ApplicationExitInfo #{number}:\n"
        f"          timestamp={when}.{milliseconds:03d} pid={record.process}"
        f" realUid={record.user} packageUid={record.user} definingUid={record.user} user=0\n"
        f"          process={record.application_id} reason={record.reason[0]}"
        f" ({record.reason[1]}) subreason=0 (UNKNOWN) status={record.status}\n"
        f"          importance=100 pss=0.00 rss=0.00 description={record.description}"
        " state=empty trace=null"
    )


class _Options:
    """What `am instrument` and `am start` are told."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.extras: dict[str, str] = {}
        self.component = ""
        self.raw = self.wait = False
        waiting = list(arguments)
        while waiting:
            argument = waiting.pop(0)
            if argument in ("-e", "--es", "--ez", "--ei") and len(waiting) > 1:
                key, value = waiting.pop(0), waiting.pop(0)
                self.extras[key] = value
            elif argument in ("--user", "--abi", "-p", "-a", "-f") and waiting:
                waiting.pop(0)
            elif argument == "-r":
                self.raw = True
            elif argument == "-w":
                self.wait = True
            elif not argument.startswith("-"):
                self.component = argument


def _full(class_name: str, package: str) -> str:
    return package + class_name if class_name.startswith(".") else class_name
