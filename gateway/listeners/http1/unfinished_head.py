"""Keeps what a refusal needs of a head that is not complete: the `Origin` of its request.

Browsers show an error to a page only if the response has CORS headers (Fetch, section 3.3), and
these need the origin. The parser gives no fields of a head that it rejects.
"""

import re
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.http.header_fields import NO_FIELDS, HeaderFields

_ORIGIN: Final = re.compile(
    rb"\r\norigin:[ \t]*+([\x21-\x7e]{1,300}+)[ \t]*+(?=\r\n)", re.IGNORECASE
)
_END: Final = b"\r\n\r\n"
_FULL_BYTES: Final = 4 * 1024
"""The size from which the text is searched and dropped, so that a long head takes no memory."""
_LINE_BYTES: Final = 512
"""The end of the text that is kept then: a line may be cut anywhere."""


class UnfinishedHead:
    """The bytes of a request's head before its end."""

    __slots__ = ("_text", "is_complete", "size")

    def __init__(self) -> None:
        self._text = bytearray()
        self.is_complete = False
        """True if the end of the head has been added."""
        self.size = 0
        """The number of bytes added."""

    def add(self, data: bytes) -> None:
        """Adds the next bytes of the head."""
        text = self._text
        before = max(0, len(text) - len(_END) + 1)
        text += data
        self.size += len(data)
        self.is_complete = self.is_complete or text.find(_END, before) >= 0
        if len(text) > _FULL_BYTES:
            # NUL ends the kept line: the text after it may begin in the middle of another one.
            origins = [b"\r\nOrigin:%b\r\n\0" % found for found in self._origins()]
            self._text = bytearray(b"".join(origins)) + text[-_LINE_BYTES:]

    def fields(self) -> HeaderFields:
        """Returns the known fields: `Origin`, unless there are several, which differ."""
        origins = self._origins()
        if len(origins) != 1:
            return NO_FIELDS
        origin = origins[0].decode()
        return HeaderFields(CIMultiDictProxy(CIMultiDict({"Origin": origin})), ())

    def _origins(self) -> list[bytes]:
        """Returns up to two different origins in the text; two are as bad as many."""
        return list(dict.fromkeys(_ORIGIN.findall(self._text)))[:2]


def after_last_head(data: bytes) -> bytes:
    """Returns the bytes after the last complete head in `data`."""
    return data[data.rfind(_END) + len(_END) :] if _END in data else data
