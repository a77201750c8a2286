"""A connection for tests of the reader of requests: it takes no notice of bodies."""

from aiohttp.base_protocol import BaseProtocol


class QuietConnection(BaseProtocol):
    """A connection to which the reading of a body means nothing."""

    def on_body_read(self, body: object, *, whole: bool) -> None:
        """Called when the reading of a body starts."""

    on_awaited_read = on_body_read
