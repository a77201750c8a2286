"""What a process that serves asks of the allocator beneath Python."""

import ctypes
import os
import sys

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
