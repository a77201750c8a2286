"""The representations that one answer can have: its coding, its entity tag, and `Vary`.

Sources: RFC 9110 sections 8.8.3.3 (entity tags) and 12.5.5 (Vary).
"""

from typing import Final

from gateway.config.model import CompressionOptions
from gateway.http.compression import is_compressible
from gateway.http.entity_tags import distinguish
from gateway.http.messages import Request, Response
from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import Match
from gateway.transcoding.transcoder import Transcoder

_BY_ACCEPT: Final = ("Vary", "Accept")
_BY_CODING: Final = ("Vary", "Accept-Encoding")
_BY_BOTH: Final = ("Vary", "Accept, Accept-Encoding")


class Representations:
    """States in each response on what it depends, and tells its entity tag from the others."""

    def __init__(self, transcoder: Transcoder, options: CompressionOptions) -> None:
        self._transcoder = transcoder
        self._compresses = options.enabled
        self._of_calls = _BY_BOTH if options.enabled else _BY_ACCEPT

    def describe(self, request: Request, match: Match[Binding] | None, response: Response) -> None:
        """Describes the response of a call, or of an endpoint where there is no `match`."""
        is_raw = match is None or self._transcoder.answers_raw(match)
        if response.headers:  # most back ends send none, and so no tag
            distinguish(response, request.fields, is_raw=is_raw)
        if response.upgrade is not None:
            return
        if not is_raw:
            response.headers.append(self._of_calls if response.stream is None else _BY_ACCEPT)
        elif (
            self._compresses and response.stream is None and is_compressible(response.content_type)
        ):
            response.headers.append(_BY_CODING)

    def describe_failure(self, request: Request, response: Response) -> None:
        """Describes the response that tells of a failure."""
        if response.status != 204:
            distinguish(response, request.fields, is_raw=False)
            response.headers.append(self._of_calls)
