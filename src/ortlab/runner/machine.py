"""What the system tells of itself and of this process: memory, clock, temperature, load.

Linux tells it in `/proc` and `/sys`; where it does not, as on macOS, less is told and nothing is
made up.
"""

# ruff: noqa: UP045, PTH (this file runs on Python 3.8 too and imports no more than it must)

from __future__ import annotations

import glob
import os
import platform
import sys
import time
from typing import Any, Optional

_CPU_ZONES = ("cpu", "pkg", "core", "soc", "acpitz")
_STATUS_METRICS = ("VmRSS", "RssAnon", "RssFile")
_ROLLUP_METRICS = ("Pss", "Private_Dirty", "SwapPss")
_RESET_PEAK = "5"  # proc(5), clear_refs: reset the peak resident set size
_IDLE_FIELDS = (3, 4)  # proc(5), stat: idle and iowait
_COUNTED_FIELDS = 8  # the two guest fields are counted in user already


# ------------------------------------------------------------------------------ clock


def clock() -> dict[str, Any]:
    """Return name and measured resolution of the clock behind :func:`time.perf_counter_ns`."""
    steps = []
    last = time.perf_counter_ns()
    for _ in range(1000):
        now = time.perf_counter_ns()
        if now > last:
            steps.append(now - last)
        last = now
    name = time.get_clock_info("perf_counter").implementation
    return {"name": name, "resolution_ns": min(steps) if steps else 1}


# ------------------------------------------------------------------------------ memory


class MemoryReader:
    """Reads the process's memory at each phase and keeps the points in order."""

    def __init__(self) -> None:
        self.points: list[dict[str, Any]] = []
        self._peak_bytes = 0
        self._phase_peaks = False

    def read(self, phase: str) -> None:
        """Record every figure the system offers, then start a new peak."""
        status = _kilobyte_fields("/proc/self/status")
        if not status:
            self._read_usage(phase)
            return
        rollup = _kilobyte_fields("/proc/self/smaps_rollup")
        for metric in _STATUS_METRICS:
            self._add(metric, "current", "process", phase, status.get(metric))
        for metric in _ROLLUP_METRICS:
            self._add(metric, "current", "process", phase, rollup.get(metric))
        peak_bytes = status.get("VmHWM")
        if peak_bytes is not None:
            # The kernel batches VmRSS updates, so that a peak can read a little below it.
            peak_bytes = max(peak_bytes, status.get("VmRSS", 0))
            self._peak_bytes = max(self._peak_bytes, peak_bytes)
            self._add("VmHWM", "peak", "process", phase, self._peak_bytes)
            if self._phase_peaks:
                self._add("VmHWM", "peak", "process, since the phase before", phase, peak_bytes)
        self._phase_peaks = _reset_peak()

    def _read_usage(self, phase: str) -> None:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        size_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        self._add("ru_maxrss", "peak", "process", phase, size_bytes)

    def _add(self, metric: str, kind: str, scope: str, phase: str, size: Optional[int]) -> None:
        if size is not None:
            point = {"metric": metric, "kind": kind, "scope": scope, "phase": phase}
            self.points.append({**point, "size_bytes": size})


def _reset_peak() -> bool:
    try:
        with open("/proc/self/clear_refs", "w") as stream:
            stream.write(_RESET_PEAK)
    except OSError:
        return False
    return True


def _kilobyte_fields(path: str) -> dict[str, int]:
    """Return the fields of a `/proc` file that are given in kB, in bytes."""
    sizes = {}
    for line in (_text(path) or "").splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            sizes[words[0].rstrip(":")] = int(words[1]) * 1024
    return sizes


# ------------------------------------------------------------------------------ conditions


