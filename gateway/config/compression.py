"""Options of the compression of responses."""

from typing import Annotated

from pydantic import Field

from gateway.config.sections import Bytes, Section


class CompressionOptions(Section):
    """Compression of responses with gzip."""

    enabled: bool = True
    """Compress a response if the client accepts it and the body is suitable."""
    min_bytes: Bytes = 1024
    """The size from which bodies are compressed."""
    level: Annotated[int, Field(ge=1, le=9)] = 2
    """The compression level of gzip, from 1 (fast) to 9 (small); 4 takes four times as long."""
