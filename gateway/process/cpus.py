"""The number of processors that this process may use: its affinity, and its container's quota."""

import math
import os
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


def usable_cpus(root: Path = _ROOT) -> int:
    """Returns the number of processors that can work for this process at once; 1 or more.

    A container's quota limits it as well as the affinity: with the time of half a processor, one
    worker for each core of the machine would only compete with the others. A fraction of a
    processor counts as one. `root` is the directory of the system's files.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _quota(root)
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """Returns the smallest quota of this process's control groups, in processors, or None."""
    try:
        groups = (root / "proc/self/cgroup").read_text()
        mounts = (root / "proc/self/mountinfo").read_text()
    except OSError:  # not Linux, or a system that hides them
        return None
    paths = {}
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            paths["cgroup2"] = path
        elif "cpu" in controllers.split(","):
            paths["cgroup"] = path
    found = []
    for line in mounts.splitlines():
        # proc_pid_mountinfo(5): ID, parent, device, root, mount point, options; after the hyphen,
        # the type of the file system, its source, and its options.
        before, _, after = line.partition(" - ")
        place, kind = before.split(), after.split()
        if len(place) < 5 or len(kind) < 3 or kind[0] not in paths:
            continue
        if kind[0] == "cgroup" and "cpu" not in kind[2].split(","):
            continue
        found += _quotas(root / place[4].lstrip("/"), place[3], paths[kind[0]])
    return min(found, default=None)


def _quotas(mount: Path, mounted: str, group: str) -> list[float]:
    """Returns the quotas of a control group and of its visible parents.

    A container sees its own group as the root of the mount, independently of the path outside.
    """
    inside = group
    if mounted != "/":
        inside = group.removeprefix(mounted) if f"{group}/".startswith(f"{mounted}/") else ""
    parts = [part for part in inside.split("/") if part not in ("", "..")]
    found = []
    for depth in range(len(parts) + 1):
        quota = _quota_of(mount.joinpath(*parts[:depth]))
        if quota is not None:
            found.append(quota)
    return found


def _quota_of(group: Path) -> float | None:
    """Returns the quota of one control group, in processors; None without one."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        if quota == "max" or int(quota) <= 0:
            return None
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
