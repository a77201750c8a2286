"""What the person who starts a gateway is told, once: on standard error or in the log."""

import os
from typing import Final

from gateway.config.log import LogLevel, LogOptions

_STDOUT: Final = 1
_STDERR: Final = 2
_TOLD: Final = (LogLevel.DEBUG, LogLevel.INFO)


def are_in_log(options: LogOptions) -> bool:
    """Whether the log's events come to where standard error goes: to say them again would double.

    So it is on a terminal, and wherever both streams go into one file or pipe.
    """
    if options.level not in _TOLD:
        return False
    if options.events != "stdout":
        return options.events == "stderr"
    try:
        out, err = os.fstat(_STDOUT), os.fstat(_STDERR)
    except OSError:  # one of them is closed
        return False
    return (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
