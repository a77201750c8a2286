"""Settings of streaming responses."""

from gateway.config.sections import Seconds, Section


class StreamOptions(Section):
    """Streaming responses."""

    head_after_s: Seconds = 1.0
    """The time without a message after which a response begins with its headers only."""
    heartbeat_s: Seconds = 15.0
    """The time without a message after which a comment is sent on server-sent events."""
    retry_s: Seconds = 3.0
    """The time that an EventSource waits before it reconnects."""
