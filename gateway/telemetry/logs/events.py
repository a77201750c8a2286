"""Writes events as log lines: the audit trail, and the records of the loggers `gateway.*`.

The audit trail has changes to credentials and refusals, with their author, origin and outcome. It
is never sampled, but a failure that says the same as one of the last second is left out. Lines that
cannot be written wait until they can be. Only if too many lines wait are further ones dropped; the
trail then has a line with their number.
"""

import itertools
import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.audit import ORIGIN, RecordThrottle
from gateway.telemetry.logs.access import Levels, LogWriter, Style
from gateway.telemetry.logs.line_format import SEVERITIES, Value, json_line, pairs, plain, text_line
from gateway.telemetry.masking import mask_credentials

SCOPE = "gateway.audit"

_FAILURES = frozenset({"token.reuse", "login.failed", "policy.refused", "admin.refused"})
_NAMES = {
    "principal": "enduser.id",
    "client": "gateway.client.id",
    "credential": "gateway.credential.id",
    "family": "gateway.login.id",
    "peer": "client.address",
    "rpc": "rpc.method",
}
"""The OpenTelemetry names of fields; other fields are named `gateway.` and their name."""
_SILENCE_S = 1.0
"""The time for which failures that say the same are recorded once."""
_PID = os.getpid()
_MOST_FRAMES = 20


@dataclass(eq=False, repr=False)
class AuditLog:
    """Writes each audit event as a line; implements `Audit`."""

    writer: LogWriter
    style: Style
    by: str | None = None
    """The local user who causes the events, if they do not come from requests."""

    def __post_init__(self) -> None:
        """Begins with the first number."""
        self._numbers = itertools.count(1)
        self._throttle = RecordThrottle(time.monotonic)

    def record(self, event: str, /, **fields: str) -> None:
        """Writes an event without delay, in the writer's thread.

        Of failures that say the same, one a second: otherwise a client that repeats a wrong
        credential could fill the trail until other events are dropped.
        """
        if event in _FAILURES:
            said = event, *fields.items()
            if not self._throttle.admits(said, _SILENCE_S):
                return
        self.writer.add(self._line(event, fields).encode())
        self.writer.hurry()

    def _line(self, event: str, fields: dict[str, str]) -> str:
        request_id, client = ORIGIN.get()
        values: dict[str, Value] = {
            "event.name": event,
            "gateway.outcome": "failure" if event in _FAILURES else "success",
            "gateway.request.id": request_id or None,
            "client.address": client or None,
            # Numbered, so that the removal of a line is noticed.
            "gateway.audit.number": next(self._numbers),
            "process.pid": os.getpid(),
            "process.user.name": self.by,
        }
        for name, value in fields.items():
            values[_NAMES.get(name, f"gateway.{name}")] = mask_credentials(value)
        if not self.style.text:
            return json_line(time.time(), "INFO", SCOPE, values)
        text = f"audit {plain(event)} {pairs(values)}"
        return text_line(time.time(), "INFO", text, colour=self.style.colour)


def lost_lines(count: int) -> str:
    """Returns the line for `count` dropped lines."""
    fields: dict[str, Value] = {"event.name": "audit.lost", "gateway.lines": count}
    return json_line(time.time(), "ERROR", SCOPE, fields)


class ProgramHandler(logging.Handler):
    """Writes log records as lines."""

    def __init__(self, writer: LogWriter | None, levels: Levels, style: Style) -> None:
        super().__init__()
        self._writer = writer
        self._levels = levels
        self._style = style

    def emit(self, record: logging.LogRecord) -> None:
        """Passes a record to the writer, which writes it soon."""
        if self._writer is None or record.levelno < self._levels.number:
            return
        try:
            self._writer.add(self._line(record).encode())
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
