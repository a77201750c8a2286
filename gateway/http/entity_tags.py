"""Entity tags: one for each representation, though a back end knows of one only.

A back end sends one `ETag` for a message. What a client gets is JSON, protobuf, a stream in one of
several formats, or any of them in gzip, and a strong tag must tell these apart (RFC 9110 section
8.8.3.3). So all but plain JSON, and raw bytes, get a suffix, as in `"abc;gzip"`, and conditions
that name such a tag reach the back end without it.
"""

import re
from collections.abc import Sequence
from typing import Final

from multidict import istr

from gateway.http.compression import accepts_gzip
from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Response
from gateway.transcoding.media import media_type
from gateway.transcoding.payload import JSON
from gateway.transcoding.streams.framing import FRAMINGS

_IF_MATCH: Final = istr("If-Match")
_IF_NONE_MATCH: Final = istr("If-None-Match")
_ACCEPT_ENCODING: Final = istr("Accept-Encoding")
_GZIP: Final = ";gzip"
_SUFFIX_OF: Final = {kind: f";{kind.partition('/')[2]}" for kind in FRAMINGS if kind != JSON}
_SUFFIXES: Final = (*_SUFFIX_OF.values(), _GZIP)
# RFC 9110 section 8.8.3.
_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"')
_NEXT_TAG: Final = re.compile(r'[ \t,]*+((?:W/)?"[\x21\x23-\x7e\x80-\xff]*+")[ \t]*+(?=,|\Z)')
_NOT_MODIFIED: Final = 304


def is_conditional(fields: HeaderFields) -> bool:
    """Whether a request has conditions that name entity tags."""
    return _IF_NONE_MATCH in fields.by_name or _IF_MATCH in fields.by_name


def conditions_for_back_end(
    fields: HeaderFields, selected: str, *, reads: bool
) -> Sequence[tuple[bytes, bytes]]:
    """The header fields with tags as the back end knows them.

    Where the request `reads`, which is a GET or a HEAD, tags in If-None-Match of another
    representation than the `selected` media type are left out: its client does not have what it
    asks for. Elsewhere they say which state of the resource is meant, whatever it looked like.
    """
    gzip = accepts_gzip(fields.by_name.get(_ACCEPT_ENCODING, ""))
    wanted = _SUFFIX_OF.get(selected, "")
    found: list[tuple[bytes, bytes]] = []
    for name, value in fields.raw:
        lower = name.lower()
        if lower not in (b"if-match", b"if-none-match"):
            found.append((name, value))
            continue
        tags = _tags(value.decode("latin-1"))
        if tags is None:  # `*`, or no list of tags: the back end may know what it is
            found.append((name, value))
            continue
        pairs = [_split(tag) for tag in tags]
        if reads and lower == b"if-none-match":
            pairs = [
                (tag, suffix)
                for tag, suffix in pairs
                if suffix == wanted or (gzip and not wanted and suffix == _GZIP)
            ]
        if pairs:
            known = dict.fromkeys([tag for tag, _ in pairs])
            found.append((name, ", ".join(known).encode("latin-1")))
    return found


def tag_representation(response: Response, fields: HeaderFields, *, is_raw: bool) -> None:
    """Gives the entity tag of a response, if it has one, the suffix of its representation.

    `is_raw` is whether its bytes and their media type are the back end's own.
    """
    headers = response.headers
    for at, (name, tag) in enumerate(headers):
        if name.lower() == "etag" and _TAG.fullmatch(tag):
            suffix = "" if is_raw else _SUFFIX_OF.get(media_type(response.content_type), "")
            is_compressed = any(one.lower() == "content-encoding" for one, _ in headers)
            if not tag.startswith("W/") and (
                is_compressed or _confirms_compressed(response, fields, tag)
            ):
                suffix += _GZIP
            headers[at] = (name, _with(tag, suffix))


def _confirms_compressed(response: Response, fields: HeaderFields, tag: str) -> bool:
    """Whether this says of a representation in gzip that its client has it already."""
    get = fields.by_name.get
    return (
        response.status == _NOT_MODIFIED
        and accepts_gzip(get(_ACCEPT_ENCODING, ""))
        and _with(tag, _GZIP) in (_tags(get(_IF_NONE_MATCH, "")) or ())
    )


def _with(tag: str, suffix: str) -> str:
    return f'{tag[:-1]}{suffix}"'


def _split(tag: str) -> tuple[str, str]:
    """A tag without its suffix, and the suffix."""
    text = tag[:-1]
    for suffix in _SUFFIXES:
        if text.endswith(suffix):
            return f'{text.removesuffix(suffix)}"', suffix
    return tag, ""


def _tags(text: str) -> list[str] | None:
    """The tags of a list; None if it is none."""
    tags: list[str] = []
    at, end = 0, len(text.rstrip(" \t,"))
    while at < end:
        found = _NEXT_TAG.match(text, at)
        if found is None:
            return None
        tags.append(found[1])
        at = found.end()
    return tags or None
