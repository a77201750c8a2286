"""Connects the field `etag` of resources with the entity tags of HTTP (AIP-154, RFC 9110).

The etag of a reply becomes the header `ETag`, and the tag in `If-Match` becomes the etag of the
request, which the back end compares.
"""

import re
from typing import Final

from gateway.call import Call, Code, Handler, Reply, StatusError, invalid_argument
from gateway.http.entity_tags import is_tag, message_tags
from gateway.transcoding.wire import last_value, length_delimited

_IF_MATCH: Final = "If-Match"
_ETAG: Final = "etag"
# The characters between the quotes (RFC 9110 section 8.8.3), without those beyond ASCII.
_OPAQUE: Final = re.compile(r"[\x21\x23-\x7e]+")
_MOST_CHARACTERS: Final = 1024


class EtagFields:
    """Translates the etags of one method."""

    def __init__(self, request: tuple[int, ...], reply: int | None, *, is_bare: bool) -> None:
        """Takes the fields that lead to the request's etag, and the number of the reply's.

        `is_bare` states that etags have no quotes.
        """
        self._request = request
        self._reply = reply
        self._is_bare = is_bare

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Returns the reply with its entity tag.

        Raises:
            StatusError: ABORTED with HTTP status 412 if the back end refuses the tag of If-Match;
                INVALID_ARGUMENT for conditions that one field cannot express.
        """
        is_conditional = bool(self._request) and self._fill(call)
        try:
            reply = await proceed(call)
        except StatusError as error:
            if is_conditional and error.code is Code.ABORTED:
                error.http_status = 412  # RFC 9110 section 15.5.13
            raise
        # RFC 9110 section 9.3.4: PUT has no entity tag, unless what was sent is stored unchanged.
        if self._reply is None or reply.messages is not None or call.target[0] == "PUT":
            return reply
        return self._tagged(reply, self._reply)

    def _fill(self, call: Call) -> bool:
        """Sets the etag of a request from If-Match; True if the back end will compare it."""
        stated = [value for name, value in call.headers.items() if name.lower() == "if-match"]
        if not stated:
            return False
        condition = ", ".join(stated)
        if condition.strip() == "*":  # any state will do: that is what no etag says
            return False
        tags = message_tags(condition)
        if len(tags) != 1:
            raise invalid_argument(
                _IF_MATCH, f'expected * or one entity tag, such as "abc"; got {len(tags)} of them'
            )
        text = tags[0]
        if self._is_bare:
            text = text.removeprefix("W/")[1:-1]
        given = last_value(call.decoded, self._request)
        wanted = text.encode("latin-1")
        if given and given != wanted:
            raise invalid_argument(_IF_MATCH, "differs from the etag in the request")
        if not given:
            *parents, leaf = self._request
            wire = length_delimited(leaf, text.encode())
            for parent in reversed(parents):
                wire = length_delimited(parent, wire)
            call.merge(wire)
        return True

    def _tagged(self, reply: Reply, number: int) -> Reply:
        """Returns the reply with the metadata `etag`, unless the back end sent it itself."""
        tag = self._tag(last_value(reply.message, (number,)))
        if not tag or any(name == _ETAG for name, _ in reply.metadata):
            return reply
        # A new one: the cache and the store of idempotency keys keep replies as they are.
        metadata = [*reply.metadata, (_ETAG, tag)]
        tagged = Reply(reply.message, metadata=metadata, trailers=reply.trailers)
        tagged.share = reply.share
        return tagged

    def _tag(self, value: bytes | None) -> str:
        """Returns the entity tag for a field's value; empty if the value cannot be one."""
        if not value or len(value) > _MOST_CHARACTERS or not value.isascii():
            return ""
        text = value.decode("ascii")
        if not self._is_bare:
            return text if is_tag(text) else ""
        # Weak: JSON, protobuf and gzip of one state of a resource have the same etag.
        return f'W/"{text}"' if _OPAQUE.fullmatch(text) else ""
