"""Writes a result that is none."""

import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
(Path(request["output_directory"]) / "result.json").write_bytes(b"\xff\0<script>" * 1000)
