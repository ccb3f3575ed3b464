import os

import pytest

from headway import machine


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def v2(root, group, limits):
    write(root / "proc/self/cgroup", f"0::{group}\n")
    for place, text in limits.items():
        write(root / "sys/fs/cgroup" / place / "cpu.max", text)


def v1(root, group, quota, mounted="cpu,cpuacct", place=""):
    write(root / "proc/self/cgroup", f"5:memory:/elsewhere\n4:cpu,cpuacct:{group}\n1:name=systemd:/x:y\n")
    folder = root / "sys/fs/cgroup" / mounted / place
    write(folder / "cpu.cfs_quota_us", f"{quota}\n")
    write(folder / "cpu.cfs_period_us", "100000\n")


def test_without_control_groups_the_affinity_counts(tmp_path, many_cores):
    assert machine.cores(tmp_path) == 16


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("max 100000\n", 16),
        ("200000 100000\n", 2),
        ("250000 100000\n", 3),
        ("50000 100000\n", 1),
        ("9900000 100000\n", 16),
        ("nonsense\n", 16),
        ("200000 0\n", 16),
        ("", 16),
    ],
)
def test_a_quota_counts_where_it_is_less_and_is_rounded_up(tmp_path, many_cores, text, count):
    v2(tmp_path, "/", {".": text})
    assert machine.cores(tmp_path) == count


def test_the_tightest_group_around_counts(tmp_path, many_cores):
    v2(tmp_path, "/pod/main", {"pod/main": "max 100000", "pod": "300000 100000", "pod/other": "100000 100000"})
    assert machine.cores(tmp_path) == 3


def test_a_container_sees_its_own_group_as_the_outermost(tmp_path, many_cores):
    v2(tmp_path, "/docker/0123abcd", {".": "400000 100000"})
    assert machine.cores(tmp_path) == 4


@pytest.mark.parametrize(("mounted", "place"), [("cpu,cpuacct", "job"), ("cpu", "job"), ("cpu", "")])
def test_version_1_has_quota_and_period_in_two_files(tmp_path, many_cores, mounted, place):
    v1(tmp_path, "/job", 150_000, mounted, place)
    assert machine.cores(tmp_path) == 2


def test_version_1_without_a_limit(tmp_path, many_cores):
    v1(tmp_path, "/job", -1, place="job")
    assert machine.cores(tmp_path) == 16


def test_affinity_below_the_quota_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 9})
    v2(tmp_path, "/", {".": "800000 100000"})
    assert machine.cores(tmp_path) == 3


def test_this_machine_has_a_core():
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("chosen", "count", "threads"), [("1", 8, 1), ("4", 8, 4), ("", 8, 9), ("many", 8, 9), ("0", 1, 1), ("", 64, 16)]
)
def test_a_codec_has_the_threads_it_is_given_or_those_of_the_machine(monkeypatch, chosen, count, threads):
    monkeypatch.setenv(machine.CODEC_THREADS, chosen)
    monkeypatch.setattr(machine, "cores", lambda: count)
    assert machine.codec_threads() == threads
