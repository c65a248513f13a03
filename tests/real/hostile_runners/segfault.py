"""Ends with a segmentation fault in the middle of a stage."""

import ctypes
import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
progress = Path(request["output_directory"]) / "progress"
progress.write_text("start\nload_model\ncreate_session\n", encoding="utf-8")
ctypes.string_at(0)
