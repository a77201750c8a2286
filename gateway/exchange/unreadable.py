"""Logs replies that break the rules of their format."""

import logging

from gateway.audit import ORIGIN
from gateway.status import StatusError, UnreadableReplyError
from gateway.telemetry.event import about

logger = logging.getLogger("gateway")


def log_unreadable(error: StatusError) -> None:
    """Logs a reply that could not be read; only the operator can correct the back end."""
    if isinstance(error, UnreadableReplyError):
        request_id, _ = ORIGIN.get()
        logger.warning(
            "%s",
            error.message,
            extra=about("gateway.reply.unreadable", gateway__request__id=request_id),
        )
