"""``kill -9`` of the driver at random moments: no block doubled, none invented, none missing.

The moments come from the seed in the header of every test run (``ORTLAB_TEST_SEED``).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from test_driver import planned

from instant_device import InstantDevice
from ortlab.bench import ArmOptions, is_finished, load_run
from ortlab.bench.run_directory import ARTIFACTS, EXPERIMENT_FILE
from ortlab.codec import to_json
from ortlab.devices import HostDevice
from ortlab.domain import (
    Block,
    BlockCounts,
    Experiment,
    OptimizationStyle,
    Outcome,
    PreparedModel,
)
from ortlab.prepare import PrepareOptions, load_prepared, prepare_models
from ortlab.process import SystemProcesses

HERE = Path(__file__).parent
SMALL = HERE.parent / "data/ort_formats/small.onnx"
COUNTS = BlockCounts(parity=1, profile=1, memory=0, cold_start=2)
ROUNDS = 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedModel, Path]:
    home = tmp_path_factory.mktemp("prepared")
    summary = prepare_models([SMALL], home, PrepareOptions(predictions=False, configs=False))
    directory = summary.results[0].directory
    assert directory is not None
    return load_prepared(directory), directory


def all_ids(experiment: Experiment) -> set[str]:
    """Return every id the experiment has when nothing is disturbed and nothing fails."""
    counts = {
        "parity": COUNTS.parity,
        "profile": COUNTS.profile,
        "latency": ROUNDS,
        "cold_start": COUNTS.cold_start,
    }
    return {
        f"{purpose}-{index:03d}-0-{arm.arm_id}"
        for purpose, count in counts.items()
        for index in range(count)
        for arm in experiment.arms
    }


@dataclass
class Killer:
    """Starts drivers on one experiment after another and kills them at random moments.

    Attributes:
        home: Where the runs go.
        experiment: What is run, again and again.
        kind: Of the device, see `drive.py`.
        longest_s: Latest moment of a kill after the start of a driver.
        generator: Of the moments.
        kills: Drivers that were killed while they ran.
        in_flight: Kills that left artifacts of a block that is not on record.
        finished: Runs that came to their end.
    """

    home: Path
    experiment: Experiment
    kind: str
    longest_s: float
    generator: random.Random
    kills: int = 0
    in_flight: int = 0
    finished: int = 0
    _before: tuple[Block, ...] = field(default=())

    def until(self, kills: int) -> None:
        """Kill that many drivers, then let the run in hand come to its end."""
        plan = self.home / "plan.json"
        plan.write_text(to_json(self.experiment))
        while self.kills < kills:
            self._start(plan, self.generator.uniform(0.05, self.longest_s))
        while self._before or not self.finished:
            self._start(plan, None)

    @property
    def directory(self) -> Path:
        return self.home / f"run-{self.finished}"

    def _start(self, plan: Path, moment_s: float | None) -> None:
        arguments = (str(HERE / "drive.py"), str(self.directory), str(plan), self.kind)
        driver = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            if moment_s is not None:
                time.sleep(moment_s)
                self.kills += driver.poll() is None
                driver.kill()
            _, told = driver.communicate(timeout=120)
        finally:
            driver.kill()
            driver.wait()
        assert driver.returncode in (0, -9), told
        self._check(ended=driver.returncode == 0)

    def _check(self, *, ended: bool) -> None:
        """Nothing that was recorded is lost or changed; a whole run is what was planned."""
        if not (self.directory / EXPERIMENT_FILE).exists():
            return
        run = load_run(self.directory)
        recorded = {block.block_id for block in run.blocks}
        left = {path.name for path in (self.directory / ARTIFACTS).iterdir()}
        self.in_flight += not left <= recorded
        assert recorded <= left
        assert run.blocks[: len(self._before)] == self._before
        self._before = run.blocks
        ids = [block.block_id for block in run.blocks]
        assert len(ids) == len(set(ids))
        assert set(ids) <= all_ids(self.experiment)
        for block in run.blocks:
            assert block.outcome is Outcome.OK, block
            answer = json.loads(
                (self.directory / ARTIFACTS / block.block_id / "result.json").read_text()
            )
            assert answer["block_id"] == block.block_id
            if "timing" in answer and block.result is not None:
                assert tuple(answer["timing"].get("measured_ns", ())) == (
                    block.result.timing.measured_ns
                )
        if ended:
            assert set(ids) == all_ids(self.experiment)
            assert is_finished(run)
            assert left == recorded
            self.finished += 1
            self._before = ()


def short_experiment(
    prepared: tuple[PreparedModel, Path], device: HostDevice | InstantDevice
) -> Experiment:
    styles = ArmOptions(styles=(OptimizationStyle.ONNX, OptimizationStyle.FIXED))
    return planned(prepared, device, looks=(ROUNDS,), counts=COUNTS, arms=styles)


def test_a_killed_driver_loses_at_most_the_block_in_flight(
    prepared: tuple[PreparedModel, Path], tmp_path: Path, seed: int
) -> None:
    """30 kills of real experiments, at moments from the driver's start to its tenth block."""
    experiment = short_experiment(prepared, HostDevice(SystemProcesses()))
    killer = Killer(tmp_path, experiment, "host", 2.2, random.Random(seed))
    killer.until(30)
    assert killer.kills >= 30
    assert killer.in_flight >= 10
    assert killer.finished >= 1


def test_kills_between_the_writes_of_a_record_leave_whole_blocks(
    prepared: tuple[PreparedModel, Path], tmp_path: Path, seed: int
) -> None:
    """Blocks that take no time leave nothing but the recording to be killed in."""
    experiment = short_experiment(prepared, InstantDevice())
    arms = tuple(replace(arm, parity_tolerance=None) for arm in experiment.arms)
    killer = Killer(
        tmp_path, replace(experiment, arms=arms), "instant", 0.9, random.Random(seed + 1)
    )
    killer.until(15)
    assert killer.kills >= 15
    assert killer.finished >= 1
