"""Opens calls for matched requests, decodes their messages, and records how requests ended."""

import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.call import Call, CallHead, Deadline, Handler, MessageSource, Metadata, Method, Parts
from gateway.exchange.traces import RequestTraces
from gateway.exchange.worker_threads import transcode
from gateway.http.client_certificate import CertificateOf
from gateway.http.entity_tags import conditions_for_back_end
from gateway.http.forwarded import Forwarding
from gateway.http.messages import Request
from gateway.http2.headers import LENGTHS, LONG, literal_start, string
from gateway.policy.deadlines import Deadlines
from gateway.telemetry.record import Observer, PathMasks, Record, chain_of
from gateway.trace_context import TRACEPARENT, TRACESTATE, Trace
from gateway.transcoding.binding import RouteMatch
from gateway.transcoding.http_body import is_http_body
from gateway.transcoding.media import JSON, Code, invalid_argument, preferred
from gateway.transcoding.metadata import MetadataRules
from gateway.transcoding.request import RequestDecoder
from gateway.transcoding.streams.framing import Framing, choose_framing

__all__ = ["CallFactory", "RequestHead", "RequestLog", "RequestMessage", "RouteMatch"]
__all__ += ["refuse_needless_body"]

_READS: Final = ("GET", "HEAD")


class RequestMessage:
    """The request message of a call; decoded when the call first reads it."""

    __slots__ = ("_decoder", "_match", "_request")

    def __init__(self, decoder: RequestDecoder, request: Request, match: RouteMatch) -> None:
        self._decoder = decoder
        self._request = request
        self._match = match

    def take(self) -> bytes | None:
        """Returns the message, or None if its body has not arrived yet or is large.

        Raises:
            StatusError: the request is invalid for its method.
        """
        request = self._request
        body = request.body
        if body is None:
            return self._decoder.decode(
                self._match.captures, request.query, request.fields.content_type, b""
            )
        self._refuse_excess_body()
        if not body.is_buffered:
            return None
        return self._decode(body.read_now())

    async def read(self) -> bytes | Parts:
        """Returns the message or its parts, after its body has arrived.

        Raises:
            StatusError: as `take`.
        """
        body = self._request.body
        if body is None:
            return self._decode(b"")
        self._refuse_excess_body()
        parts = await body.read()
        if self._decoder.takes_raw_body:  # raw bytes stay as they are
            return self._decode_parts(parts)
        return await transcode(self._decode, b"".join(parts))

    def line(self) -> tuple[str, str, str] | None:
        """Returns the request line of a GET or HEAD without a body; None for other requests."""
        request = self._request
        has_body = request.body is not None or request.fields.content_type is not None
        if has_body or request.method not in _READS:
            return None
        return request.method, request.path, request.query

    def _refuse_excess_body(self) -> None:
        if self._match.target.body is not None:
            return
        decoder, request = self._decoder, self._request
        if decoder.ignores_excess_body or decoder.takes_url_encoded(request.fields.content_type):
            return
        refuse_needless_body(request, self._match)

    def _decode_parts(self, parts: Parts) -> bytes | Parts:
        request = self._request
        request.body_bytes = sum(map(len, parts))
        return self._decoder.decode_parts(
            self._match.captures, request.query, request.fields.content_type, parts
        )

    def _decode(self, body: bytes) -> bytes:
        request = self._request
        request.body_bytes = len(body)
        return self._decoder.decode(
            self._match.captures, request.query, request.fields.content_type, body
        )


