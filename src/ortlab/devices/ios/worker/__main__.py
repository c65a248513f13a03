"""The worker as a program."""

from __future__ import annotations

import os
import sys

from ortlab.devices.ios.worker.loop import main

if __name__ == "__main__":
    os._exit(main(sys.argv[1]))  # a thread that reads standard input would keep it alive
