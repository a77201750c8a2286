"""The part of the configuration that is about WebSockets."""

from gateway.config.sections import Seconds, Section


class WebSocketOptions(Section):
    """Streams over WebSocket; message sizes are those of `limits`."""

    enabled: bool = True
    """Serve the methods that stream over WebSocket too."""
    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may connect, `https://app.example.com`; `*` for any."""
    ping_s: Seconds = 20.0
    """A client that is silent for so long is asked whether it is there."""
    ping_timeout_s: Seconds = 20.0
    """A client that does not answer in this time is gone."""
    compression: bool = False
    """Compress where the client offers it: fewer bytes, for more time and memory."""
