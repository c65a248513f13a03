"""A PostgreSQL server of a test's own, on loopback, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

DEADLINE_S = 60.0
_USER = "postgres"


def _as_server(*command: object) -> list[str]:
    """PostgreSQL refuses to run as root."""
    plain = [str(word) for word in command]
    if os.geteuid() != 0:
        return plain
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", *plain]


@contextlib.contextmanager
def server(programs: Path) -> Iterator[str]:
    """Run a server and return its URL for SQLAlchemy, without a database of its own yet."""
    directory = Path(tempfile.mkdtemp(prefix="ortlab-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, _USER, _USER)
        data = directory / "data"
        subprocess.run(
            _as_server(programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-N"),
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with (directory / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                _as_server(
                    *(programs / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1"),
                    *("-k", directory, "-c", "fsync=off"),
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _await(port, process, directory / "log.txt")
            yield f"postgresql+psycopg://{_USER}@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(DEADLINE_S)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def with_new_database(url: str) -> str:
    """Make a database and return its URL."""
    import psycopg

    name = f"lab_{time.monotonic_ns()}"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=_USER, dbname="postgres").close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
