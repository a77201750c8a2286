"""Fills the request id of a call that has none, so that a back end can recognise its repetitions.

Source: AIP-155. The id is set before the call leaves, so all attempts of one call have the same.
A header `X-Request-Id` is not used: programs pass it on to every request that they make for one of
theirs, and a back end would take the second change for a repetition of the first.
"""

import re
import uuid
from collections.abc import Awaitable
from typing import Final

from gateway.call import Call, Handler, Reply
from gateway.interceptors.idempotency.keys import fields_of, parse_key
from gateway.transcoding.wire import last_value, length_delimited

# RFC 9562 section 5.4: version 4, and the variant of that RFC.
_UUID4: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)


class FillRequestId:
    """Sets the field `request_id` of calls whose client left it empty."""

    def __init__(self, number: int, *, makes: bool) -> None:
        """Takes the field's number; with `makes`, a call without a key gets a new id."""
        self._number = number
        self._makes = makes

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with the id of `Idempotency-Key`, if that is a UUID of version 4."""
        if not last_value(call.decoded, (self._number,)):
            key = parse_key(fields_of(call.headers))
            if key is not None and _UUID4.fullmatch(key):
                self._set(call, key)
            elif self._makes:
                self._set(call, str(uuid.uuid4()))
        return proceed(call)

    def _set(self, call: Call, text: str) -> None:
        call.merge(length_delimited(self._number, text.encode("ascii")))
