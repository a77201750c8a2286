"""What is told in the log of replies that break the rules of their format."""

import logging

from gateway.audit import ORIGIN
from gateway.status import StatusError, UnreadableReplyError
from gateway.telemetry.event import about

logger = logging.getLogger("gateway")


def log_unreadable(error: StatusError) -> None:
    """Writes down a reply that could not be read: its client can do nothing about it."""
    if isinstance(error, UnreadableReplyError):
        request_id, _ = ORIGIN.get()
        logger.warning(
            "%s",
            error.message,
            extra=about("gateway.reply.unreadable", gateway__request__id=request_id),
        )
