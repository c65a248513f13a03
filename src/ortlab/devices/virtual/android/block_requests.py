"""A block request on its way from the phone's paths to this machine's, as far as the app may go."""

from __future__ import annotations

import json
import posixpath
import zipfile
from pathlib import Path
from typing import Any, Final

from ortlab.devices.virtual.android.filesystem import FileSystem, normalise
from ortlab.devices.virtual.android.log import PhoneLog
from ortlab.devices.virtual.android.packages import InstalledPackage

_ILLEGAL_ARGUMENT: Final = "java.lang.IllegalArgumentException"
_FILE_NOT_FOUND: Final = "java.io.FileNotFoundException"


class AppError(Exception):
    """The app throws an exception before it runs anything.

    Args:
        kind: Class of the exception.
        text: Its message.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class RequestTranslator:
    """Reads block requests with the rights of an app.

    Args:
        files: The phone's.
        log: Of the phone.
        directory: Of this machine, outside the phone's files.
    """

    def __init__(self, files: FileSystem, log: PhoneLog, directory: Path) -> None:
        self._files = files
        self._log = log
        self._directory = directory

    def read(self, path: str) -> dict[str, Any]:
        """Return a request as it lies on the phone.

        Raises:
            AppError: The app cannot open or read it.
        """
        if not path.startswith("/"):
            message = f"no request: {path!r}"
            raise AppError(_ILLEGAL_ARGUMENT, message)
        try:
            text = self._files.host_path(path).read_text(encoding="utf-8")
        except OSError as error:
            why = f"{path}: open failed: ENOENT ({error.strerror})"
            raise AppError(_FILE_NOT_FOUND, why) from error
        except UnicodeDecodeError as error:
            raise AppError(_ILLEGAL_ARGUMENT, str(error)) from error
        if not self._files.readable_by_apps(path):
            why = f"{path}: open failed: EACCES (Permission denied)"
            raise AppError(_FILE_NOT_FOUND, why)
        try:
            request = json.loads(text)
        except ValueError as error:
            raise AppError(_ILLEGAL_ARGUMENT, str(error)) from error
        if not isinstance(request, dict):
            message = "the request is no object"
            raise AppError(_ILLEGAL_ARGUMENT, message)
        return request

    def translate(
        self, app: InstalledPackage, request_path: str, request: dict[str, Any]
    ) -> tuple[dict[str, Any], Path]:
        """Return the request with this machine's paths, and where its results go.

        Raises:
            AppError: It cannot be read, or asks for results where the app may not write.
        """
        base = posixpath.dirname(request_path)
        if isinstance(request.get("requests"), list):
            pairs = [self.translate(app, request_path, item) for item in request["requests"]]
            if not pairs:
                message = "the batch is empty"
                raise AppError(_ILLEGAL_ARGUMENT, message)
            return {**request, "requests": [item for item, _ in pairs]}, pairs[-1][1]
        try:
            model = dict(request["model"])
            model["path"] = self._readable(base, model["path"])
            if model.get("custom_op_library"):
                model["custom_op_library"] = self._library(base, model["custom_op_library"])
            inputs = [
                {**item, "path": self._readable(base, item["path"])} for item in request["inputs"]
            ]
            output = posixpath.join(base, request["output_directory"])
        except (KeyError, TypeError) as error:
            message = f"the request cannot be read: {error}"
            raise AppError(_ILLEGAL_ARGUMENT, message) from error
        place = self._output_place(app, output)
        return {**request, "model": model, "inputs": inputs, "output_directory": str(place)}, place

    def _readable(self, base: str, path: str) -> str:
        """Return this machine's path of a file; one that the app may not open does not exist."""
        path = posixpath.join(base, path)
        if self._files.exists(path) and not self._files.readable_by_apps(path):
            denied = f"avc: denied {{ read }} for name={posixpath.basename(path)!r}"
            self._log.write("W", "audit", denied)
            return str(self._directory / "permission-denied" / posixpath.basename(path))
        return str(self._files.host_path(path))

    def _library(self, base: str, path: str) -> str:
        """Return this machine's path of a library; one within an APK, after ``!``, is unpacked."""
        package, within, name = path.partition("!/")
        if not within:
            return self._readable(base, path)
        place = self._directory / "libraries" / posixpath.basename(name)
        try:
            with zipfile.ZipFile(self._readable(base, package)) as archive:
                content = archive.read(name)
        except (OSError, KeyError, zipfile.BadZipFile):
            return str(place.with_name("missing"))
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        return str(place)

    def _output_place(self, app: InstalledPackage, output: str) -> Path:
        """Return where results go; an app may write to directories of its own only."""
        own = (app.media_directory, f"/data/data/{app.package.application_id}")
        if not any(normalise(output).startswith(top + "/") for top in own):
            why = f"{output}: open failed: EACCES (Permission denied)"
            raise AppError(_FILE_NOT_FOUND, why)
        place = self._files.host_path(output)
        place.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", "progress"):
            (place / name).unlink(missing_ok=True)
        return place
