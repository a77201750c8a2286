"""The fields of X.509 certificates that operators look at, read from DER (RFC 5280, X.690).

Python's ssl module shows these fields only for certificates of peers and of authorities.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_VERSION: Final = 0xA0
"""The tag of the version, which certificates of version 1 have not."""
_UTC_TIME: Final = 0x17
# X.690 section 8.23: UTF8String and BMPString; the others are read as Latin-1.
_ENCODINGS: Final = {0x0C: "utf-8", 0x1E: "utf-16-be"}
# RFC 4514 section 3: short names of attributes.
_NAMES: Final = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
}
_MOST_LETTERS: Final = 500


@dataclass(frozen=True, slots=True)
class CertificateFields:
    """The subject of a certificate, and the end of its validity."""

    subject: str
    """The attributes with a short name in the order of the certificate, up to 500 characters:
    `O=Example, CN=api.example.com`. Empty if its names are only alternative ones."""
    not_after: datetime


def certificate_fields(der: bytes) -> CertificateFields:
    """Reads a certificate.

    Raises:
        ValueError: it is no certificate.
    """
    try:
        (_, certificate), *_ = _elements(der)
        (_, signed), *_ = _elements(certificate)
        fields = list(_elements(signed))
        if fields[0][0] == _VERSION:
            del fields[0]
        # RFC 5280 section 4.1: serial number, algorithm, issuer, validity, subject.
        _serial, _algorithm, _issuer, (_, validity), (_, subject), *_ = fields
        _from, (kind, until) = _elements(validity)
        return CertificateFields(_subject(subject)[:_MOST_LETTERS], _time(kind, until))
    except (IndexError, ValueError):
        raise ValueError("expected a certificate in DER") from None


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the tag and the content of each element (X.690 section 8.1)."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:  # the length itself takes several bytes
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size])
            at += size
        if at + length > len(data):
            raise ValueError
        yield tag, data[at : at + length]
        at += length


def _subject(name: bytes) -> str:
    parts = []
    for _, attributes in _elements(name):
        for _, attribute in _elements(attributes):
            (_, kind), (tag, value) = _elements(attribute)
            if kind in _NAMES:
                text = value.decode(_ENCODINGS.get(tag, "latin-1"), "replace")
                parts.append(f"{_NAMES[kind]}={text}")
    return ", ".join(parts)


def _time(kind: int, value: bytes) -> datetime:
    """Reads a time (RFC 5280 section 4.1.2.5), which has two digits for the year until 2049."""
    text = value.decode("ascii")
    if kind == _UTC_TIME:
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
