"""The header fields of a request, and what is read out of them for nearly every one."""

from collections.abc import Mapping, Sequence
from typing import Final

from multidict import istr

from gateway.call import Metadata

# As `istr` a name is not folded anew each time it is looked up.
_ACCEPT: Final = istr("Accept")
_CONTENT_ENCODING: Final = istr("Content-Encoding")
_CONTENT_TYPE: Final = istr("Content-Type")
_EXPECT: Final = istr("Expect")
_GRPC_TIMEOUT: Final = istr("Grpc-Timeout")
_REQUEST_ID: Final = istr("X-Request-Id")
_TRACEPARENT: Final = istr("traceparent")
_USER_AGENT: Final = istr("User-Agent")


class HeaderFields:
    """Header fields as they came, and by name.

    Requests of one connection share them as long as they say the same, as those of most clients do:
    that saves a tenth of what a small request costs. So nothing here is of one request alone.
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
        """Whether the gates that look at nothing else have let them pass."""
        self.metadata: Metadata | None = None
        """What back ends are told of them, once that is known; to be copied, not changed."""


NO_FIELDS: Final = HeaderFields({}, ())
