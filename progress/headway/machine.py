"""How much of this machine a process may use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CODEC_THREADS = "HEADWAY_CODEC_THREADS"
"""Environment variable: threads that the codec of one video may use. Set for processes that decode beside others."""
# FFmpeg's own limit
MOST_CODEC_THREADS = 16


def cores(root: Path = Path("/")) -> int:
    """How many cores this process may keep busy, at least 1.

    The scheduler's affinity, and what a container's CPU quota comes to where that is less, rounded up: the quotas of
    the process's control group and of every group around it (cgroup v2 `cpu.max`; v1 `cpu.cfs_quota_us` over
    `cpu.cfs_period_us`). A file that is missing or says something else is no limit. `root` is where /proc and /sys lie.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(root))]))


def codec_threads() -> int:
    """How many threads the codec of one video may use: one more than cores, as FFmpeg has it, or CODEC_THREADS."""
    chosen = os.environ.get(CODEC_THREADS, "")
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    count = cores()
    return 1 if count == 1 else min(count + 1, MOST_CODEC_THREADS)


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that each control group around this process may use; those without a limit are left out."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            mounted, read = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"], _quota_v2
        elif "cpu" in controllers.split(","):
            mounted, read = [root / "sys/fs/cgroup" / name for name in {controllers, "cpu", "cpu,cpuacct"}], _quota_v1
        else:
            continue
        # within a container its own group may be mounted in the place of the outermost
        inner = Path(group.lstrip("/"))
        for folder in (mount / place for mount in mounted for place in (inner, *inner.parents)):
            quota = read(folder)
            if quota is not None:
                yield quota


def _quota_v2(folder: Path) -> float | None:
    return _ratio(_text(folder / "cpu.max").split())


def _quota_v1(folder: Path) -> float | None:
    return _ratio([_text(folder / name).strip() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")])


def _ratio(words: list[str]) -> float | None:
    """Quota over period, both in microseconds; None for `max`, -1 and whatever else is no limit."""
    if len(words) != 2 or not all(word.isdecimal() and int(word) > 0 for word in words):
        return None
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
