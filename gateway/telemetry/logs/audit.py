"""The audit trail: changes to credentials and refusals, with their author, origin and outcome.

It is never sampled. Lines that cannot be written wait until they can be. Only if too many lines
wait are further ones dropped; the trail then has a line with their number.
"""

import itertools
import os
import time
from collections.abc import Callable

from gateway.audit import ORIGIN
from gateway.telemetry.event import Value
from gateway.telemetry.logs.access import Style
from gateway.telemetry.logs.line_format import json_line, pairs, plain, text_line
from gateway.telemetry.logs.writer import LogWriter
from gateway.telemetry.masking import mask_credentials
from gateway.telemetry.record import Record

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


class AuditLog:
    """Writes each audit event as a line; implements `Audit`."""

    def __init__(
        self,
        writer: LogWriter[Record],
        style: Style,
        clock: Callable[[], float] = time.time,
        *,
        by: str | None = None,
    ) -> None:
        """`by` is the local user who causes the events, if they do not come from requests."""
        self._writer = writer
        self._style = style
        self._clock = clock
        self._by = by
        self._numbers = itertools.count(1)

    def record(self, event: str, /, **fields: str) -> None:
        """Writes an event without delay, in the writer's thread."""
        self._writer.add(self._line(event, fields))
        self._writer.hurry()

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
            "process.user.name": self._by,
        }
        for name, value in fields.items():
            values[_NAMES.get(name, f"gateway.{name}")] = mask_credentials(value)
        if not self._style.text:
            return json_line(self._clock(), "INFO", SCOPE, values)
        text = f"audit {plain(event)} {pairs(values)}"
        return text_line(self._clock(), "INFO", text, colour=self._style.colour)


def lost(count: int) -> str:
    """Returns the line for `count` dropped lines."""
    fields: dict[str, Value] = {"event.name": "audit.lost", "gateway.lines": count}
    return json_line(time.time(), "ERROR", SCOPE, fields)
