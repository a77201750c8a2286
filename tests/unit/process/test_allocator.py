"""What large messages leave in memory is there for the next."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

from gateway.process.allocator import Bursts

# Prints whether glibc was asked, and how many pages fifty large messages took from the system.
_MESSAGES = """
import resource
from gateway.process.allocator import keep_freed_memory

def pages() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def message() -> None:
    pieces = [b"x" * 1_000_000 for _ in range(4)]
    b"".join(pieces)

asked = keep_freed_memory()
for _ in range(3):
    message()
before = pages()
for _ in range(50):
    message()
print(asked, pages() - before)
"""

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="needs glibc: it is about its malloc"
)


def run(environment: Mapping[str, str]) -> tuple[bool, int]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _MESSAGES], check=True, capture_output=True, text=True, timeout=50,
        env=own | dict(environment),
    )  # fmt: skip
    asked, pages = done.stdout.split()
    return asked == "True", int(pages)


@pytest.mark.slow
@needs_glibc
def test_the_memory_of_a_large_message_is_kept_for_the_next() -> None:
    asked, pages = run({})
    assert asked
    assert pages < 1000


@pytest.mark.slow
@needs_glibc
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_what_the_environment_says_of_memory_is_left_as_it_is(name: str) -> None:
    asked, pages = run({name: "100000"})
    assert not asked
    assert pages > 1000


MB = 1_000_000


def looks(*resident_mb: int, every_s: float = 2.0) -> list[bool]:
    """After which looks a process of 70 MB gives back, and 70 MB are left each time."""
    bursts = Bursts(70 * MB)
    given = []
    for number, one in enumerate(resident_mb):
        given.append(bursts.is_over(one * MB, number * every_s))
        if given[-1]:
            bursts.trimmed(70 * MB, number * every_s)
    return given


def test_a_burst_is_given_back_when_it_is_over() -> None:
    assert looks(300, 350, 350, 70, 300, 300) == [False, False, True, False, False, True]


def test_what_one_large_message_leaves_stays() -> None:
    assert not any(looks(90, 100, 100, 100, 90))


def test_what_is_needed_again_at_once_is_given_back_rarely() -> None:
    assert sum(looks(*[300] * 90)) == 3


def test_what_cannot_be_given_back_is_tried_again_rarely() -> None:
    bursts = Bursts(70 * MB)
    tries = 0
    for number in range(90):
        if bursts.is_over(300 * MB, number * 2.0):
            bursts.trimmed(300 * MB, number * 2.0)
            tries += 1
    assert tries == 3


# Leaves 150 MB free below blocks that live on, and prints MB at the start, at the peak, afterwards.
_BURST = """
import asyncio
from gateway.process import allocator

def resident() -> int:
    return allocator._resident_bytes() // 1_000_000

async def main() -> None:
    allocator._LOOK_EVERY_S = 0.1
    allocator.keep_freed_memory()
    giving_back = asyncio.create_task(allocator.give_back_memory())
    await asyncio.sleep(0)
    before = resident()
    burst, kept = [], []
    for _ in range(150):
        burst.append(bytearray(b"x" * 1_000_000))
        kept.append(bytearray(2000))
    peak = resident()
    burst.clear()
    for _ in range(50):
        await asyncio.sleep(0.1)
        if resident() < before + 40:
            break
    print(before, peak, resident())
    giving_back.cancel()

asyncio.run(main())
"""


@pytest.mark.slow
@needs_glibc
def test_the_memory_of_a_burst_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BURST], check=True, capture_output=True, text=True, timeout=50
    )
    before, peak, after = map(int, done.stdout.split())
    assert peak > before + 140
    assert after < before + 40


# Leaves 30 MB free between blocks that live on, as a start does, and prints MB before and after.
_START = """
from gateway.process import allocator

read, kept = [], []
for _ in range(1500):
    read.append(bytearray(20_000))
    kept.append(bytearray(600))
read.clear()
before = allocator._resident_bytes() // 1_000_000
allocator.give_back_now()
print(before, allocator._resident_bytes() // 1_000_000)
"""


@needs_glibc
def test_the_memory_that_a_start_has_freed_is_given_back() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _START], check=True, capture_output=True, text=True, timeout=50,
        env=own,
    )  # fmt: skip
    before, after = map(int, done.stdout.split())
    assert after < before - 15
