"""Answers soundly, but for another block or with paths that lead elsewhere, as `mode` says."""

import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
mode = request["session"]["config_entries"]["mode"]
path = {"leave": "../request.json", "absolute": "/etc/passwd", "absent": "none.bin"}.get(mode)
output = {"name": "y", "element_type": "uint8", "shape": [0], "path": path, "sha256": None}
result = {
    "schema": "ortlab.block_result/1",
    "block_id": "another" if mode == "wrong_block" else request["block_id"],
    "failure": None,
    "runtime": None,
    "requested_providers": [],
    "registered_providers": [],
    "clock": {"name": "none", "resolution_ns": 1},
    "timing": {"measured_ns": [-5] if mode == "negative" else []},
    "outputs": [output] if path else [],
    "profile_path": "../../../etc/passwd" if mode == "profile" else None,
}
directory = Path(request["output_directory"])
(directory / "result.json").write_text(json.dumps(result), encoding="utf-8")
