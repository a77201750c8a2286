"""The header fields of a request, with direct access to those that most requests need."""

from collections.abc import Mapping, Sequence
from typing import Final

from multidict import istr

from gateway.call import Metadata

# An `istr` is already case-folded, so a look-up does not fold the name again.
_ACCEPT: Final = istr("Accept")
_CONTENT_ENCODING: Final = istr("Content-Encoding")
_CONTENT_TYPE: Final = istr("Content-Type")
_EXPECT: Final = istr("Expect")
_GRPC_TIMEOUT: Final = istr("Grpc-Timeout")
_REQUEST_ID: Final = istr("X-Request-Id")
_TRACEPARENT: Final = istr("traceparent")
_USER_AGENT: Final = istr("User-Agent")


class HeaderFields:
    """Header fields, as received and by name.

    Requests of one connection share one instance while their fields stay equal, as with most
    clients. This avoids a tenth of the cost of a small request. So nothing here may depend on
    a single request.
    """

    __slots__ = (
        "accept",
        "are_checked",
        "by_name",
        "content_type",
        "expect",
        "is_encoded",
        "metadata",
        "raw",
        "request_id",
        "timeout",
        "traceparent",
        "user_agent",
    )

    def __init__(self, by_name: Mapping[str, str], raw: Sequence[tuple[bytes, bytes]]) -> None:
        self.by_name = by_name
        self.raw = raw
        get = by_name.get
        self.accept = get(_ACCEPT)
        self.content_type = get(_CONTENT_TYPE)
        self.expect = get(_EXPECT)
        self.is_encoded = _CONTENT_ENCODING in by_name
        self.request_id = get(_REQUEST_ID)
        self.timeout = get(_GRPC_TIMEOUT)
        self.traceparent = get(_TRACEPARENT, "")
        self.user_agent = get(_USER_AGENT, "")
        self.are_checked = False
        """True if the header checks of the ring have accepted them."""
        self.metadata: Metadata | None = None
        """The metadata for back ends, once it has been computed; copy it, do not change it."""


NO_FIELDS: Final = HeaderFields({}, ())
