"""A call makes its metadata and headers only when code asks for them."""

from collections.abc import Mapping

from gateway.call import Call, CallHead, Metadata
from tests.support.grpc_backend import method


class Head(CallHead):
    """A head that counts how often metadata and headers are made of it."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def block(self) -> bytes:
        """The encoded metadata."""
        return b"encoded"

    def metadata(self) -> Metadata:
        """New metadata."""
        self.made.append("metadata")
        return [("x-a", "1")]

    def headers(self) -> Mapping[str, str]:
        """New headers."""
        self.made.append("headers")
        return {"X-A": "1"}


def test_metadata_and_headers_are_made_when_they_are_first_read() -> None:
    head = Head()
    call = Call(method("Echo"), head=head)
    assert (call.unread_metadata, head.made) == (head, [])
    assert call.headers["X-A"] == "1"
    assert (call.unread_metadata, head.made) == (head, ["headers"])
    call.metadata.append(("x-b", "2"))
    assert call.metadata == [("x-a", "1"), ("x-b", "2")]
    assert (call.unread_metadata, head.made) == (None, ["headers", "metadata"])


def test_metadata_that_is_replaced_is_sent_instead_of_the_encoded() -> None:
    call = Call(method("Echo"), head=Head())
    call.metadata = []
    assert call.unread_metadata is None
    assert call.metadata == []
