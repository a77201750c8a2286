"""Decodes body, captures and query to one request message; compiled once for each binding."""

from collections.abc import Callable, Sequence

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.model import Config
from gateway.config.resources import Immutable, OutputOnly, ResourceOptions, UpdateMask
from gateway.message_stream import Parts
from gateway.schema.field_behavior import behavior
from gateway.transcoding import protobuf_codec
from gateway.transcoding.binding import WHOLE, Binding
from gateway.transcoding.fields import SHORT, path_encoder, text_heads
from gateway.transcoding.http_body import http_body_start, is_http_body
from gateway.transcoding.json.codec import Codec, Transform
from gateway.transcoding.json.count import refuse_too_many_values
from gateway.transcoding.json.first_value import first_value
from gateway.transcoding.media import (
    JSON,
    PROTOBUF_TYPES,
    URL_ENCODED,
    is_among,
    is_json,
    media_type,
    unsupported,
)
from gateway.transcoding.path_conflict import ConflictCheck, path_conflict_check
from gateway.transcoding.query import QueryBinder
from gateway.transcoding.streams.form import FormFields, form_fields, is_form, read_form
from gateway.transcoding.system_parameters import parameter_names
from gateway.transcoding.unwanted_fields import Remove, remover
from gateway.transcoding.update_mask import CheckMask, mask_check, mask_inference
from gateway.transcoding.wire import Code, StatusError, invalid_argument

_NO_MEMBERS = b"null"
"""The JSON of a body that is not there, for the inference of a mask."""

BodyReader = Callable[[bytes, str | None], bytes]
"""Converts a body with its Content-Type to wire bytes of the request message."""


