"""Records of outcomes: the replies and failures of back ends, as JSON for stores.

Messages are kept as wire bytes, so a replay is rendered anew, as its request accepts it.
"""

import json
from base64 import b64decode, b64encode

from google.rpc import status_pb2

from gateway.cache.stored_form import listed_metadata, read_metadata
from gateway.call import Reply
from gateway.status import Code, StatusError, status_bytes


def record_of(outcome: Reply | StatusError, most_bytes: int) -> bytes:
    """Returns the record of an outcome; above `most_bytes` it says only that it was too large."""
    is_failure = isinstance(outcome, StatusError)
    message = status_bytes(outcome) if isinstance(outcome, StatusError) else outcome.message
    if len(message) <= most_bytes:
        value = {
            "failed": is_failure,
            "message": b64encode(message).decode(),
            "metadata": listed_metadata(outcome.metadata),
            "trailers": listed_metadata(outcome.trailers),
        }
        record = json.dumps(value).encode()
        # Base64 takes four characters for three bytes; metadata may take as much as the message.
        if len(record) <= 2 * most_bytes + 1024:
            return record
    return b"{}"


def replay(record: bytes) -> Reply | StatusError | None:
    """Returns the outcome in a record; None if it was too large."""
    value = json.loads(record)
    if not value:
        return None
    message = b64decode(value["message"])
    metadata, trailers = read_metadata(value["metadata"]), read_metadata(value["trailers"])
    if not value["failed"]:
        return Reply(message, metadata=metadata, trailers=trailers)
    status = status_pb2.Status.FromString(message)
    return StatusError(
        Code.of(status.code),
        status.message,
        details=list(status.details),
        metadata=metadata,
        trailers=trailers,
    )
