"""Documents of an app: whole files there and back, or none."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from ortlab.devices.ios.worker.phone import CALL_S, LOOK_S, Phone
from ortlab.devices.ios.worker.problems import LocalFileError, VerifyFailedError, raise_if_full
from ortlab.devices.local_files import opened, staged
from ortlab.errors import StorageError

_CHUNK_BYTES: Final = 4 << 20


class Documents:
    """Files in the documents of apps.

    Args:
        phone: To ask.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def sizes(self, bundle_id: str, paths: list[str]) -> list[int | None]:
        """Return how large files are; None for one that is not there."""
        files = await self._phone.files(bundle_id)
        return [await self._size(files, path) for path in paths]

    async def hashes(self, bundle_id: str, paths: list[str]) -> list[str | None]:
        """Read files back and return their SHA-256; None for one that is not there."""
        files = await self._phone.files(bundle_id)
        found: list[str | None] = []
        for path in paths:
            size = await self._size(files, path)
            if size is None:
                found.append(None)
                continue
            digest = hashlib.sha256()
            await self._read(files, path, size, digest.update)
            found.append(digest.hexdigest())
        return found

    async def send(self, bundle_id: str, items: list[list[str]], remove: list[str]) -> None:
        """Remove paths, then write files: each ``[path here, path there]``, whole or not at all."""
        files = await self._phone.files(bundle_id)
        await self._remove(files, remove)
        made: set[str] = set()
        for here, there in items:
            directory = there.rpartition("/")[0]
            if directory not in made:
                await self._phone.within(CALL_S, files.makedirs(directory), "making directories")
                made.add(directory)
            await self._write(files, Path(here), there)

    async def fetch(self, bundle_id: str, items: list[list[str]]) -> list[bool]:
        """Bring files, each ``[path there, path here]``; tell which are there."""
        files = await self._phone.files(bundle_id)
        found = []
        for there, here in items:
            size = await self._size(files, there)
            found.append(size is not None)
            if size is None:
                continue
            try:
                with staged(Path(here)) as file:
                    await self._read(files, there, size, file.write)
            except StorageError as error:
                raise LocalFileError(error.message) from error
        return found

    async def remove(self, bundle_id: str, paths: list[str]) -> None:
        """Remove files and directories, whether they are there or not."""
        await self._remove(await self._phone.files(bundle_id), paths)

    async def _remove(self, files: Any, paths: Iterable[str]) -> None:
        for path in paths:
            if await self._exists(files, path):
                self._phone.doing = "removing files"
                await files.rm(path, force=True)

    async def _exists(self, files: Any, path: str) -> bool:
        from pymobiledevice3.exceptions import AfcFileNotFoundError

        try:
            await self._phone.within(CALL_S, files.stat(path), "looking at files")
        except AfcFileNotFoundError:
            return False
        return True

    async def _size(self, files: Any, path: str) -> int | None:
        from pymobiledevice3.exceptions import AfcFileNotFoundError

        try:
            told = await self._phone.within(CALL_S, files.stat(path), "looking at files")
        except AfcFileNotFoundError:
            return None
        return int(told["st_size"]) if told.get("st_ifmt") == "S_IFREG" else None

    async def _read(
        self, files: Any, path: str, size: int, take: Callable[[bytes], object]
    ) -> None:
        self._phone.doing = "fetching files"
        handle = await files.fopen(path)
        try:
            while size > 0:
                data = await files.fread(handle, min(size, _CHUNK_BYTES))
                if not data:
                    message = f"{path} ended early"
                    raise VerifyFailedError(message)
                take(data)
                size -= len(data)
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(files.fclose(handle), CALL_S)

    async def _write(self, files: Any, here: Path, there: str) -> None:
        """Write a file under another name, look at its size, and give it its name."""
        self._phone.doing = "sending files"
        part = f"{there}.part"
        sent = 0
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        try:
            with opened(here) as source:
                handle = await files.fopen(part, "w")
                while size := source.readinto(buffer):
                    await files.fwrite(handle, bytes(buffer[:size]))
                    sent += size
                await files.fclose(handle)
        except StorageError as error:
            raise LocalFileError(error.message) from error
        except OSError as error:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(files.rm_single(part, force=True), LOOK_S)
            raise_if_full(error)
            raise
        if await self._size(files, part) != sent:
            await files.rm_single(part, force=True)
            raise VerifyFailedError(there)
        await files.rm_single(there, force=True)
        await files.rename(part, there)
