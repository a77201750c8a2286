"""The file descriptors that this process can still open.

A server that has none for a connection cannot leave it in the backlog: uvloop resets it, or asks
for it again and again without a pause. So a listener stops to accept while some are left.
"""

import os
import resource
from typing import Final

_SPARE_FILES: Final = 16
"""Connections are not accepted unless more are free, for what goes on needs files, too."""


def has_spare_files() -> bool:
    """Returns True if more files can be opened than those that are kept for other purposes."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return True
    try:
        # The lowest number that is free: all below are in use.
        lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(lowest)
    return lowest < most - min(_SPARE_FILES, most // 4)
