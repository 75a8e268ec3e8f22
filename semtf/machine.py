"""The machine: cores that this process may use, and the most memory that it has had."""

import os
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory() -> int:
    """The peak of the resident memory in bytes: since `reset_peak_memory` where that can be."""
    if STATUS.exists():
        lines = STATUS.read_text(encoding="ascii").splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes where there is no /proc


def reset_peak_memory() -> None:
    """Let the peak begin anew, where the system can."""
    if RESET.exists():
        RESET.write_text("5", encoding="ascii")
