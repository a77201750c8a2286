"""The audit interface: records changes to credentials and policy.

Floor 0: any module may record events; the composition root decides where they are written.
"""

from contextvars import ContextVar
from typing import Protocol

ORIGIN: ContextVar[tuple[str, str]] = ContextVar("ORIGIN", default=("", ""))
"""The id of the current request, and the client address it came from."""


class Audit(Protocol):
    """Records events; their fields must not contain secrets.

    Events: token.issued, token.refreshed, token.revoked, token.reuse, key.created, key.rotated,
    key.revoked, login.failed, policy.refused.
    """

    def record(self, event: str, /, **fields: str) -> None:
        """Records an event with its fields. It must not wait and must not raise."""
        ...


class _NoAudit:
    def record(self, event: str, /, **fields: str) -> None:
        pass


NO_AUDIT: Audit = _NoAudit()
"""Discards all events."""
