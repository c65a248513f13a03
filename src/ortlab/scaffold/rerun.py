"""A later run over a project: what the user changed or deleted stays, the rest follows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ortlab.errors import StorageError
from ortlab.scaffold.files import Content, digest_of, exchange, place, recover, sync_tree
from ortlab.scaffold.record import (
    OWN_DIRECTORY,
    RECORD,
    REPLACED,
    ProjectPlan,
    Record,
    Written,
    finished_record,
    record_text,
)


@dataclass(slots=True, kw_only=True)
class Update:
    """One run over a project that is there; the caller holds its lock.

    Attributes:
        plan: What it is to hold.
        record: What earlier runs wrote.
        directory: Where it is.
        written: Files that are new or changed, as they come.
        kept: Files that the user changed.
        deleted: Files that the user deleted.
        put_aside: Generated files that the user had changed.
        notes: What a user should know.
    """

    plan: ProjectPlan
    record: Record
    directory: Path
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    put_aside: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self) -> Written:
        """Write what changed.

        Raises:
            OSError: The disk refuses.
            StorageError: A directory stands where a file should be.
        """
        staging = self.directory / OWN_DIRECTORY / "staging"
        recover(staging / "generated", self.directory / self.plan.generated)
        shutil.rmtree(staging, ignore_errors=True)
        try:
            self._apply(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._tell()
        return Written(
            written=tuple(sorted(self.written)),
            kept=tuple(sorted(self.kept)),
            notes=tuple(self.notes),
        )

    def _apply(self, staging: Path) -> None:
        wanted = {path: digest_of(content) for path, content in self.plan.files.items()}
        generated = {path for path in wanted if self._is_generated(path)}
        old_generated = {path for path in self.record.files if self._is_generated(path)}
        outside = [
            path for path in wanted if path not in generated and self._may_write(path, wanted)
        ]
        stale = [
            path for path in self.record.files if path not in wanted and self._may_remove(path)
        ]
        settings = self._settings()
        tree_changes = self._stage_generated(
            staging / "generated", wanted, generated, old_generated
        )
        for path in outside:
            place(self.plan.files[path], staging / "files" / path)
        if settings is not None:
            place(Content.of(settings), staging / "settings")
        sync_tree(staging)
        self._write_record(staging, {**self.record.files}, pending=wanted)
        if tree_changes:
            self._exchange(staging / "generated")
        for path in outside:
            self._rename(staging / "files" / path, path)
        if settings is not None:
            self._rename(staging / "settings", self.plan.settings_path)
        for path in stale:
            self._remove(path)
        self._finish(staging, wanted, generated, outside)

    def _finish(
        self, staging: Path, wanted: Mapping[str, str], generated: set[str], outside: list[str]
    ) -> None:
        files = {path: wanted[path] for path in generated.union(outside)}
        for path in wanted.keys() - files.keys():
            if self._state(path) == wanted[path]:
                files[path] = wanted[path]
            elif path in self.record.files:
                files[path] = self.record.files[path]  # changed or deleted stays known as ours
        data = (self.directory / self.plan.settings_path).read_bytes()
        files[self.plan.settings_path] = Content.of(data).sha256
        record = finished_record(self.plan, files, data)
        text = record_text(record)
        if text != (self.directory / RECORD).read_bytes():
            place(Content.of(text), staging / "record")
            sync_tree(staging)
            self._rename(staging / "record", RECORD, note=False)

    def _write_record(
        self, staging: Path, files: Mapping[str, str], pending: Mapping[str, str]
    ) -> None:
        changed = {path: sha for path, sha in pending.items() if files.get(path) != sha}
        if not changed:
            return
        record = Record(
            platform=self.record.platform,
            version=self.record.version,
            files=files,
            settings=self.record.settings,
            pending={**self.record.pending, **changed},
        )
        place(Content.of(record_text(record)), staging / "record")
        sync_tree(staging)
        self._rename(staging / "record", RECORD, note=False)

    # -------------------------------------------------------------------------- decisions

    def _is_generated(self, path: str) -> bool:
        return path.startswith(self.plan.generated + "/")

    def _state(self, path: str) -> str | None:
        """Return the sha256 of a file as it is, ``other`` for what is no file, None for nothing."""
        target = self.directory / path
        inside = [parent for parent in target.parents if parent.is_relative_to(self.directory)]
        if any(parent.is_symlink() for parent in inside if parent != self.directory):
            return "other"
        if target.is_symlink() or target.is_dir():
            return "other"
        return digest_of(Content.at(target)) if target.is_file() else None

    def _ours(self, path: str) -> set[str]:
        """Return the digests that mean that the user did not touch a file."""
        known = (self.record.files.get(path), self.record.pending.get(path))
        return {digest for digest in known if digest is not None}

    def _may_write(self, path: str, wanted: Mapping[str, str]) -> bool:
        state = self._state(path)
        if state == wanted[path]:
            return False
        if state is None:
            if path in self.record.files:
                self.deleted.append(path)
                return False
            return True
        if state in self._ours(path):
            return True
        self.kept.append(path)
        return False

    def _may_remove(self, path: str) -> bool:
        """Return whether a file that is no longer part of the template may go."""
        if self._is_generated(path) or path == self.plan.settings_path:
            return False
        state = self._state(path)
        if state is not None and state not in self._ours(path):
            self.kept.append(path)
            return False
        return state is not None

    # -------------------------------------------------------------------------- settings

    def _settings(self) -> bytes | None:
        """Return the new settings file, or None where it stays as it is."""
        path = self.directory / self.plan.settings_path
        merge = self.plan.settings_format.merge
        if not path.is_file():
            self.notes.append(f"{self.plan.settings_path} was missing and is written anew")
            return merge(self.plan.settings_template, self.plan.settings, {}).data
        before = path.read_bytes()
        merged = merge(before, self._wanted_settings(), self.record.settings)
        for key, value in sorted(merged.kept.items()):
            self.notes.append(f"{self.plan.settings_path}: your {key}={value!r} stays")
        for key in merged.replaced:
            now = self.plan.settings[key]
            self.notes.append(f"{self.plan.settings_path}: your {key} is now {now!r}")
        return merged.data if merged.data != before else None

    def _wanted_settings(self) -> dict[str, str | None]:
        """Return our keys, and None for those that an earlier run wrote and this one does not."""
        return {**dict.fromkeys(self.record.settings), **self.plan.settings}

    # -------------------------------------------------------------------------- the folder

    def _stage_generated(
        self,
        staged: Path,
        wanted: Mapping[str, str],
        generated: set[str],
        old_generated: set[str],
    ) -> bool:
        """Build the generated folder anew; return whether it differs from the one that is there."""
        folder = self.directory / self.plan.generated
        changes = False
        for path in sorted(generated):
            target = staged / Path(path).relative_to(self.plan.generated)
            state = self._state(path)
            if state == wanted[path]:
                _link(self.directory / path, target)
                continue
            if state is not None and state not in self._ours(path):
                self._put_aside(path)
            place(self.plan.files[path], target)
            self.written.append(path)
            changes = True
        for there in _files_below(folder):
            relative = there.relative_to(self.directory).as_posix()
            if relative in generated:
                continue
            if relative not in old_generated:
                _link(there, staged / there.relative_to(folder))  # the user's own
                continue
            changes = True
            if self._state(relative) not in self._ours(relative):
                self._put_aside(relative)
        return changes

    def _put_aside(self, path: str) -> None:
        target = self.directory / REPLACED / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self.directory / path
        if source.is_dir() and not source.is_symlink():
            message = f"cannot write {source}: it is a directory, and it should be a file of ours"
            raise StorageError(message, next_step=f"move {source} away")
        shutil.copy2(source, target, follow_symlinks=False)
        self.put_aside.append(path)

    # -------------------------------------------------------------------------- on disk

    def _exchange(self, staged: Path) -> None:
        folder = self.directory / self.plan.generated
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            exchange(staged, folder)
        else:
            staged.rename(folder)
        sync_tree(folder.parent, recurse=False)

    def _rename(self, staged: Path, path: str, *, note: bool = True) -> None:
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        sync_tree(target.parent, recurse=False)
        if note:
            self.written.append(path)

    def _remove(self, path: str) -> None:
        target = self.directory / path
        target.unlink(missing_ok=True)
        self.notes.append(f"{path} is no longer part of a project and was removed")
        for parent in target.parents:
            if parent == self.directory:
                break
            try:
                parent.rmdir()
            except OSError:
                break  # not empty

    def _tell(self) -> None:
        for path in sorted(self.deleted):
            self.notes.append(f"you deleted {path}; it stays deleted")
        for path in sorted(self.put_aside):
            self.notes.append(
                f"you changed {path}, which is generated; it was written anew, and yours is in"
                f" {REPLACED}/{path}"
            )


def _files_below(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory):
        links = [name for name in directories if Path(root, name).is_symlink()]
        for name in sorted([*names, *links]):
            yield Path(root, name)


def _link(source: Path, target: Path) -> None:
    """Have a file at a second place, without copying it where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
