"""The audit interface: records changes to credentials and policy.

Floor 0: any module may record events; the composition root decides where they are written.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Protocol

ORIGIN: ContextVar[tuple[str, str]] = ContextVar("ORIGIN", default=("", ""))
"""The id of the current request, and the client address it came from."""


class Audit(Protocol):
    """Records events; their fields must not contain secrets.

    Events: token.issued, token.refreshed, token.revoked, token.reuse, key.created, key.rotated,
    key.revoked, login.failed, policy.refused, admin.changed, admin.refused.
    """

    def record(self, event: str, /, **fields: str) -> None:
        """Records an event with its fields. It must not wait and must not raise."""
        ...


class _NoAudit:
    def record(self, event: str, /, **fields: str) -> None:
        pass


NO_AUDIT: Audit = _NoAudit()
"""Discards all events."""


class RecordThrottle:
    """Limits the records of events that repeat: one for each key, then none for some seconds.

    A client that is refused a thousand times a second is worth one line, not a thousand. It holds
    the last `most` keys, so that made-up keys do not fill the memory.
    """

    def __init__(self, clock: Callable[[], float], most: int = 1024) -> None:
        self._clock = clock
        self._most = most
        self._until_s: OrderedDict[Hashable, float] = OrderedDict()

    def admits(self, key: Hashable, silence_s: float) -> bool:
        """Returns True if an event is to be recorded; then not again within `silence_s`."""
        now_s = self._clock()
        if self._until_s.get(key, 0.0) > now_s:
            return False
        self._until_s[key] = now_s + silence_s
        self._until_s.move_to_end(key)
        if len(self._until_s) > self._most:
            self._until_s.popitem(last=False)
        return True