def refuse_needless_body(request: Request, match: RouteMatch) -> None:
    """Rejects a body if the HTTP rule of the method has no `body`.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if request.body is not None and match.target.body is None:
        method = match.target.method.name
        raise invalid_argument("", f"{request.method} for {method} takes no body")


_time_s: Final = time.time
_monotonic_s: Final = time.monotonic
_OK: Final = Code.OK
_REQUEST_ID: Final = "x-request-id"
# The fields of HTTP/2 without their values; that of a trace always has 55 bytes.
_ID_START: Final = literal_start(_REQUEST_ID)
_ID_STARTS: Final = [_ID_START + length for length in LENGTHS]
"""By the length of the id, for nearly all of them."""
_TRACEPARENT_START: Final = literal_start(TRACEPARENT) + LENGTHS[55]
_TRACESTATE_START: Final = literal_start(TRACESTATE)


class RequestHead(CallHead):
    """The head of a request whose header fields become metadata as they are.

    They are encoded when the call leaves: many are refused before, or answered from the cache.
    """

    __slots__ = ("_added", "_forwarding", "_is_encoded", "_request", "_rules")

    def __init__(
        self,
        request: Request,
        rules: MetadataRules,
        forwarding: Forwarding,
        encodes: bool,  # noqa: FBT001 - by position, as each request makes one
    ) -> None:
        """With `encodes`, the metadata is sent encoded if that is possible."""
        self._is_encoded, self.encoded = not encodes, b""
        self._request = request
        self.is_plain = request.fields.is_plain
        self.keyless = request.fields.keyless
        self._rules = rules
        self._forwarding = forwarding
        self._added: Metadata = []

    def metadata(self) -> Metadata:
        """Returns the metadata that `block` encodes."""
        request, fields = self._request, self._request.fields
        return [
            *self._rules.to_metadata(fields.raw),
            *self._forwarding.metadata(request.peer, fields.by_name),
            *_own(request),
            *self._added,
        ]

    def block(self) -> bytes:
        """Returns the metadata encoded for HTTP/2; empty if it has to be decoded."""
        if self._is_encoded:
            return self.encoded
        request, rules, fields = self._request, self._rules, self._request.fields
        block: bytes | None = fields.block
        if fields.block_rules is not rules:
            block = fields.encode(rules, self._forwarding.block(request.peer, fields.host))
        if block is None:
            block = b""
        else:
            value = request.id.encode("ascii")
            if len(value) < LONG:
                start = _ID_STARTS[len(value)]
            else:
                start, value = _ID_START, string(value)
            # All parts in one step: each `+` would copy what is before it.
            if not request.traceparent:
                block = b"".join((block, start, value))
            else:
                own, state = request.traceparent, request.tracestate
                more = _TRACESTATE_START + string(state.encode("ascii")) if state else b""
                block = b"".join((block, start, value, _TRACEPARENT_START, own, more))
        self._is_encoded, self.encoded = True, block
        return block

    def add(self, metadata: Metadata, block: bytes) -> None:
        """Adds metadata of the gateway; `block` encodes it."""
        self._added += metadata
        self.encoded = self.block() + block

    def headers(self) -> Mapping[str, str]:
        """Returns the header fields of the request by name."""
        return self._request.fields.by_name

    def target(self) -> tuple[str, str]:
        """Returns the HTTP method and the raw path of the request."""
        return self._request.method, self._request.path

    def header(self, lower_name: bytes) -> str | None:
        """Returns the first header field with this name, which is no list."""
        return self._request.fields.first(lower_name)

    def query(self) -> str:
        """Returns the raw query of the request."""
        return self._request.query


class CallFactory:
    """Opens the calls of matched requests."""

    def __init__(
        self,
        chains: Mapping[Method, Handler],
        *,
        rules: MetadataRules,
        rules_of_proxies: MetadataRules,
        forwarding: Forwarding,
        deadlines: Deadlines,
        certificate_of: CertificateOf | None,
        framings: Sequence[Framing],
        traces: RequestTraces | None = None,
        stored: AbstractSet[Method] = frozenset(),
    ) -> None:
        """Takes the metadata rules for clients (`rules`) and for trusted proxies.

        With `traces`, the rules must let no trace of a client pass, because each call gets its own.
        Calls of the `stored` methods seldom leave, so their metadata is never made before.
        `certificate_of` returns the client certificate of a request; None where certificates are
        not used.
        """
        # A dict, not any mapping: compiled code reads a dict directly, without a method look-up.
        self.chains = dict(chains)
        """The chain of each method."""
        self._default_s = {method: deadlines.default_s(method) for method in chains}
        """The seconds for a call whose client asks for no time; None for no limit."""
        self._rules = rules
        self._rules_of_proxies = rules_of_proxies
        self._forwarding = forwarding
        self._deadlines = deadlines
        self._certificate_of = certificate_of
        self._framings = framings
        self._stored = frozenset(stored)
        self._traces = traces

    def open(
        self,
        request: Request,
        method: Method,
        started_s: float,
        *,
        source: MessageSource | None = None,
        messages: AsyncGenerator[bytes] | None = None,
    ) -> Call:
        """Opens the call of a request, with its metadata, deadline, and message or messages.

        Raises:
            StatusError: INVALID_ARGUMENT for an invalid header, for example a malformed timeout.
        """
        fields = request.fields
        if fields.timeout is None:
            timeout_s = self._default_s[method]
        else:
            timeout_s = self._deadlines.timeout_s(method, fields.timeout)
        request.deadline_s = math.inf if timeout_s is None else started_s + timeout_s
        trace = None if self._traces is None else self._traces.of(request)
        # Only requests of one connection share header fields, so they also share the peer.
        forwarding = self._forwarding
        is_trusted = forwarding.has_proxies and forwarding.trusts(request.peer)
        rules = self._rules_of_proxies if is_trusted else self._rules
        # Entity tags are changed on their way.
        encodes = not (is_trusted or fields.is_conditional)
        is_read = is_trusted or fields.is_parsed
        is_made_now = fields.is_conditional or (is_read and method not in self._stored)
        call = Call(
            method,
            source,
            messages,
            self._metadata(request, method, rules) if is_made_now else None,
            RequestHead(request, rules, forwarding, encodes),
            None if timeout_s is None else Deadline(request.deadline_s),
            request.client,
            request.own_headers,
            trace,
        )
        if self._certificate_of is not None:
            call.certificate = self._certificate_of(request)
        return call

    def _metadata(self, request: Request, method: Method, rules: MetadataRules) -> Metadata:
        """Returns the metadata for a request's header fields; caches it with them if possible."""
        fields = request.fields
        own = _own(request)
        if fields.metadata is not None:
            return [*fields.metadata, *own]
        by_name, raw = fields.by_name, fields.raw
        forwarded = self._forwarding.metadata(request.peer, by_name)
        if not fields.is_conditional:
            fields.metadata = [*rules.to_metadata(raw), *forwarded]
            return [*fields.metadata, *own]
        # Not cached: the entity tags to send also depend on the HTTP method and the RPC method.
        reads = request.method in ("GET", "HEAD")
        raw = conditions_for_back_end(
            fields, _selected(request, method, self._framings), reads=reads
        )
        return [*rules.to_metadata(raw), *forwarded, *own]


