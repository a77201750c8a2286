"""The audit trail's one verb: who did what to credentials and policy, written down for ever.

Floor 0: anyone may record; who writes it where is decided by the composition root.
"""

from contextvars import ContextVar
from typing import Protocol

ORIGIN: ContextVar[tuple[str, str]] = ContextVar("ORIGIN", default=("", ""))
"""The id of the request that is being answered, and the address it came from."""


class Audit(Protocol):
    """Takes down events; none of their fields may hold a secret.

    Events: token.issued, token.refreshed, token.revoked, token.reuse, key.created, key.rotated,
    key.revoked, login.failed, policy.refused.
    """

    def record(self, event: str, /, **fields: str) -> None:
        """Notes an event with what is known of it. It may not wait and may not raise."""
        ...


class _NoAudit:
    def record(self, event: str, /, **fields: str) -> None:
        pass


NO_AUDIT: Audit = _NoAudit()
"""For where nobody wants to know."""
