"""What the front end writes: one encoded body with its media type."""

from dataclasses import dataclass

JSON = "application/json"
OCTET_STREAM = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Payload:
    """An encoded body, its media type, and headers that belong to it."""

    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
