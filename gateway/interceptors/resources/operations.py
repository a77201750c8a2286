"""Answers calls that began a long-running operation: with 202, or after a wait for its end.

Sources: AIP-151; RFC 9110 section 15.3.3 (202: the response should point to a status monitor);
RFC 7240 section 4.3 (`Prefer: wait=N`).
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.call import Call, Code, Deadline, Handler, Method, Reply, StatusError
from gateway.transcoding.wire import last_value, length_delimited

PathOf = Callable[[str], str | None]
"""Returns the path that shows the operation of this name; None if no route does."""

# The fields of google.longrunning.Operation.
_NAME, _DONE = 1, 3
_STATUS: Final = "x-http-code"
_RETRY: Final = "retry-after"
_MOST_CHARACTERS: Final = 4096

# A preference up to the next comma outside of quotes; then the seconds, also in quotes. Quotes
# that are not closed reach to the end: to try again from each of them would take quadratic time.
_PREFERENCE: Final = re.compile(r'(?>(?:"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^",])+)', re.DOTALL)
_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)(\d{1,9})\1\s*(?:;.*)?', re.IGNORECASE | re.ASCII)
_FIRST_PAUSE_S: Final = 0.1
_LATER_PAUSE_S: Final = 2.0


class AcceptOperations:
    """Gives the replies of one method the status 202 until their operations are done."""

    def __init__(self, path_of: PathOf, poll_s: int | None = None) -> None:
        """Takes the seconds after which a client should ask for an operation again."""
        self._path_of = path_of
        self._poll_s = poll_s

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Returns the reply; one that is done, or has a status of its back end, as it is."""
        reply = await proceed(call)
        if _is_done(reply) or any(name == _STATUS for name, _ in reply.metadata):
            return reply
        path = _path(reply, self._path_of)
        if path is not None:
            call.response_headers.append(("Operation-Location", path))
        if self._poll_s is not None and not any(name == _RETRY for name, _ in reply.metadata):
            call.response_headers.append(("Retry-After", str(self._poll_s)))
        # A new one: the store of idempotency keys keeps replies as they are.
        metadata = [*reply.metadata, (_STATUS, "202")]
        accepted = Reply(reply.message, metadata=metadata, trailers=reply.trailers)
        accepted.share = reply.share
        return accepted


class AwaitOperation:
    """Waits for the operation of a call as long as its client prefers: `Prefer: wait=N`.

    It calls `GetOperation` as the client itself would, with the same credentials, through all
    guards of that method. If such a call fails, the wait ends: the client then asks itself.
    """

    def __init__(
        self, path_of: PathOf, longest_s: int, get: Method, chains: Mapping[Method, Handler]
    ) -> None:
        """Takes the longest wait, and the method that shows an operation, which is in `chains`."""
        self._path_of = path_of
        self._longest_s = longest_s
        self._get = get
        self._chains = chains

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Returns the reply that shows the end of the operation, or else that of the call."""
        lines = [value for name, value in call.headers.items() if name.lower() == "prefer"]
        asked_s = wait_s(", ".join(lines))
        if asked_s is None:
            return await proceed(call)
        # Before later stages add to it what they also add to the calls of this stage.
        metadata = list(call.metadata)
        reply = await proceed(call)
        if _path(reply, self._path_of) is None:
            return reply  # the client cannot ask for it, and nobody does in its name
        now_s, granted_s = time.monotonic(), min(asked_s, self._longest_s)
        if call.deadline is not None:
            granted_s = min(granted_s, int(call.deadline.remaining_s(now_s)))
        call.response_headers.append(("Preference-Applied", f"wait={granted_s}"))
        end_s = now_s + granted_s
        pause_s = _FIRST_PAUSE_S
        shown = reply
        while not _is_done(shown):
            pause_s = min(pause_s, end_s - time.monotonic())
            if pause_s <= 0:
                return reply
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LATER_PAUSE_S)
            found = await self._ask(call, reply, list(metadata), end_s)
            if found is None:
                return reply
            shown = found
        return shown

    async def _ask(
        self, call: Call, begun: Reply, metadata: list[tuple[str, str | bytes]], end_s: float
    ) -> Reply | None:
        """Returns the reply that shows the operation now; None if the call for it fails."""
        name = last_value(begun.message, (_NAME,)) or b""
        asking = Call(
            self._get,
            message=length_delimited(_NAME, name),
            metadata=metadata,
            headers=call.headers,
            deadline=Deadline(end_s),
            peer=call.peer,
            certificate=call.certificate,
        )
        code = Code.CANCELLED
        try:
            reply = await self._chains[self._get](asking)
            code = Code.OK
        except StatusError as error:
            code = error.code
            return None
        finally:
            asking.end(code)
        return reply


def wait_s(prefer: str) -> int | None:
    """Returns the seconds of the first preference `wait`; None without one that is well-formed.

    A preference is a wish, so what is malformed is ignored (RFC 7240 section 2).
    """
    for preference in _PREFERENCE.findall(prefer):
        found = _WAIT.fullmatch(preference)
        if found is not None:
            return int(found[2])
    return None


def _is_done(reply: Reply) -> bool:
    return last_value(reply.message, (_DONE,)) not in (None, b"\0")


def _path(reply: Reply, path_of: PathOf) -> str | None:
    """Returns the path that shows the operation of a reply; None if no route does."""
    name = (last_value(reply.message, (_NAME,)) or b"").decode("utf-8", "replace")
    return path_of(name) if len(name) <= _MOST_CHARACTERS else None