class RequestDecoder:
    """Decodes the request messages of one binding."""

    def __init__(self, binding: Binding, codec: Codec, config: Config) -> None:
        query = config.query
        self.binding = binding
        self.takes_raw_body = is_http_body(_body_message(binding))
        ignores_case = config.json_.ignores_enum_case
        self.form = form_fields(binding, query, ignores_case=ignores_case)
        self._codec = codec
        self._json_values = config.limits.json_values
        self._json_types = config.json_.content_types
        self._takes_url_encoded = query.form_bodies and binding.body is None
        self.ignores_excess_body = config.json_.excess_body.is_ignored
        """True if a body is ignored where the HTTP rule has none."""
        self._encoders = [
            path_encoder(path, ignores_case=ignores_case) for path in binding.variables
        ]
        self._text_heads = [text_heads(path) for path in binding.variables]
        self._query = QueryBinder(
            binding.method.input,
            bound=binding.variables,
            body=binding.body,
            options=query,
            system_parameters=parameter_names(
                binding.method.system_parameters,
                binding.method.input,
                by_default=config.resources.system_parameters,
            ),
            ignores_case=ignores_case,
        )
        self._remove = _remover(binding, config.resources)
        self._bind = self._query_reader(_mask_check(binding, config.resources))
        infers = config.resources.update_mask is UpdateMask.INFER
        self._infer_mask = mask_inference(binding) if infers else None
        self._is_plain = self._infer_mask is None and not self._query.merges
        """True if what the query sets follows the body as it is."""
        self._json: Transform | None = None
        self._protobuf: Transform | None = None
        """Both are made for the first body: in a large schema most are never used."""
        self._read = self._body_reader()
        body = binding.body
        self._raw_field = body.number if isinstance(body, FieldDescriptor) else 0
        """The number of the field that a raw body becomes; 0 if it is the whole message."""
        self._check_conflict = _conflict_check(binding, raw=self.takes_raw_body)

    def decode(
        self, captures: tuple[str, ...], query: str, content_type: str | None, body: bytes
    ) -> bytes:
        """Returns the wire bytes of the request: the body's, then the query's, then the path's.

        Raises:
            StatusError: INVALID_ARGUMENT that names every invalid field it finds.
        """
        if not body:
            wire = b"".join(self._encode_captures(captures))
            bound = self._bind(query) if query else b""
            if self._infer_mask is not None:
                self._infer_mask(_NO_MEMBERS, bound)  # refuses an update of nothing
            return bound + wire if bound else wire
        if self._read is None:
            return self._decode_excess(captures, query, content_type, body)
        if self._is_plain and self._is_raw(content_type):
            return b"".join(self._decode_raw(captures, query, content_type, [body]))
        json: bytes | None = body
        if content_type is None or is_json(content_type):
            wire = self._read(body, content_type)
        elif self.form is not None and is_form(content_type):
            form = read_form(self.form, content_type, body)
            return form.file + self.decode_form(self.form, captures, query, form.fields)
        elif self.takes_raw_body:
            wire = self._read(body, content_type)
        elif media_type(content_type) in PROTOBUF_TYPES:
            wire, json = self._read_protobuf(body), None
        elif self._json_types and is_among(content_type, self._json_types):
            wire = self._read(body, content_type)
        else:
            raise unsupported(content_type, JSON, PROTOBUF_TYPES[0])
        path: Sequence[bytes] = self._encode_captures(captures)
        if self._check_conflict is not None:
            path = self._check_conflict(json, wire, path)
        if self._is_plain:
            return b"".join((wire, self._bind(query), *path))
        return b"".join((*self._around(json, wire, query), *path))

    def decode_parts(
        self, captures: tuple[str, ...], query: str, content_type: str | None, parts: Parts
    ) -> bytes | Parts:
        """Returns what `decode` returns for a body in parts; one that is raw is not copied, and
        stays in parts."""
        if self._is_plain and any(parts) and self._is_raw(content_type):
            return self._decode_raw(captures, query, content_type, parts)
        return self.decode(captures, query, content_type, b"".join(parts))

    def _decode_raw(
        self, captures: tuple[str, ...], query: str, content_type: str | None, parts: Parts
    ) -> Parts:
        start = self.raw_start(content_type or "", sum(map(len, parts)))
        path = self._encode_captures(captures)
        return [start, *parts, self._bind(query), *path]

    def _decode_excess(
        self, captures: tuple[str, ...], query: str, content_type: str | None, body: bytes
    ) -> bytes:
        """Decodes a request whose body has no place in the message."""
        if self.takes_url_encoded(content_type):
            return self.decode_url(captures, _joined(query, body))
        if self.ignores_excess_body:
            return self.decode_url(captures, query)
        raise invalid_argument("", f"{self.binding.method.name} takes no body on this route")

    def _is_raw(self, content_type: str | None) -> bool:
        """True if a body of this media type is taken as it is."""
        if self.form is not None and content_type is not None and is_form(content_type):
            return False
        return self.takes_raw_body

    def _around(self, json: bytes | None, wire: bytes, query: str) -> tuple[bytes, bytes, bytes]:
        """Returns the wire bytes of a body between those that the query sets, with its mask."""
        before, after = b"", self._bind(query)
        if self._query.merges:
            before, after = self._query.bind_around(query)
            if self._remove is not None:
                before, after = self._remove(before), self._remove(after)
        if self._infer_mask is not None and json is not None:
            after += self._infer_mask(json, before + after)
        return before, wire, after

    def takes_url_encoded(self, content_type: str | None) -> bool:
        """True if a body of this Content-Type is read as query parameters."""
        return (
            self._takes_url_encoded
            and content_type is not None
            and media_type(content_type) == URL_ENCODED
        )

    def decode_url(self, captures: tuple[str, ...], query: str) -> bytes:
        """Returns the wire bytes of the fields that the URL sets.

        Raises:
            StatusError: INVALID_ARGUMENT that names the field.
        """
        bound = self._bind(query) if query else b""
        return bound + b"".join(self._encode_captures(captures))

    def decode_form(
        self,
        form: FormFields,
        captures: tuple[str, ...],
        query: str,
        fields: Sequence[tuple[str, str]],
    ) -> bytes:
        """Returns the wire bytes of the fields that the URL and a form set.

        Raises:
            StatusError: INVALID_ARGUMENT that names the field.
        """
        if self.binding.body == WHOLE:
            self._query.bind(query)  # rejects parameters: the body is the whole message
        wire = form.bind(query, fields)
        if self._remove is not None:
            wire = self._remove(wire)
        return wire + b"".join(self._encode_captures(captures))

    def raw_start(self, content_type: str, size: int) -> bytes:
        """Encodes what comes before a raw body of this size, or before a piece of one."""
        return http_body_start(content_type, size, self._raw_field)

    def message_reader(
        self, captures: tuple[str, ...], query: str, *, protobuf: bool
    ) -> tuple[bytes, Callable[[bytes], bytes]]:
        """Returns what `decode_url` does, and the reader of one message of a stream.

        It rejects one that contradicts the path. If the rule has no body, each message of the
        stream is the whole request.

        Raises:
            StatusError: as `decode_url`.
        """
        bound = self._bind(query) if query else b""
        path = self._encode_captures(captures)
        url = bound + b"".join(path)
        read = self._read_protobuf if protobuf else self._read_json
        check = self._check_conflict
        if check is None:
            return url, read

        def read_and_check(body: bytes) -> bytes:
            wire = read(body)
            check(None if protobuf else body, wire, path)
            return wire

        return url, read_and_check

    def explain(self, captures: tuple[str, ...], query: str) -> list[tuple[str, str, str]]:
        """Returns each part of the URL that sets a field: its origin, its text, the field path."""
        paths = zip(self.binding.variables, captures, strict=True)
        found = [("path", text, path.text) for path, text in paths]
        bound = self._query.explain(query)
        return found + [(f"query {name}", text, path.text) for name, text, path in bound]

    def _encode_captures(self, captures: tuple[str, ...]) -> list[bytes]:
        parts: list[bytes] = []
        for number, text in enumerate(captures):
            heads, size = self._text_heads[number], len(text)
            # Nearly every one is a short string of ASCII: this avoids a call for it.
            if heads is not None and size < SHORT and text.isascii():
                parts.append(heads[size] + text.encode())
            else:
                parts.append(self._encoders[number](text))
        return parts

    def _body_reader(self) -> BodyReader | None:
        body = self.binding.body
        if body is None:
            return None
        if self.takes_raw_body:
            return lambda body, content_type: self.raw_start(content_type or "", len(body)) + body
        return lambda body, _: self._read_json(body)

    def _read_json(self, body: bytes) -> bytes:
        if self._json is None:
            field = self.binding.body
            self._json = (
                self._codec.field_reader(field)
                if isinstance(field, FieldDescriptor)
                else self._codec.reader(self.binding.method.input)
            )
        # A value has two characters at least, with what separates it from the next.
        if len(body) > 2 * self._json_values:
            refuse_too_many_values(body, self._json_values)
        wire = self._json(body)
        return wire if self._remove is None else self._remove(wire)

    def _read_protobuf(self, body: bytes) -> bytes:
        if self._protobuf is None:
            field = self.binding.body
            self._protobuf = (
                protobuf_codec.field_reader(field)
                if isinstance(field, FieldDescriptor)
                else protobuf_codec.reader(self.binding.method.input)
            )
        wire = self._protobuf(body)
        return wire if self._remove is None else self._remove(wire)

    def _query_reader(self, check: CheckMask | None) -> Callable[[str], bytes]:
        """Makes the reader of the query; with `check`, it refuses some of its masks."""
        bind, remove = self._query.bind, self._remove
        if remove is None and check is None:
            return bind

        def read(query: str) -> bytes:
            wire = bind(query)
            if check is not None:
                check(wire)
            return wire if remove is None else remove(wire)

        return read


