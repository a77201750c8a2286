"""Writes the records of the loggers `gateway.*` in the format of the other log lines."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.telemetry.event import Value
from gateway.telemetry.logs.access import Style
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.line_format import SEVERITIES, json_line, pairs, plain, text_line
from gateway.telemetry.logs.writer import LogWriter
from gateway.telemetry.masking import mask_credentials
from gateway.telemetry.record import Record

_PID = os.getpid()
_MOST_FRAMES = 20


class ProgramHandler(logging.Handler):
    """Writes log records as lines."""

    def __init__(self, writer: LogWriter[Record] | None, levels: Levels, style: Style) -> None:
        super().__init__()
        self._writer = writer
        self._levels = levels
        self._style = style

    def emit(self, record: logging.LogRecord) -> None:
        """Passes a record to the writer, which writes it soon."""
        if self._writer is None or record.levelno < self._levels.number:
            return
        try:
            self._writer.add(self._line(record))
        except Exception:  # noqa: BLE001 - a handler must not raise (logging.Handler)
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> str:
        severity = SEVERITIES[max(10, min(50, record.levelno // 10 * 10))]
        message = mask_credentials(record.getMessage())
        extra: dict[str, Value] = getattr(record, "gateway_fields", {})
        failure = _failure(record, is_detailed=self._levels.number <= logging.DEBUG)
        if self._style.text:
            text = f"{plain(message)} {pairs(extra)}".rstrip()
            stack = failure.get("exception.stacktrace")
            if stack:
                text += f"\n{stack}"
            return text_line(record.created, severity, text, colour=self._style.colour)
        fields: dict[str, Value] = {
            "event.name": getattr(record, "gateway_event", None),
            "body": message,
            "process.pid": _PID,
        }
        return json_line(record.created, severity, record.name, fields | extra | failure)


def _failure(record: logging.LogRecord, *, is_detailed: bool) -> dict[str, Value]:
    """Returns the fields of a record's exception: its type, and the places in the code.

    Its message is included only if `is_detailed`, because it can quote any part of a request.
    """
    if record.exc_info is None or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    stack = "\n".join(f"{one.filename}:{one.lineno} in {one.name}" for one in frames)
    words = mask_credentials(str(error)) if is_detailed else None
    return {
        "exception.type": type(error).__qualname__,
        "exception.message": words,
        "exception.stacktrace": stack,
    }


@contextmanager
def taken_over(handler: ProgramHandler) -> Iterator[None]:
    """Replaces the handlers of the logger `gateway` by this one while the block runs."""
    logger = logging.getLogger("gateway")
    before = logger.level, logger.propagate, logger.handlers
    logger.propagate = False
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG)  # the handler filters: its level can change later
    try:
        yield
    finally:
        level, logger.propagate, logger.handlers = before
        logger.setLevel(level)
