"""Writes failures as JSON, in any of the three shapes."""

import logging
from collections.abc import Callable
from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Final

from gateway.status import Code, ErrorShape, StatusError, error_document
from gateway.transcoding.json.codec import Codec

logger = logging.getLogger("gateway.transcoding")

_AIP193: Final = ErrorShape.AIP193
# By number, because the name of a member of an enum is computed by Python code.
_CODE_NAMES: Final = [code.name for code in Code]


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
            return safely(error, self._aip193)
        return safely(error, lambda failure: self._of_document(failure, shape))

    def _aip193(self, error: StatusError) -> bytes:
        """Returns what `_of_document` returns, with fewer steps, for the usual failures."""
        end = '"}}'
        if error.bad_request or error.details:
            details = self._codec.plain_details(error)
            if details is None:
                return self._of_document(error, _AIP193)
            end = '","details":[' + details + "]}}"
        status, message = _CODE_NAMES[error.code], encode_basestring(error.message)
        text = f'{{"error":{{"code":{error.http_status},"message":{message},"status":"{status}{end}'
        return text.encode("utf-8", "replace")

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
