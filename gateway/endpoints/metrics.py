"""The endpoint that shows the metrics, for any listener."""

import asyncio
import time
from typing import Final

from gateway.http.messages import Endpoint, Request, Response
from gateway.telemetry.metrics.exposition import Exposition

PATH: Final = "/metrics"
_FRESH_S: Final = 1.0
"""Seconds for which a text is sent again: to ask more often must not cost more."""


def metrics_endpoint(exposition: Exposition) -> Endpoint:
    """Returns the endpoint of `GET /metrics`: the text form that `Accept` prefers.

    The text is made in a thread, by one request at a time, at most once a second for each form.
    """
    kept: dict[bool, tuple[float, str, bytes]] = {}
    making = asyncio.Lock()

    async def endpoint(request: Request) -> Response:
        accept = request.headers.get("Accept", "")
        form = exposition.prefers_openmetrics(accept)
        async with making:
            made_s, media_type, text = kept.get(form, (-_FRESH_S, "", b""))
            if time.monotonic() - made_s >= _FRESH_S:
                media_type, text = await asyncio.to_thread(exposition.text, accept)
                kept[form] = time.monotonic(), media_type, text
        headers = [("Cache-Control", "no-store"), ("Vary", "Accept")]
        return Response(200, headers, text, media_type)

    return endpoint
