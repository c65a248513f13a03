"""PreparedModel → project: a template, with a typed SDK generated into it.

The only importer of jinja2 beside `report`; it is loaded when something is generated.
"""

from ortlab.scaffold.android import generate_android
from ortlab.scaffold.application_id import check_application_id, suggested_id
from ortlab.scaffold.ios import generate_ios
from ortlab.scaffold.kinds import kinds_of
from ortlab.scaffold.sdk_model import signature
from ortlab.scaffold.ship import shipped_styles
from ortlab.scaffold.web import generate_web

__all__ = [
    "check_application_id",
    "generate_android",
    "generate_ios",
    "generate_web",
    "kinds_of",
    "shipped_styles",
    "signature",
    "suggested_id",
]
