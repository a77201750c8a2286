"""Compares what an action costs at two sizes: CPU time of this thread, on a machine in use.

What else the machine does can hide that a cost grows in proportion, and cannot make a square look
like a line: so one quiet measurement of several decides.
"""

import gc
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

_TRIES = 6
_LEAST_S = 0.001  # less than this is not measured well


def cpu_s(use: Callable[[], object], *, enough_s: float = 0.0) -> float:
    """The CPU seconds of the quickest of three uses; one is enough if it is below `enough_s`."""
    best_s = float("inf")
    collecting = gc.isenabled()
    gc.disable()  # a collection looks through all that other tests have left
    try:
        for _ in range(3):
            begun_s = time.thread_time()
            use()
            best_s = min(best_s, time.thread_time() - begun_s)
            if best_s < enough_s:
                break
    finally:
        if collecting:
            gc.enable()
    return best_s


def check_growth(
    use: Callable[[T], object], small: T, large: T, *, times: float, free_s: float = 0.0
) -> None:
    """Fails if the large input costs more than `times` the small one, and more than `free_s`."""
    for _ in range(_TRIES):
        large_s = cpu_s(lambda: use(large), enough_s=free_s)
        if large_s <= free_s:
            return
        small_s = cpu_s(lambda: use(small))
        if large_s <= max(small_s, _LEAST_S) * times:
            return
    pytest.fail(f"{large_s:.4f} s at the larger size, {small_s:.4f} s at the smaller one")
