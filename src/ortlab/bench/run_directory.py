"""The run directory: `experiment.json`, `blocks.jsonl`, `artifacts/`; nothing derived is stored.

A block is one line, appended in one write and forced to disk before the next block is planned. A
driver that is killed leaves at most a torn last line and the artifacts of the block in flight;
both are cleared away when the run is opened for writing again. One process writes at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from ortlab.codec import from_json, to_json
from ortlab.domain import Block, Experiment, Run
from ortlab.errors import StorageError, UsageError

EXPERIMENT_FILE: Final = "experiment.json"
BLOCKS_FILE: Final = "blocks.jsonl"
ARTIFACTS: Final = "artifacts"
LOCK_FILE: Final = "lock"

_SCHEMA_VERSION: Final = 1
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")


# ------------------------------------------------------------------------------ reading


def load_run(directory: Path) -> Run:
    """Read a run, finished or not; a torn last line is passed over, nothing is written.

    Raises:
        UsageError: There is no run in this directory.
        StorageError: Its files cannot be read or hold something else.
    """
    experiment = _read_experiment(directory)
    blocks, _ = _read_blocks(directory / BLOCKS_FILE, experiment)
    return Run(directory=directory, experiment=experiment, blocks=blocks)


def find_run(root: Path, experiment: Experiment) -> Path | None:
    """Return the newest run below ``root`` of the same experiment, finished or not.

    The same means the same :func:`experiment_key`; id, seed and time may differ. Directories that
    hold no readable run are passed over.

    Raises:
        StorageError: ``root`` cannot be listed.
    """
    if not root.is_dir():
        return None
    key = experiment_key(experiment)
    found: list[tuple[str, str, Path]] = []
    try:
        candidates = list(root.iterdir())
    except OSError as error:
        message = f"cannot look for runs in {root}: {error.strerror}"
        raise StorageError(message) from error
    for candidate in candidates:
        if not (candidate / EXPERIMENT_FILE).is_file():
            continue
        with contextlib.suppress(StorageError):
            other = _read_experiment(candidate)
            if experiment_key(other) == key:
                found.append((other.created_at, other.experiment_id, candidate))
    return max(found)[2] if found else None


def experiment_key(experiment: Experiment) -> str:
    """Return a digest of what is measured and how: arms, inputs, rules, device and its runtime.

    Id, seed, time, command and the places of files are left out; files count by their hashes. The
    memory of a machine is left out too: on virtual ones it changes by a few pages.
    """
    arms = tuple(
        replace(
            arm,
            model_path="",
            prepared_sha256="",
            custom_op_library=Path(arm.custom_op_library).name if arm.custom_op_library else None,
            reference=tuple(replace(tensor, path="") for tensor in arm.reference),
        )
        for arm in experiment.arms
    )
    sample = replace(
        experiment.sample,
        inputs=tuple(replace(tensor, path="") for tensor in experiment.sample.inputs),
        outputs=tuple(replace(tensor, path="") for tensor in experiment.sample.outputs),
    )
    same = replace(
        experiment,
        experiment_id="",
        seed=0,
        arms=arms,
        device=replace(experiment.device, memory_bytes=0),
        sample=sample,
        prepared_path="",
        block_deadline_s=0.0,
        command="",
        created_at="",
    )
    return hashlib.sha256(to_json(same).encode()).hexdigest()


def _read_experiment(directory: Path) -> Experiment:
    path = directory / EXPERIMENT_FILE
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"cannot read a run from {directory}: there is no {EXPERIMENT_FILE}"
        raise UsageError(message, next_step="name a directory that ortlab bench wrote") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise StorageError(message) from error
    experiment = from_json(Experiment, text, source=str(path))
    if experiment.schema_version > _SCHEMA_VERSION:
        message = (
            f"cannot read {path}: its schema version is {experiment.schema_version},"
            f" this ortlab knows {_SCHEMA_VERSION}"
        )
        raise StorageError(message, next_step="use the ortlab that wrote it")
    return experiment


def _read_blocks(path: Path, experiment: Experiment) -> tuple[tuple[Block, ...], int]:
    """Return the blocks and the length in bytes of the good lines; only the last may be torn."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return (), 0
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise StorageError(message) from error
    lines = data.split(b"\n")
    torn = lines.pop()
    arms = {arm.arm_id for arm in experiment.arms}
    blocks: list[Block] = []
    seen: set[str] = set()
    length = 0
    for number, line in enumerate(lines, start=1):
        try:
            block = from_json(Block, line, source=f"line {number} of {path}")
        except StorageError:
            if number == len(lines) and not torn:
                break
            raise
        if block.block_id in seen or block.arm_id not in arms:
            fault = "repeats an earlier one" if block.block_id in seen else "names no known arm"
            message = f"cannot read {path}: block {block.block_id!r} in line {number} {fault}"
            raise StorageError(message, next_step="restore the file from a copy")
        seen.add(block.block_id)
        blocks.append(block)
        length += len(line) + 1
    return tuple(blocks), length


