"""The lab's page: small, read-only, with a token, without script."""

from device_lab.serve.access import PageToken, is_loopback, page_token
from device_lab.serve.server import PageSettings, serve

__all__ = ["PageSettings", "PageToken", "is_loopback", "page_token", "serve"]
