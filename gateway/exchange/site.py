"""The site: an immutable snapshot of everything that one configuration needs to serve requests."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.call import Handler, Method
from gateway.exchange.calls import CallFactory, RequestLog
from gateway.exchange.dialects.parts import DialectParts
from gateway.exchange.dialects.rest import RestDialect
from gateway.exchange.dialects.rest_streams import RestStreams
from gateway.exchange.dialects.websocket.dialect import WebSocketDialect
from gateway.exchange.endpoints import EndpointRegistry
from gateway.exchange.rendering import Rendering
from gateway.exchange.ring.ring import Request, Ring
from gateway.exchange.traces import RequestTraces
from gateway.http.client_certificate import certificates_of
from gateway.http.forwarded import Forwarding
from gateway.policy.deadlines import Deadlines
from gateway.policy.effective import Policies, tagged_methods
from gateway.telemetry.record import Observer, PathMasks
from gateway.telemetry.traces.starting import TraceStarter
from gateway.trace_context import FIELDS
from gateway.transcoding.baggage import BAGGAGE
from gateway.transcoding.metadata import MetadataRules
from gateway.transcoding.streams.framing import offered_framings
from gateway.transcoding.transcoder import Config, Transcoder

_NO_RING: Final = Ring()
_ENDLESS: Final = 1 << 60
"""More bytes than any body has; as machine code, a larger number is compared as an object."""


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
        starter: TraceStarter | None = None,
    ) -> None:
        """Creates `forwarding` and `deadlines` unless given; with `starter`, there are traces."""
        forwarding = forwarding or Forwarding(config.forwarded, scheme=config.scheme)
        masks = _masks(transcoder, policies or {})
        trusts = forwarding.trusts if forwarding.has_proxies else None
        traces = None if starter is None else RequestTraces(starter, trusts)
        rules, rules_of_proxies = _metadata_rules(config, transcoder, is_traced=traces is not None)
        calls = CallFactory(
            chains,
            rules=rules,
            rules_of_proxies=rules_of_proxies,
            forwarding=forwarding,
            deadlines=deadlines or Deadlines(config.deadlines),
            certificate_of=certificates_of(config.auth, forwarding),
            framings=offered_framings(config.streams),
            traces=traces,
            stored={one for one, policy in (policies or {}).items() if policy.cache is not None},
        )
        self.rendering = rendering = Rendering(transcoder, rules, config)
        self.transcoder = transcoder
        self.policies = policies
        self.limits = config.limits
        self.compression = options = config.compression
        self.compressed_from_bytes = options.min_bytes if options.enabled else _ENDLESS
        """The size from which bodies are compressed."""
        self.checks, self.hooks = tuple(ring.checks), tuple(ring.hooks)
        self.check_credentials, self.checks_reads = ring.credentials, ring.checks_reads
        self._variants = [(at, hook.variant) for at, hook in enumerate(self.hooks) if hook.variant]
        self.endpoints = endpoints or EndpointRegistry()
        self.client_of = forwarding.client if forwarding.has_proxies else None
        """Returns the address of a request's client; None if no proxy is trusted."""
        self.request_log = RequestLog(observers, masks, self.endpoints.unrecorded, traces)
        parts = DialectParts(config, transcoder, calls, rendering, self.request_log)
        self.rest = RestDialect(parts, RestStreams(parts).answer, tagged_methods(policies or {}))
        self.websocket = WebSocketDialect(parts)
        self.speaks_websocket = config.websocket.enabled
        """True if a request can become a WebSocket."""

    def variant(self, request: Request) -> str:
        """Returns the part of a request that decides the headers of the hooks."""
        text = ""
        for number, part_of in self._variants:
            part = "" if part_of is None else part_of(request)
            if part:  # a line, so that no two requests with other parts have the same text
                text += f"{number} {part}\n"
        return text


def _metadata_rules(
    config: Config, transcoder: Transcoder, *, is_traced: bool
) -> tuple[MetadataRules, MetadataRules]:
    """Returns the rules for clients, and those for trusted proxies."""
    of_keys = () if config.auth.key_header is None else _key_headers(transcoder)
    reserved, forwarded = (*config.auth.reserved_metadata, *of_keys), config.forwarded
    if config.metadata.path_name:
        reserved = (*reserved, config.metadata.path_name)
    if is_traced:
        # Back ends must see the gateway's span as their parent, not that of the client.
        reserved = (*reserved, *FIELDS)
    # Every back end would pass on a client's baggage, and might believe it.
    keys = frozenset(config.tracing.baggage)
    of_clients = reserved if keys else (*reserved, BAGGAGE)
    return (
        MetadataRules(config.metadata, of_clients, forwarded.withhold, baggage=keys),
        MetadataRules(config.metadata, reserved, forwarded.withhold, forwarded.hand_on),
    )


def _masks(transcoder: Transcoder, policies: Policies) -> PathMasks:
    redact = {method: policy.redact for method, policy in policies.items()}
    return PathMasks(transcoder.bindings, lambda method: redact.get(method, frozenset()))


def _key_headers(transcoder: Transcoder) -> Sequence[str]:
    """Returns the headers, in lower case, that carry an API key for one method at least.

    Back ends never receive them: clients may send the key to other methods too.
    """
    named = {
        one.http_header.lower()
        for binding in transcoder.bindings
        for one in binding.method.system_parameters
        if one.is_api_key
    }
    return sorted(named - {""})
