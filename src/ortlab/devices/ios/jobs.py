"""One block's way to an iPhone and back: paths there, paths here, and the files between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ortlab import codec
from ortlab.devices.answers import PROGRESS, RESULT, directory_name
from ortlab.devices.file_sets import FileSet, external_data, phone_name
from ortlab.devices.ios.files import ROOT
from ortlab.errors import StorageError
from ortlab.wire import BatchRequest, BlockRequest

BATCH: Final = f"{ROOT}/batch.json"
"""What an app that a person opened carries out next."""

RUNTIME: Final = f"{ROOT}/runtime.json"
"""By which it tells that it is open, and what it runs."""

_REQUEST, _COMMAND = "request.json", "command.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A block as one iPhone will run it.

    Attributes:
        request: With paths relative to where its file is on the phone.
        bundle_id: Of the app that runs it.
        directory: Of its files on this machine.
        remote_directory: Of its results in the app's container.
        remote_request: Where the app reads the request.
        file_sets: That must be in the app's documents.
    """

    request: BlockRequest
    bundle_id: str
    directory: Path
    remote_directory: str
    remote_request: str
    file_sets: tuple[FileSet, ...]

    @property
    def argument(self) -> str:
        """What the app is started with: the request, relative to its documents."""
        return self.remote_request.removeprefix("/Documents/")


def make_job(
    request: BlockRequest,
    bundle_id: str,
    describe: Callable[..., FileSet],
    *,
    library: str | None = None,
    by_hand: bool = False,
) -> Job:
    """Translate a request for an iPhone.

    A file that is not here is not there either: the app itself then says so, as on every device.

    Args:
        request: With paths of this machine.
        bundle_id: Of the app that runs it.
        describe: Hashes files.
        library: How the app names the model's own operators, if it carries them; None has the
            library of the request sent.
        by_hand: Whether it will be part of a batch, whose file is elsewhere.

    Raises:
        StorageError: A file cannot be read.
    """
    name = directory_name(request.block_id)
    up = "" if by_hand else "../"
    sets: list[FileSet] = []

    def moved(path: str, *, with_data: bool = False) -> str:
        here = Path(path).absolute()
        if not here.is_file():
            return f"{up}files/none/{phone_name(here.name)}"
        item = describe((here, *(external_data(here) if with_data else ())))
        sets.append(item)
        return item.paths_under(f"{up}files")[0]

    operators = request.model.custom_op_library
    if operators is not None:
        operators = library or moved(operators)
    model = replace(
        request.model, path=moved(request.model.path, with_data=True), custom_op_library=operators
    )
    inputs = tuple(replace(tensor, path=moved(tensor.path)) for tensor in request.inputs)
    there = replace(request, model=model, inputs=inputs, output_directory=f"{up}blocks/{name}")
    return Job(
        request=there,
        bundle_id=bundle_id,
        directory=Path(request.output_directory).absolute(),
        remote_directory=f"{ROOT}/blocks/{name}",
        remote_request=f"{ROOT}/requests/{name}.json",
        file_sets=tuple(dict.fromkeys(sets)),
    )


def lay_out(job: Job, udid: str) -> Path:
    """Write the request and the command that repeats it; remove an older answer.

    Returns:
        The request's file.

    Raises:
        StorageError: The directory cannot be written.
    """
    command = (
        f"pymobiledevice3 developer dvt launch --udid {udid} '{job.bundle_id} {job.argument}'\n"
    )
    path = job.directory / _REQUEST
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, PROGRESS):
            (job.directory / name).unlink(missing_ok=True)
        path.write_text(codec.to_json(job.request, indent=2), encoding="utf-8")
        (job.directory / _COMMAND).write_text(command, encoding="utf-8")
    except OSError as error:
        message = f"cannot write the block's request to {job.directory}: {error.strerror}"
        raise StorageError(message) from error
    return path


def lay_out_batch(job: Job) -> Path:
    """Write a batch of one block for an app that a person opens; see :func:`lay_out`."""
    batch = BatchRequest(batch_id=job.request.block_id, requests=(job.request,))
    path = job.directory / "batch.json"
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, PROGRESS):
            (job.directory / name).unlink(missing_ok=True)
        path.write_text(codec.to_json(batch, indent=2), encoding="utf-8")
    except OSError as error:
        message = f"cannot write the block's request to {job.directory}: {error.strerror}"
        raise StorageError(message) from error
    return path
