"""Authenticates the caller, and ends streams whose credential is no longer valid."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Final

from gateway.audit import Audit
from gateway.auth.authenticator import BEARER, Authenticator, unauthenticated
from gateway.call import Call, Check, Code, Handler, Principal, Reply, StatusError
from gateway.interceptors.watched_stream import LossWatch, watched_stream

logger = logging.getLogger("gateway")

# Together with the age of cached credentials (`MAX_AGE_S`) less than the second in which a
# revocation takes effect.
_CHECK_EVERY_S: Final = 0.4


class Authenticate(Check):
    """Sets a call's principal by the first kind of credential that the request has.

    An invalid credential is refused, even where none is needed. Without a credential the principal
    stays None, and authorisation decides.
    """

    def __init__(self, authenticators: Sequence[Authenticator], audit: Audit) -> None:
        # Bound once: the look-ups would be most of the cost of a call here.
        self._recalls = tuple(
            (one.challenge.header.lower().encode(), one.recall) for one in authenticators
        )
        """Each with the header of its credential, empty if that comes with the connection."""
        bearer = BEARER.header.lower().encode()
        self._recalls_without = tuple(one for one in self._recalls if one[0] != bearer)
        """Those for a request without `Authorization`."""
        self._authenticators = tuple((one.authenticate, one.kind) for one in authenticators)
        self._audit = audit

    def check(self, call: Call) -> Awaitable[object] | None:
        """Sets the principal of the credential.

        Raises:
            StatusError: UNAUTHENTICATED for an invalid credential.
        """
        head = call.kept_head
        is_plain = head is not None and head.is_plain
        shown = None if is_plain else call.header("Authorization", b"authorization")
        keyless = b"" if head is None else head.keyless
        for header, recall in self._recalls_without if shown is None else self._recalls:
            if header and header == keyless:
                continue
            found = recall(call, shown)
            if found is None:
                continue
            # As machine code, a test for the class of an enum costs ten times as much as this.
            if isinstance(found, Principal):
                call.principal = found
                return None
            # In a coroutine, which costs more than all other steps here.
            return self._set_principal(call)
        if shown is not None:
            self._refuse_other_kinds(call)
        return None

    async def _set_principal(self, call: Call) -> None:
        call.principal = await self.identify(call)

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
        shown = call.header("Authorization", b"authorization")
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


class AuthenticateStream:
    """Repeats `Authenticate` while a stream lasts: a revoked credential ends the stream."""

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        audit: Audit,
        check_every_s: float = _CHECK_EVERY_S,
    ) -> None:
        self._authenticate = Authenticate(authenticators, audit)
        self._check_every_s = check_every_s

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call for as long as its credential is valid."""
        pending = self._authenticate.check(call)
        if pending is None and call.principal is None:
            return proceed(call)  # there is no credential that could be lost
        return self._answer(call, pending, proceed)

    async def _answer(
        self, call: Call, pending: Awaitable[object] | None, proceed: Handler
    ) -> Reply:
        if pending is not None:
            await pending
        if call.principal is None:
            return await proceed(call)
        watch = LossWatch(asyncio.create_task(self._lose(call)))
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
                if await self._authenticate.identify(call) is None:
                    return unauthenticated("the credential is no longer valid")
            except StatusError as error:
                # An unavailable store ends no stream: the credential may still be valid.
                if error.code is Code.UNAUTHENTICATED:
                    return error
            except Exception:
                # The next check may succeed: a fault must not end the checks of this stream.
                logger.exception("the credential of a stream could not be checked")
