"""The calls that the gateway makes to endpoints for itself: methods, and pauses between them."""

from random import Random
from typing import Final

from google.protobuf.empty_pb2 import DESCRIPTOR as _EMPTY

from gateway.schema.catalog import Method, Source

_BACKOFF_START_S: Final = 0.2
_BACKOFF_FACTOR: Final = 1.6
_BACKOFF_CAP_S: Final = 5.0
"""The pauses are those before an endpoint is connected to again."""
_SLOWEST_AFTER: Final = 20


def own_method(service: str, name: str, file: str, *, server_streaming: bool) -> Method:
    """A method of a service whose messages are read and written by hand."""
    message = _EMPTY.message_types_by_name["Empty"]  # the channel does not look at messages
    streams = (False, server_streaming)
    return Method(service, name, message, message, *streams, rules=(), source=Source(file))


def pause_s(failures: int, random: Random) -> float:
    """Seconds before a stream is opened again after so many failures, at least one."""
    exponent = min(failures, _SLOWEST_AFTER) - 1
    longest_s = min(_BACKOFF_CAP_S, _BACKOFF_START_S * _BACKOFF_FACTOR**exponent)
    return longest_s * random.uniform(0.8, 1.2)
