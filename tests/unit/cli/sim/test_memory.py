from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kadnet.cli.sim.memory import available, of_vm_stat

MIB = 2**20


@pytest.fixture(autouse=True)
def _linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


def written(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def machine(root: Path, mib: int = 8000) -> None:
    written(root, proc__meminfo=f"MemTotal:   16384000 kB\nMemFree:  1 kB\nMemAvailable:   {mib * 1024} kB\n")


def group(folder: Path, limit: str, used: str, *, names: tuple[str, str], stat: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(limit)
    (folder / names[1]).write_text(used)
    (folder / "memory.stat").write_text(stat)


V2 = ("memory.max", "memory.current")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def test_the_machine_alone_says_what_it_can_give(tmp_path: Path) -> None:
    machine(tmp_path)
    assert available(tmp_path) == 8000 * MIB


def test_a_system_that_says_nothing_is_not_guessed_at(tmp_path: Path) -> None:
    assert available(tmp_path) is None


def test_a_control_group_binds_and_its_cache_counts_as_free(tmp_path: Path) -> None:
    machine(tmp_path)
    written(tmp_path, proc__self__cgroup="0::/work/one\n")
    stat = f"anon 5\ninactive_file {50 * MIB}\n"
    group(tmp_path / "sys/fs/cgroup/work/one", f"{600 * MIB}\n", f"{200 * MIB}\n", names=V2, stat=stat)
    assert available(tmp_path) == 450 * MIB


def test_a_limit_above_binds_as_well_and_max_is_none(tmp_path: Path) -> None:
    machine(tmp_path)
    written(tmp_path, proc__self__cgroup="0::/work/one\n")
    group(tmp_path / "sys/fs/cgroup/work/one", "max\n", f"{MIB}\n", names=V2, stat="")
    assert available(tmp_path) == 8000 * MIB
    group(tmp_path / "sys/fs/cgroup/work", f"{300 * MIB}\n", f"{100 * MIB}\n", names=V2, stat="")
    assert available(tmp_path) == 200 * MIB


def test_inside_a_container_the_limit_lies_at_the_top(tmp_path: Path) -> None:
    machine(tmp_path)
    written(tmp_path, proc__self__cgroup="4:memory:/docker/0123abcd\n3:cpu,cpuacct:/docker/0123abcd\n")
    stat = f"total_inactive_file {10 * MIB}\n"
    group(tmp_path / "sys/fs/cgroup/memory", f"{500 * MIB}\n", f"{110 * MIB}\n", names=V1, stat=stat)
    assert available(tmp_path) == 400 * MIB


def test_more_used_than_allowed_is_nothing_left(tmp_path: Path) -> None:
    machine(tmp_path)
    written(tmp_path, proc__self__cgroup="0::/\n")
    group(tmp_path / "sys/fs/cgroup", f"{500 * MIB}\n", f"{600 * MIB}\n", names=V2, stat="")
    assert available(tmp_path) == 0


def test_macos_can_give_what_is_free_or_can_be_dropped() -> None:
    said = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                               10000.\n"
        "Pages active:                            500000.\n"
        "Pages inactive:                           20000.\n"
        "Pages speculative:                         3000.\n"
        "Pages wired down:                        100000.\n"
        "Pages purgeable:                            400.\n"
        '"Translation faults":                 123456789.\n'
    )
    assert of_vm_stat(said) == 16384 * 33_400
    assert of_vm_stat("") is None
