"""Levels that change at run time."""

import logging

from gateway.config.log import LogLevel
from gateway.telemetry.logs.levels import Levels


def test_a_level_goes_down_to_debug_and_up_to_error_and_back() -> None:
    levels = Levels(LogLevel.INFO)
    for _ in range(3):
        levels.lower()
    assert (levels.level, levels.number) == (LogLevel.DEBUG, logging.DEBUG)
    for _ in range(9):
        levels.raise_()
    assert (levels.level, levels.number) == (LogLevel.ERROR, logging.ERROR)
    levels.set(LogLevel.INFO)
    assert levels.level is LogLevel.INFO
