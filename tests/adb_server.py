"""An adb server of a test's own: own port, home and temporary directory; nobody's phones."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ortlab.devices.android.adb import AdbServer
from ortlab.process import Command, Completed, SystemProcesses

_DEADLINE_S = 60.0
_KILL_S = 10.0


def adb_programs() -> dict[str, Path]:
    """Return the generations of adb that this machine has, by a short name."""
    found = {}
    if system := shutil.which("adb"):
        found["system"] = Path(system)
    spec = importlib.util.find_spec("adbutils")
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        carried = Path(directory) / "binaries" / "adb"
        if carried.is_file():
            found["carried"] = carried
    return found


@dataclass(frozen=True, slots=True)
class OwnAdb:
    """A server that runs, and the program that speaks to it.

    Attributes:
        server: To connect to.
        program: The adb that started it.
        environment: Of that program.
    """

    server: AdbServer
    program: Path
    environment: Mapping[str, str]

    def command(self, *arguments: str, serial: str | None = None) -> Completed:
        """Run the program as a person would."""
        who = ("-s", serial) if serial else ()
        return SystemProcesses().run(
            Command(
                arguments=(str(self.program), *who, *arguments),
                deadline_s=_DEADLINE_S,
                environment=self.environment,
            )
        )

    def kill(self) -> None:
        """End the server at once, as a crash or another adb of another version does.

        Whoever asks for it next starts another one, perhaps before we look.
        """
        killed: set[int] = set()
        end = time.monotonic() + _KILL_S
        while time.monotonic() < end:
            listening = _listeners(self.server.port)
            if not listening & killed and (killed or _is_free(self.server.port)):
                return
            for process_id in listening if not killed else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
                killed.add(process_id)
            time.sleep(0.01)
        message = f"the adb server on port {self.server.port} does not end"
        raise TimeoutError(message)


@contextlib.contextmanager
def own_adb(adb_path: Path) -> Iterator[OwnAdb]:
    """Run an adb server on a free port of the loopback interface, and end it."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="adb-") as home, contextlib.ExitStack() as undo:
        environment = {
            "ANDROID_ADB_SERVER_PORT": str(port),
            "HOME": home,
            "TMPDIR": home,
            "ADB_LIBUSB": "0",
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
            "ADB_MDNS_AUTO_CONNECT": "0",
        }
        undo.enter_context(_environment(environment, without=("ADB_SERVER_SOCKET", "ADB_TRACE")))
        adb = OwnAdb(AdbServer("127.0.0.1", port, adb=adb_path), adb_path, environment)
        adb.server.start()
        try:
            yield adb
        finally:
            adb.command("kill-server")
            adb.kill()


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def _environment(added: Mapping[str, str], *, without: tuple[str, ...]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(added)
    for name in without:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name in {*added, *without}:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


def _listeners(port: int) -> set[int]:
    """Return the processes that listen on a port of this machine."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    found = set()
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        # Processes and their files come and go while we look.
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in sockets:
                        found.add(int(process.name))
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
