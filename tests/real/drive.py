"""Carry out an experiment as a process of its own, to be killed: for `test_kill` and `test_driver`.

python drive.py DIRECTORY EXPERIMENT.json host|instant [FILE_SIZE_LIMIT]
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from ortlab.bench import RunProgress, run_experiment
from ortlab.codec import from_json
from ortlab.devices import open_device
from ortlab.domain import Device, Experiment
from ortlab.errors import OrtlabError

sys.path.insert(0, str(Path(__file__).parents[1]))


def device_of(kind: str) -> Device:
    if kind == "host":
        return open_device("host")
    from instant_device import InstantDevice

    return InstantDevice()


def tell(progress: RunProgress) -> None:
    sys.stdout.write(progress.message + "\n")
    sys.stdout.flush()


def main() -> int:
    directory, plan, kind, *limit = sys.argv[1:]
    experiment = from_json(Experiment, Path(plan).read_bytes(), source=plan)
    device = device_of(kind)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]),) * 2)
    try:
        run_experiment(
            Path(directory),
            experiment,
            device,
            progress=tell,
            should_stop=lambda: False,
        )
    except OrtlabError as error:
        sys.stderr.write(error.message)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
