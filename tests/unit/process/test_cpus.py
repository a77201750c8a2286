"""How many processors there are to use, in containers of every kind."""

import os
from pathlib import Path

import pytest

from gateway.process.cpus import usable_cpus

V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def system(place: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A root directory with what a kernel would show."""
    for name, text in files.items() | {
        ("proc/self/cgroup", groups),
        ("proc/self/mountinfo", mounts),
    }:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        pytest.param("200000 100000", 2, id="two processors"),
        pytest.param("150000 100000", 2, id="a part counts as one"),
        pytest.param("5000 100000", 1, id="never less than one"),
        pytest.param("max 100000", 8, id="no quota"),
        pytest.param("1600000 100000", 8, id="more than there are"),
        pytest.param("nonsense", 8, id="not understood"),
        pytest.param("100000 0", 8, id="no period"),
    ],
)
def test_a_quota_of_the_second_version(tmp_path: Path, limit: str, count: int) -> None:
    files = {"sys/fs/cgroup/cpu.max": f"{limit}\n"}
    root = system(tmp_path, "0::/\n", V2.format(root="/"), files)
    assert usable_cpus(root) == count


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        pytest.param("300000", 3, id="three processors"),
        pytest.param("250000", 3, id="a part counts as one"),
        pytest.param("-1", 8, id="no quota"),
    ],
)
def test_a_quota_of_the_first_version(tmp_path: Path, quota: str, count: int) -> None:
    group = "sys/fs/cgroup/cpu,cpuacct"
    files = {f"{group}/cpu.cfs_quota_us": quota, f"{group}/cpu.cfs_period_us": "100000"}
    mounts = V1_MEMORY.format(root="/docker/a") + V1.format(root="/docker/a")
    root = system(tmp_path, "4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/\n", mounts, files)
    assert usable_cpus(root) == count


def test_the_quota_of_a_group_above_counts_too(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/pods/cpu.max": "200000 100000",
        "sys/fs/cgroup/pods/one/cpu.max": "max 100000",
    }
    root = system(tmp_path, "0::/pods/one\n", V2.format(root="/"), files)
    assert usable_cpus(root) == 2


def test_what_is_outside_the_mount_is_not_looked_for(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "400000 100000"}
    root = system(tmp_path, "0::/../../pods/one\n", V2.format(root="/other"), files)
    assert usable_cpus(root) == 4


def test_a_system_without_control_groups_has_its_affinity(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 8
