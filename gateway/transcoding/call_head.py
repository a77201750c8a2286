"""The head of a request that became a call, as far as its metadata and the guards need it."""

from collections.abc import Mapping

Metadata = list[tuple[str, str | bytes]]
"""gRPC metadata in order: lower-case names; text, or bytes where the name ends in -bin."""


class CallHead:
    """The head of the request that opened a call, from which the rest is made on demand.

    Most calls reach their back end without a look at their metadata, so it is only encoded.
    """

    __slots__ = ("encoded", "is_plain", "keyless")

    encoded: bytes
    """The last result of `block`, for those that send it."""

    is_plain: bool
    """True if the request certainly has no condition and no Authorization."""
    keyless: bytes
    """The header of API keys, in lower case, that it certainly does not have; empty if unknown."""

    def block(self) -> bytes:
        """Returns the metadata as fields of HTTP/2 (RFC 7541); empty if it is not encoded."""
        raise NotImplementedError

    def metadata(self) -> Metadata:
        """Returns the metadata in a new list."""
        raise NotImplementedError

    def headers(self) -> Mapping[str, str]:
        """Returns the header fields of the request by name, in any letter case."""
        raise NotImplementedError

    def target(self) -> tuple[str, str]:
        """Returns the HTTP method and the raw path of the request."""
        raise NotImplementedError

    def query(self) -> str:
        """Returns the raw query of the request, without `?`."""
        raise NotImplementedError

    def header(self, lower_name: bytes) -> str | None:
        """Returns the first header field of the request with this name, which is no list."""
        raise NotImplementedError

    def add(self, metadata: Metadata, block: bytes) -> None:
        """Adds metadata of the gateway; `block` encodes it."""
        raise NotImplementedError
