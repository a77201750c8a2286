"""Body, captures and query to one request message, compiled once for each binding."""

from collections.abc import Callable, Sequence

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.model import QueryOptions
from gateway.status import invalid_argument
from gateway.transcoding.binding import WHOLE, Binding
from gateway.transcoding.clash import ClashCheck, clash_check
from gateway.transcoding.codec import Codec
from gateway.transcoding.fields import Encoder, path_encoder
from gateway.transcoding.http_body import is_http_body, write_http_body
from gateway.transcoding.media import is_json, unsupported
from gateway.transcoding.query import QueryBinder
from gateway.transcoding.wire import length_delimited

BodyReader = Callable[[bytes, str | None], bytes]
"""A body and its Content-Type to wire bytes of the request message."""


class RequestDecoder:
    """Makes the request messages of one binding."""

    def __init__(self, binding: Binding, codec: Codec, query: QueryOptions) -> None:
        self.binding = binding
        self.takes_raw_body = is_http_body(_body_message(binding))
        self._encode_captures = _captures_encoder([path_encoder(p) for p in binding.variables])
        self._query = QueryBinder(
            binding.method.input, bound=binding.variables, body=binding.body, options=query
        )
        self._read = _body_reader(binding, codec, raw=self.takes_raw_body)
        self._clash = _clash(binding, raw=self.takes_raw_body)

    def decode(
        self, captures: Sequence[str], query: str, content_type: str | None, body: bytes
    ) -> bytes:
        """The wire bytes of the request: the body's, then the query's, then the path's.

        Raises:
            StatusError: INVALID_ARGUMENT that names every field it can blame.
        """
        if not body:
            wire = b"".join(self._encode_captures(captures))
            return self._query.bind(query) + wire if query else wire
        if self._read is None:
            raise invalid_argument("", f"{self.binding.method.name} takes no body here")
        wire = self._read(body, content_type)
        path = self._encode_captures(captures)
        if self._clash is not None:
            self._clash(body, wire, path)
        return b"".join((wire, self._query.bind(query), *path))

    def explain(self, captures: Sequence[str], query: str) -> list[tuple[str, str, str]]:
        """Which part of the URL went to which field: its origin, its text, the field path."""
        paths = zip(self.binding.variables, captures, strict=True)
        found = [("path", text, path.text) for path, text in paths]
        bound = self._query.explain(query)
        return found + [(f"query {name}", text, path.text) for name, text, path in bound]


def _captures_encoder(encoders: Sequence[Encoder]) -> Callable[[Sequence[str]], Sequence[bytes]]:
    """Encodes all captures of a path; the loop is unrolled for the lengths that most paths have."""
    if len(encoders) == 1:
        (only,) = encoders
        return lambda captures: (only(captures[0]),)
    if len(encoders) == 2:
        first, second = encoders
        return lambda captures: (first(captures[0]), second(captures[1]))
    return lambda captures: [e(text) for e, text in zip(encoders, captures, strict=True)]


def _body_message(binding: Binding) -> Descriptor | None:
    """The message that the body is, if it is one."""
    if binding.body == WHOLE:
        return binding.method.input
    if isinstance(binding.body, FieldDescriptor) and not binding.body.is_repeated:
        return binding.body.message_type
    return None


def _clash(binding: Binding, *, raw: bool) -> ClashCheck | None:
    if binding.body is None or raw:
        return None
    field = binding.body if isinstance(binding.body, FieldDescriptor) else None
    return clash_check(binding.variables, field)


def _body_reader(binding: Binding, codec: Codec, *, raw: bool) -> BodyReader | None:
    body = binding.body
    if body is None:
        return None
    if raw:
        number = body.number if isinstance(body, FieldDescriptor) else None
        return _raw_reader(number)
    if isinstance(body, FieldDescriptor):
        return _json_reader(codec.field_reader(body))
    return _json_reader(codec.reader(binding.method.input))


def _raw_reader(number: int | None) -> BodyReader:
    """Takes a body as it is into a google.api.HttpBody, or into the field that is one."""

    def read(body: bytes, content_type: str | None) -> bytes:
        wire = write_http_body(content_type or "", body)
        return wire if number is None else length_delimited(number, wire)

    return read


def _json_reader(read_json: Callable[[bytes], bytes]) -> BodyReader:
    def read(body: bytes, content_type: str | None) -> bytes:
        if content_type is not None and not is_json(content_type):
            raise unsupported(content_type)
        return read_json(body)

    return read
