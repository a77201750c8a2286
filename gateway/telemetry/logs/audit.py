"""The audit trail: who did what to credentials and policy, from where, and what came of it.

It is never sampled. What cannot be written waits, and is written when it can; only when too much
waits is anything left out, and then the trail itself says how much.
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

_FAILURES = frozenset({"token.reuse", "login.failed", "policy.refused"})
_NAMES = {
    "principal": "enduser.id",
    "client": "gateway.client.id",
    "credential": "gateway.credential.id",
    "family": "gateway.login.id",
    "peer": "client.address",
    "rpc": "rpc.method",
}
"""OpenTelemetry's names for what is recorded; others are `gateway.` and their own."""


class AuditLog:
    """An `Audit` that writes lines."""

    def __init__(
        self,
        writer: LogWriter[Record],
        style: Style,
        clock: Callable[[], float] = time.time,
        *,
        by: str | None = None,
    ) -> None:
        """`by` is the user of this machine who does it all, where it is no request that does."""
        self._writer = writer
        self._style = style
        self._clock = clock
        self._by = by
        self._numbers = itertools.count(1)

    def record(self, event: str, /, **fields: str) -> None:
        """Has an event written at once, in another thread."""
        self._writer.add(self._line(event, fields))
        self._writer.hurry()

    def _line(self, event: str, fields: dict[str, str]) -> str:
        request_id, client = ORIGIN.get()
        said: dict[str, Value] = {
            "event.name": event,
            "gateway.outcome": "failure" if event in _FAILURES else "success",
            "gateway.request.id": request_id or None,
            "client.address": client or None,
            # Numbered, so that a line that somebody took out is missed.
            "gateway.audit.number": next(self._numbers),
            "process.pid": os.getpid(),
            "process.user.name": self._by,
        }
        for name, value in fields.items():
            said[_NAMES.get(name, f"gateway.{name}")] = mask_credentials(value)
        if not self._style.text:
            return json_line(self._clock(), "INFO", SCOPE, said)
        text = f"audit {plain(event)} {pairs(said)}"
        return text_line(self._clock(), "INFO", text, colour=self._style.colour)


def lost(count: int) -> str:
    """The line in the trail for what could not be kept."""
    fields: dict[str, Value] = {"event.name": "audit.lost", "gateway.lines": count}
    return json_line(time.time(), "ERROR", SCOPE, fields)
