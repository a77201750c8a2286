"""Writes failures as JSON, in any of the three shapes."""

import logging
from collections.abc import Callable, Iterable, Sequence
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Final

from gateway.status import (
    STATUS_OF_CODE,
    Code,
    ErrorShape,
    FieldViolation,
    StatusError,
    error_document,
    invalid_fields,
)
from gateway.transcoding.json.codec import MAX_DETAILS_BYTES, MOST_DETAILS, USUAL_DETAILS, Codec
from gateway.transcoding.wire import MalformedError, length_delimited, read_size, read_tag

logger = logging.getLogger("gateway.transcoding")

_AIP193: Final = ErrorShape.AIP193
# By number, because the name of a member of an enum is computed by Python code.
_CODE_NAMES: Final = [code.name for code in Code]
_STARTS: Final = [f'{{"error":{{"code":{status},"message":"' for status in STATUS_OF_CODE]
_ENDS: Final = [f'","status":"{name}"}}}}' for name in _CODE_NAMES]
# Printable ASCII stays, without the two characters that JSON escapes; every other byte becomes
# another one. A translation costs less than an encoder that looks at each character.
_AS_IT_IS: Final = bytes(
    [b if 0x20 <= b <= 0x7E and b not in b'"\\' else (0 if b else 1) for b in range(256)]
)
_BAD_REQUEST: Final = '{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":['
# The tags of a google.rpc.Status, and of an Any.
_CODE: Final = 0x08
_MESSAGE: Final = 0x12
_DETAIL: Final = 0x1A
_VALUE: Final = 0x12
_USUAL_STARTS: Final = frozenset(length_delimited(1, name.encode()) for name in USUAL_DETAILS)
"""The Anys of the usual types, until their values."""
_SURELY_SMALL: Final = MAX_DETAILS_BYTES // 12
"""A character takes at most so many bytes in JSON: two escapes."""


class FailureWriter:
    """Writes failures by the settings for JSON."""

    def __init__(self, codec: Codec, *, pretty: bool, emits_unset: bool) -> None:
        self._codec = codec
        self._emits_unset = emits_unset
        self._is_compact = not pretty
        indent, separators = (2, (",", ": ")) if pretty else (None, (",", ":"))
        # Reuse one encoder: json.dumps would make one for each failure, half of its time.
        encoder = JSONEncoder(ensure_ascii=False, indent=indent, separators=separators)
        self._write = encoder.encode
        sample = [FieldViolation("a", "b", "c"), FieldViolation("", "d"), FieldViolation("e", "")]
        written = _violations(sample, emits_unset)
        self._has_usual_names = self._plain_details(invalid_fields(sample)) == written
        """True if the codec writes violations as `_violations` does."""

    def text(self, error: StatusError, shape: ErrorShape) -> bytes:
        """Returns the JSON of a failure; never raises."""
        if shape is _AIP193 and self._is_compact:
            if not _has_details(error):  # the usual case, in which nothing fails
                return _aip193(error.code, error.http_status, error.message)
            return safely(error, self._detailed)
        return safely(error, lambda failure: self._of_document(failure, shape))

    def _detailed(self, error: StatusError) -> bytes:
        """Returns what `_of_document` returns, with fewer steps, for the usual details."""
        violations = error.violations
        details: str | None = None
        if violations and self._has_usual_names:
            details = _violations(violations, self._emits_unset)
        if details is None or len(details) > _SURELY_SMALL:
            details = self._plain_details(error)
        if details is None:
            return self._of_document(error, _AIP193)
        if not details:
            return _aip193(error.code, error.http_status, error.message)
        end = ('","details":[', details, "]}}")
        return _aip193(error.code, error.http_status, error.message, "".join(end))

    def _plain_details(self, error: StatusError) -> str | None:
        """Returns the details as `Codec.details_to_json` does, if their text is certainly the same.

        It is for the details of google/rpc/error_details.proto, which have no floats, if there are
        only quotes to escape in their texts. For all others None.
        """
        wires = _usual_details(error)
        if wires is None or len(wires) > MOST_DETAILS:
            return None
        texts: list[str] = []
        left = MAX_DETAILS_BYTES
        for wire in wires:
            try:
                text = self._codec.write_any(wire)
            except StatusError:
                return None
            left -= len(text)
            if left < 0 or not text.isascii():
                return None
            escapes = text.count(b"\\")
            if escapes and escapes != text.count(b'\\"'):
                return None
            texts.append(text.decode("ascii"))
        return ",".join(texts)

    def plain_text(self, code: Code, message: str, shape: ErrorShape) -> bytes | None:
        """Returns the JSON of a failure without details; None if only `text` can write it.

        That is so if its message is not of printable ASCII, or not as it is in JSON.
        """
        if shape is _AIP193 and self._is_compact and _is_plain(message):
            parts = (_STARTS[code], message, _ENDS[code])
            # As machine code, an f-string copies character by character, and `join` whole texts.
            return "".join(parts).encode()
        return None

    def _of_document(self, error: StatusError, shape: ErrorShape) -> bytes:
        details = self._codec.details_to_json(error.details)
        document = error_document(shape, error, details)
        if not (details or self._emits_unset):
            document.pop("details", None)
        # Replace lone surrogates, which a back end can put into a message: they are not UTF-8.
        return self._write(document).encode("utf-8", "replace")


