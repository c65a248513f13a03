"""Which services a virtual iPhone has, by its version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.devices.virtual.iphone.diagnostics import DiagnosticsRelay
from ortlab.devices.virtual.iphone.image_mounter import ImageMounter
from ortlab.devices.virtual.iphone.installation import HouseArrest, InstallationProxy
from ortlab.devices.virtual.iphone.instruments import INSTRUMENTS_SERVICE, serve_instruments
from ortlab.devices.virtual.iphone.lockdown import TUNNEL_SERVICE
from ortlab.devices.virtual.iphone.service_discovery import ServiceDiscovery
from ortlab.devices.virtual.iphone.services import Service
from ortlab.devices.virtual.iphone.tunnel import serve_tunnel

if TYPE_CHECKING:
    from ortlab.devices.virtual.iphone.phone import VirtualIPhone

_TUNNEL_ALONE_FROM = 17  # Instruments is behind the tunnel from this version


def service_table(phone: VirtualIPhone, media: Path) -> dict[str, Service]:
    """Return the services that lockdown starts, by their names.

    Args:
        phone: Whose parts they use.
        media: The directory that AFC shows.
    """
    reports = phone.reports.directory
    services = {
        "com.apple.afc": Service(handler=lambda s: phone.serve_files(s, media, None)),
        "com.apple.crashreportcopymobile": Service(
            handler=lambda s: phone.serve_files(s, reports, None)
        ),
        "com.apple.crashreportmover": Service(handler=phone.reports.serve_mover),
        "com.apple.mobile.diagnostics_relay": Service(handler=DiagnosticsRelay(phone).serve),
        "com.apple.mobile.house_arrest": Service(handler=HouseArrest(phone).serve),
        "com.apple.mobile.installation_proxy": Service(handler=InstallationProxy(phone).serve),
        "com.apple.mobile.mobile_image_mounter": Service(
            handler=lambda s: ImageMounter(phone, s).serve()
        ),
        "com.apple.mobile.notification_proxy": Service(handler=phone.notifications.serve),
        "com.apple.syslog_relay": Service(handler=lambda s: phone.log.serve(s, phone.pulled)),
    }
    if phone.spec.version[0] < _TUNNEL_ALONE_FROM:
        services[INSTRUMENTS_SERVICE] = Service(
            handler=lambda s: serve_instruments(phone, s), needs_image=True
        )
    if phone.spec.has_tunnel:
        services[TUNNEL_SERVICE] = Service(
            handler=lambda s: serve_tunnel(phone, s, ServiceDiscovery(phone)), in_tunnel=False
        )
    return services
