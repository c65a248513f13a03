"""Leaves a result that was never given its name, and says that all is well."""

import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
(Path(request["output_directory"]) / "result.json.part").write_text("{}", encoding="utf-8")