def safely(error: StatusError, write: Callable[[StatusError], bytes]) -> bytes:
    """Writes a failure with `write`; if that fails, only its code and HTTP status.

    The client must get a response even if the details cannot be written.
    """
    try:
        return write(error)
    except Exception:
        logger.exception("the details of a failure cannot be written")
    plain = StatusError(
        error.code, "the details of this failure cannot be written", http_status=error.http_status
    )
    return write(plain)


def _aip193(code: Code, http_status: int, message: str, end: str = '"}}') -> bytes:
    """Writes a failure; `end` is all after the name of its code."""
    parts = (
        '{"error":{"code":', str(http_status),
        ',"message":', _quoted(message),
        ',"status":"', _CODE_NAMES[code], end,
    )  # fmt: skip
    # As machine code, an f-string copies character by character, and `join` whole texts.
    return "".join(parts).encode("utf-8", "replace")


def _has_details(error: StatusError) -> bool:
    # The first two are for errors whose details are not decoded until they are read.
    return error.violations is not None or bool(error.details_bytes or error.details)


def _usual_details(error: StatusError) -> Sequence[bytes] | None:
    """Returns each detail as an Any on the wire, if all are of the usual types; else None."""
    if error.violations is not None:
        return (error.bad_request,)
    status = error.details_bytes
    found = _details_of(status) if status else None
    if found is not None:
        return found
    details = error.details
    if not USUAL_DETAILS.issuperset([detail.type_url for detail in details]):
        return None
    return [detail.SerializeToString() for detail in details]


def _details_of(status: bytes) -> Sequence[bytes] | None:
    """Returns the details of a google.rpc.Status, if it is certainly valid, and they are usual."""
    found: list[bytes] = []
    at, end = 0, len(status)
    try:
        while at < end:
            tag, at = read_tag(status, at, end)
            if tag == _CODE and at < end and status[at] < 128:
                at += 1
                continue
            start, at = read_size(status, at, end)
            value = status[start:at]
            if tag == _DETAIL and _is_usual(value):
                found.append(value)
            elif tag != _MESSAGE or not value.isascii():
                return None
    except MalformedError:
        return None
    return found


def _is_usual(detail: bytes) -> bool:
    """True for an Any of a usual type, and then its value, and nothing else.

    Raises:
        MalformedError: it is not valid.
    """
    value_at = 2 + detail[1] if len(detail) > 1 else 0
    if detail[:value_at] not in _USUAL_STARTS:
        return False
    end = len(detail)
    if value_at == end:
        return True
    return detail[value_at] == _VALUE and read_size(detail, value_at + 1, end)[1] == end


def _violations(violations: Iterable[FieldViolation], emits_unset: bool) -> str:  # noqa: FBT001
    """Writes a BadRequest; an empty member of a violation is left out unless `emits_unset`."""
    objects: list[str] = []
    for violation in violations:
        field, description, reason = violation
        members: list[str] = []
        if field or emits_unset:
            members.append('"field":' + _quoted(field))
        if description or emits_unset:
            members.append('"description":' + _quoted(description))
        if reason or emits_unset:
            members.append('"reason":' + _quoted(reason))
        objects.append("{" + ",".join(members) + "}")
    return _BAD_REQUEST + ",".join(objects) + "]}"


def _quoted(text: str) -> str:
    if not text:
        return '""'
    return '"' + text + '"' if _is_plain(text) else encode_basestring(text)


def _is_plain(text: str) -> bool:
    """True if a text is the same in JSON, and printable ASCII."""
    if not text.isascii():
        return False
    data = text.encode()
    return data.translate(_AS_IT_IS) == data
