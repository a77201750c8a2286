"""The log level, which can be changed while the gateway runs."""

import logging

from gateway.config.log import LogLevel

_STEPS = (LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARN, LogLevel.ERROR)
_NUMBERS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


class Levels:
    """The lowest severity that is written, as configured or as changed later."""

    def __init__(self, configured: LogLevel = LogLevel.INFO) -> None:
        self._at = _STEPS.index(configured)
        self.number = _NUMBERS[configured]
        """The level in force, as a number of `logging`."""

    @property
    def level(self) -> LogLevel:
        """The level in force."""
        return _STEPS[self._at]

    def lower(self) -> None:
        """Lowers the level by one step, down to debug: the log gets more lines."""
        self._move(max(0, self._at - 1))

    def raise_(self) -> None:
        """Raises the level by one step, up to error: the log gets fewer lines."""
        self._move(min(len(_STEPS) - 1, self._at + 1))

    def set(self, level: LogLevel) -> None:
        """Changes the level."""
        self._move(_STEPS.index(level))

    def _move(self, at: int) -> None:
        self._at = at
        self.number = _NUMBERS[_STEPS[at]]