# ------------------------------------------------------------------------------ writing


class RunDirectory:
    """A run opened for writing; use it as a context manager.

    Opening takes the lock, writes `experiment.json` on the first time, heals a torn last line
    (its bytes go to `blocks.jsonl.torn`) and removes artifacts of blocks that are not on record.

    Args:
        directory: Of the run; created if missing.
        experiment: What is run. A run that exists goes on with its own seed and id.

    Raises:
        StorageError: Another process writes here, the directory holds another experiment, or the
            file system refuses.
    """

    def __init__(self, directory: Path, experiment: Experiment) -> None:
        self.directory = directory.resolve()
        self._artifacts = self.directory / ARTIFACTS
        self._blocks: list[Block] = []
        with _told(f"cannot write into run directory {directory}"):
            self._artifacts.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(self.directory)
        try:
            with _told(f"cannot write into run directory {directory}"):
                self.experiment = self._open_experiment(experiment)
                self._file = self._open_blocks()
                self._clear_artifacts()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> RunDirectory:
        """Return itself, open for writing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the files and of the lock."""
        os.close(self._file)
        os.close(self._lock)

    @property
    def run(self) -> Run:
        """The run as it is on disk."""
        return Run(directory=self.directory, experiment=self.experiment, blocks=tuple(self._blocks))

    def begin(self, block_id: str, session_id: str) -> Path:
        """Create and return the directory that a block in flight writes to.

        It is named after the driver process too: a runner that outlived its killed driver cannot
        write into the directory of the block's next try.

        Raises:
            StorageError: The id is not safe as a file name, or the disk refuses.
        """
        path = self._artifacts / _safe(f"{block_id}.{session_id}")
        with _told(f"cannot start block {block_id}"):
            _remove(path)
            path.mkdir()
        return path

    def abandon(self, path: Path) -> None:
        """Remove the directory of a block that will not be recorded."""
        with contextlib.suppress(OSError):
            _remove(path)

    def record(self, block: Block, path: Path) -> None:
        """Keep a block's artifacts and append its line, forced to disk; all or nothing.

        Raises:
            StorageError: The block is on record already, or the disk is full or refuses; what was
                recorded before is intact.
        """
        if any(known.block_id == block.block_id for known in self._blocks):
            message = f"cannot record block {block.block_id} twice in {self.directory}"
            raise StorageError(message)
        line = (to_json(block) + "\n").encode()
        with _told(f"cannot record block {block.block_id} in {self.directory}"):
            kept = self._artifacts / _safe(block.block_id)
            _remove(kept)
            path.rename(kept)
            _append(self._file, line)
        self._blocks.append(block)

    def kept_path(self, block_id: str) -> str:
        """Return where a block's artifacts end up, relative to the run directory."""
        return f"{ARTIFACTS}/{_safe(block_id)}"

    def _open_experiment(self, experiment: Experiment) -> Experiment:
        path = self.directory / EXPERIMENT_FILE
        if not path.exists():
            _write_staged(path, (to_json(experiment, indent=1) + "\n").encode())
            return experiment
        stored = _read_experiment(self.directory)
        if experiment_key(stored) != experiment_key(experiment):
            message = (
                f"cannot go on in {self.directory}: it holds experiment"
                f" {stored.experiment_id}, which is another one"
            )
            raise StorageError(message, next_step="use another directory")
        return stored

    def _open_blocks(self) -> int:
        path = self.directory / BLOCKS_FILE
        blocks, length = _read_blocks(path, self.experiment)
        self._blocks = list(blocks)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        torn = os.pread(file, max(0, os.fstat(file).st_size - length), length)
        if torn:
            _write_staged(path.with_name(path.name + ".torn"), torn)
            os.ftruncate(file, length)
            os.fsync(file)
        _sync_directory(self.directory)
        return file

    def _clear_artifacts(self) -> None:
        recorded = {block.block_id for block in self._blocks}
        for path in self._artifacts.iterdir():
            if path.name not in recorded:
                _remove(path)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{what}: {error.strerror or error}"
        step = "free space or name another directory; the same command goes on from here"
        raise StorageError(message, next_step=step) from error


def _take_lock(directory: Path) -> int:
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        message = f"cannot write into {directory}: process {holder} is measuring there"
        raise StorageError(message, next_step="wait for it, or name another directory") from error
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _append(file: int, line: bytes) -> None:
    """Append a line whole or not at all."""
    before = os.fstat(file).st_size
    try:
        written = os.write(file, line)
        if written != len(line):
            raise OSError(28, "No space left on device")
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, before)
        raise


def _write_staged(path: Path, data: bytes) -> None:
    staged = path.with_name(path.name + ".part")
    try:
        with staged.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _safe(name: str) -> str:
    if not _SAFE_ID.fullmatch(name) or ".." in name:
        message = f"cannot use {name!r} as a file name of the run directory"
        raise StorageError(message)
    return name


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