class RequestLog:
    """Sends the record of each ended request to every observer."""

    def __init__(
        self,
        observers: Sequence[Observer],
        masks: PathMasks,
        unrecorded: AbstractSet[str] = frozenset(),
        traces: RequestTraces | None = None,
    ) -> None:
        """Takes the paths of endpoints that are not recorded (`EndpointRegistry.unrecorded`)."""
        self._traces = traces
        self._unrecorded = unrecorded
        self._observers = chain_of(observers)
        self.masks = masks
        """Hide the secret parts of paths."""

    def note(  # noqa: PLR0917 - how a request ended
        self,
        request: Request,
        match: RouteMatch | None,
        status: int,
        code: Code,
        response_bytes: int,
        started_s: float,
    ) -> None:
        """Creates the record of an ended request and passes it to the observers."""
        chain = self._observers
        if chain is None or (match is None and request.path in self._unrecorded):
            return
        fields = request.fields
        trace: Trace | None = request if request.traceparent else None
        if trace is None and self._traces is not None:
            trace = self._traces.of(request)
        # By position: as Python, a call with so many names first makes a dictionary of them.
        record = Record(
            _time_s(),
            _monotonic_s() - started_s,
            request.id,
            request.method,
            request.path,
            request.query,
            self.masks,
            None if match is None else match.target,
            status,
            code,
            request.body_bytes,
            response_bytes,
            request.peer,
            request.client,
            fields.host,
            fields.user_agent,
            fields.traceparent,
            request.principal,
            fields,
            trace,
            request.cache_result,
            request.split,
            request.attempts,
            request.http_version,
            request.first_byte_s,
            request.back_end_failed,
        )
        is_usual = status < 400 and code is _OK and (trace is None or not trace.is_sampled)
        while chain is not None:
            if not is_usual or record.duration_s >= chain.usual_s:
                chain.observer.ended(record)
            chain = chain.following


def _own(request: Request) -> Metadata:
    """Returns the metadata that the gateway adds to a call."""
    own: Metadata = [(_REQUEST_ID, request.id)]
    if request.traceparent:
        own.append((TRACEPARENT, request.for_back_end))
        if request.tracestate:
            own.append((TRACESTATE, request.tracestate))
    return own


def _selected(request: Request, method: Method, framings: Sequence[Framing]) -> str:
    """Returns the media type of a successful response; JSON also stands for raw bytes."""
    accept = request.fields.accept
    if is_http_body(method.output):
        return JSON
    if method.server_streaming:
        framing = choose_framing(accept, framings)
        return JSON if framing is None else framing.media_type
    return JSON if accept is None else preferred(accept) or JSON
