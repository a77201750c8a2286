"""Start-up messages for the operator: each appears once, on standard error or in the log."""

import os
from typing import Final

from gateway.config.log import LogLevel, LogOptions

_STDOUT: Final = 1
_STDERR: Final = 2
_LEVELS_WITH_MESSAGES: Final = (LogLevel.DEBUG, LogLevel.INFO)


def are_in_log(options: LogOptions) -> bool:
    """True if the log already shows the messages at the place to which standard error goes.

    They must not be printed as well then, because each would appear twice. This is so on a
    terminal, and if standard output and standard error are one file or pipe.
    """
    if options.level not in _LEVELS_WITH_MESSAGES:
        return False
    if options.events != "stdout":
        return options.events == "stderr"
    try:
        out, err = os.fstat(_STDOUT), os.fstat(_STDERR)
    except OSError:  # one of them is closed
        return False
    return (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
