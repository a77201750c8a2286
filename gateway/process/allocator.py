"""What a process that serves asks of the allocator beneath Python."""

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
    """Has glibc keep what one large message leaves for the next; False where it is not asked.

    Otherwise it gives the megabytes back to the system after each message and takes them anew page
    by page, which is a third of what a body of 1 MB costs.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _VARIABLES):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_KEEP, _KEEP_BYTES) and mallopt(_MAP, _MAP_BYTES))


# How often a look is taken: what has not grown for so long is no burst any more.
_LOOK_EVERY_S = 2.0
# What could not be given back is in use. It may be free after so long; and while what was given
# back is taken again at once, it is not given back more often than this.
_RARELY_S = 60.0
# What one large message leaves may stay; see above.
_STAYS_BYTES = _KEEP_BYTES
_STATM = Path("/proc/self/statm")


class Bursts:
    """Tells from looks at the memory of a process when a burst is over."""

    def __init__(self, resident_bytes: int) -> None:
        """`resident_bytes` is what the process has before there is any burst."""
        self._first = self._least = self._before = resident_bytes
        self._given = 0
        self._trimmed_at_s = float("-inf")
        self._is_in_use = False

    def is_over(self, resident_bytes: int, now_s: float) -> bool:
        """Whether there is much that was needed, and is no more."""
        grown = resident_bytes - self._before
        self._before = resident_bytes
        if self._given:
            # The first look since: what is back already was no burst, but is needed all the time.
            self._is_in_use, self._given = grown > self._given // 2, 0
        if grown > 0:
            return False
        is_rare = now_s - self._trimmed_at_s >= _RARELY_S
        least = self._first if is_rare else self._least
        return (is_rare or not self._is_in_use) and resident_bytes >= least + _STAYS_BYTES

    def trimmed(self, resident_bytes: int, now_s: float) -> None:
        """Notes what is left after all that is free was given back."""
        self._given = max(0, self._before - resident_bytes)
        self._least = self._before = resident_bytes
        self._trimmed_at_s = now_s


async def give_back_memory() -> None:
    """Gives the memory of a burst back to the system once it is over, until cancelled.

    glibc gives back only what is free at the end of its heap. One small block that lives on behind
    the burst keeps all of it, and another process of the machine gets none.
    """
    trim = _trimmer()
    if trim is None:
        return
    bursts = Bursts(_resident_bytes())
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if bursts.is_over(_resident_bytes(), time.monotonic()):
            # On a thread, which holds no lock of Python's meanwhile: 120 ms for each GB.
            await asyncio.to_thread(trim)
            bursts.trimmed(_resident_bytes(), time.monotonic())


def _trimmer() -> Callable[[], object] | None:
    """What gives back all free pages (malloc_trim(3)), where there is such a thing."""
    if sys.platform != "linux" or not _STATM.exists():
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return None if trim is None else lambda: trim(0)


def _resident_bytes() -> int:
    pages = _STATM.read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