class LenientDecoder(RequestDecoder):
    """Ignores what follows the JSON value of a body, by `json.text_after`."""

    def decode(
        self, captures: tuple[str, ...], query: str, content_type: str | None, body: bytes
    ) -> bytes:
        """Decodes the whole body first, and then, if that fails, its JSON value alone."""
        try:
            return super().decode(captures, query, content_type, body)
        except StatusError as error:
            # Another code means that the body is too large to be read twice.
            if error.code is not Code.INVALID_ARGUMENT or not self._is_json(content_type):
                raise
            value = first_value(body)
            if value is None:
                raise
        return super().decode(captures, query, content_type, value)

    def _is_json(self, content_type: str | None) -> bool:
        if content_type is None or is_json(content_type):
            return True
        is_other = media_type(content_type) in PROTOBUF_TYPES or is_form(content_type)
        return not is_other and is_among(content_type, self._json_types)


def _remover(binding: Binding, options: ResourceOptions) -> Remove | None:
    """Makes the remover of the fields that only the service sets (AIP-203), or None.

    The URL's own values stay: they say which resource is meant.
    """
    if options.output_only is OutputOnly.LEAVE:
        return None
    return remover(
        binding.method.input,
        lambda field: behavior(field).is_output_only,
        refuses=options.output_only is OutputOnly.REJECT,
    )


def _mask_check(binding: Binding, options: ResourceOptions) -> CheckMask | None:
    return mask_check(binding) if options.immutable is Immutable.REJECT else None


def _joined(query: str, form: bytes) -> str:
    """Returns the parameters of a query and those of an HTML form (WHATWG URL, section 5.1)."""
    try:
        text = form.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid_argument("", f"the body is not well-formed {URL_ENCODED}") from None
    text = text.replace("+", "%20")  # a space in forms, whatever a query means by it
    return f"{query}&{text}" if query else text


def _body_message(binding: Binding) -> Descriptor | None:
    """The message type of the body, or None if the body is not one message."""
    if binding.body == WHOLE:
        return binding.method.input
    if isinstance(binding.body, FieldDescriptor) and not binding.body.is_repeated:
        return binding.body.message_type
    return None


def _conflict_check(binding: Binding, *, raw: bool) -> ConflictCheck | None:
    # Without a body, only messages of a stream can contradict the path.
    if raw or (binding.body is None and not binding.method.client_streaming):
        return None
    field = binding.body if isinstance(binding.body, FieldDescriptor) else None
    return path_conflict_check(binding.variables, field)
