"""The chain of each method: the guards in their order, and the back end at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.app.credentials import Credentials
from gateway.call import Handler, Interceptor, chain
from gateway.interceptors.authenticate import Authenticate, AuthenticateStream
from gateway.interceptors.authorize import authorize
from gateway.interceptors.concurrency import ConcurrencyLimit
from gateway.interceptors.decode import decode
from gateway.interceptors.idle import IdleLimit
from gateway.interceptors.loading import SelectedInterceptor
from gateway.interceptors.rate_limits.limits import RateLimits
from gateway.policy.deadlines import Deadlines
from gateway.policy.effective import Policies
from gateway.schema.catalog import Method
from gateway.upstream.channels.channel import Channel
from gateway.upstream.invoke import invoke


@dataclass(frozen=True, slots=True)
class Guards:
    """Composes the chain of each method, once."""

    auth: Credentials
    policies: Policies
    limits: RateLimits
    custom: Sequence[SelectedInterceptor]
    deadlines: Deadlines

    def chains(
        self, methods: Sequence[Method], channels: Mapping[str, Channel]
    ) -> dict[Method, Handler]:
        """The chain of each of `methods`; `channels` are those of their services, by name."""
        return {
            method: chain(self._before(method), invoke(channels[method.service]))
            for method in methods
        }

    def _before(self, method: Method) -> list[Interceptor]:
        """The stages that a call of `method` passes before it leaves for its back end."""
        auth, policy = self.auth, self.policies[method]
        stages: list[Interceptor] = []
        if auth.authenticators:
            streams = method.client_streaming or method.server_streaming
            # First: everything after it may ask who is calling.
            kind = AuthenticateStream if streams else Authenticate
            stages.append(kind(auth.authenticators, auth.audit))
        if not auth.is_open:
            # Even where `auth.order` leaves nobody to be known: then all but anonymous is closed.
            stages += authorize(
                method, policy, auth.audit, auth.challenges, anonymous=auth.admits_anonymous
            )
        # After those who say who is calling, before all that costs something: the rate first, since
        # a call that waits for a store must not hold a place.
        stages += self.limits.guards(method, policy)
        if policy.max_concurrent is not None:
            stages.append(ConcurrencyLimit(method, policy.max_concurrent))
        stages += [one.interceptor for one in self.custom if one.stands_before(method)]
        # After everything that may refuse a call: a body that nobody needs is not read.
        stages.append(decode)
        if auth.identify is not None:
            # Last: what interceptors of one's own make of a principal, back ends are told.
            stages.append(auth.identify)
        idle_s = self.deadlines.idle_s(method)
        if idle_s is not None:
            # Next to the back end: what guards take is nobody's silence.
            stages.append(IdleLimit(idle_s))
        return stages
