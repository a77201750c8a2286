"""Settings of WebSockets."""

from gateway.config.sections import Seconds, Section


class WebSocketOptions(Section):
    """Streams over WebSocket; message sizes are limited by `limits`."""

    enabled: bool = True
    """Serve streaming methods over WebSocket too."""
    origins: tuple[str, ...] = ()
    """Other origins whose pages may connect, such as `https://app.example.com`; `*` for any."""
    ping_s: Seconds = 20.0
    """The time without data after which the client gets a ping."""
    ping_timeout_s: Seconds = 20.0
    """The time limit for the answer to a ping, after which the connection is closed."""
    compression: bool = False
    """Compress if the client offers it: fewer bytes, but more time and memory."""
