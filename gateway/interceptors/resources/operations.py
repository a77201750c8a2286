"""Answers calls that began a long-running operation with 202 and the operation's path.

Sources: AIP-151; RFC 9110 section 15.3.3 (202: the response should point to a status monitor).
"""

from collections.abc import Callable
from typing import Final

from gateway.call import Call, Handler, Reply
from gateway.transcoding.wire import last_value

PathOf = Callable[[str], str | None]
"""Returns the path that shows the operation of this name; None if no route does."""

# The fields of google.longrunning.Operation.
_NAME, _DONE = 1, 3
_STATUS: Final = "x-http-code"
_RETRY: Final = "retry-after"
_MOST_CHARACTERS: Final = 4096


class AcceptOperations:
    """Gives the replies of one method the status 202 until their operations are done."""

    def __init__(self, path_of: PathOf, poll_s: int | None = None) -> None:
        """Takes the seconds after which a client should ask for an operation again."""
        self._path_of = path_of
        self._poll_s = poll_s

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Returns the reply; one that is done, or has a status of its back end, as it is."""
        reply = await proceed(call)
        done = last_value(reply.message, (_DONE,))
        if done not in (None, b"\0") or any(name == _STATUS for name, _ in reply.metadata):
            return reply
        name = (last_value(reply.message, (_NAME,)) or b"").decode("utf-8", "replace")
        path = self._path_of(name) if len(name) <= _MOST_CHARACTERS else None
        if path is not None:
            call.response_headers.append(("Operation-Location", path))
        if self._poll_s is not None and not any(name == _RETRY for name, _ in reply.metadata):
            call.response_headers.append(("Retry-After", str(self._poll_s)))
        # A new one: the store of idempotency keys keeps replies as they are.
        metadata = [*reply.metadata, (_STATUS, "202")]
        accepted = Reply(reply.message, metadata=metadata, trailers=reply.trailers)
        accepted.share = reply.share
        return accepted
