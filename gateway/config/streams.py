"""The part of the configuration that is about calls that stream."""

from gateway.config.sections import Seconds, Section


class StreamOptions(Section):
    """Answers of many messages."""

    head_after_s: Seconds = 1.0
    """A stream that is silent for so long begins its response without a message."""
    heartbeat_s: Seconds = 15.0
    """A comment is sent on server-sent events that are silent for so long."""
    retry_s: Seconds = 3.0
    """How long an EventSource that was cut off is to wait before it connects again."""
