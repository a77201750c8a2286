"""Asks the back end if a stale reply still holds, and takes its answer.

Sources: RFC 9111 sections 4.3.1 (the conditions), 4.3.3 (the answer) and 3.2 (which fields it
replaces). A back end confirms with status OK, an empty message and `x-http-code: 304`.
"""

from typing import Final

from gateway.cache.entries import Entry
from gateway.cache.freshness import kept_metadata
from gateway.call import Code, Metadata, Reply, StatusError
from gateway.transcoding.metadata import HTTP_CODE

_VALIDATORS: Final = {"etag": "if-none-match", "last-modified": "if-modified-since"}
_SERVER_FAILURES: Final = frozenset({"500", "502", "503", "504"})
# They describe the message that is kept; those of the answer describe one that was not sent.
_OF_THE_MESSAGE: Final = frozenset(
    {HTTP_CODE, "etag", "content-encoding", "content-md5", "content-range", "content-type"}
)


def conditions(entry: Entry) -> Metadata:
    """Returns the metadata that asks to confirm a reply; none if it has no validator."""
    if entry.error is not None:
        return []
    return [(_VALIDATORS[name], value) for name, value in entry.metadata if name in _VALIDATORS]


def is_not_modified(metadata: Metadata) -> bool:
    """True if a back end confirms a reply."""
    return (HTTP_CODE, "304") in metadata


def has_server_failed(metadata: Metadata) -> bool:
    """True if a back end answers with a status that a stale reply may replace (RFC 5861)."""
    return any(name == HTTP_CODE and value in _SERVER_FAILURES for name, value in metadata)


def is_change_refused(metadata: Metadata) -> bool:
    """True if a back end answers with the status of a failure: nothing has changed."""
    return any(name == HTTP_CODE and str(value)[:1] in ("4", "5") for name, value in metadata)


def confirmed(entry: Entry | None, answer: Reply) -> Reply:
    """Returns the reply that a back end has confirmed, with the metadata of its answer.

    Raises:
        StatusError: INTERNAL if nothing was to be confirmed.
    """
    if entry is None:
        raise StatusError(
            Code.INTERNAL, "the back end answered 304 (x-http-code) to a call without a condition"
        )
    new: dict[str, Metadata] = {}
    for one in answer.metadata:
        if one[0] not in _OF_THE_MESSAGE:
            new.setdefault(one[0], []).append(one)
    replaced = {name for name, _ in kept_metadata(answer.metadata)} & new.keys()
    metadata: Metadata = []
    for one in entry.metadata:  # in the same order, so that an equal reply is seen to be equal
        if one[0] in replaced:
            metadata += new.pop(one[0], [])
        else:
            metadata.append(one)
    metadata += [one for values in new.values() for one in values]
    reply = Reply(entry.message, metadata=metadata, trailers=list(entry.trailers))
    reply.attempts = answer.attempts
    return reply
