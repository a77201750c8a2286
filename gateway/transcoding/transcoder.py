"""The facade of transcoding: HTTP to protobuf wire bytes and back. It never awaits.

The methods, in the order of a request: `match` finds the binding, `decode` makes the request's
message (`stream_decoder`: the messages of a stream), `encoder` makes the encoder of the reply, and
`encode_error` makes the payload of a failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from gateway.config.model import Config
from gateway.schema.catalog import Method, Schema
from gateway.status import ERROR_MEDIA_TYPE, ErrorShape, RefusedAlike, StartUpError, status_bytes
from gateway.transcoding.binding import Binding, Diagnostic, RouteMatch, Severity, plan_routes
from gateway.transcoding.failures import FailureWriter, safely
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.media import (
    JSON,
    PROTOBUF_TYPES,
    URL_ENCODED,
    Code,
    Payload,
    StatusError,
    media_type,
    not_acceptable,
    preferred,
)
from gateway.transcoding.request import LenientDecoder, RequestDecoder
from gateway.transcoding.response import Encoder, protobuf_encoder, response_encoder
from gateway.transcoding.routing.router import Router
from gateway.transcoding.streams.choosing import choose_deframer
from gateway.transcoding.streams.decoder import (
    FormStreamDecoder,
    FramedStreamDecoder,
    MessageDecoder,
    RawStreamDecoder,
    RequestStreamDecoder,
)
from gateway.transcoding.streams.deframing import Delimited
from gateway.transcoding.streams.form import is_form
from gateway.transcoding.streams.framing import (
    Framing,
    choose_framing,
    offered_framings,
)
from gateway.transcoding.system_parameters import (
    NOTHING,
    Asked,
    JsonForm,
    ParameterNames,
    parameter_names,
)

__all__ = ["Code", "Config", "Plan", "RouteMatch", "Schema", "StartUpError", "StatusError"]
__all__ += ["RulesError", "Transcoder", "build_transcoder"]

_MOST_FORMS: Final = 256
"""The number of encoders in other forms that are kept, and that of refusals."""
_MOST_ACCEPTED: Final = 16
_LONGEST_ACCEPT: Final = 256


class RulesError(StartUpError):
    """The schema has rules that cannot be served; `diagnostics` names them with the reasons."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


class Plan:
    """The compiled parts of one binding, made for its first request."""

    __slots__ = ("_binding", "_in_protobuf", "_serves_all", "accepted", "decoder", "encode")

    def __init__(
        self, binding: Binding, decoder: RequestDecoder, encode: Encoder, *, serves_all: bool
    ) -> None:
        """With `serves_all`, a client that accepts no available encoding gets JSON."""
        self._binding = binding
        self._serves_all = serves_all
        self._in_protobuf: dict[str, Encoder] = {}
        """The encoders of the media types of protobuf."""
        self.decoder = decoder
        """The decoder of request messages."""
        self.encode = encode
        """The encoder of replies as JSON or, where the rule says so, raw."""
        self.accepted: set[str | None] = {None}
        """Values of Accept for which `encoder` has chosen `encode`; a few of them."""

    def encoder(self, accept: str | None) -> Encoder:
        """Chooses the encoder of a reply by the client's Accept header.

        Raises:
            StatusError: HTTP status 406 if the client accepts no available encoding.
        """
        if accept is None or self._binding.answers_raw:
            return self.encode
        chosen = preferred(accept)
        if chosen is None and not self._serves_all:
            raise not_acceptable(accept)
        if chosen is None or chosen == JSON:
            if len(accept) <= _LONGEST_ACCEPT and len(self.accepted) < _MOST_ACCEPTED:
                self.accepted.add(accept)
            return self.encode
        known = self._in_protobuf.get(chosen)
        if known is None:
            known = self._in_protobuf[chosen] = protobuf_encoder(self._binding, chosen)
        return known


