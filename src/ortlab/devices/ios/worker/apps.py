"""Apps on a phone: what is installed, installing and removing."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ortlab.devices.ios.messages import EventKind
from ortlab.devices.ios.uploading import upload
from ortlab.devices.ios.worker.phone import CALL_S, LOOK_S, Phone, Tell
from ortlab.devices.ios.worker.problems import raise_if_full

_STAGING: Final = "/PublicStaging/ortlab"


class Apps:
    """Installed apps.

    Args:
        phone: To ask.
        tell: Sends an event.
    """

    def __init__(self, phone: Phone, tell: Tell) -> None:
        self._phone = phone
        self._tell = tell

    async def app(self, bundle_id: str) -> dict[str, str] | None:
        """Return what is installed under a bundle id."""
        from pymobiledevice3.services.installation_proxy import InstallationProxyService

        client = await self._phone.trusted()
        async with InstallationProxyService(client) as proxy:
            found = await self._phone.within(
                CALL_S,
                proxy.get_apps(bundle_identifiers=[bundle_id]),
                "asking for installed apps",
            )
        entry = found.get(bundle_id)
        if entry is None:
            return None
        return {
            "place": str(entry.get("Path", "")),
            "version": str(entry.get("CFBundleVersion", "")),
            "name": str(entry.get("CFBundleExecutable", "")),
        }

    async def install(self, path: str, bundle_id: str) -> None:
        """Install an `.ipa` or an `.app`."""
        from pymobiledevice3.services.installation_proxy import InstallationProxyService

        client = await self._phone.trusted()
        self._phone.forget_files(bundle_id)
        self._phone.doing = "installing"
        last = -10

        def progress(percent: float, *_: object) -> None:
            nonlocal last
            if percent >= last + 10:
                last = int(percent)
                self._tell(EventKind.PERCENT, str(last))

        try:
            async with InstallationProxyService(client) as proxy:
                if Path(path).is_dir():
                    await proxy.install_from_local(Path(path), developer=True, handler=progress)
                else:
                    await self._install_package(client, proxy, Path(path), progress)
        except OSError as error:
            raise_if_full(error)
            raise

    async def _install_package(
        self, client: Any, proxy: Any, path: Path, progress: Callable[..., None]
    ) -> None:
        """Send an `.ipa` in parts, as a whole it would lie in memory, and install it."""
        from pymobiledevice3.services.afc import AfcService

        place = f"{_STAGING}/{uuid.uuid4()}.ipa"
        async with AfcService(client) as files:
            try:
                await files.makedirs(_STAGING)
                with path.open("rb") as source:
                    handle = await files.fopen(place, "w")
                    await upload(files, source, handle)
                    await files.fclose(handle)
                await proxy.send_package("Install", {"PackageType": "Developer"}, progress, place)
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(files.rm_single(place, force=True), LOOK_S)

    async def uninstall(self, bundle_id: str) -> None:
        """Remove an app and its data."""
        from pymobiledevice3.services.installation_proxy import InstallationProxyService

        client = await self._phone.trusted()
        self._phone.forget_files(bundle_id)
        async with InstallationProxyService(client) as proxy:
            await proxy.uninstall(bundle_id)
