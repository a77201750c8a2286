"""Authenticates the caller, and ends streams whose credential is no longer valid."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from multidict import istr

from gateway.audit import Audit
from gateway.auth.authenticator import MUST_ASK, Authenticator, unauthenticated
from gateway.call import Call, Handler, Principal, Reply
from gateway.interceptors.watched_stream import watched_stream
from gateway.status import Code, StatusError

T = TypeVar("T")

logger = logging.getLogger("gateway")

# Together with the age of cached credentials (`MAX_AGE_S`) less than the second in which a
# revocation takes effect.
_CHECK_EVERY_S = 0.4


class Authenticate:
    """Sets a call's principal by the first kind of credential that the request has.

    An invalid credential is refused, even where none is needed. Without a credential the principal
    stays None, and authorisation decides.
    """

    def __init__(self, authenticators: Sequence[Authenticator], audit: Audit) -> None:
        # Bound once: the look-ups would be most of the cost of a call here.
        self._recalls = tuple(one.recall for one in authenticators)
        self._authenticators = tuple((one.authenticate, one.kind) for one in authenticators)
        headers = {"Authorization", *(one.challenge.header for one in authenticators)}
        # Empty if a credential can come without a header: then every call is checked.
        self._headers = () if "" in headers else tuple(istr(name) for name in sorted(headers))
        self._names = frozenset(name.lower().encode() for name in headers)
        self._audit = audit

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with the principal of the credential.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential.
        """
        if self._headers and self._shows_nothing(call):
            return proceed(call)
        for recall in self._recalls:
            found = recall(call)
            if found is MUST_ASK:
                # In a coroutine, which costs more than all other steps here.
                return self._identify_and_proceed(call, proceed)
            if found is not None:
                call.principal = found
                return proceed(call)
        self._refuse_other_kinds(call)
        return proceed(call)

    def _shows_nothing(self, call: Call) -> bool:
        head = call.unread_head
        if head is not None:  # makes no dictionary of the fields, which most refused calls need not
            return not head.has_any(self._names)
        headers = call.headers
        for name in self._headers:  # noqa: SIM110 - a generator would cost as much as the rest
            if name in headers:
                return False
        return True

    async def _identify_and_proceed(self, call: Call, proceed: Handler) -> Reply:
        call.principal = await self.identify(call)
        return await proceed(call)

    async def identify(self, call: Call) -> Principal | None:
        """Returns the principal of the call's credential, or None without a credential.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential; UNAVAILABLE while it cannot be
                checked.
        """
        kind = ""
        try:
            for authenticate, kind in self._authenticators:  # noqa: B007 - of the one that refuses
                principal = await authenticate(call)
                if principal is not None:
                    return principal
        except StatusError as error:
            if error.code is Code.UNAUTHENTICATED:
                self._note(call, error, kind)
            raise
        self._refuse_other_kinds(call)
        return None

    def _refuse_other_kinds(self, call: Call) -> None:
        shown = call.headers.get("Authorization")
        if shown is not None:
            error = unauthenticated(_why_not_accepted(shown))
            self._note(call, error, "other")
            raise error

    def _note(self, call: Call, error: StatusError, kind: str) -> None:
        rpc = call.method.path[1:]
        self._audit.record("login.failed", peer=call.peer, rpc=rpc, kind=kind, reason=error.message)


def _why_not_accepted(shown: str) -> str:
    """Returns the reason why no authenticator accepts this value of `Authorization`."""
    scheme, _, credential = shown.partition(" ")
    if not scheme:
        return "the Authorization header is empty"
    if scheme.lower() == "bearer" and not credential.strip():
        # The usual cause is an unset variable in `-H "Authorization: Bearer $TOKEN"`.
        return "there is no token after Authorization: Bearer"
    return "credentials of this kind are not accepted here"


class AuthenticateStream(Authenticate):
    """Repeats `Authenticate` while a stream lasts: a revoked credential ends the stream."""

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        audit: Audit,
        check_every_s: float = _CHECK_EVERY_S,
    ) -> None:
        super().__init__(authenticators, audit)
        self._check_every_s = check_every_s

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call for as long as its credential is valid."""
        return self._answer(call, proceed)

    async def _answer(self, call: Call, proceed: Handler) -> Reply:
        call.principal = await self.identify(call)
        if call.principal is None:
            return await proceed(call)
        watch = _Watch(asyncio.create_task(self._lose(call)))
        call.on_end(lambda _: watch.stop())
        reply = await watch.unless_lost(lambda: proceed(call))
        if reply.messages is not None:
            reply.messages = watched_stream(reply.messages, watch.unless_lost, watch.stop)
        return reply

    async def _lose(self, call: Call) -> StatusError:
        """Waits until the credential is no longer valid; returns the reason."""
        while True:
            await asyncio.sleep(self._check_every_s)
            try:
                if await self.identify(call) is None:
                    return unauthenticated("the credential is no longer valid")
            except StatusError as error:
                # An unavailable store ends no stream: the credential may still be valid.
                if error.code is Code.UNAUTHENTICATED:
                    return error
            except Exception:
                # The next check may succeed: a fault must not end the checks of this stream.
                logger.exception("the credential of a stream could not be checked")


class _Watch:
    """Interrupts the wait for a stream as soon as its credential is no longer valid."""

    def __init__(self, losing: asyncio.Task[StatusError]) -> None:
        self._losing = losing
        self._lost: StatusError | None = None
        self._waiting: asyncio.Timeout | None = None
        losing.add_done_callback(self._interrupt)

    async def unless_lost(self, start: Callable[[], Awaitable[T]]) -> T:
        """Awaits `start()`.

        Raises:
            StatusError: the credential became invalid before.
        """
        if self._lost is not None:
            raise self._lost  # even if a message is available
        try:
            # A timeout that is set only when it is due: asyncio cancels only this wait by it.
            async with asyncio.timeout(None) as self._waiting:
                return await start()
        except TimeoutError:
            if self._lost is None:
                raise
            raise self._lost from None
        finally:
            self._waiting = None

    def stop(self) -> None:
        """Ends the checks."""
        self._losing.cancel()

    def _interrupt(self, losing: asyncio.Task[StatusError]) -> None:
        if losing.cancelled():
            return
        self._lost = losing.result()
        if self._waiting is not None:
            self._waiting.reschedule(0)
