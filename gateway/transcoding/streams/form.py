"""Reads multipart/form-data (RFC 7578): a file to a google.api.HttpBody, other parts to fields.

Forms are fed in pieces; data of the file is passed on at once and never buffered. The other parts
of a form are bound like query parameters, by the same rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import multipart
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.config.query import QueryOptions
from gateway.transcoding.binding import WHOLE, Binding
from gateway.transcoding.http_body import http_body_start, is_http_body, write_http_body
from gateway.transcoding.media import Code, StatusError, invalid_argument, media_type
from gateway.transcoding.query import QueryBinder

_FORM = "multipart/form-data"
_LONGEST_BOUNDARY = 70  # RFC 2046 section 5.1.1
_FIELDS_BYTES = 256 * 1024


def is_form(content_type: str) -> bool:
    """True if a Content-Type is that of a form with files."""
    return media_type(content_type) == _FORM


@dataclass(slots=True)
class File:
    """The event that the form's file begins."""

    content_type: str


@dataclass(slots=True)
class Field:
    """A part that is not a file."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FormFields:
    """The targets of a form's parts for one binding."""

    file: FieldDescriptor
    """The field that is a google.api.HttpBody."""
    binder: QueryBinder
    max_parts: int

    def bind(self, query: str, fields: Sequence[tuple[str, str]]) -> bytes:
        """Encodes the values of the query and of a form's fields as wire bytes.

        Raises:
            StatusError: INVALID_ARGUMENT that names the field.
        """
        return self.binder.bind("&".join(filter(None, (query, urlencode(fields, quote_via=quote)))))

    def start(self, content_type: str, size: int) -> bytes:
        """Encodes a message with only a piece of the file, up to its bytes, which come last."""
        return http_body_start(content_type, size, self.file.number)


def form_fields(
    binding: Binding, options: QueryOptions, *, ignores_case: bool = False
) -> FormFields | None:
    """Returns the targets of a form's parts, or None if the binding accepts no forms.

    The file goes into the body field, or with the whole message as the body into its one HttpBody.
    With `ignores_case`, names of enum values are compared without their case.
    """
    file = binding.body
    if file == WHOLE:
        bodies = [one for one in _singular(binding.method.input) if is_http_body(one.message_type)]
        file = bodies[0] if len(bodies) == 1 else None
    if not isinstance(file, FieldDescriptor) or file.is_repeated:
        return None
    if not is_http_body(file.message_type):
        return None
    binder = QueryBinder(
        binding.method.input,
        bound=binding.variables,
        body=file,
        options=options,
        ignores_case=ignores_case,
    )
    return FormFields(file, binder, options.max_parameters + 1)


@dataclass(slots=True)
class WholeForm:
    """A complete form."""

    file: bytes
    """The wire bytes of the file, in its field; empty without a file."""
    fields: list[tuple[str, str]] = field(default_factory=list)


class Form:
    """Reads one form, piece by piece."""

    def __init__(self, fields: FormFields, content_type: str) -> None:
        self._names = {fields.file.name, fields.file.json_name}
        self._parser = _parser(content_type, fields.max_parts)
        self._part: multipart.MultipartSegment | None = None
        self._text: bytearray | None = None
        """The data of the current part so far; None for the file."""
        self._fields_bytes = 0
        self._has_file = False

    def feed(self, data: bytes) -> Iterator[File | Field | bytes]:
        """Yields complete fields, the beginning of the file, and pieces of the file.

        Raises:
            StatusError: INVALID_ARGUMENT for an invalid form, 413 for one over the limits.
        """
        try:
            for event in self._parser.parse(data):
                match event:
                    case multipart.MultipartSegment():
                        yield from self._begin(event)
                    case None:
                        yield from self._end()
                    case _:
                        yield from self._go_on(bytes(event))
        except multipart.ParserLimitReached:
            raise _too_much("the form has too many parts, or too long headers") from None
        except multipart.MultipartError:
            raise _malformed() from None

    def finish(self) -> None:
        """Checks that the form is complete at the end of the body.

        Raises:
            StatusError: INVALID_ARGUMENT if the form is incomplete.
        """
        try:
            self._parser.close()
        except multipart.MultipartError:
            raise _malformed() from None

    def _begin(self, part: multipart.MultipartSegment) -> Iterator[File]:
        self._part = part
        if part.disposition != "form-data" or not part.name:
            raise invalid_argument(
                "", "each part of a form needs a Content-Disposition with a name"
            )
        if part.filename is None and part.name not in self._names:
            self._text = bytearray()
            return
        if self._has_file:
            raise invalid_argument(part.name, "is a second file; a form can have only one")
        self._has_file = True
        yield File(part.header("Content-Type", "") or "")

    def _go_on(self, data: bytes) -> Iterator[bytes]:
        if self._text is None:
            yield data
            return
        self._fields_bytes += len(data)
        if self._fields_bytes > _FIELDS_BYTES:
            raise _too_much(f"the fields of the form are larger than {_FIELDS_BYTES} bytes")
        self._text += data

    def _end(self) -> Iterator[Field]:
        part, text = self._part, self._text
        self._part = self._text = None
        if part is None or text is None:
            return
        name = part.name or ""
        try:
            yield Field(name, text.decode("utf-8"))
        except UnicodeDecodeError:
            raise invalid_argument(name, "is not UTF-8 text") from None


def read_form(fields: FormFields, content_type: str, body: bytes) -> WholeForm:
    """Reads a complete form.

    Raises:
        StatusError: INVALID_ARGUMENT for an invalid form, 413 for one over the limits.
    """
    form = Form(fields, content_type)
    whole = WholeForm(b"")
    stated: str | None = None
    data: list[bytes] = []
    for event in form.feed(body):
        match event:
            case Field():
                whole.fields.append((event.name, event.value))
            case File():
                stated = event.content_type
            case _:
                data.append(event)
    form.finish()
    if stated is not None:
        whole.file = write_http_body(stated, b"".join(data), fields.file.number)
    return whole


def _singular(message: Descriptor) -> list[FieldDescriptor]:
    return [one for one in message.fields if not one.is_repeated]


def _parser(content_type: str, max_parts: int) -> multipart.PushMultipartParser:
    boundary = multipart.parse_options_header(content_type)[1].get("boundary", "")
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise invalid_argument("", f"expected {_FORM} with a boundary of 1 to 70 characters")
    try:
        return multipart.PushMultipartParser(boundary, max_segment_count=max_parts)
    except multipart.MultipartError:
        raise _malformed() from None


def _malformed() -> StatusError:
    return invalid_argument("", f"the body is not well-formed {_FORM}")


def _too_much(message: str) -> StatusError:
    return StatusError(Code.RESOURCE_EXHAUSTED, message, http_status=413)
