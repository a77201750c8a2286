"""The site: an immutable snapshot of everything that one configuration needs to serve requests."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.call import Handler
from gateway.config.model import Config
from gateway.exchange.calls import CallFactory, RequestLog
from gateway.exchange.dialects.dialect import Dialect
from gateway.exchange.dialects.rest import RestDialect
from gateway.exchange.dialects.rest_streams import RestStreams
from gateway.exchange.dialects.websocket.dialect import WebSocketDialect
from gateway.exchange.endpoints import EndpointRegistry
from gateway.exchange.rendering import Rendering
from gateway.exchange.ring.ring import Ring
from gateway.http.client_certificate import certificates_of
from gateway.http.forwarded import Forwarding
from gateway.policy.deadlines import Deadlines
from gateway.policy.effective import Policies
from gateway.schema.catalog import Method
from gateway.telemetry.masking import PathMasks
from gateway.telemetry.record import Observer
from gateway.transcoding.metadata import MetadataRules
from gateway.transcoding.streams.framing import offered_framings
from gateway.transcoding.transcoder import Transcoder

_NO_RING: Final = Ring()


class Site:
    """The transcoder, the chains, the ring, the endpoints and the policies of one configuration.

    The exchange reads its site once for each request. So one assignment replaces the site, and
    requests in progress finish with the site they started with.
    """

    def __init__(
        self,
        config: Config,
        transcoder: Transcoder,
        chains: Mapping[Method, Handler],
        *,
        observers: Sequence[Observer] = (),
        ring: Ring = _NO_RING,
        endpoints: EndpointRegistry | None = None,
        policies: Policies | None = None,
        forwarding: Forwarding | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Creates `forwarding` and `deadlines` from `config` unless they are given."""
        forwarding = forwarding or Forwarding(config.forwarded, scheme=config.scheme)
        deadlines = deadlines or Deadlines(config.deadlines)
        masks = _masks(transcoder, policies or {})
        reserved, withhold = config.auth.reserved_metadata, config.forwarded.withhold
        rules = MetadataRules(config.metadata, reserved, withhold)
        hand_on = config.forwarded.hand_on
        calls = CallFactory(
            chains,
            rules=rules,
            rules_of_proxies=MetadataRules(config.metadata, reserved, withhold, hand_on),
            forwarding=forwarding,
            deadlines=deadlines,
            certificate_of=certificates_of(config.auth, forwarding),
            framings=offered_framings(config.streams),
        )
        rendering = Rendering(transcoder, rules, config)
        self.rendering = rendering
        self.transcoder = transcoder
        self.policies = policies
        self.limits = config.limits
        self.compression = config.compression
        self.checks = tuple(ring.checks)
        self.hooks = tuple(ring.hooks)
        self.endpoints = endpoints or EndpointRegistry()
        self.client_of = forwarding.client if forwarding.has_proxies else None
        """Returns the address of a request's client; None if no proxy is trusted."""
        self.request_log = RequestLog(observers, masks, self.endpoints.unrecorded)
        streams = RestStreams(config, transcoder, calls, rendering, self.request_log)
        self.rest: Dialect = RestDialect(transcoder, calls, rendering, streams, masks)
        self.websocket: Dialect = WebSocketDialect(
            config, transcoder, calls, rendering, self.request_log
        )
        self.speaks_websocket = config.websocket.enabled
        """True if a request can become a WebSocket."""


def _masks(transcoder: Transcoder, policies: Policies) -> PathMasks:
    redact = {method: policy.redact for method, policy in policies.items()}
    return PathMasks(transcoder.bindings, lambda method: redact.get(method, frozenset()))
