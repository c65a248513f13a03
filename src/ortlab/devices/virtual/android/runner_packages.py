"""A package that a virtual phone installs where there is only Python to run.

A zip with ``ortlab-runner.json`` in place of an APK's manifest. No real phone takes it.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNNER_MANIFEST: Final = "ortlab-runner.json"
_SCHEMA: Final = "ortlab.virtual_runner/1"
_FIXED_TIME: Final = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerManifest:
    """What is in such a package.

    Attributes:
        application_id: As an app's.
        version_code: As an app's.
        version_name: As an app's.
    """

    application_id: str
    version_code: int = 1
    version_name: str = "1"


def runner_package(path: Path, application_id: str, version_code: int = 1) -> Path:
    """Write a package for virtual phones; the same content each time.

    Args:
        path: Of the file, such as ``bench.apk``.
        application_id: It installs as.
        version_code: Rises with every release.

    Returns:
        ``path``.
    """
    manifest = {
        "schema": _SCHEMA,
        "application_id": application_id,
        "version_code": version_code,
        "version_name": str(version_code),
    }
    entry = zipfile.ZipInfo(RUNNER_MANIFEST, date_time=_FIXED_TIME)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, json.dumps(manifest, indent=2) + "\n")
    return path


def read_runner_package(path: Path) -> RunnerManifest | None:
    """Return what is in such a package, or None where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(RUNNER_MANIFEST).file_size > 1 << 16:
                return None
            found = json.loads(archive.read(RUNNER_MANIFEST))
        if found["schema"] != _SCHEMA:
            return None
        return RunnerManifest(
            application_id=str(found["application_id"]),
            version_code=int(found["version_code"]),
            version_name=str(found["version_name"]),
        )
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return None
