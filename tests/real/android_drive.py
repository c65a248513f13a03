"""A driver of its own process: ``python android_drive.py PORT SERIAL DIRECTORY``.

Opens a phone, runs a block, and starts one that lasts a minute, so that a test can end this process
in the middle. The phone's settings are changed by then.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from pathlib import Path

from device_contract import MODEL, make_arm, make_request

from ortlab.devices.android import AndroidDevice
from ortlab.devices.android.adb import AdbServer
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.wire import Purpose, StopRule


def main(port: str, serial: str, directory: Path) -> None:
    package = next(directory.glob("*.apk"))
    app = BuiltApp(
        platform=AppPlatform.ANDROID,
        files=(package,),
        sha256=hashlib.sha256(package.read_bytes()).hexdigest(),
        application_id=json.loads((directory / "app.json").read_text()),
        version_code=1,
        version_name="1",
        abis=(),
        debuggable=False,
        size_by_part={},
    )
    phone = AdbServer("127.0.0.1", int(port)).phone(serial)
    device = AndroidDevice(phone, app, directory / "state")
    endless = StopRule(min_ns=10**12, max_ns=10**13)
    arm = make_arm(MODEL)
    with contextlib.closing(device):
        first = device.run_block(make_request(arm, directory / "first", Purpose.PARITY), arm)
        sys.stdout.write(f"first block: {first}\n")
        sys.stdout.flush()
        request = make_request(arm, directory / "block", Purpose.LATENCY, stop=endless)
        device.run_block(request, arm)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