class Transcoder:
    """Transcodes between HTTP and the methods of one schema."""

    def __init__(
        self,
        config: Config,
        codec: Codec,
        router: Router[Binding],
        warnings: Sequence[Diagnostic] = (),
    ) -> None:
        self.bindings = router.targets
        """The bindings that are served; of several on one route, only the one that serves it."""
        self.warnings = warnings
        self.match = router.match
        self.find = router.find
        self.preferred = router.preferred
        self.allowed_methods = router.allowed_methods
        self.router = router
        self._config = config
        self._codec = codec
        self._framings = offered_framings(config.streams)
        self._wraps = config.streams.wraps
        self._takes_url_encoded = config.query.form_bodies
        self._serves_all = config.json_.serves_unacceptable
        self._shape = config.errors
        self.plans: dict[Binding, Plan] = {}
        """The compiled parts of the bindings that have been used; see `plan`."""
        self.has_system_parameters = config.resources.system_parameters or any(
            binding.method.system_parameters for binding in self.bindings
        )
        """True if requests may have system parameters."""
        self._parameter_names: dict[Method, ParameterNames | None] = {}
        self._other_forms: dict[tuple[Binding, JsonForm], Encoder] = {}
        self._failures = FailureWriter(
            codec, pretty=config.json_.pretty, emits_unset=config.json_.emit_unset
        )
        self._refusals: dict[RefusedAlike, Payload] = {}
        self._failure_type = ERROR_MEDIA_TYPE[config.errors]

    def match_posted_form(self, path: str, content_type: str | None) -> RouteMatch | None:
        """Finds the GET route of a form that was sent by POST, by `query.form_bodies`, or None."""
        is_form = content_type is not None and media_type(content_type) == URL_ENCODED
        if not (is_form and self._takes_url_encoded):
            return None
        with suppress(StatusError):
            return self.match("GET", path)
        return None

    def asked(self, match: RouteMatch, query: str, headers: Mapping[str, str]) -> Asked:
        """Reads the system parameters of a request; call it only if `has_system_parameters`.

        Raises:
            StatusError: INVALID_ARGUMENT for an unknown one, or an unknown value.
        """
        names = self._names_of(match.target.method)
        return NOTHING if names is None else names.read(query, headers)

    def _names_of(self, method: Method) -> ParameterNames | None:
        known = self._parameter_names
        if method not in known:
            by_default = self._config.resources.system_parameters
            known[method] = parameter_names(
                method.system_parameters, method.input, by_default=by_default
            )
        return known[method]

    def encoder(
        self, match: RouteMatch, accept: str | None, form: JsonForm | None = None
    ) -> Encoder:
        """Chooses the encoder of a reply as `Plan.encoder`; one that makes JSON has a `form`.

        Raises:
            StatusError: HTTP status 406 if the client accepts no available encoding.
        """
        plan = self.plan(match)
        encode = plan.encoder(accept)
        if form is None or encode is not plan.encode or match.target.answers_raw:
            return encode
        return self._encoder_of(match.target, form)

    def framing(
        self, match: RouteMatch, accept: str | None, form: JsonForm | None = None
    ) -> tuple[Framing | None, Encoder]:
        """Chooses the framing of a response stream, and the encoder of its messages.

        Raw bytes have no framing: each payload has its own media type.

        Raises:
            StatusError: HTTP status 406 if the client accepts no available framing.
        """
        plan = self.plan(match)
        if match.target.answers_raw:
            return None, plan.encode
        framing = choose_framing(accept, self._framings)
        if framing is None and self._serves_all:
            framing = self._framings[0]
        if framing is None:
            offered = ", ".join(framing.media_type for framing in self._framings)
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"the reply is a stream, available as {offered}",
                http_status=406,
            )
        if framing.is_protobuf:
            return framing, protobuf_encoder(match.target, framing.media_type)
        encode = plan.encode if form is None else self._encoder_of(match.target, form)
        return framing, _wrapped(encode) if self._wraps else encode

    def decode(self, match: RouteMatch, query: str, content_type: str | None, body: bytes) -> bytes:
        """Decodes a request to the wire bytes of its message.

        Raises:
            StatusError: INVALID_ARGUMENT, with HTTP status 415 if the body's media type is not
            accepted.
        """
        return self.plan(match).decoder.decode(match.captures, query, content_type, body)

    def stream_decoder(
        self, match: RouteMatch, query: str, content_type: str | None, limit_bytes: int
    ) -> RequestStreamDecoder:
        """Makes the decoder from a streamed request body to its messages.

        `limit_bytes` is the largest size of one message.

        Raises:
            StatusError: INVALID_ARGUMENT for an invalid URL, or HTTP status 415 for the body's
            type.
        """
        decoder, captures = self.plan(match).decoder, match.captures
        form = decoder.form
        if form is not None and content_type is not None and is_form(content_type):
            return FormStreamDecoder(
                form,
                content_type,
                lambda fields: decoder.decode_form(form, captures, query, fields),
            )
        if decoder.takes_raw_body:
            url = decoder.decode_url(captures, query)
            return RawStreamDecoder(lambda: url, decoder.raw_start, content_type or "")
        deframer = choose_deframer(
            content_type,
            limit_bytes,
            json_types=self._config.json_.content_types,
            concatenated=self._config.streams.concatenated,
        )
        protobuf = isinstance(deframer, Delimited)
        return FramedStreamDecoder(deframer, self.message_decoder(match, query, protobuf=protobuf))

    def message_decoder(self, match: RouteMatch, query: str, *, protobuf: bool) -> MessageDecoder:
        """Makes the decoder of a request stream that arrives message by message.

        Each message fills the rule's body; without a body, each is the whole request message.

        Raises:
            StatusError: INVALID_ARGUMENT for an invalid URL.
        """
        decoder = self.plan(match).decoder
        return MessageDecoder(*decoder.message_reader(match.captures, query, protobuf=protobuf))

    def encode(self, match: RouteMatch, message: bytes) -> Payload:
        """Encodes a reply as JSON, or raw.

        Raises:
            StatusError: INTERNAL if the message has no JSON form.
        """
        return self.plan(match).encode(message)

    def encode_error(self, error: StatusError, accept: str | None = None) -> Payload:
        """Encodes a failure in the configured shape; never raises.

        A client that prefers protobuf gets a google.rpc.Status.
        """
        chosen = JSON if accept is None else preferred(accept)
        if chosen in PROTOBUF_TYPES:
            return Payload(safely(error, status_bytes), chosen)
        return Payload(self._failures.text(error, self._shape), self._failure_type)

    def encode_plain_error(self, code: Code, message: str, accept: str | None) -> Payload | None:
        """Does the same as `encode_error` for a failure without details, without the error.

        Returns None unless its message is of printable ASCII, and the rest is as usual.
        """
        chosen = JSON if accept is None else preferred(accept)
        if chosen in PROTOBUF_TYPES:
            return None
        body = self._failures.plain_text(code, message, self._shape)
        return None if body is None else Payload(body, self._failure_type)

    def encode_refusal(self, refused: RefusedAlike, accept: str | None) -> Payload:
        """Does the same as `encode_error` for a refusal, whose JSON is made once."""
        chosen = JSON if accept is None else preferred(accept)
        if chosen in PROTOBUF_TYPES:
            return self.encode_error(refused.error, accept)
        payload = self._refusals.get(refused)
        if payload is None:
            payload = self.encode_error(refused.error)
            if len(self._refusals) >= _MOST_FORMS:  # only interceptors could make so many
                self._refusals.clear()
            self._refusals[refused] = payload
        return payload

    def encode_status(self, error: StatusError) -> bytes:
        """Encodes the last message of a WebSocket: a google.rpc.Status in the member `@status`."""
        return b'{"@status":%b}' % self._failures.text(error, ErrorShape.STATUS)

    def explain_match(self, http_method: str, path: str) -> list[tuple[Binding, str]]:
        """Returns for each binding `matches`, or the reason why it does not match."""
        return self.router.explain(http_method, path)

    def explain_request(self, match: RouteMatch, query: str) -> list[tuple[str, str, str]]:
        """Returns each part of the URL that has a meaning: its origin, its text, and what it sets.

        That is a field path or, for a system parameter, its name.
        """
        found = self.plan(match).decoder.explain(match.captures, query)
        names = self._names_of(match.target.method)
        return found if names is None else found + names.explain(query)

    def request_json(self, match: RouteMatch, message: bytes) -> bytes:
        """Writes a request message as JSON, for people."""
        return self._codec.writer(match.target.method.input)(message)

    def plan(self, match: RouteMatch) -> Plan:
        """Returns the compiled parts of the binding."""
        try:
            return self.plans[match.target]
        except KeyError:
            return self._compile(match.target)

    def _encoder_of(self, binding: Binding, form: JsonForm) -> Encoder:
        """The encoder of replies in another form than that of the settings.

        Raises:
            StatusError: INVALID_ARGUMENT for chosen members that the reply does not have.
        """
        encode = self._other_forms.get((binding, form))
        if encode is None:
            codec = self._codec.in_form(form)
            encode = response_encoder(binding, codec, form.fields)
            # Clients choose the forms: with a limit, none can use up memory.
            if len(self._other_forms) >= _MOST_FORMS:
                self._other_forms.clear()
            self._other_forms[binding, form] = encode
        return encode

    def _compile(self, binding: Binding) -> Plan:
        config = self._config
        decode = LenientDecoder if config.json_.text_after.is_ignored else RequestDecoder
        decoder = decode(binding, self._codec, config)
        encode = response_encoder(binding, self._codec)
        plan = self.plans[binding] = Plan(binding, decoder, encode, serves_all=self._serves_all)
        return plan


def _wrapped(encode: Encoder) -> Encoder:
    """Makes an encoder that writes `{"result": message}`; failures have `error` there."""
    return Encoder(lambda wire: b'{"result":%b}' % encode(wire).body)


def build_transcoder(config: Config, schema: Schema) -> Transcoder:
    """Builds the transcoder of `schema`; its `warnings` hold rules that may be mistakes.

    Raises:
        RulesError: a rule cannot be served, or two claim one route, and the settings reject that.
        SelectorError: a selector of `routing` selects nothing.
    """
    router, diagnostics = plan_routes(schema, config.routing)
    errors = _with(Severity.ERROR, diagnostics)
    if errors:
        raise RulesError(errors)
    limits = config.limits
    codec = Codec(
        schema.pool,
        config.json_,
        json_depth=limits.json_depth,
        most_values=limits.response_values,
    )
    return Transcoder(config, codec, router, _with(Severity.WARNING, diagnostics))


def _with(severity: Severity, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return [diagnostic for diagnostic in diagnostics if diagnostic.severity is severity]
