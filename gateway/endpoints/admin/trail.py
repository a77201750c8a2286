"""Records in the audit trail the changes and the refusals of operators."""

import time
from collections.abc import Callable
from typing import Final

from gateway.audit import Audit, RecordThrottle
from gateway.http.messages import Request, Response

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_QUESTIONS: Final = ("/requests", "/debug/profile", "/debug/memory")
"""Paths that answer POST, and change nothing."""
_REFUSALS: Final = (401, 403, 421)
_LONGEST_CHANGE: Final = 500
_SILENCE_S: Final = 60.0


Caller = tuple[str, str]
"""The program that sent a request: its IP address, which is empty on a unix socket; and the name in
its certificate, or the user of its process, which may be empty."""


class AdminTrail:
    """Writes a line for each change, and one a minute for each caller that is refused."""

    def __init__(self, audit: Audit, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._throttle = RecordThrottle(clock)

    def __call__(self, request: Request, caller: Caller, response: Response) -> None:
        """Records a request that was answered, if that is worth a line."""
        address, name = caller
        is_question = request.method in _SAFE or request.path in _QUESTIONS
        fields = {
            "principal": name,
            "peer": address,
            "action": f"{request.method} {request.path}"[:_LONGEST_CHANGE],
            "status": str(response.status),
        }
        if response.status < 400:
            if not is_question:
                text = b"" if request.body is None else request.body.read_now()
                change = text[:_LONGEST_CHANGE].decode("utf-8", "replace")
                self._audit.record("admin.changed", **fields, change=change)
        elif (not is_question or response.status in _REFUSALS) and self._throttle.admits(
            (caller, response.status), _SILENCE_S
        ):
            self._audit.record("admin.refused", **fields)
