"""Commands of the phone's shell that ask and change the system."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Mapping
from typing import Final

from ortlab.devices.virtual.android.activity import ActivityManager
from ortlab.devices.virtual.android.activity_commands import ActivityCommands
from ortlab.devices.virtual.android.faults import LowBattery
from ortlab.devices.virtual.android.log import PhoneLog
from ortlab.devices.virtual.android.logcat import LogCommands
from ortlab.devices.virtual.android.package_commands import PackageCommands
from ortlab.devices.virtual.android.packages import PackageManager
from ortlab.devices.virtual.android.shell import Call, Program
from ortlab.devices.virtual.android.state import PhoneState
from ortlab.devices.virtual.power import Power

_WAKE_UP, _SLEEP, _POWER, _MENU = "224", "223", "26", "82"
_SERVICES: Final = (
    "activity",
    "battery",
    "meminfo",
    "package",
    "power",
    "thermalservice",
    "window",
)


class SystemCommands:
    """Commands on one phone's system.

    Args:
        state: Properties, settings and screen.
        power: Battery and temperature.
        log: Of the phone.
        packages: The phone's.
        activities: The phone's.
        package_commands: `pm`.
        activity_commands: `am`.
    """

    def __init__(
        self,
        *,
        state: PhoneState,
        power: Power,
        log: PhoneLog,
        packages: PackageManager,
        activities: ActivityManager,
        package_commands: PackageCommands,
        activity_commands: ActivityCommands,
    ) -> None:
        self._state = state
        self._power = power
        self._logs = LogCommands(log, state.note_unmodelled)
        self._packages = packages
        self._activities = activities
        self._pm = package_commands
        self._am = activity_commands

    def table(self) -> Mapping[str, Program]:
        """Return the commands by name."""
        return {
            "am": self._with_verb(self._am),
            "cmd": self._cmd,
            "date": self._date,
            "dumpsys": self._dumpsys,
            "getconf": self._getconf,
            "getprop": self._getprop,
            "id": self._id,
            "input": self._input,
            "kill": self._kill,
            "log": self._logs.write,
            "logcat": self._logs.logcat,
            "monkey": self._am.monkey,
            "nproc": self._nproc,
            "pidof": self._pidof,
            "pm": self._with_verb(self._pm),
            "ps": self._ps,
            "run-as": self._run_as,
            "setprop": self._setprop,
            "settings": self._settings,
            "svc": self._svc,
            "uname": self._uname,
            "uptime": self._uptime,
            "whoami": self._whoami,
            "wm": self._wm,
        }

    # -------------------------------------------------------------------------- services

    def _with_verb(self, service: PackageCommands | ActivityCommands) -> Program:
        async def command(call: Call) -> int:
            verb, *rest = call.arguments or ("",)
            program = service.find(verb)
            if program is None:
                self._state.note_unmodelled(f"{call.name} {' '.join(call.arguments)}")
                return await call.fail(f"Unknown command: {verb}", 255)
            return await program(_renamed(call, verb, tuple(rest)))

        return command

    async def _cmd(self, call: Call) -> int:
        service, *rest = call.arguments or ("",)
        inner = _renamed(call, service, tuple(rest))
        if service == "package":
            return await self._with_verb(self._pm)(inner)
        if service == "activity":
            return await self._with_verb(self._am)(inner)
        if service == "settings":
            return await self._settings(inner)
        words = " ".join(rest)
        if service == "power" and self._state.spec.api_level >= 30:
            match = re.fullmatch(r"set-fixed-performance-mode-enabled (true|false)", words)
            if match:
                self._state.fixed_performance = match[1] == "true"
                return 0
            match = re.fullmatch(r"set-mode ([01])", words)
            if match:
                self._state.put_setting("global", "low_power", match[1])
                return 0
        if service == "thermalservice" and self._state.spec.api_level >= 29:
            return await self._override_thermal(inner, rest)
        self._state.note_unmodelled(f"cmd {' '.join(call.arguments)}")
        return await call.fail(f"cmd: Can't find service: {service}", 20)

    async def _override_thermal(self, call: Call, words: list[str]) -> int:
        if words[:1] == ["reset"]:
            self._state.thermal_override = None
        elif len(words) == 2 and words[0] == "override-status" and words[1].isdigit():
            self._state.thermal_override = int(words[1])
        else:
            return await call.fail("Unknown thermalservice command", 255)
        return 0

    # -------------------------------------------------------------------------- properties

    async def _getprop(self, call: Call) -> int:
        properties = self._state.properties()
        if call.arguments:
            default = call.arguments[1] if len(call.arguments) > 1 else ""
            await call.say(properties.get(call.arguments[0], default))
            return 0
        lines = [f"[{key}]: [{value}]\n" for key, value in sorted(properties.items())]
        await call.out("".join(lines).encode())
        return 0

    async def _setprop(self, call: Call) -> int:
        if len(call.arguments) == 2 and call.arguments[0].startswith(("debug.", "log.")):
            self._state.own_properties[call.arguments[0]] = call.arguments[1]
            return 0
        return await call.fail(f"Failed to set property '{' '.join(call.arguments)}'")

    async def _settings(self, call: Call) -> int:
        words = [w for w in call.arguments if not w.startswith("--")]
        verb, namespace, *rest = [*words, "", ""]
        rest = [word for word in rest if word]
        if namespace not in ("global", "system", "secure"):
            return await call.fail(f"Invalid namespace '{namespace}'", 255)
        if verb == "get" and rest:
            await call.say(self._state.setting(namespace, rest[0]) or "null")
        elif verb == "put" and len(rest) >= 2:
            self._state.put_setting(namespace, rest[0], rest[1])
        elif verb == "delete" and rest:
            found = self._state.delete_setting(namespace, rest[0])
            await call.say(f"Deleted {int(found)} rows")
        elif verb == "list":
            for key, value in self._state.settings_of(namespace):
                await call.say(f"{key}={value}")
        else:
            return await call.fail("Invalid settings command", 255)
        return 0

    async def _svc(self, call: Call) -> int:
        words = " ".join(call.arguments)
        match = re.fullmatch(r"power stayon (true|false|usb|ac|wireless)", words)
        if match:
            values = {"true": "15", "false": "0", "usb": "2", "ac": "1", "wireless": "4"}
            self._state.put_setting("global", "stay_on_while_plugged_in", values[match[1]])
            return 0
        if re.fullmatch(r"(wifi|data|bluetooth) (enable|disable)", words):
            return 0
        self._state.note_unmodelled(f"svc {words}")
        return await call.fail(f"svc: unknown command {words}")

    async def _input(self, call: Call) -> int:
        words = [word for word in call.arguments if word != "--longpress"]
        keys = {"KEYCODE_WAKEUP": _WAKE_UP, "KEYCODE_SLEEP": _SLEEP, "KEYCODE_POWER": _POWER}
        keys["KEYCODE_MENU"] = _MENU
        if words[:1] in (["tap"], ["swipe"], ["text"]):
            return 0
        if words[:1] != ["keyevent"] or len(words) < 2:
            return await call.fail("Error: Unknown command: input", 255)
        for word in words[1:]:
            self._state.press(keys.get(word, word))
        return 0

    async def _wm(self, call: Call) -> int:
        if call.arguments[:1] == ("dismiss-keyguard",):
            self._state.dismiss_keyguard()
            return 0
        if call.arguments[:1] == ("size",):
            await call.say("Physical size: 1080x2400")
            return 0
        self._state.note_unmodelled(f"wm {' '.join(call.arguments)}")
        return await call.fail("Unknown command", 255)

    # -------------------------------------------------------------------------- dumpsys

    async def _dumpsys(self, call: Call) -> int:
        words = [word for word in call.arguments if word not in ("-t", "--proto")]
        service, *rest = words or [""]
        if service == "-l":
            await call.say("\n  ".join(("Currently running services:", *_SERVICES)))
            return 0
        if service == "package" and rest:
            return await self._pm.dump(call, rest[0])
        if service == "activity" and rest[:1] == ["exit-info"]:
            if self._state.spec.api_level < 30:
                return 0
            return await self._am.dump_exits(call, rest[1] if len(rest) > 1 else "")
        if service == "activity":
            text = f"  mResumedActivity: {self._activities.foreground or 'none'}"
        elif service == "battery":
            text = self._battery_text()
        elif service == "thermalservice" and self._state.spec.api_level >= 29:
            text = self._thermal_text()
        elif service == "power":
            text = self._state.power_text()
        elif service == "window":
            text = self._state.window_text()
        elif service == "meminfo":
            text = await asyncio.to_thread(self._memory_text, rest)
        else:
            if service != "thermalservice":  # new in API level 29
                self._state.note_unmodelled(f"dumpsys {' '.join(words)}")
            return await call.fail(f"Can't find service: {service}", 0)
        await call.say(text)
        return 0

    def _battery_text(self) -> str:
        low = self._state.faults.find(LowBattery)
        percent = int(self._power.percent) if low is None else low.percent
        charging = self._power.charging
        status = 5 if charging and percent == 100 else 2 if charging else 3
        return (
            "Current Battery Service state:\n  AC powered: false\n"
            f"  USB powered: {str(charging).lower()}\n  Wireless powered: false\n"
            f"  status: {status}\n  health: 2\n  present: true\n  level: {percent}\n"
            "  scale: 100\n  voltage: 4212\n"
            f"  temperature: {round(self._power.temperature_c * 10)}\n  technology: Li-ion"
        )

    def _thermal_text(self) -> str:
        override = self._state.thermal_override
        status = int(self._power.thermal_status) if override is None else override
        skin_c = self._power.temperature_c
        return (
            f"IsStatusOverride: {str(override is not None).lower()}\n"
            f"ThermalEventListeners:\n\tcallbacks: 2\nThermal Status: {status}\n"
            "Cached temperatures:\n\tTemperature{"
            f"mValue={skin_c:.1f}, mType=3, mName=SKIN, mStatus={status}}}\nHAL Ready: true"
        )

    def _memory_text(self, words: list[str]) -> str:
        name = next((word for word in words if not word.startswith("-")), "")
        process = self._activities.process_of(name)
        if process is None:
            return f"No process found for: {name}"
        fields = _process_memory_kib(process)
        return (
            "Applications Memory Usage (in Kilobytes):\n\n"
            f"** MEMINFO in pid {process} [{name}] **\n"
            f"           TOTAL PSS: {fields.get('Pss', 0):>8}            "
            f"TOTAL RSS: {fields.get('Rss', 0):>8}"
        )

    # -------------------------------------------------------------------------- processes

    async def _pidof(self, call: Call) -> int:
        found = [
            number
            for number in map(self._activities.process_of, call.arguments)
            if number is not None
        ]
        if found:
            await call.say(" ".join(map(str, found)))
        return 0 if found else 1

    async def _ps(self, call: Call) -> int:
        await call.say("USER           PID  PPID NAME")
        for number, name in self._activities.processes().items():
            await call.say(f"u0_a100  {number:>9}     1 {name}")
        return 0

    async def _kill(self, call: Call) -> int:
        number = int(signal.SIGTERM)
        for word in call.arguments:
            match = re.fullmatch(r"-(?:SIG)?(\w+)", word)
            if match:
                name = match[1]
                number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name}"])
            elif word.isdigit() and int(word) in self._activities.processes():
                # The shell user may not touch the processes of apps.
                return await call.fail(f"kill: {word}: Operation not permitted ({number})")
            else:
                return await call.fail(f"kill: {word}: No such process")
        return 0

    async def _run_as(self, call: Call) -> int:
        name = call.arguments[0] if call.arguments else ""
        app = self._packages.find(name)
        if app is None:
            return await call.fail(f"run-as: unknown package: {name}")
        if not app.package.debuggable:
            return await call.fail(f"run-as: package not debuggable: {name}")
        self._state.note_unmodelled(f"run-as {' '.join(call.arguments)}")
        return await call.fail("run-as: not known here")

    # -------------------------------------------------------------------------- facts

    async def _id(self, call: Call) -> int:
        groups = "1003(graphics),1004(input),1007(log),1011(adb),3003(inet)"
        text = f"uid=2000(shell) gid=2000(shell) groups=2000(shell),{groups} context=u:r:shell:s0"
        await call.say("2000" if call.arguments == ("-u",) else text)
        return 0

    async def _whoami(self, call: Call) -> int:
        await call.say("shell")
        return 0

    async def _uname(self, call: Call) -> int:
        release = self._state.kernel_release
        fields = {"-s": "Linux", "-r": release, "-m": self._state.machine, "-n": "localhost"}
        whole = f"Linux localhost {release} #1 SMP PREEMPT virtual {self._state.machine} Toybox"
        wanted = call.arguments[0] if call.arguments else "-s"
        await call.say(fields.get(wanted, whole))
        return 0

    async def _getconf(self, call: Call) -> int:
        cores = str(os.cpu_count() or 1)
        known = {
            "PAGE_SIZE": str(os.sysconf("SC_PAGE_SIZE")),
            "PAGESIZE": str(os.sysconf("SC_PAGE_SIZE")),
            "_NPROCESSORS_ONLN": cores,
            "_NPROCESSORS_CONF": cores,
        }
        name = call.arguments[0] if call.arguments else ""
        if name not in known:
            return await call.fail(f"getconf: bad '{name}'")
        await call.say(known[name])
        return 0

    async def _nproc(self, call: Call) -> int:
        await call.say(str(os.cpu_count() or 1))
        return 0

    async def _date(self, call: Call) -> int:
        form = next((w[1:] for w in call.arguments if w.startswith("+")), "%a %b %e %H:%M:%S %Z %Y")
        now = time.time()
        form = form.replace("%N", f"{int(now % 1 * 1e9):09d}").replace("%s", str(int(now)))
        await call.say(time.strftime(form, time.localtime(now)))
        return 0

    async def _uptime(self, call: Call) -> int:
        await call.say(
            f" {time.strftime('%H:%M:%S')} up 1 day, 0 users, load average: 0.0, 0.0, 0.0"
        )
        return 0


def _renamed(call: Call, name: str, arguments: tuple[str, ...]) -> Call:
    return Call(
        name=name,
        arguments=arguments,
        source=call.source,
        out=call.out,
        error=call.error,
        shell=call.shell,
    )


def _process_memory_kib(process: int) -> dict[str, int]:
    """Return the sums of a process's memory that Linux tells, in KiB."""
    from pathlib import Path

    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return {}
    found = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(size) for name, size in found}
