"""The bodies of requests and responses, by media type."""

from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import FieldDescriptor

from gateway.config.query import QueryOptions
from gateway.openapi.errors import RECORD
from gateway.openapi.schemas import Json, Schemas, Texts, Use
from gateway.transcoding.binding import WHOLE, Binding
from gateway.transcoding.http_body import is_http_body
from gateway.transcoding.media import JSON, PROTOBUF_TYPES
from gateway.transcoding.protobuf_codec import has_message
from gateway.transcoding.streams.form import form_fields
from gateway.transcoding.streams.framing import EVENT_STREAM, JSON_LINES, NDJSON

_PROTOBUF: Final = PROTOBUF_TYPES[0]
_ANY: Final = "*/*"
_BYTES: Final[Json] = {}
"""Raw bytes: OpenAPI 3.1 describes them without a schema (section 4.8.14.2)."""
_EVENTS: Final = "Server-sent events: `data` is one message as JSON; `event: end` or `error` ends."


@dataclass(frozen=True, slots=True)
class Bodies:
    """Makes the bodies of operations."""

    schemas: Schemas
    texts: Texts
    query: QueryOptions
    has_items: bool = False
    """True for OpenAPI 3.2, whose `itemSchema` is that of each message of a stream."""

    def request(self, binding: Binding, http_method: str) -> Json | None:
        """The body of a binding's requests, or None if it takes none."""
        body = binding.body
        if body is None:
            return None
        content: Json = {}
        message = binding.method.input if isinstance(body, str) else body.message_type
        if is_http_body(message) and not (not isinstance(body, str) and body.is_repeated):
            content[_ANY] = _BYTES
        else:
            schema = self._request_schema(binding, http_method)
            if binding.method.client_streaming:
                content[NDJSON] = self._lines(schema)
                schema = {"type": "array", "items": schema}
            content[JSON] = {"schema": schema}
            if isinstance(body, str) or has_message(body):
                content[_PROTOBUF] = _BYTES
        form = self._form(binding)
        if form is not None:
            content["multipart/form-data"] = {"schema": form}
        part: Json = {"content": content}
        if self._is_needed(binding):
            part["required"] = True
        if isinstance(body, FieldDescriptor):
            self.texts.describe(part, body.full_name)
        return part

    def response(self, binding: Binding, http_method: str) -> Json:
        """The response of a successful call."""
        part: Json = {"description": "The call succeeded."}
        if http_method == "HEAD":
            return part
        content: Json
        if binding.answers_raw:
            content = {_ANY: _BYTES}
        elif binding.method.server_streaming:
            content = self._stream(binding)
        else:
            content = {JSON: {"schema": self._reply(binding)}}
            if binding.response_body is None or has_message(binding.response_body):
                content[_PROTOBUF] = _BYTES
        part["content"] = content
        return part

    def _request_schema(self, binding: Binding, http_method: str) -> Json:
        """The schema of a request's message, without the fields that the path sets."""
        body = binding.body
        if not isinstance(body, FieldDescriptor):
            single = [path for path in binding.variables if len(path.fields) == 1]
            without = frozenset(path.leaf.number for path in single)
            return self.schemas.message(binding.method.input, Use.REQUEST, without)
        # AIP-134: a PATCH may send any part of a resource.
        use = Use.UPDATE if http_method == "PATCH" else Use.REQUEST
        inner = [path for path in binding.variables if path.fields[0] == body]
        without = frozenset(path.leaf.number for path in inner if len(path.fields) == 2)
        return self.schemas.field(body, use, without)

    def _form(self, binding: Binding) -> Json | None:
        """The schema of a form with a file, if the binding takes one."""
        fields = form_fields(binding, self.query)
        if fields is None:
            return None
        file: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
        name = self.schemas.name(fields.file)
        required = [name] if self.schemas.needs(fields.file) else []
        properties = {name: file}
        bound = {path.numbers[0] for path in binding.variables}
        others = [
            field
            for field in self.schemas.fields(binding.method.input)
            if field != fields.file and field.number not in bound
        ]
        for field in others:
            # With a body field, the other fields are parameters; parts can set them too.
            if field.message_type is None and binding.body == WHOLE:
                properties[self.schemas.name(field)] = self.schemas.field(field, Use.REQUEST)
                required += [self.schemas.name(field)] if self.schemas.needs(field) else []
        form: Json = {"type": "object", "properties": properties}
        if required:
            form["required"] = required
        if self.query.rejects_unknown and len(properties) == len(others) + 1:
            form["additionalProperties"] = False
        return form

    def _reply(self, binding: Binding) -> Json:
        field = binding.response_body
        if field is None:
            return self.schemas.message(binding.method.output, Use.REPLY)
        return self.schemas.field(field, Use.REPLY)

    def _stream(self, binding: Binding) -> Json:
        """The formats of a stream of replies (docs/streaming.md)."""
        item: Json = {"anyOf": [self._reply(binding), {"$ref": f"#/components/schemas/{RECORD}"}]}
        lines = self._lines(item)
        content: Json = {
            NDJSON: lines,
            JSON: {"schema": {"type": "array", "items": item}},
            EVENT_STREAM: self._events(item),
            JSON_LINES: lines,
        }
        if binding.response_body is None or has_message(binding.response_body):
            content[_PROTOBUF] = _BYTES
        return content

    def _lines(self, item: Json) -> Json:
        """A body with one message a line."""
        if self.has_items:
            return {"itemSchema": item}
        # An extension may hold a schema, but not be a reference ("Specification Extensions").
        return {"schema": item, "x-item-schema": {"allOf": [item]} if "$ref" in item else item}

    def _events(self, item: Json) -> Json:
        """A body of server-sent events (OpenAPI 3.2, section 4.14.3)."""
        if not self.has_items:
            text: Json = {"type": "string", "description": _EVENTS}
            return {"schema": text, "x-item-schema": item}
        data: Json = {
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": item,
        }
        event: Json = {
            "type": "object",
            "required": ["data"],
            "properties": {"event": {"type": "string"}, "data": data, "id": {"type": "string"}},
            "description": _EVENTS,
        }
        return {"itemSchema": event}

    def _is_needed(self, binding: Binding) -> bool:
        """True if the body has fields that a request needs."""
        if binding.body != WHOLE:
            return isinstance(binding.body, FieldDescriptor) and self.schemas.needs(binding.body)
        bound = {path.fields[0].number for path in binding.variables}
        fields = binding.method.input.fields
        return any(self.schemas.needs(field) for field in fields if field.number not in bound)
