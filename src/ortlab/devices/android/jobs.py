"""One block's way to a phone and back: paths there, paths here, and the files between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab import codec
from ortlab.devices.android.files import FILES, REQUESTS
from ortlab.devices.android.quoting import command_line
from ortlab.devices.answers import PROGRESS, RESULT, directory_name, named_files
from ortlab.devices.file_sets import FileSet, external_data, phone_name
from ortlab.errors import DeviceError, DeviceLostError, DeviceTimeoutError, StorageError
from ortlab.wire import BlockRequest

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

INSTRUMENTATION: Final = "dev.ortlab.bench.BenchInstrumentation"
ACTIVITY: Final = "dev.ortlab.bench.BenchActivity"

_MEDIA: Final = "/sdcard/Android/media"
_REQUEST, _COMMAND = "request.json", "command.txt"
_PULL_DEADLINE_S: Final = 120.0
_MARK_DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A block as one phone will run it.

    Attributes:
        request: With paths of the phone.
        package: Application id that runs it.
        directory: Of its files on this machine.
        remote_directory: Of its results on the phone.
        remote_request: Where the phone reads the request.
        file_sets: That must be on the phone.
    """

    request: BlockRequest
    package: str
    directory: Path
    remote_directory: str
    remote_request: str
    file_sets: tuple[FileSet, ...]

    def command(self) -> tuple[str, ...]:
        """Return the shell command that runs it."""
        return (
            *("am", "instrument", "-w", "-r", "-e", "request", self.remote_request),
            f"{self.package}/{INSTRUMENTATION}",
        )


def make_job(
    request: BlockRequest, package: str, library: str | None, describe: Callable[..., FileSet]
) -> Job:
    """Translate a request for a phone.

    A file that is not here is not there either: the app itself then says so, as on every device.

    Args:
        request: With paths of this machine.
        package: Application id that runs it.
        library: The phone's path of the custom-operator library inside the app, or None.
        describe: Hashes files; see :meth:`PhoneFiles.describe`.

    Raises:
        StorageError: A file cannot be read.
    """
    directory = Path(request.output_directory).absolute()
    name = directory_name(request.block_id)
    sets: list[FileSet] = []

    def moved(path: str, *, with_data: bool = False) -> str:
        here = Path(path).absolute()
        if not here.is_file():
            return f"{FILES}/none/{phone_name(here.name)}"
        item = describe((here, *(external_data(here) if with_data else ())))
        sets.append(item)
        return item.paths_under(FILES)[0]

    model = replace(
        request.model, path=moved(request.model.path, with_data=True), custom_op_library=library
    )
    inputs = tuple(replace(tensor, path=moved(tensor.path)) for tensor in request.inputs)
    remote_directory = f"{_MEDIA}/{package}/blocks/{name}"
    return Job(
        request=replace(request, model=model, inputs=inputs, output_directory=remote_directory),
        package=package,
        directory=directory,
        remote_directory=remote_directory,
        remote_request=f"{REQUESTS}/{name}.json",
        file_sets=tuple(dict.fromkeys(sets)),
    )


def lay_out(job: Job, serial: str) -> bytes:
    """Write the request and the command that repeats it; remove an older answer.

    Returns:
        The request as the phone gets it.

    Raises:
        StorageError: The directory cannot be written.
    """
    text = codec.to_json(job.request, indent=2)
    command = command_line(("adb", "-s", serial, "shell", command_line(job.command())))
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, PROGRESS):
            (job.directory / name).unlink(missing_ok=True)
        (job.directory / _REQUEST).write_text(text, encoding="utf-8")
        (job.directory / _COMMAND).write_text(command + "\n", encoding="utf-8")
    except OSError as error:
        message = f"cannot write the block's request to {job.directory}: {error.strerror}"
        raise StorageError(message) from error
    return text.encode()


def pull_answer(phone: AdbPhone, job: Job) -> None:
    """Bring the result and the files it names, each whole or not at all.

    What is not there is not brought: whoever reads the answer finds out. A name that leaves the
    block's directory is not followed.

    Raises:
        DeviceLostError: The phone is gone.
        DeviceTimeoutError: It is too slow.
        StorageError: They cannot be written here.
    """
    if not _pull(phone, job, RESULT):
        return
    for name in named_files(job.directory / RESULT):
        _pull(phone, job, name)


def pull_progress(phone: AdbPhone, job: Job) -> None:
    """Bring the progress marks, where there are any."""
    with contextlib.suppress(DeviceTimeoutError):
        _pull(phone, job, PROGRESS, deadline_s=_MARK_DEADLINE_S)


def _pull(phone: AdbPhone, job: Job, name: str, *, deadline_s: float = _PULL_DEADLINE_S) -> bool:
    try:
        phone.pull(f"{job.remote_directory}/{name}", job.directory / name, deadline_s=deadline_s)
    except (DeviceLostError, DeviceTimeoutError):
        raise
    except DeviceError:
        return False
    return True
