"""Project → app: Gradle, Xcode or npm run with progress shown, failures explained, the app read."""

from ortlab.build.android import build_android
from ortlab.build.bundles import check_benchmark, check_signature, is_ios_project, read_bundle
from ortlab.build.outputs import find_app, is_android_project, read_apk
from ortlab.build.pages import is_web_project, read_page
from ortlab.build.web import build_web
from ortlab.build.xcode import build_ios

__all__ = [
    "build_android",
    "build_ios",
    "build_web",
    "check_benchmark",
    "check_signature",
    "find_app",
    "is_android_project",
    "is_ios_project",
    "is_web_project",
    "read_apk",
    "read_bundle",
    "read_page",
]
