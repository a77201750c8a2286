"""Rejects callers that the method's policy does not admit."""

from collections.abc import Sequence

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.audit import Audit
from gateway.auth.authenticator import Challenge, no_credential
from gateway.call import Call, Check, Code, Interceptor, Method, Principal, Refused, StatusError
from gateway.policy.options import MethodPolicy

_DOMAIN = "gatewayapi.v1"


def authorize(
    method: Method,
    policy: MethodPolicy,
    audit: Audit,
    challenges: Sequence[Challenge] = (),
    *,
    anonymous: bool,
) -> Sequence[Interceptor]:
    """Returns the interceptor that checks the callers of a method; none if everyone may call it.

    `challenges` name the credentials in the error of a caller without one; `anonymous` is the
    default for policies that do not decide it.
    """
    if policy.is_open(anonymous=anonymous):
        return ()
    return (Authorize(method, policy, audit, challenges),)


class Authorize(Check):
    """Admits authenticated callers with the scopes that the method needs."""

    def __init__(
        self, method: Method, policy: MethodPolicy, audit: Audit, challenges: Sequence[Challenge]
    ) -> None:
        self._method = method
        self._policy = policy
        self._audit = audit
        self._no_credential = no_credential(challenges)
        self._needs_scopes = bool(policy.scopes_all or policy.scopes_any)

    def check(self, call: Call) -> Refused | None:
        """Passes a call whose principal may call.

        Refuses others: UNAUTHENTICATED without a principal, PERMISSION_DENIED without the scopes.
        """
        principal = call.principal
        if principal is None:
            return self._no_credential
        if self._needs_scopes and not self._policy.has_scopes(principal.scopes):
            return Refused(self._refusal(call, principal))
        return None

    def _refusal(self, call: Call, principal: Principal) -> StatusError:
        """Records and returns insufficient_scope with the needed scopes (RFC 6750 section 3.1)."""
        policy = self._policy
        lacks_some = not policy.scopes_all <= principal.scopes
        wanted = " ".join(sorted(policy.scopes_all if lacks_some else policy.scopes_any))
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
