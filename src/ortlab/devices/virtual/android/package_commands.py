"""`pm` and `cmd package`: the package manager as the shell user talks to it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

from ortlab.devices.virtual.android.activity import ActivityManager
from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.packages import (
    InstalledPackage,
    InstallRefusedError,
    InstallSession,
    PackageManager,
)
from ortlab.devices.virtual.android.shell import Call, Program

_CHUNK: Final = 1 << 18
_VALUED: Final = frozenset({"-S", "-i", "--user", "-p", "--abi", "--install-location", "--pkg"})


class PackageCommands:
    """Commands on one phone's packages.

    Args:
        packages: The phone's.
        files: The phone's.
        activities: That run them.
    """

    def __init__(
        self, packages: PackageManager, files: FileSystem, activities: ActivityManager
    ) -> None:
        self._packages = packages
        self._files = files
        self._activities = activities
        self._verbs: Mapping[str, Program] = {
            "clear": self._clear,
            "compile": self._succeed,
            "dump": self._dump,
            "grant": self._quiet,
            "install": self._install,
            "install-abandon": self._abandon,
            "install-commit": self._commit,
            "install-create": self._create,
            "install-write": self._write,
            "install-incremental": self._incremental,
            "list": self._list,
            "path": self._path,
            "revoke": self._quiet,
            "uninstall": self._uninstall,
        }

    def find(self, verb: str) -> Program | None:
        """Return what does a verb, or None for one that is not known here."""
        return self._verbs.get(verb)

    # -------------------------------------------------------------------------- installing

    async def _install(self, call: Call) -> int:
        flags, values, names = _divided(call.arguments)
        refused = await self._refused_for_size(call, values)
        if refused is not None:
            return refused
        session = self._packages.create_session(flags)
        try:
            if not names or names == ["-"]:
                await self._bring(call, session, "base", int(values.get("-S", "0")))
            for name in names:
                if name != "-":
                    self._copy(call, session, name)
        except OSError as error:
            self._packages.abandon(session)
            return await self._not_brought(call, error, names)
        except BaseException:
            self._packages.abandon(session)
            raise
        return await self._finish(call, session)

    async def _create(self, call: Call) -> int:
        flags, values, _ = _divided(call.arguments)
        refused = await self._refused_for_size(call, values)
        if refused is not None:
            return refused
        session = self._packages.create_session(flags)
        await call.say(f"Success: created install session [{session.number}]")
        return 0

    async def _write(self, call: Call) -> int:
        _, values, names = _divided(call.arguments)
        session = self._session(names)
        if session is None or len(names) < 2:
            return await call.fail("Error: java.lang.SecurityException: Caller has no access", 255)
        size = int(values.get("-S", "0"))
        try:
            if len(names) < 3 or names[2] == "-":
                size = await self._bring(call, session, names[1], size)
            else:
                size = self._copy(call, session, names[2], names[1])
        except OSError as error:
            return await self._not_brought(call, error, names[2:])
        await call.say(f"Success: streamed {size} bytes")
        return 0

    async def _commit(self, call: Call) -> int:
        session = self._session(_divided(call.arguments)[2])
        if session is None:
            return await call.fail("Error: java.lang.SecurityException: Caller has no access", 255)
        return await self._finish(call, session)

    async def _abandon(self, call: Call) -> int:
        session = self._session(_divided(call.arguments)[2])
        if session is not None:
            self._packages.abandon(session)
        return await self._succeed(call)

    async def _incremental(self, call: Call) -> int:
        """Refuse, as phones without the incremental file system do; adb then streams."""
        await call.say(
            "Failure [INSTALL_FAILED_INTERNAL_ERROR: Incremental installation not allowed]"
        )
        return 1

    async def _finish(self, call: Call, session: InstallSession) -> int:
        try:
            installed = self._packages.commit(session)
        except InstallRefusedError as error:
            await call.say(f"Failure [{error.code}: {error.reason}]")
            return 1
        self._activities.stop(installed.package.application_id)
        return await self._succeed(call)

    def _session(self, names: list[str]) -> InstallSession | None:
        number = int(names[0]) if names and names[0].isdigit() else -1
        return self._packages.session(number)

    async def _refused_for_size(self, call: Call, values: Mapping[str, str]) -> int | None:
        if int(values.get("-S", "0")) <= self._files.free_bytes():
            return None
        return await call.fail(
            f"\nException occurred while executing '{call.name}':\n"
            "android.os.ParcelableException: java.io.IOException: "
            "Requested internal only, but not enough space",
            255,
        )

    async def _bring(self, call: Call, session: InstallSession, name: str, size: int) -> int:
        """Write standard input to a session: ``size`` bytes, or all of it for 0."""
        path = f"{session.directory}/{_file_name(name)}"
        left = size or 1 << 62
        with self._files.open_for_writing(path) as writer:
            while left and (part := await call.source.read(min(_CHUNK, left))):
                writer.write(part)
                left -= len(part)
        if size and left:
            raise OSError(0, "Unexpected end of stream")
        session.files[name] = path
        return size

    def _copy(
        self, call: Call, session: InstallSession, source: str, name: str | None = None
    ) -> int:
        place = self._files.host_path(call.shell.path(source))
        name = name or place.name
        path = f"{session.directory}/{_file_name(name)}"
        with self._files.open_for_writing(path) as writer, place.open("rb") as file:
            while part := file.read(_CHUNK):
                writer.write(part)
        session.files[name] = path
        return place.stat().st_size

    async def _not_brought(self, call: Call, error: OSError, names: list[str]) -> int:
        if error.errno == 28:  # ENOSPC
            reason = "Failed to write the package: No space left on device"
            await call.say(f"Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE: {reason}]")
            return 1
        name = names[0] if names else "-"
        return await call.fail(f"Error: Unable to open file: {name}: {error.strerror}", 1)

    # -------------------------------------------------------------------------- others

    async def _uninstall(self, call: Call) -> int:
        _, _, names = _divided(call.arguments)
        name = names[0] if names else ""
        self._activities.stop(name)
        if self._packages.uninstall(name):
            return await self._succeed(call)
        await call.say("Failure [DELETE_FAILED_INTERNAL_ERROR]")
        return 1

    async def _clear(self, call: Call) -> int:
        _, _, names = _divided(call.arguments)
        found = self._packages.find(names[0] if names else "")
        if found is None:
            await call.say("Failed")
            return 1
        self._activities.stop(found.package.application_id)
        return await self._succeed(call)

    async def _path(self, call: Call) -> int:
        _, _, names = _divided(call.arguments)
        found = self._packages.find(names[0] if names else "")
        if found is None:
            return 1
        for path in found.paths:
            await call.say(f"package:{path}")
        return 0

    async def _list(self, call: Call) -> int:
        flags, _, names = _divided(call.arguments)
        what = names[0] if names else ""
        wanted = names[1] if len(names) > 1 else ""
        if what == "instrumentation":
            for app in self._packages.installed():
                for name in app.package.instrumentations:
                    target = app.package.application_id
                    await call.say(f"instrumentation:{target}/{name} (target={target})")
            return 0
        if what != "packages":
            return await call.fail(f"Error: unknown list type '{what}'")
        for app in self._packages.installed():
            name = app.package.application_id
            if wanted in name:
                version = f" versionCode:{app.package.version_code}"
                file = f"{app.paths[0]}=" if "-f" in flags else ""
                await call.say(
                    f"package:{file}{name}{version if '--show-versioncode' in flags else ''}"
                )
        return 0

    async def _dump(self, call: Call) -> int:
        return await self.dump(call, call.arguments[0] if call.arguments else "")

    async def dump(self, call: Call, name: str) -> int:
        """Print what `dumpsys package NAME` prints."""
        found = self._packages.find(name)
        if found is None:
            await call.say(f"Unable to find package: {name}")
            return 0
        await call.say(_described(found))
        return 0

    async def _succeed(self, call: Call) -> int:
        await call.say("Success")
        return 0

    async def _quiet(self, call: Call) -> int:
        del call
        return 0


def _described(app: InstalledPackage) -> str:
    package = app.package
    mark = f"{abs(hash(app.paths[0])) & 0xFFFFFFF:x}"
    flags = " ".join(
        ["HAS_CODE", *(["DEBUGGABLE"] if package.debuggable else [])]
        + (["TEST_ONLY"] if package.test_only else [])
    )
    abi = package.abis[0] if package.abis else "null"
    levels = f"minSdk={package.min_sdk} targetSdk={package.target_sdk}"
    return "\n".join(
        [
            "Packages:",
            f"  Package [{package.application_id}] ({mark}):",
            f"    userId={app.user}",
            f"    codePath={app.paths[0].rpartition('/')[0]}",
            f"    primaryCpuAbi={abi}",
            f"    versionCode={package.version_code} {levels}",
            f"    versionName={package.version_name}",
            f"    splits=[{', '.join(('base', *app.splits))}]",
            f"    flags=[ {flags} ]",
            f"    timeStamp={_when(app.last_update_s)}",
            f"    firstInstallTime={_when(app.first_install_s)}",
            f"    lastUpdateTime={_when(app.last_update_s)}",
        ]
    )


def _when(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def _divided(arguments: tuple[str, ...]) -> tuple[list[str], dict[str, str], list[str]]:
    """Divide arguments into flags, options with a value, and the rest."""
    flags: list[str] = []
    values: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument in _VALUED:
            values[argument] = waiting.pop(0) if waiting else ""
        elif argument.startswith("-") and argument != "-":
            flags.append(argument)
        else:
            rest.append(argument)
    if not values.get("-S", "0").isdigit():
        values["-S"] = "0"
    return flags, values, rest


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100] or "part"
