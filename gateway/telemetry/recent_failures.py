"""The last failed requests of this process, and those that operators follow."""

from collections import deque
from typing import Final

from gateway.telemetry.following import Following, ShownRequest
from gateway.telemetry.masking import mask_credentials
from gateway.telemetry.record import Code, CompiledObserver, Record, error_type

MOST: Final = 50
"""The number of failures that are kept."""
_MOST_LETTERS: Final = 200
_CANCELLED: Final = "cancelled"


class RecentFailures(CompiledObserver):
    """Keeps the last failures of the gateway and its back ends: no status from 400 to 499.

    Nor a request that its client gave up.
    """

    def __init__(self) -> None:
        self._kept: deque[ShownRequest] = deque(maxlen=MOST)
        self.following = Following(_shown)
        """Keeps all requests that operators want to see as they end; nothing without any."""

    def ended(self, record: Record) -> None:
        """Keeps one request, if it failed."""
        if self.following.followers:
            self.following.ended(record, _kind(record))
        if record.status < 400 and record.code is Code.OK:
            return
        kind = _kind(record)
        if kind:
            self._kept.append(_shown(record, kind))

    def latest(self) -> tuple[ShownRequest, ...]:
        """Returns them, the oldest one first."""
        return tuple(self._kept)


def _kind(record: Record) -> str:
    """Returns the `error.type` of a failure of the gateway or a back end; else an empty text."""
    kind = error_type(record.status, record.code) or ""
    return "" if kind == _CANCELLED else kind


def _shown(record: Record, kind: str) -> ShownRequest:
    path = record.path
    if record.masks.hides_anything:
        path = record.masks.mask(path, record.binding)
    return ShownRequest(
        at_s=record.at_s,
        http_method=record.method[:_MOST_LETTERS],
        route="" if record.binding is None else record.binding.rule.template,
        path=mask_credentials(path)[:_MOST_LETTERS],
        status=record.status,
        code=record.code.name,
        error_type=kind,
        duration_s=record.duration_s,
        request_id=record.request_id[:_MOST_LETTERS],
    )
