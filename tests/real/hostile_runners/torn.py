"""Writes the first half of a result, as a program without a staged write would."""

import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
text = json.dumps({"schema": "ortlab.block_result/1", "block_id": request["block_id"]})
result = Path(request["output_directory"]) / "result.json"
result.write_text(text[: len(text) // 2], encoding="utf-8")
