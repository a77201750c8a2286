"""Examines whether something keeps the clock of this machine right."""

import ctypes
import sys
from typing import Final

from gateway.cli.doctor.finding import Finding, ok, warn

# adjtimex(2): struct timex has `status` behind `modes` and four long integers; the structure has
# 208 bytes on 64-bit systems.
_TIMEX_SIZE: Final = 256
_STATUS_AT: Final = 40
_UNSYNCHRONISED: Final = 0x0040
"""STA_UNSYNC."""


def examine_clock() -> Finding:
    """Returns the finding about the clock."""
    is_kept = _is_clock_kept()
    if is_kept is None:
        return ok("clock", "this system does not say whether it is synchronised")
    if is_kept:
        return ok("clock", "synchronised, as the kernel says")
    return warn(
        "clock",
        "not synchronised, as the kernel says",
        "run an NTP client such as chrony on the host: tokens and certificates end by the clock",
    )


def _is_clock_kept() -> bool | None:
    """Returns whether the kernel's clock is kept by NTP; None if the system does not say."""
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_SIZE)  # modes 0: only read
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    return not status & _UNSYNCHRONISED
