"""Project → app: Gradle run with its progress shown, its failures explained, its APK read."""

from ortlab.build.android import build_android
from ortlab.build.outputs import find_app, read_apk

__all__ = ["build_android", "find_app", "read_apk"]
