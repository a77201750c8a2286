"""Settings of the C allocator for a serving process, and the return of memory after a burst."""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

# mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, and the variables by which users set them.
_KEEP, _KEEP_BYTES = -1, 32 * 1024 * 1024
_MAP, _MAP_BYTES = -3, 16 * 1024 * 1024
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Makes glibc keep the memory of one large message for the next; True if it does.

    By default glibc returns those megabytes to the system after each message and requests them
    again page by page, which is a third of the cost of a body of 1 MB. False without glibc, or if
    the user has set one of its variables.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _VARIABLES):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_KEEP, _KEEP_BYTES) and mallopt(_MAP, _MAP_BYTES))


# The interval of the checks. A burst is over if the memory did not grow in one interval.
_CHECK_EVERY_S = 2.0
# Memory that could not be returned is in use; it is tried again after this time. The same interval
# holds while returned memory is needed again at once.
_RARELY_S = 60.0
# The memory of one large message is kept for the next; see above.
_KEPT_BYTES = _KEEP_BYTES
_STATM = Path("/proc/self/statm")


class Bursts:
    """Recognises the end of a burst by repeated measurements of the memory of a process."""

    def __init__(self, resident_bytes: int) -> None:
        """`resident_bytes` is the memory of the process before any burst."""
        self._at_start = self._lowest = self._previous = resident_bytes
        self._returned = 0
        self._trimmed_at_s = float("-inf")
        self._is_in_use = False

    def is_over(self, resident_bytes: int, now_s: float) -> bool:
        """True if the process holds much memory that it probably no longer needs."""
        grown = resident_bytes - self._previous
        self._previous = resident_bytes
        if self._returned:
            # The first check since memory was returned. If half of it is taken again already, it
            # was not from a burst: the process needs it all the time.
            self._is_in_use, self._returned = grown > self._returned // 2, 0
        if grown > 0:
            return False
        is_rare = now_s - self._trimmed_at_s >= _RARELY_S
        lowest = self._at_start if is_rare else self._lowest
        return (is_rare or not self._is_in_use) and resident_bytes >= lowest + _KEPT_BYTES

    def trimmed(self, resident_bytes: int, now_s: float) -> None:
        """Notes the memory that is left after all free memory was returned."""
        self._returned = max(0, self._previous - resident_bytes)
        self._lowest = self._previous = resident_bytes
        self._trimmed_at_s = now_s


async def give_back_memory() -> None:
    """Returns the memory of each burst to the system once the burst is over, until cancelled.

    By itself, glibc returns only memory that is free at the end of its heap. One small block that
    remains after the burst would keep all of it from the other processes of the machine.
    """
    trim = _trimmer()
    if trim is None:
        return
    bursts = Bursts(_resident_bytes())
    while True:
        await asyncio.sleep(_CHECK_EVERY_S)
        if bursts.is_over(_resident_bytes(), time.monotonic()):
            # In a thread, because it takes 120 ms for each GB; it does not hold Python's lock.
            await asyncio.to_thread(trim)
            bursts.trimmed(_resident_bytes(), time.monotonic())


def give_back_now() -> None:
    """Returns all free pages to the system: those of start-up are not needed again.

    Settings and descriptors were read there. As Python, they are two of 74 MB.
    """
    trim = _trimmer()
    if trim is not None:
        trim()


def _trimmer() -> Callable[[], object] | None:
    """Returns a function that returns all free pages (malloc_trim(3)); None without glibc."""
    if sys.platform != "linux" or not _STATM.exists():
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return None if trim is None else lambda: trim(0)


def _resident_bytes() -> int:
    pages = _STATM.read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
