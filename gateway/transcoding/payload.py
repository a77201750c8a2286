"""The payload of a response: an encoded body with its media type."""

from typing import Final

JSON: Final = "application/json"
OCTET_STREAM: Final = "application/octet-stream"


class Payload:
    """An encoded body, its media type, and headers that belong to it."""

    # A plain class: a frozen dataclass costs a microsecond more per reply.
    __slots__ = ("body", "content_type", "headers")

    def __init__(
        self,
        body: bytes,
        content_type: str = JSON,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.headers = headers

    def __repr__(self) -> str:
        return f"Payload({self.body!r}, {self.content_type!r}, {self.headers!r})"
