"""Refuses who may not call."""

from collections.abc import Awaitable, Sequence

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.audit import Audit
from gateway.auth.refusals import Challenge, no_credential
from gateway.call import Call, Handler, Interceptor, Principal, Reply
from gateway.policy.options import MethodPolicy
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError

_DOMAIN = "gatewayapi.v1"


def authorize(
    method: Method,
    policy: MethodPolicy,
    audit: Audit,
    challenges: Sequence[Challenge] = (),
    *,
    anonymous: bool,
) -> Sequence[Interceptor]:
    """What lets a method's callers pass, or not; nothing where everyone may call.

    `challenges` is what callers without a credential are told to show; `anonymous` is what holds
    where the policy does not say.
    """
    asks = bool(policy.scopes_any or policy.scopes_all)
    if policy.anonymous if policy.anonymous is not None else anonymous and not asks:
        return ()
    return (Authorize(method, policy, audit, challenges),)


class Authorize:
    """Passes callers who are known and were granted what the method asks for."""

    def __init__(
        self, method: Method, policy: MethodPolicy, audit: Audit, challenges: Sequence[Challenge]
    ) -> None:
        self._method = method
        self._all = policy.scopes_all
        self._any = policy.scopes_any
        self._audit = audit
        self._challenges = challenges

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Answers a call whose principal may call."""
        principal = call.principal
        if principal is None:
            raise no_credential(self._challenges)
        scopes = principal.scopes
        if not self._all <= scopes or (self._any and self._any.isdisjoint(scopes)):
            raise self._refusal(call, principal)
        return proceed(call)

    def _refusal(self, call: Call, principal: Principal) -> StatusError:
        """RFC 6750 section 3.1: insufficient_scope, and what would be enough."""
        lacks_some = not self._all <= principal.scopes
        wanted = " ".join(sorted(self._all if lacks_some else self._any))
        self._audit.record(
            "policy.refused",
            principal=principal.name,
            client=principal.client,
            credential=principal.credential,
            peer=call.peer,
            rpc=self._method.path[1:],
            rule=f"scopes {wanted}",
        )
        detail = Any()
        info = {"service": self._method.service, "method": self._method.name, "scopes": wanted}
        detail.Pack(ErrorInfo(reason="INSUFFICIENT_SCOPE", domain=_DOMAIN, metadata=info))
        challenge = f'Bearer error="insufficient_scope", scope="{wanted}"'
        return StatusError(
            Code.PERMISSION_DENIED,
            f"this needs {'all' if lacks_some else 'one'} of the scopes {wanted}",
            details=[detail],
            headers=[("WWW-Authenticate", challenge)],
        )