class LoadMeter:
    """Tells which share of the machine's CPU time others used since it was made."""

    def __init__(self) -> None:
        self._machine = _machine_ticks()
        self._own_s = _own_cpu_s()

    def busy_fraction(self) -> Optional[float]:
        """Return the share of others, 0 to 1, or None where the system does not tell."""
        now = _machine_ticks()
        if now is None or self._machine is None:
            return None
        busy, total = now[0] - self._machine[0], now[1] - self._machine[1]
        if total <= 0:
            return None
        own = (_own_cpu_s() - self._own_s) * os.sysconf("SC_CLK_TCK")
        return min(1.0, max(0.0, (busy - own) / total))


def conditions(busy_fraction: Optional[float] = None) -> dict[str, Any]:
    """Return the state of the machine now, as the protocol's ``Conditions``."""
    percent, charging = _battery()
    return {
        "battery_percent": percent,
        "charging": charging,
        "temperature_c": _temperature_c(),
        "thermal_status": None,
        "low_power_mode": None,
        "foreground": None,
        "cpu_governor": _governor(),
        "cpu_frequency_khz": _frequencies_khz(),
        "busy_fraction": busy_fraction,
    }


def describe() -> dict[str, Any]:
    """Return system, architecture, processor and memory of the machine."""
    return {
        "name": platform.node(),
        "os_version": _os_version(),
        "architecture": platform.machine(),
        "cpu": f"{_cpu_model()}, {os.cpu_count() or 1} cores",
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def debugger_attached() -> Optional[bool]:
    """Say whether another process traces this one, where the system tells."""
    for line in (_text("/proc/self/status") or "").splitlines():
        if line.startswith("TracerPid:"):
            return line.split()[1] != "0"
    return None


def _machine_ticks() -> Optional[tuple[int, int]]:
    """Return busy and total ticks of all cores since the start of the system."""
    words = (_text("/proc/stat") or "").split("\n", 1)[0].split()
    if len(words) < 5 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1 : 1 + _COUNTED_FIELDS]]
    return sum(ticks) - sum(ticks[field] for field in _IDLE_FIELDS), sum(ticks)


def _own_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _temperature_c() -> Optional[float]:
    found = []
    for zone in glob.glob("/sys/class/thermal/thermal_zone*"):
        kind, temperature = (_text(zone + "/type") or "").lower(), _number(zone + "/temp")
        if temperature is not None and any(word in kind for word in _CPU_ZONES):
            found.append(temperature / 1000)
    return max(found) if found else None


def _governor() -> Optional[str]:
    paths = glob.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    names = {(_text(path) or "").strip() for path in paths} - {""}
    return ", ".join(sorted(names)) or None


def _frequencies_khz() -> list[int]:
    paths = glob.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    by_core = sorted(paths, key=lambda path: int(path.split("/")[5][3:]))
    return [int(number) for number in map(_number, by_core) if number is not None]


def _battery() -> tuple[Optional[float], Optional[bool]]:
    percent: Optional[float] = None
    charging: Optional[bool] = None
    for supply in glob.glob("/sys/class/power_supply/*"):
        if (_text(supply + "/type") or "").strip() != "Battery":
            continue
        if (_text(supply + "/scope") or "").strip() == "Device":  # of a mouse, not of the machine
            continue
        percent = _number(supply + "/capacity")
        status = (_text(supply + "/status") or "").strip()
        charging = status in ("Charging", "Full", "Not charging") if status else None
    return percent, charging


def _os_version() -> str:
    names = {}
    for line in (_text("/etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        names[key] = value.strip().strip("\"'")
    name = names.get("PRETTY_NAME")
    kernel = f"{platform.system()} {platform.release()}"
    return f"{name}, {kernel}" if name else kernel


def _cpu_model() -> str:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("model name", "hardware") and value.strip():
            return value.strip()
    model = (_text("/proc/device-tree/model") or "").strip("\0 \n")
    return model or platform.processor() or platform.machine()


def _number(path: str) -> Optional[float]:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None


def end_with_parent() -> None:
    """Ask Linux to end this process with the one that started it; elsewhere do nothing.

    A driver that is killed cannot end its block, which would disturb the next one.
    """
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
