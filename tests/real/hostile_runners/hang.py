"""Says what it begins and never ends; neither does its child, which holds its output open."""

import json
import subprocess
import sys
import time
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
directory = Path(request["output_directory"])
(directory / "progress").write_text("start\nfirst_run\nmea", encoding="utf-8")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(directory / "child").write_text(str(child.pid), encoding="utf-8")
time.sleep(600)
