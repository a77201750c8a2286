"""The façade: HTTP to protobuf wire bytes and back. It never awaits.

Four questions, in the order a request asks them: `match` (which binding), `decode` (the request's
message), `encode` (the reply's payload), `encode_error` (any failure's payload).
"""

import json
from collections.abc import Iterable, Sequence

from gateway.config.model import Config
from gateway.schema.catalog import Schema
from gateway.status import ERROR_MEDIA_TYPE, StatusError, error_document
from gateway.transcoding.binding import Binding, Diagnostic, Severity, bind, build_router
from gateway.transcoding.codec import Codec
from gateway.transcoding.media import accepts_json, not_acceptable
from gateway.transcoding.payload import Payload
from gateway.transcoding.request import RequestDecoder
from gateway.transcoding.response import Encode, is_raw, response_encoder
from gateway.transcoding.router import Match, Router


class RulesError(Exception):
    """The schema has rules that cannot be served; `diagnostics` says which and why."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


class _Plan:
    """What one binding needs at each request, made when the first one comes."""

    __slots__ = ("answers_raw", "decoder", "encode")

    def __init__(self, decoder: RequestDecoder, encode: Encode, *, answers_raw: bool) -> None:
        self.decoder = decoder
        self.encode = encode
        self.answers_raw = answers_raw


class Transcoder:
    """Transcodes between HTTP and the methods of one schema."""

    def __init__(
        self,
        config: Config,
        codec: Codec,
        router: Router[Binding],
        bindings: Sequence[Binding],
        warnings: Sequence[Diagnostic] = (),
    ) -> None:
        self.bindings = bindings
        self.warnings = warnings
        self.match = router.match
        self.allowed_methods = router.allowed_methods
        self._router = router
        self._config = config
        self._codec = codec
        self._shape = config.errors
        self._plans: dict[Binding, _Plan] = {}

    def accept(self, match: Match[Binding], accept: str | None) -> None:
        """Refuses a client that admits nothing this binding can answer.

        Raises:
            StatusError: HTTP status 406.
        """
        if accept is not None and not accepts_json(accept) and not self._plan(match).answers_raw:
            raise not_acceptable(accept)

    def answers_raw(self, match: Match[Binding]) -> bool:
        """Whether this binding answers with a back end's own bytes instead of JSON."""
        return self._plan(match).answers_raw

    def decode(
        self, match: Match[Binding], query: str, content_type: str | None, body: bytes
    ) -> bytes:
        """The wire bytes of the request message.

        Raises:
            StatusError: INVALID_ARGUMENT, with HTTP status 415 where the body's type is at fault.
        """
        return self._plan(match).decoder.decode(match.captures, query, content_type, body)

    def encode(self, match: Match[Binding], message: bytes) -> Payload:
        """The payload of a reply.

        Raises:
            StatusError: INTERNAL if the message cannot be shown as JSON.
        """
        return self._plan(match).encode(message)

    def encode_error(self, error: StatusError) -> Payload:
        """The payload of a failure, in the configured shape; never raises."""
        to_json = self._codec.any_to_json
        details = [to_json(detail.type_url, detail.value) for detail in error.details]
        document = error_document(self._shape, error, details)
        pretty = self._config.json_.pretty
        indent, separators = (2, (",", ": ")) if pretty else (None, (",", ":"))
        text = json.dumps(document, ensure_ascii=False, indent=indent, separators=separators)
        # Back ends can put lone surrogates into a message; they cannot go out as UTF-8.
        return Payload(text.encode("utf-8", "replace"), ERROR_MEDIA_TYPE[self._shape])

    def explain_match(self, http_method: str, path: str) -> list[tuple[Binding, str]]:
        """For each binding: `matches`, or why it does not."""
        return self._router.explain(http_method, path)

    def explain_request(self, match: Match[Binding], query: str) -> list[tuple[str, str, str]]:
        """Which part of the URL went to which field."""
        return self._plan(match).decoder.explain(match.captures, query)

    def request_json(self, match: Match[Binding], message: bytes) -> bytes:
        """A request message as JSON, for people."""
        return self._codec.writer(match.target.method.input)(message)

    def _plan(self, match: Match[Binding]) -> _Plan:
        try:
            return self._plans[match.target]
        except KeyError:
            return self._compile(match.target)

    def _compile(self, binding: Binding) -> _Plan:
        decoder = RequestDecoder(binding, self._codec, self._config.query)
        encode = response_encoder(binding, self._codec)
        plan = self._plans[binding] = _Plan(decoder, encode, answers_raw=is_raw(binding))
        return plan


def build_transcoder(config: Config, schema: Schema) -> Transcoder:
    """The transcoder for `schema`; what is merely doubtful stands in its `warnings`.

    Raises:
        RulesError: a rule cannot be served, or two claim one route and `on_conflict` is refuse.
    """
    bindings, diagnostics = bind(schema)
    router, conflicts = build_router(
        bindings,
        on_conflict=config.routing.on_conflict,
        allow_nul=config.routing.allow_nul,
    )
    diagnostics += conflicts
    errors = list(_with(Severity.ERROR, diagnostics))
    if errors:
        raise RulesError(errors)
    codec = Codec(schema.pool, config.json_, json_depth=config.limits.json_depth)
    return Transcoder(config, codec, router, bindings, list(_with(Severity.WARNING, diagnostics)))


def _with(severity: Severity, diagnostics: Iterable[Diagnostic]) -> Iterable[Diagnostic]:
    return (diagnostic for diagnostic in diagnostics if diagnostic.severity is severity)
