"""The timed loop, and when warm-up and measurement end.

The rules are pure functions of durations, so that runners in other languages can be held to the
same vectors; source: `bench_protocol/README.md`, "Warm-up" and "Measurement".
"""

# ruff: noqa: UP045, PTH (this file runs on Python 3.8 too and imports no more than it must)

from __future__ import annotations

import time
from array import array
from typing import Any, Callable, Mapping, Optional, Sequence

COMPLETE = "complete"
TIME_LIMIT = "time_limit"
TOO_FEW_RUNS = "too_few_runs"

NEVER_NS = 1 << 62
_LEAST_CAPACITY = 64
_LARGEST_CAPACITY = 1 << 22

Rule = Mapping[str, Any]


class DeadlineReached(Exception):  # noqa: N818
    """The block's deadline passed between two runs.

    Args:
        durations: Of the runs made until then.
    """

    def __init__(self, durations: Sequence[int]) -> None:
        super().__init__(f"the deadline passed after {len(durations)} runs")
        self.durations = durations


def median_ns(durations: Sequence[int]) -> int:
    """Return the median; of an even number the mean of the middle two, rounded down."""
    ordered = sorted(durations)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2


class WarmUp:
    """Decides after each warm-up run whether to go on.

    Args:
        rule: The request's ``warm_up``.
        first_run_ns: Duration of the first run, which sizes the first window.
    """

    def __init__(self, rule: Rule, first_run_ns: int) -> None:
        self._rule = rule
        self._runs = 0
        self._elapsed_ns = 0
        self._window: list[int] = []
        self._previous_ns: Optional[int] = None
        self._window_runs = self._size_of_window(first_run_ns)

    @property
    def last_median_ns(self) -> int:
        """Median of the newest runs, to size what follows."""
        if self._previous_ns is not None:
            return self._previous_ns
        return median_ns(self._window) if self._window else 0

    def add(self, duration_ns: int) -> Optional[bool]:
        """Take one run; return True when converged, False when given up, None to go on."""
        rule = self._rule
        self._runs += 1
        self._elapsed_ns += duration_ns
        self._window.append(duration_ns)
        if len(self._window) >= self._window_runs and self._close_window():
            return True
        if self._elapsed_ns >= rule["hard_limit_ns"]:
            return False
        if self._elapsed_ns >= rule["max_ns"] and self._runs >= rule["max_runs"]:
            return False
        return None

    def _close_window(self) -> bool:
        """Compare the full window with the one before and open the next."""
        latest, previous = median_ns(self._window), self._previous_ns
        self._previous_ns, self._window = latest, []
        self._window_runs = self._size_of_window(latest)
        if previous is None or self._elapsed_ns < self._rule["min_ns"]:
            return False
        return bool(abs(latest - previous) <= self._rule["agreement"] * previous)

    def _size_of_window(self, run_ns: int) -> int:
        window_ns = self._rule["window_ns"]
        return int(max(self._rule["window_min_runs"], -(-window_ns // max(1, run_ns))))


def stop_reason(runs: int, elapsed_ns: int, rule: Rule) -> Optional[str]:
    """Return why measurement ends after so many runs that took so long in all, or None."""
    if runs >= rule["min_runs"] and elapsed_ns >= rule["min_ns"]:
        return COMPLETE
    if elapsed_ns >= rule["max_ns"] and runs >= rule["floor_runs"]:
        return TIME_LIMIT if runs > rule["floor_runs"] else TOO_FEW_RUNS
    return None


def warm_up(
    run: Callable[[], object], rule: Rule, first_run_ns: int, deadline_ns: int = NEVER_NS
) -> tuple[list[int], bool, int]:
    """Run until the warm-up rule is met or given up.

    Args:
        run: The model, once.
        rule: The request's ``warm_up``.
        first_run_ns: Duration of the first run.
        deadline_ns: Moment of :func:`time.perf_counter_ns` at which to stop.

    Returns:
        Durations, whether it converged, and the newest median.

    Raises:
        DeadlineReached: Before the rule was decided.
    """
    clock = time.perf_counter_ns
    decision = WarmUp(rule, first_run_ns)
    durations: list[int] = []
    while True:
        started = clock()
        run()
        ended = clock()
        durations.append(ended - started)
        converged = decision.add(ended - started)
        if converged is not None:
            return durations, converged, decision.last_median_ns
        if ended >= deadline_ns:
            raise DeadlineReached(durations)


def measure_runs(
    run: Callable[[], object], rule: Rule, expected_ns: int = 0, deadline_ns: int = NEVER_NS
) -> tuple[array[int], str]:
    """Run until the stop rule is met; the timed section holds the run and nothing else.

    Args:
        run: The model, once.
        rule: The request's ``stop``.
        expected_ns: Duration of a run as warm-up saw it, to size the array of samples.
        deadline_ns: Moment of :func:`time.perf_counter_ns` at which to stop.

    Returns:
        Durations in nanoseconds, in order, and why it ended.

    Raises:
        DeadlineReached: Before the rule was met.
    """
    clock = time.perf_counter_ns
    samples = array("q", bytes(8 * _capacity(rule, expected_ns)))
    capacity = len(samples)
    count = elapsed_ns = 0
    while True:
        started = clock()
        run()
        ended = clock()
        samples[count] = duration = ended - started
        count += 1
        elapsed_ns += duration
        reason = stop_reason(count, elapsed_ns, rule)
        if reason is not None:
            return samples[:count], reason
        if ended >= deadline_ns:
            raise DeadlineReached(samples[:count])
        if count == capacity:  # between two runs: no sample contains it
            samples.extend(samples)
            capacity = len(samples)


def _capacity(rule: Rule, expected_ns: int) -> int:
    """Return how many runs the rule can take, with room to spare where runs get faster."""
    likely = rule["min_ns"] * 5 // (4 * max(1, expected_ns))
    return int(max(_LEAST_CAPACITY, min(_LARGEST_CAPACITY, max(likely, rule["min_runs"]) + 1)))
