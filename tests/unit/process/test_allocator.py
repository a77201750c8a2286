"""What large messages leave in memory is there for the next."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

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


@needs_glibc
def test_the_memory_of_a_large_message_is_kept_for_the_next() -> None:
    asked, pages = run({})
    assert asked
    assert pages < 1000


@needs_glibc
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_what_the_environment_says_of_memory_is_left_as_it_is(name: str) -> None:
    asked, pages = run({name: "100000"})
    assert not asked
    assert pages > 1000
