"""The endpoint that shows the metrics, for any listener."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.deflate import FASTEST, gzipped
from gateway.http.compression import accepts_gzip
from gateway.http.messages import Code, Endpoint, Request, Response, StatusError
from gateway.telemetry.metrics.exposition import Exposition

PATH: Final = "/metrics"
_MOST_FRESH_S: Final = 1.0
_FRESH_FOR_EACH_S: Final = 10.0
"""A text is sent again for ten times as long as it took to make, up to a second.

So however often somebody asks, it takes a tenth of one core at most.
"""


def metrics_endpoint(find: Callable[[], Exposition | None]) -> Endpoint:
    """Returns the endpoint of `GET /metrics`: the text form that `Accept` prefers, or its gzip.

    `find` returns the metrics; None if there are none, which is 404. The text is made in a thread,
    for one request at a time, and sent again for a short while.
    """
    kept: dict[tuple[bool, bool], tuple[float, str, bytes]] = {}
    making = asyncio.Lock()

    async def endpoint(request: Request) -> Response:
        exposition = find()
        if exposition is None:
            raise StatusError(Code.NOT_FOUND, "no metrics: they are off, or nothing serves yet")
        accept = request.headers.get("Accept", "")
        is_gzipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        form = exposition.prefers_openmetrics(accept), is_gzipped
        async with making:
            until_s, media_type, text = kept.get(form, (0.0, "", b""))
            started_s = time.monotonic()
            if started_s >= until_s:
                media_type, text = await asyncio.to_thread(
                    _text, exposition, accept, is_gzipped=is_gzipped
                )
                now_s = time.monotonic()
                fresh_s = min(_MOST_FRESH_S, _FRESH_FOR_EACH_S * (now_s - started_s))
                kept[form] = now_s + fresh_s, media_type, text
        headers = [("Cache-Control", "no-store"), ("Vary", "Accept, Accept-Encoding")]
        if is_gzipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, headers, text, media_type)

    return endpoint


def _text(exposition: Exposition, accept: str, *, is_gzipped: bool) -> tuple[str, bytes]:
    """Returns the media type and the text, compressed if that is wanted."""
    media_type, text = exposition.text(accept)
    # The fastest level, too, makes a text of many similar lines a tenth as long.
    return media_type, gzipped(text, FASTEST) if is_gzipped else text
