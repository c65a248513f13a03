"""The forked process that reads files answers, passes errors on, and may vanish."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import os, sys
from ortlab.errors import ModelError
from ortlab.prepare.reader import Reader

def fail():
    raise ModelError("no", next_step="try")

def vanish(parent):
    if os.getpid() != parent:
        os._exit(9)
    return os.getpid()

reader = Reader(lambda: None)
assert reader.call(os.getpid) != os.getpid()
assert reader.call(os.getpid) == reader.call(os.getpid)
assert reader.call(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]
try:
    reader.call(fail)
except ModelError as error:
    assert (error.message, error.next_step) == ("no", "try")
else:
    sys.exit("no error came back")
assert reader.call(vanish, os.getpid()) == os.getpid()
assert reader.call(os.getpid) == os.getpid()
print("done")
"""


def test_calls_errors_and_a_vanished_reader() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "done\n", done.stderr
    assert done.returncode == 0


def test_it_ends_with_its_parent() -> None:
    script = (
        "import os\nfrom ortlab.prepare.reader import Reader\n"
        "print(Reader(lambda: None).call(os.getpid), flush=True)\nos._exit(0)"
    )
    # The reader holds the pipe as long as it lives: `run` returns only once it has ended.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert int(done.stdout) != os.getpid()
