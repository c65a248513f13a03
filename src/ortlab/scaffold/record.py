"""What a project is to hold, and the record of what was written into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ortlab.codec import to_json
from ortlab.domain import AppPlatform
from ortlab.scaffold.files import Content
from ortlab.scaffold.properties import PROPERTIES
from ortlab.scaffold.settings_file import SettingsFormat

OWN_DIRECTORY: Final = ".ortlab"
RECORD: Final = f"{OWN_DIRECTORY}/generated.json"
REPLACED: Final = f"{OWN_DIRECTORY}/replaced"
SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPlan:
    """What a project is to hold.

    Attributes:
        platform: What it is for.
        files: Relative path, with ``/``, to content; without the settings file.
        generated: Folder whose files are ours alone, relative.
        settings_path: The one file that holds settings of both, relative.
        settings_template: What it is on a first run, before ``settings``.
        settings: Its keys that are ours; None for one that must not be there.
        version: Of the template, as the record tells it.
        settings_format: How settings stand in that file.
    """

    platform: AppPlatform
    files: Mapping[str, Content]
    generated: str
    settings_path: str
    settings_template: bytes
    settings: Mapping[str, str | None]
    version: str
    settings_format: SettingsFormat = PROPERTIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was written into a project; `.ortlab/generated.json`.

    Attributes:
        platform: What the project is for.
        version: Of the template.
        files: Relative path to the sha256 of what was written there.
        settings: Keys of the settings file to the values that were written.
        pending: What a run was about to write when the record was written.
        schema_version: Of the record.
    """

    platform: AppPlatform
    version: str
    files: Mapping[str, str]
    settings: Mapping[str, str]
    pending: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a project; paths relative and sorted, notes in sentences."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]


def record_text(record: Record) -> bytes:
    """Return a record as it stands on disk; the same for equal records."""
    return (to_json(record, indent=1) + "\n").encode()


def finished_record(plan: ProjectPlan, files: Mapping[str, str], settings: bytes) -> Record:
    """Return the record of a run that is done.

    Args:
        plan: What was wanted.
        files: Path to the digest of what was written there, by this run or an earlier one.
        settings: The settings file as it is now.
    """
    values = plan.settings_format.read(settings)
    ours = {key: v for key, v in plan.settings.items() if v is not None and key in values}
    return Record(
        platform=plan.platform,
        version=plan.version,
        files=dict(sorted(files.items())),
        settings=dict(sorted(ours.items())),
    )
