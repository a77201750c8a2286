"""Settings of streaming responses."""

from enum import StrEnum

from gateway.config.sections import Seconds, Section


class StreamFormat(StrEnum):
    """A format of many messages in one response."""

    NDJSON = "ndjson"
    ARRAY = "array"
    SSE = "sse"


class ArrayFailure(StrEnum):
    """The end of a JSON array whose stream fails."""

    ELEMENT = "element"
    CUT = "cut"


class Wrap(StrEnum):
    """The form of each message of a JSON stream."""

    NONE = "none"
    RESULT = "result"


class StreamOptions(Section):
    """Streaming responses."""

    format: StreamFormat = StreamFormat.NDJSON
    """The format where the Accept header allows several: ndjson, array (one JSON array) or sse."""
    array_failure: ArrayFailure = ArrayFailure.ELEMENT
    """The end of an array whose stream fails: a last element with the error, or cut, a connection
    that is closed amid the array."""
    wrap: Wrap = Wrap.NONE
    """Write each JSON message as it is, or as `{"result": message}` as grpc-gateway does."""
    raw_lines: bool = False
    """Send a stream of `google.api.HttpBody` with a line feed after each message, and a failure as
    a last line with the error, as grpc-gateway does; otherwise its bytes are unchanged, and a
    failure cuts the connection."""
    concatenated: bool = False
    """Read a request body of JSON texts one after another as a stream of messages, also if it is
    called `application/json`."""
    head_after_s: Seconds = 1.0
    """The time without a message after which a response begins with its headers only."""
    heartbeat_s: Seconds = 15.0
    """The time without a message after which a comment is sent on server-sent events."""
    retry_s: Seconds = 3.0
    """The time that an EventSource waits before it reconnects."""

    @property
    def wraps(self) -> bool:
        """True if each JSON message of a stream is the member `result` of an object."""
        return self.wrap is Wrap.RESULT
