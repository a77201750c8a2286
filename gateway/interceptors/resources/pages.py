"""Links the pages of a list: `Link: <?page_token=…>; rel="next"` (AIP-158, RFC 8288).

A link is relative to the URL of the request, and has only its query. So it is right behind every
proxy, whatever host and prefix the client sees (RFC 3986 section 5.2.2; RFC 8288 section 3.1 lets
clients resolve it).
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote_plus

from gateway.call import Call, Handler, Reply
from gateway.schema.resources import Paging
from gateway.transcoding.wire import last_value

# All that a query may have (RFC 3986 section 3.4), and `%` of what is encoded already.
_NOT_IN_QUERIES: Final = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]+")
_MOST_CHARACTERS: Final = 4096


class PageLinks:
    """Adds links to the replies of one method, for GET and HEAD."""

    def __init__(self, paging: Paging) -> None:
        token = paging.page_token
        self._names = (token.name, token.json_name)
        self._number = paging.next_page_token.number

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Returns the reply, after it has added the link to the next page, if there is one."""
        reply = await proceed(call)
        if call.target[0] in ("GET", "HEAD"):
            token = last_value(reply.message, (self._number,))
            if token:
                link = self._link(call.query, token)
                if len(link) <= _MOST_CHARACTERS:
                    call.response_headers.append(("Link", link))
        return reply

    def _link(self, query: str, token: bytes) -> str:
        """Returns the field value with the query of the next page: other parameters stay."""
        pieces = [*self._others(query), f"{self._names[1]}={quote(token, safe='')}"]
        return f'<?{"&".join(pieces)}>; rel="next"'

    def _others(self, query: str) -> Sequence[str]:
        """The parameters of a query but the token, safe between `<` and `>`."""
        others = [piece for piece in query.split("&") if piece and not self._is_token(piece)]
        return [_NOT_IN_QUERIES.sub(_encoded, piece) for piece in others]

    def _is_token(self, piece: str) -> bool:
        return unquote_plus(piece.partition("=")[0]) in self._names


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0].encode("utf-8", "surrogateescape"), safe="")
