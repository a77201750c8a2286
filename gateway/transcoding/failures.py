"""Writes failures as JSON, in any of the three shapes."""

import logging
from collections.abc import Callable
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Final

from gateway.status import STATUS_OF_CODE, Code, ErrorShape, StatusError, error_document
from gateway.transcoding.json.codec import Codec

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

    def text(self, error: StatusError, shape: ErrorShape) -> bytes:
        """Returns the JSON of a failure; never raises."""
        if shape is _AIP193 and self._is_compact:
            if not (error.bad_request or error.details):  # the usual case, in which nothing fails
                return _aip193(error.code, error.http_status, error.message)
            return safely(error, self._detailed)
        return safely(error, lambda failure: self._of_document(failure, shape))

    def _detailed(self, error: StatusError) -> bytes:
        """Returns what `_of_document` returns, with fewer steps, for the usual details."""
        details = self._codec.plain_details(error)
        if details is None:
            return self._of_document(error, _AIP193)
        end = '","details":[' + details + "]}}"
        return _aip193(error.code, error.http_status, error.message, end)

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
        ',"message":', f'"{message}"' if _is_plain(message) else encode_basestring(message),
        ',"status":"', _CODE_NAMES[code], end,
    )  # fmt: skip
    # As machine code, an f-string copies character by character, and `join` whole texts.
    return "".join(parts).encode("utf-8", "replace")


def _is_plain(text: str) -> bool:
    """True if a text is the same in JSON, and printable ASCII."""
    if not text.isascii():
        return False
    data = text.encode()
    return data.translate(_AS_IT_IS) == data
