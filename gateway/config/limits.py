"""Limits on requests and responses."""

from typing import Annotated

from pydantic import Field

from gateway.config.sections import Bytes, Seconds, Section


class Limits(Section):
    """Limits on requests and responses."""

    body_bytes: Bytes = 4 * 1024 * 1024
    """The size limit of a request body after decompression; a larger one is 413."""
    stream_message_bytes: Bytes = 4 * 1024 * 1024
    """The size limit of a message in a request stream; a larger one is 413. `body_bytes` does not
    apply to streams."""
    stream_bytes: Bytes | None = None
    """The size limit of a whole request stream; a larger one is 413; unset for no limit."""
    response_bytes: Bytes = 64 * 1024 * 1024
    """The size limit of a reply; a larger one is a 500 that says so."""
    url_bytes: Bytes = 8 * 1024
    """The size limit of a request target; a longer one is 414."""
    header_bytes: Bytes = 16 * 1024
    """The size limit of a header field; a longer one is 431."""
    headers_total_bytes: Bytes = 64 * 1024
    """The size limit of all header fields; more is 431."""
    header_count: Annotated[int, Field(gt=0)] = 128
    """The largest number of header fields; more are 431."""
    json_depth: Annotated[int, Field(gt=0, le=100)] = 100
    """The nesting limit of JSON; deeper JSON is 400."""
    json_values: Annotated[int, Field(gt=0)] = 150_000
    """The largest number of JSON values in a body or message; more is 413, because
    values cost more time than the bytes of a text: a body of 4 MB can have two million."""
    response_values: Annotated[int, Field(gt=0)] = 500_000
    """The largest number of values in one message of a reply, with the unset fields that are
    written; more is a 500 that says so, because writing them would make other requests wait."""
    decompression_ratio: Annotated[int, Field(gt=1)] = 100
    """The largest growth of a gzip body by decompression; more is 413."""
    header_timeout_s: Seconds = 10.0
    """The time limit for receiving the head of a request."""
    body_timeout_s: Seconds = 30.0
    """The longest pause while receiving a body."""
    keep_alive_s: Seconds = 75.0
    """The time after which an idle connection is closed."""
    connections: Annotated[int, Field(gt=0)] = 10_000
    """The largest number of client connections per worker; more get a 503. It is lowered if the
    process may not open so many files (RLIMIT_NOFILE)."""
    connection_requests_per_s: Annotated[int, Field(gt=0)] | None = None
    """The largest number of requests per second on one connection; more get a 429, and the
    connection is closed. Unset for no limit."""
    unsent_bytes: Bytes = 256 * 1024 * 1024
    """The memory per worker for replies that clients have not read yet; beyond it, the slowest
    clients are disconnected."""
    reading_bytes_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1024.0
    """The lowest rate at which a client may read a waiting reply, over `body_timeout_s`; a slower
    client is disconnected. 0 for no limit."""
